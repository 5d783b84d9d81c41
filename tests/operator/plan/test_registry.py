"""Where generated keys stand: what is written is read again, in as many Secrets as it takes, each far below 1 MiB."""

from __future__ import annotations

import base64
import json

from tests.support.observations import KEY, served

from s3o_operator.plan.observed import Object
from s3o_operator.plan.registry import (
    MOST_RETIRED,
    CredentialRef,
    Entry,
    KeyPair,
    Retired,
    key_in,
    read_registry,
    registry_of,
    shards_of,
    written,
)

NOW, LATER, LAST = "2026-11-21T10:00:00Z", "2026-11-21T11:00:00Z", "2026-11-21T12:00:00Z"


def credential(number: int = 0, name: str = "default", type_: str = "SigV4") -> CredentialRef:
    return CredentialRef("team-a", f"bucket-{number}", name, type_)


def pair(name: str) -> KeyPair:
    return KeyPair(f"ID{name}", f"secret-of-{name}")


def test_what_is_written_is_read_again() -> None:
    entries = {
        credential(): Entry(pair("A")),
        credential(name="writer"): Entry(pair("B"), NOW, "t1;name=writer", (Retired(pair("C"), LATER), Retired(pair("D"), LAST))),
        credential(type_="Token"): Entry(KeyPair("", "a-token")),
    }
    assert read_registry(registry_of(KEY, entries)) == entries


def test_a_thousand_buckets_with_twenty_credentials_each_lie_in_shards_below_a_mebibyte() -> None:
    longest = [Retired(KeyPair("I" * 20, "s" * 43), LAST)] * MOST_RETIRED
    refs = [CredentialRef("n" * 63, f"{number:0>253}", f"{name:0>63}", "SigV4") for number in range(1000) for name in range(20)]
    entries = {ref: Entry(KeyPair("I" * 20, "s" * 40), NOW, "t" * 253, tuple(longest)) for ref in refs}
    shards = registry_of(KEY, entries)
    largest = max(sum(len(base64.b64decode(text)) for text in shard["data"].values()) for shard in shards)
    assert len(shards) == 50
    assert largest < 2**20
    # Names of entries and base64 count for the request, which etcd takes up to 1.5 MiB of.
    assert max(len(json.dumps(shard)) for shard in shards) < 1.4 * 2**20
    assert read_registry(shards) == entries


def test_an_entry_stays_in_its_shard_and_only_what_changed_is_written() -> None:
    entries = {credential(number): Entry(pair(str(number))) for number in range(401)}
    first, second = (served(shard) for shard in registry_of(KEY, entries))
    assert [shard["metadata"]["name"] for shard in (first, second)] == ["main-registry", "main-registry-1"]
    rotated = {credential(7): Entry(pair("new"))}
    (changed,) = written(KEY, [first, second], rotated, ())
    assert changed["metadata"] == first["metadata"]
    assert read_registry([changed, second]) == entries | rotated
    (grown,) = written(KEY, [first, second], {credential(500): Entry(pair("more"))}, ())
    assert grown["metadata"]["name"] == "main-registry-1"


def test_an_entry_is_taken_out_and_its_place_is_filled_again() -> None:
    entries = {credential(number): Entry(pair(str(number))) for number in range(401)}
    first, second = (served(shard) for shard in registry_of(KEY, entries))
    (changed,) = written(KEY, [first, second], {credential(7): None, credential(999): None}, ())
    assert read_registry([changed, second]) == {one: entry for one, entry in entries.items() if one != credential(7)}
    (filled,) = written(KEY, [changed, second], {credential(500): Entry(pair("more"))}, ())
    assert filled["metadata"]["name"] == changed["metadata"]["name"]


def test_a_name_that_somebody_else_has_is_not_taken() -> None:
    (shard,) = written(KEY, [], {credential(): Entry(pair("A"))}, {"main-registry", "main-registry-1"})
    assert shard["metadata"]["name"] == "main-registry-2"


def test_shards_are_told_by_their_labels() -> None:
    (shard,) = (served(one) for one in registry_of(KEY, {credential(): Entry(pair("A"))}))
    elsewhere = served(shard, namespace="other")
    foreign: Object = served({"kind": "Secret", "metadata": {"name": "main-registry-9"}})
    assert shards_of(KEY, [foreign, elsewhere, shard]) == [shard]


def test_a_damaged_entry_is_not_there_and_is_left_where_it_is() -> None:
    (shard,) = (served(one) for one in registry_of(KEY, {credential(): Entry(pair("A"))}))
    (name,) = shard["data"]
    for damage in ("", "not base64!", base64.b64encode(b"{}").decode(), base64.b64encode(b"[1]").decode()):
        assert read_registry([{**shard, "data": {name: damage}}]) == {}
    moved = {**shard, "data": {"another-name": shard["data"][name]}}
    assert read_registry([moved]) == {}
    (repaired,) = written(KEY, [moved], {credential(): Entry(pair("B"))}, ())
    assert repaired["data"].keys() == {"another-name", name}


class TestAnEntry:
    def test_is_rotated_once_for_each_token_and_keeps_the_old_key_for_a_while(self) -> None:
        first = Entry(pair("A"))
        second = first.rotated(pair("B"), "t1", NOW, LATER)
        assert (second.pair, second.rotated_at, second.rotation) == (pair("B"), NOW, "t1")
        assert second.retired == (Retired(pair("A"), LATER),)
        assert second.rotated(pair("C"), "t1", NOW, LATER) is second

    def test_keeps_every_key_that_was_promised_to_work(self) -> None:
        entry = Entry(pair("A")).rotated(pair("B"), "t1", NOW, LAST).rotated(pair("C"), "t2", NOW, LATER)
        assert entry.working(NOW) == (Retired(pair("A"), LAST), Retired(pair("B"), LATER))
        assert entry.working(LATER) == (Retired(pair("A"), LAST),)
        assert entry.cleared(LAST).retired == ()
        for number in range(20):
            entry = entry.rotated(pair(str(number)), f"again-{number}", NOW, LAST)
        assert len(entry.retired) == MOST_RETIRED

    def test_without_a_grace_period_the_old_key_ends_at_once(self) -> None:
        assert Entry(pair("A")).rotated(pair("B"), "t1", NOW, NOW).retired == ()


def test_a_key_is_found_in_an_applications_secret_under_any_of_its_names() -> None:
    def secret(**values: str) -> Object:
        return {"data": {name: base64.b64encode(value.encode()).decode() for name, value in values.items()}}

    assert key_in(secret(AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b"), "SigV4") == KeyPair("a", "b")
    assert key_in(secret(COSI_S3_ACCESS_KEY_ID="a", COSI_S3_ACCESS_SECRET_KEY="b"), "SigV4") == KeyPair("a", "b")
    assert key_in(secret(token="t"), "Token") == KeyPair("", "t")
    assert key_in(secret(AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b"), "Token") is None
    assert key_in(secret(AWS_ACCESS_KEY_ID="a"), "SigV4") is None
    assert key_in(secret(AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="two\nlines"), "SigV4") is None
    assert key_in({"data": {"AWS_ACCESS_KEY_ID": "%", "AWS_SECRET_ACCESS_KEY": "%"}}, "SigV4") is None
