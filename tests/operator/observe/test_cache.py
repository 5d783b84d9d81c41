"""The newest version wins, whoever brings it; only a listing tells what is gone."""

from __future__ import annotations

from s3o_operator.observe.cache import Cache
from s3o_operator.plan.observed import Object, Ref

REF = Ref("Secret", "ns", "one")


def secret(version: int, name: str = "one") -> Object:
    return {"kind": "Secret", "metadata": {"namespace": "ns", "name": name, "resourceVersion": str(version)}}


def test_an_older_version_is_no_news() -> None:
    cache = Cache()
    assert cache.put(secret(5))
    assert not cache.put(secret(4))
    assert not cache.put(secret(5))
    assert cache.get(REF) == secret(5)


def test_the_end_of_an_earlier_object_does_not_end_the_present_one() -> None:
    cache = Cache()
    cache.put(secret(9))
    assert not cache.remove(secret(8))
    assert cache.remove(secret(10))
    assert cache.get(REF) is None


def test_a_listing_removes_what_it_lacks_but_not_what_is_newer_than_it() -> None:
    cache = Cache()
    for document in (secret(3, "ghost"), secret(12, "newer"), secret(4)):
        cache.put(document)
    changed = cache.replace("Secret", [secret(4), secret(6, "missed")], "10")
    assert [document["metadata"]["name"] for document in changed] == ["missed", "ghost"]
    assert {document["metadata"]["name"] for document in cache.all("Secret")} == {"one", "missed", "newer"}


def test_what_is_deleted_while_a_listing_is_under_way_is_not_brought_back_by_it() -> None:
    cache = Cache()
    cache.put(secret(5))
    assert cache.remove(secret(7))
    assert cache.replace("Secret", [secret(5)], "6") == []
    assert cache.get(REF) is None
    assert not cache.put(secret(5)), "nor by what was read meanwhile"


def test_a_name_can_be_given_again_after_a_deletion() -> None:
    cache = Cache()
    cache.remove(secret(7))
    cache.replace("Secret", [], "6")
    assert cache.put(secret(8))
    assert cache.get(REF) == secret(8)


def test_what_only_lost_our_label_may_be_found_as_it_is() -> None:
    """To a watch by label that is a deletion, in the version that the object has from then on."""
    cache = Cache()
    cache.put(secret(5))
    cache.remove(secret(7))
    assert cache.put(secret(7))
