"""The metadata database of an orchestrator is noted once, and never exchanged silently: what its proxies say of it, and what is done."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from tests.operator.plan.test_planner import carried_out
from tests.operator.plan.test_sync import DEPLOYMENT, condition, pod, saying, settled, statuses, wanted

from s3o_operator.plan.actions import Latch, SetStatus, step_of
from s3o_operator.plan.contacts import BackendReport
from s3o_operator.plan.happenings import happenings
from s3o_operator.plan.identity import ADOPT, expected_id, replacement
from s3o_operator.plan.observed import Failure, Object, Observed, Ref, ref_of
from s3o_operator.plan.planner import plan

FIRST, SECOND = "a" * 32, "b" * 32
CONFIG = Ref("Secret", "default", "main-config")


def of(seen: Observed, database_id: str, *pods: str, **changes: Any) -> Observed:
    """These pods (by default all) say that they are at this database."""
    report = replace(wanted(seen), database_id=database_id, **changes)
    return saying(seen, **dict.fromkeys(pods or ("p0", "p1"), report))


def noted(seen: Observed) -> Observed:
    """All proxies are at the first database, and were told to expect it."""
    return of(carried_out(carried_out(of(seen, FIRST))), FIRST)


def latch_of(seen: Observed) -> Latch | None:
    """The note that is planned: alone, or not at all."""
    planned = plan(seen)
    latches = [one for one in planned.actions if isinstance(one, Latch)]
    assert not latches or list(planned.actions) == latches
    return latches[0] if latches else None


def annotated(seen: Observed, value: str) -> Observed:
    assert seen.orchestrator is not None
    metadata = seen.orchestrator["metadata"] | {"annotations": {ADOPT: value}}
    return replace(seen, orchestrator=seen.orchestrator | {"metadata": metadata})


def without_status(seen: Observed) -> Observed:
    assert seen.orchestrator is not None
    return replace(seen, orchestrator={name: value for name, value in seen.orchestrator.items() if name != "status"})


def mounted(seen: Observed) -> Object:
    document: Object = json.loads(base64.b64decode(seen.live[CONFIG]["data"]["config.json"]))
    return document


def status_of(seen: Observed) -> Object:
    assert seen.orchestrator is not None
    status: Object = seen.orchestrator["status"]
    return status


def test_it_is_noted_when_a_proxy_first_tells_it_before_anything_is_done_about_it() -> None:
    seen = of(settled(), FIRST)
    latch = latch_of(seen)
    assert latch is not None
    assert latch.status["database"] == {"id": FIRST, "recordedAt": seen.now}
    before = status_of(seen)
    assert {name: latch.status[name] for name in before} == before


def test_and_then_it_is_what_proxies_must_find() -> None:
    seen = settled()
    assert mounted(seen)["databaseId"] == ""
    seen = noted(seen)
    assert (mounted(seen)["databaseId"], mounted(seen)["generation"]) == (FIRST, 2)
    seen = carried_out(seen)
    assert condition(status_of(seen), "Ready")[0] == "True"
    assert condition(status_of(seen), "DatabaseReady")[:2] == ("True", "Connected")
    assert not plan(seen).actions


@pytest.mark.parametrize("trouble", ["an older configuration", "it cannot serve", "two databases", "a pod that leaves", "unreachable"])
def test_it_is_not_noted_on_the_word_of_a_pod_that_may_be_wrong(trouble: str) -> None:
    """Such as one of a namesake that is long gone, which had another database."""
    seen = of(settled(), FIRST)
    match trouble:
        case "an older configuration":
            seen = of(seen, FIRST, digest="of something else")
        case "it cannot serve":
            seen = of(seen, FIRST, troubles=("it has not begun",))
        case "two databases":
            seen = of(seen, SECOND, "p1")
        case "a pod that leaves":
            leaving = [one | {"metadata": one["metadata"] | {"deletionTimestamp": seen.now}} for one in seen.pods]
            seen = replace(seen, pods=tuple(leaving))
        case _:
            seen = saying(seen, p0="no answer", p1="no answer")
    assert latch_of(seen) is None


def test_a_pod_of_a_version_that_does_not_tell_is_no_reason_for_anything() -> None:
    assert not plan(settled()).actions
    assert not replacement(of(noted(settled()), ""))


def test_the_records_of_a_bound_backend_vanish_and_it_is_stalled_and_not_adopted() -> None:
    """The database is empty: its id is another one."""
    seen = of(noted(settled()), SECOND, troubles=("as the proxies say",))
    assert latch_of(seen) is None
    found = statuses(seen)
    orchestrator = found["S3Orchestrator"]
    assert orchestrator["database"]["id"] == FIRST
    for kind, status in (("Ready", "False"), ("Stalled", "True"), ("DatabaseReady", "False")):
        said = condition(orchestrator, kind)
        assert said[:2] == (status, "DatabaseReplaced")
        assert f"has the id {SECOND}, not {FIRST}" in said[2]
        assert f"annotate with {ADOPT}={SECOND}" in said[2]
    assert condition(orchestrator, "Reconciling")[0] == "False"
    assert condition(orchestrator, "Degraded")[0] == "True"
    for kind in ("StorageBackend", "VirtualBucket"):
        assert condition(found[kind], "Ready")[:2] == ("False", "DatabaseReplaced")
        assert condition(found[kind], "Accepted")[0] == "True"
    stalled = carried_out(seen)
    assert mounted(stalled)["databaseId"] == FIRST
    assert not plan(stalled).actions


def test_what_was_counted_last_stays_in_the_status() -> None:
    counted = {"one": BackendReport(used=1000, objects=7, checked=True)}
    seen = carried_out(of(noted(settled()), FIRST, backends=counted))
    lost = carried_out(of(seen, SECOND, troubles=("another database",), backends={"one": BackendReport(checked=True)}))
    assert lost.backends[0]["status"]["usage"]["objectCount"] == 7
    assert status_of(lost)["usage"]["objectCount"] == 7


def test_one_proxy_at_another_database_is_enough() -> None:
    assert f"pod p1: the metadata database has the id {SECOND}" in replacement(of(noted(settled()), SECOND, "p1"))


def test_the_old_database_heals_everything_by_itself() -> None:
    well = carried_out(noted(settled()))
    again = carried_out(of(carried_out(of(well, SECOND, troubles=("another database",))), FIRST))
    assert condition(status_of(again), "Ready")[:2] == ("True", "ProxiesReady")
    assert condition(again.buckets[0]["status"], "Ready")[0] == "True"
    assert mounted(again) == mounted(well)


def test_the_exact_id_adopts_it_and_an_event_tells() -> None:
    seen = annotated(of(carried_out(noted(settled())), SECOND, troubles=("another database",)), SECOND)
    latch = latch_of(seen)
    assert latch is not None
    assert latch.status["database"] == {"id": SECOND, "recordedAt": seen.now, "previousId": FIRST}
    assert seen.orchestrator is not None
    (told,) = happenings(latch, {ref_of(seen.orchestrator): seen.orchestrator}, seen.now)
    assert (told.kind, told.reason) == ("Normal", "DatabaseAdopted")
    assert FIRST in told.note
    assert SECOND in told.note
    adopted = carried_out(carried_out(seen))
    assert (mounted(adopted)["databaseId"], mounted(adopted)["generation"]) == (SECOND, 3)
    served = carried_out(of(adopted, SECOND))
    assert condition(status_of(served), "Ready")[0] == "True"
    assert not plan(served).actions


@pytest.mark.parametrize("value", ["yes", "true", FIRST, "c" * 32, SECOND[:-1], SECOND.upper(), f" {SECOND}"])
def test_nothing_else_does(value: str) -> None:
    seen = annotated(of(carried_out(noted(settled())), SECOND, troubles=("another database",)), value)
    assert latch_of(seen) is None
    assert (f"{ADOPT} says {value}, which is not the id" in replacement(seen)) == (value != FIRST)


def test_nor_while_some_proxies_are_at_the_old_one() -> None:
    assert latch_of(annotated(of(carried_out(noted(settled())), SECOND, "p1"), SECOND)) is None


def test_an_annotation_that_was_left_behind_adopts_nothing_later() -> None:
    """It names one database, and is used up with it."""
    adopted = annotated(of(carried_out(noted(settled())), SECOND), SECOND)
    adopted = of(carried_out(carried_out(adopted)), SECOND)
    for other in (FIRST, "c" * 32):
        seen = of(adopted, other, troubles=("another database",))
        assert latch_of(seen) is None
        assert replacement(seen)


def test_a_status_that_was_lost_is_found_in_what_proxies_mount_before_a_new_id_is_taken() -> None:
    seen = without_status(of(carried_out(noted(settled())), SECOND, troubles=("another database",)))
    latch = latch_of(seen)
    assert latch is not None
    assert latch.status == {"database": {"id": FIRST, "recordedAt": seen.now}}
    assert mounted(carried_out(carried_out(seen)))["databaseId"] == FIRST


def test_but_not_in_a_secret_of_somebody_else() -> None:
    seen = carried_out(noted(settled()))
    foreign = seen.live[CONFIG] | {"metadata": {"name": "main-config", "namespace": "default"}}
    assert latch_of(without_status(replace(seen, live={**seen.live, CONFIG: foreign}, pods=()))) is None


@pytest.mark.parametrize("text", ["", "no JSON", "[]", '{"databaseId": null}'])
def test_and_what_somebody_wrote_into_it_is_survived(text: str) -> None:
    seen = carried_out(noted(settled()))
    data = seen.live[CONFIG]["data"] | {"config.json": base64.b64encode(text.encode()).decode()}
    broken = replace(seen, live={**seen.live, CONFIG: seen.live[CONFIG] | {"data": data}}, pods=())
    assert latch_of(without_status(broken)) is None


def test_another_database_in_the_spec_is_the_same_case_though_old_pods_go_on() -> None:
    """The new pods refuse, and so the rollout does not go on: those before them serve, and the status says what to do."""
    seen = at_database("1" * 10, at_database("0" * 10, carried_out(noted(settled())), "p0", "p1"), "p2")
    seen = of(of(seen, SECOND, "p2", troubles=("another database",)), FIRST, "p0", "p1")
    assert f"pod p2: the metadata database has the id {SECOND}" in replacement(seen)
    # Those before them are not asked, since they are at the one that is given up.
    adopting = annotated(seen, SECOND)
    assert latch_of(adopting) is not None
    adopted = carried_out(adopting)
    assert (expected_id(adopted), replacement(adopted)) == (SECOND, "")


def test_a_change_that_is_taken_back_is_over() -> None:
    seen = at_database("0" * 10, carried_out(noted(settled())), "p0", "p1")
    seen = replace(seen, pods=(*seen.pods, with_static(pod("p2", ready=False), "1" * 10)))
    assert replacement(of(seen, SECOND, "p2")) == ""


def test_while_nothing_can_be_written_nothing_is_noted() -> None:
    seen = replace(of(settled(), FIRST), failures=(Failure("PATCH: forbidden"),))
    assert {type(action) for action in plan(seen).actions} <= {SetStatus}


def test_while_it_cannot_be_noted_nothing_is_written_that_would_not_name_it() -> None:
    """Proxies that were told no id any more would take any database for the right one."""
    seen = of(settled(), FIRST)
    note = latch_of(seen)
    assert note is not None
    refused = replace(seen, failures=(Failure("PATCH: forbidden", step=step_of(note)),))
    assert {type(action) for action in plan(refused).actions} <= {SetStatus}


def at_database(digest: str, seen: Observed, *pods: str) -> Observed:
    """The Deployment is at the database of this static Secret, and so are these pods, which may be new."""
    template = seen.live[DEPLOYMENT]["spec"]["template"]
    named = with_static({"spec": template["spec"]}, digest)["spec"]
    deployment = seen.live[DEPLOYMENT] | {"spec": seen.live[DEPLOYMENT]["spec"] | {"template": template | {"spec": named}}}
    others = tuple(one for one in seen.pods if one["metadata"]["name"] not in pods)
    mine = tuple(with_static(pod(name), digest) for name in pods)
    return replace(seen, live={**seen.live, DEPLOYMENT: deployment}, pods=(*others, *mine))


def with_static(document: Object, digest: str) -> Object:
    sources = [{"secret": {"name": name}} for name in ("main-config", f"main-static-{digest}")]
    return document | {"spec": document["spec"] | {"volumes": [{"name": "config", "projected": {"sources": sources}}]}}
