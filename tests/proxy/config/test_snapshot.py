"""A snapshot answers what a request asks, and prints no secret."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from s3o_crds.compiled import BackendConfig, BucketConfig, CredentialConfig, DatabaseConfig, FleetConfig, ServerConfig, TLSConfig
from s3o_proxy.config.errors import ConfigError
from s3o_proxy.config.snapshot import Snapshot, take_snapshot, what_needs_restart

VALUES = {
    "id": "AK",
    "key": "sigv4-secret",
    "token": "token-secret",
    "id2": "AK2",
    "key2": "other-secret",
    "uri": "postgresql://u:p%40ss-word@h/d",
}
SIGV4 = CredentialConfig(name="writer", access_key_id="id", secret_access_key="key")
TOKEN = CredentialConfig(name="legacy", type="Token", token="token")


def a_backend(name: str, order: int = 100) -> BackendConfig:
    return BackendConfig(name=name, order=order, endpoint="http://h", region="r", bucket="b", access_key_id="id2", secret_access_key="key2")


def snapshot(
    buckets: Iterable[BucketConfig] = (),
    *,
    name: str = "main",
    database: DatabaseConfig | None = None,
    server: ServerConfig | None = None,
    values: dict[str, str] = VALUES,
) -> Snapshot:
    config = FleetConfig(
        name=name,
        buckets=tuple(buckets),
        backends=(a_backend("b"), a_backend("a")),
        database=database or DatabaseConfig(),
        server=server or ServerConfig(),
    )
    return take_snapshot(config, values)


def test_everything_is_found_by_name() -> None:
    taken = snapshot([BucketConfig(name="photos", credentials=(SIGV4, TOKEN))])
    assert taken.backend("a") == a_backend("a")
    assert taken.backend("x") is None
    assert [one.name for one in taken.backends] == ["b", "a"]
    assert taken.bucket("x") is None
    signing = taken.find_access_key("AK")
    assert signing is not None
    assert (set(signing.buckets), signing.secret_access_key, list(signing.names)) == ({"photos"}, "sigv4-secret", ["photos/writer"])
    bearing = taken.find_token("token-secret")
    assert bearing is not None
    assert (set(bearing.buckets), list(bearing.names)) == ({"photos"}, ["photos/legacy"])


def test_a_token_is_no_access_key_and_an_empty_one_is_nobody() -> None:
    taken = snapshot([BucketConfig(name="photos", credentials=(SIGV4, TOKEN))])
    assert taken.find_access_key("token-secret") is None
    assert taken.find_access_key("") is None
    assert taken.find_token("") is None
    assert taken.find_token("sigv4-secret") is None


def test_one_pair_in_two_buckets_is_one_credential_for_both() -> None:
    taken = snapshot([BucketConfig(name="a", credentials=(SIGV4,)), BucketConfig(name="b", credentials=(SIGV4,))])
    found = taken.find_access_key("AK")
    assert found is not None
    assert found.buckets == {"a", "b"}
    assert found.names == ("a/writer", "b/writer")


def test_one_access_key_with_two_secrets_is_refused() -> None:
    other = CredentialConfig(name="other", access_key_id="id", secret_access_key="key2")
    with pytest.raises(ConfigError, match="a/writer and b/other share an access key id") as caught:
        snapshot([BucketConfig(name="a", credentials=(SIGV4,)), BucketConfig(name="b", credentials=(other,))])
    assert "secret-" not in str(caught.value)


def test_a_secret_without_a_value_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        snapshot([BucketConfig(name="photos", credentials=(TOKEN,))], values={"id2": "", "key2": ""})
    assert caught.value.reasons == ("secret token is referred to and has no value",)


def test_nothing_printed_holds_a_secret() -> None:
    taken = snapshot([BucketConfig(name="photos", credentials=(SIGV4, TOKEN))])
    printed = f"{taken!r} {taken} {taken.find_access_key('AK')!r} {taken.find_token('token-secret')!r} {taken.config!r}"
    assert all(value not in printed for ref, value in VALUES.items() if not ref.startswith("id"))


def test_what_must_not_be_logged_are_secrets_but_no_access_key_ids() -> None:
    taken = snapshot([BucketConfig(name="photos", credentials=(SIGV4, TOKEN))], database=DatabaseConfig(driver="Postgres", uri="uri"))
    assert taken.secret_values() == {"sigv4-secret", "token-secret", "other-secret", VALUES["uri"], "p%40ss-word", "p@ss-word"}


TLS = TLSConfig(certificate="key", private_key="key2")


@pytest.mark.parametrize(
    ("new", "reason"),
    [
        (snapshot(name="other"), "the S3Orchestrator main became other: needs a restart"),
        (snapshot(database=DatabaseConfig(path="elsewhere.db")), "spec.database changed: needs a restart"),
        (snapshot(server=ServerConfig(tls=TLS)), "spec.server.tls was switched on or off: needs a restart"),
    ],
)
def test_what_cannot_change_while_the_process_runs(new: Snapshot, reason: str) -> None:
    assert what_needs_restart(snapshot(), new) == [reason]
    assert what_needs_restart(new, new) == []


def test_a_rotated_database_password_needs_a_restart_and_a_rotated_certificate_does_not() -> None:
    database, server = DatabaseConfig(driver="Postgres", password="token"), ServerConfig(tls=TLS)
    old = snapshot(database=database, server=server)
    rotated = snapshot(database=database, server=server, values={**VALUES, "token": "rotated"})
    assert what_needs_restart(old, rotated) == ["a Secret that spec.database names changed: needs a restart"]
    assert what_needs_restart(old, snapshot(database=database, server=server, values={**VALUES, "key": "rotated"})) == []


def test_the_rest_changes_while_the_process_runs() -> None:
    changed = snapshot([BucketConfig(name="new")], server=ServerConfig(region="eu-west-1", max_concurrent_requests=5))
    assert what_needs_restart(snapshot(), changed) == []
