-- acquire_lease --
-- Take or renew a lease, unless another owner's lasts; a row comes back to who holds it now.
INSERT INTO leases (name, owner, epoch, expires_ms)
VALUES (:name, :owner, 1, :expires_ms)
ON CONFLICT (name) DO UPDATE SET
    epoch = CASE WHEN leases.owner = excluded.owner THEN leases.epoch ELSE leases.epoch + 1 END,
    owner = excluded.owner,
    expires_ms = excluded.expires_ms
WHERE leases.owner = excluded.owner OR leases.expires_ms <= :now_ms
RETURNING epoch

-- database_time --
-- What the clock of the database shows.
SELECT {{now_ms}} AS now_ms

-- release_lease --
-- End a lease now. Its row stays, so that the epoch never falls.
UPDATE leases SET expires_ms = 0 WHERE leases.name = :name AND leases.owner = :owner
