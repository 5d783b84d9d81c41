"""Whichever member is asked, the answer is about all."""

from __future__ import annotations

from typing import Any

from s3o_proxy.processes.together import agreed, one_status

FINE = {"reason": "", "message": ""}
REFUSED = {"reason": "CredentialsRefused", "message": "403"}


def status(instance: str = "a", generation: int = 3, digest: str = "d3", **others: Any) -> dict[str, Any]:
    return {
        "instance": instance,
        "generation": generation,
        "digest": digest,
        "configRefusal": [],
        "troubles": [],
        "backends": {"one": {"used": 10, "check": FINE}},
        "buckets": {},
        "queueDepths": {"intents": 1},
        **others,
    }


def told(*answers: dict[str, Any] | None) -> dict[str, Any]:
    own = next(answer for answer in answers if answer is not None)
    return one_status(own, answers)


def test_what_all_read_from_the_ledger_is_told_once() -> None:
    both = told(status("a"), status("b", backends={"one": {"used": 11, "check": FINE}}))
    assert (both["backends"]["one"]["used"], both["queueDepths"]) == (10, {"intents": 1})
    assert [one["instance"] for one in both["processes"]] == ["a", "b"]


def test_a_generation_is_served_when_all_serve_it() -> None:
    ahead = told(status("a", 4, "d4"), status("b", 3, "d3"))
    assert (ahead["generation"], ahead["digest"]) == (3, "d3")
    behind = told(status("a", 3, "d3"), status("b", 4, "d4"))
    assert (behind["generation"], behind["digest"]) == (3, "d3")


def test_one_digest_is_one_generation_though_one_of_them_missed_a_change() -> None:
    assert told(status("a", 3, "same"), status("b", 5, "same"))["generation"] == 5


def test_of_a_member_that_does_not_answer_nothing_is_claimed() -> None:
    alone = told(status("a"), None)
    assert (alone["generation"], alone["digest"]) == (0, "")
    assert alone["troubles"] == ["process 1 does not answer"]
    assert alone["processes"][1] is None


def test_who_hears_nobody_not_even_itself_claims_nothing() -> None:
    assert one_status(status("a"), [None, None])["troubles"] == ["process 0 does not answer", "process 1 does not answer"]
    assert agreed([]) == (0, "")


def test_refusals_and_troubles_of_any_are_told_once_each() -> None:
    both = told(
        status("a", configRefusal=["x"], troubles=["the database is away"]),
        status("b", configRefusal=["x", "y"], troubles=["the database is away"]),
    )
    assert (both["configRefusal"], both["troubles"]) == (["x", "y"], ["the database is away"])


def test_a_backend_that_one_of_them_cannot_use_is_told_so() -> None:
    checks = [None, FINE, REFUSED]
    answers = [status(f"{n}", backends={"one": {"used": 1, "check": check}}) for n, check in enumerate(checks)]
    assert told(*answers)["backends"]["one"]["check"] == REFUSED
    assert told(*answers[:2])["backends"]["one"]["check"] == FINE
    assert told(answers[0])["backends"]["one"]["check"] is None
    assert told(status("a", backends={"new": {"used": 0, "check": None}}), status("b"))["backends"]["new"]["check"] is None
