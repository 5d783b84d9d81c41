"""What is split into Secrets is the same when it is joined again, and never too large for one."""

from __future__ import annotations

import pytest

from s3o_crds.compiled import BackendConfig, BucketConfig, CredentialConfig, DatabaseConfig, FleetConfig
from s3o_crds.digest import canonical_json, digest_of, digest_of_document
from s3o_crds.layout import CONFIG_FILE, MOST_PARTS, PART_BYTES, SECRETS_FILE, STATIC_FILE, Files, TooLarge, join, split, static_part

BACKEND = BackendConfig(name="one", endpoint="http://b", region="r", bucket="data", access_key_id="n/b/id", secret_access_key="n/b/key")
PASSWORD = "n/db/password"


def fleet(buckets: int, backend: BackendConfig = BACKEND) -> tuple[FleetConfig, dict[str, str]]:
    values = {"n/b/id": "id", "n/b/key": "secret of the backend", PASSWORD: "of the database"}
    made = []
    for number in range(buckets):
        name = f"bucket-{number:05}"
        values |= {f"n/{name}/id": f"S3O{number:017}", f"n/{name}/key": f"{number:040}"}
        credential = CredentialConfig(name="default", access_key_id=f"n/{name}/id", secret_access_key=f"n/{name}/key")
        made.append(BucketConfig(name=name, credentials=(credential,)))
    database = DatabaseConfig(driver="Postgres", host="db", password=PASSWORD)
    config = FleetConfig(name="main", backends=(backend,), buckets=tuple(made), database=database)
    return config.model_copy(update={"digest": digest_of(config, values)}), values


def together(config: FleetConfig, values: dict[str, str], part_bytes: int = PART_BYTES) -> Files:
    files = static_part(config, values)
    for part in split(config, values, part_bytes):
        files |= part
    return files


def size(files: Files) -> int:
    return sum(len(canonical_json(document)) for document in files.values())


@pytest.mark.parametrize("buckets", [0, 1, 10_000])
def test_what_is_split_and_joined_is_what_it_was(buckets: int) -> None:
    config, values = fleet(buckets)
    document, joined = join(together(config, values))
    assert FleetConfig.model_validate(document) == config
    assert joined == values
    assert digest_of_document(document, joined) == config.digest


def test_ten_thousand_buckets_fit_and_no_secret_passes_its_limit() -> None:
    parts = split(*fleet(10_000))
    assert 1 < len(parts) <= 1 + MOST_PARTS
    assert all(size(part) <= PART_BYTES for part in parts)


def test_a_small_configuration_is_one_secret() -> None:
    (only,) = split(*fleet(3))
    assert only.keys() == {CONFIG_FILE, SECRETS_FILE}


def test_what_is_static_is_in_no_hot_part() -> None:
    config, values = fleet(3)
    (hot,) = split(config, values)
    assert PASSWORD not in hot[SECRETS_FILE]
    assert "database" not in hot[CONFIG_FILE]
    assert static_part(config, values)[STATIC_FILE]["secrets"] == {PASSWORD: "of the database"}


def test_a_secret_that_the_database_shares_is_in_both() -> None:
    config, values = fleet(3, BACKEND.model_copy(update={"secret_access_key": PASSWORD}))
    (hot,) = split(config, values)
    assert hot[SECRETS_FILE][PASSWORD] == static_part(config, values)[STATIC_FILE]["secrets"][PASSWORD]


def test_one_more_bucket_changes_one_part_and_the_head() -> None:
    config, values = fleet(10_000)
    fewer = config.model_copy(update={"buckets": config.buckets[1:]})
    before, after = split(config, values), split(fewer.model_copy(update={"digest": digest_of(fewer, values)}), values)
    assert [old != new for old, new in zip(before, after, strict=True)].count(True) == 2


def test_parts_of_two_generations_do_not_have_the_digest() -> None:
    config, values = fleet(10_000)
    rotated = values | {"n/bucket-00007/key": "rotated"}
    newer = config.model_copy(update={"digest": digest_of(config, rotated)})
    old, new = split(config, values), split(newer, rotated)
    for number, part in enumerate(new):
        if part != old[number]:
            mixed: Files = {}
            for other in [*old[:number], part, *old[number + 1 :]]:
                mixed |= other
            document, joined = join(mixed)
            assert digest_of_document(document, joined) != document["digest"]


def test_what_fits_nowhere_is_refused() -> None:
    with pytest.raises(TooLarge, match="the most that proxies mount"):
        split(*fleet(100), part_bytes=1000)
