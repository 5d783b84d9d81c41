"""Who serves what decides what is ready: pods that are behind, that refuse, that are silent, and what each of them means for a resource."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.operator.plan.test_planner import carried_out, observed, registry, served, stored
from tests.support import resources

from s3o_operator.plan.actions import SetStatus
from s3o_operator.plan.contacts import BackendReport, Contact, Report, not_yet_at
from s3o_operator.plan.observed import Object, Observed, Ref
from s3o_operator.plan.planner import plan

DEPLOYMENT = Ref("Deployment", "default", "main-proxy")
DATABASE = {"driver": "Postgres", "host": "db", "database": "s3o", "user": "s3o"}


def pod(name: str, *, ready: bool = True, component: str = "proxy", **status: Any) -> Object:
    labels = {"app.kubernetes.io/instance": "main", "app.kubernetes.io/component": component}
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    document: Object = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}}
    return served(document) | {
        "spec": {"nodeName": "n"},
        "status": {"phase": "Running", "podIP": "10.0.0.1", "conditions": conditions} | status,
    }


def settled(pods: int = 2) -> Observed:
    """Everything is made, all proxies run, and serve what was written."""
    seen = observed(registry(), orchestrator=served(resources.orchestrator(database=DATABASE, proxy={"replicas": pods})))
    seen = carried_out(carried_out(seen))
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), pods)
    running = seen.live[DEPLOYMENT] | {"status": {"observedGeneration": 1, **counts}}
    names = [f"p{number}" for number in range(pods)]
    seen = replace(seen, live={**seen.live, DEPLOYMENT: running}, pods=tuple(pod(name) for name in names))
    return carried_out(saying(seen, **dict.fromkeys(names, wanted(seen))))


def wanted(seen: Observed) -> Report:
    assert seen.orchestrator is not None
    config = seen.orchestrator["status"]["config"]
    return Report(config["generation"], config["digest"], backends={"one": BackendReport(checked=True)})


def saying(seen: Observed, **said: Report | str | None) -> Observed:
    """By name of the pod: a report, an error, or nothing at all."""
    contacts = dict(seen.contacts)
    for name, word in said.items():
        match word:
            case None:
                contacts.pop(f"uid-of-{name}", None)
            case str():
                contacts[f"uid-of-{name}"] = Contact(contacts.get(f"uid-of-{name}", Contact()).report, word)
            case Report():
                contacts[f"uid-of-{name}"] = Contact(word)
    return replace(seen, contacts=contacts)


def statuses(seen: Observed) -> dict[str, Object]:
    return {action.ref.kind: action.status for action in plan(seen).actions if isinstance(action, SetStatus)}


def condition(status: Object, kind: str) -> tuple[str, str, str]:
    return next((one["status"], one["reason"], one["message"]) for one in status["conditions"] if one["type"] == kind)


def edited(seen: Observed) -> Observed:
    """With a larger quota, so that there is a new generation."""
    return replace(seen, backends=(seen.backends[0] | {"spec": seen.backends[0]["spec"] | {"quota": {"bytes": "1Gi"}}},))


def test_all_is_ready_when_every_proxy_serves_it() -> None:
    seen = settled()
    assert condition(seen.buckets[0]["status"], "Ready") == ("True", "Served", "served by 2/2 proxies")
    assert seen.orchestrator is not None
    status = seen.orchestrator["status"]
    assert condition(status, "ConfigInSync") == ("True", "AllReplicasCurrent", "2/2 proxies serve generation 1")
    assert (status["phase"], status["proxy"]["configUpToDateReplicas"]) == ("Ready", 2)
    assert not plan(seen).actions


def test_a_change_of_one_resource_says_nothing_about_the_others() -> None:
    found = statuses(edited(settled()))
    assert condition(found["StorageBackend"], "Ready") == ("False", "Propagating", "served by 0/2 proxies")
    assert "VirtualBucket" not in found
    assert condition(found["S3Orchestrator"], "ConfigInSync") == ("False", "Propagating", "0/2 proxies serve generation 2")
    assert condition(found["S3Orchestrator"], "Ready")[0] == "True"
    assert condition(found["S3Orchestrator"], "Reconciling")[0] == "True"


def test_it_is_ready_again_when_the_last_proxy_serves_it() -> None:
    seen = carried_out(edited(settled()))
    new = wanted(seen)
    half = carried_out(saying(seen, p0=new))
    assert condition(half.backends[0]["status"], "Ready") == ("False", "Propagating", "served by 1/2 proxies")
    whole = carried_out(saying(half, p1=new))
    assert condition(whole.backends[0]["status"], "Ready") == ("True", "Served", "served by 2/2 proxies")
    assert not plan(whole).actions


def test_a_pod_that_refuses_is_quoted() -> None:
    seen = carried_out(edited(settled()))
    refusing = replace(wanted(settled()), refusal=("backend one: the endpoint makes no sense",))
    found = statuses(saying(seen, p0=wanted(seen), p1=refusing))
    words = "pod p1 refuses the configuration: backend one: the endpoint makes no sense"
    assert condition(found["StorageBackend"], "Ready") == ("False", "ConfigRefused", f"served by 1/2 proxies; {words}")
    orchestrator = found["S3Orchestrator"]
    assert condition(orchestrator, "ConfigInSync") == ("False", "Refused", f"1/2 proxies serve generation 2; {words}")
    assert condition(orchestrator, "Stalled") == ("True", "ConfigRefused", words)
    assert condition(orchestrator, "Degraded")[:2] == ("True", "ConfigRefused")


def test_a_pod_that_cannot_be_reached_is_named() -> None:
    seen = carried_out(edited(settled()))
    found = statuses(saying(seen, p0=wanted(seen), p1="pod p1: no answer within 5 s"))
    assert condition(found["S3Orchestrator"], "ConfigInSync")[1] == "Unreachable"
    assert "; pod p1: no answer within 5 s" in condition(found["S3Orchestrator"], "ConfigInSync")[2]


def test_a_pod_that_falls_silent_still_serves_what_it_said_last() -> None:
    assert not plan(saying(settled(), p1="no answer within 5 s")).actions


def test_a_new_proxy_that_was_not_asked_yet_takes_nothing_back() -> None:
    grown = replace(settled(), pods=(*settled().pods, pod("p2")))
    assert "VirtualBucket" not in statuses(grown)
    behind = saying(grown, p2=Report(0, "of before"))
    assert condition(statuses(behind)["VirtualBucket"], "Ready") == ("False", "Propagating", "served by 2/3 proxies")


def test_without_a_proxy_to_ask_nothing_is_ready() -> None:
    found = statuses(replace(settled(), pods=()))
    assert condition(found["VirtualBucket"], "Ready")[:2] == ("False", "Propagating")
    assert condition(found["S3Orchestrator"], "ConfigInSync")[:2] == ("Unknown", "NoReplicas")
    assert condition(found["S3Orchestrator"], "DatabaseReady")[:2] == ("Unknown", "NobodyToAsk")


def test_a_status_without_what_it_kept_is_behind_until_the_present_generation_is_served() -> None:
    """A backup restored without status: the generation that had it first is not known any more."""
    seen = settled()
    lost = replace(seen, buckets=(served(resources.bucket(credentials=resources.REMOVED)),))
    assert statuses(lost)["VirtualBucket"]["config"]["generation"] == 1
    assert condition(statuses(lost)["VirtualBucket"], "Ready")[0] == "True"


def test_a_rotated_secret_of_a_backend_is_a_change_of_it_and_not_of_the_bucket() -> None:
    rotated = resources.key_pair("backend-keys", secret_access_key="another")
    found = statuses(replace(settled(), secrets=(stored(rotated),)))
    assert condition(found["StorageBackend"], "Ready")[:2] == ("False", "Propagating")
    assert "VirtualBucket" not in found


@pytest.mark.parametrize(
    ("which", "who"),
    [
        ({}, []),
        ({"ready": False}, ["p2"]),
        ({"component": "worker"}, ["p2"]),
        ({"phase": "Succeeded"}, []),
    ],
)
def test_what_was_removed_is_dropped_when_nobody_is_left_who_may_act_by_it(which: dict[str, Any], who: list[str]) -> None:
    seen = settled()
    behind = {"uid-of-p2": Contact(Report(wanted(seen).generation - 1, "of before"))}
    pods = (*seen.pods, pod("p2", **which)) if which else seen.pods
    assert not_yet_at(wanted(seen).generation, pods, {**seen.contacts, **behind}) == who


def test_a_pod_that_waits_for_a_node_holds_up_nobody() -> None:
    waits = pod("p2", ready=False, phase="Pending") | {"spec": {}}
    assert not_yet_at(1, (waits,), {}) == []


def test_scaled_to_none_is_as_wanted() -> None:
    seen = settled(pods=0)
    assert seen.orchestrator is not None
    status = seen.orchestrator["status"]
    assert condition(status, "Ready")[:2] == ("True", "ScaledToZero")
    assert (condition(status, "Stalled")[0], condition(status, "Reconciling")[0], condition(status, "Degraded")[0]) == ("False",) * 3
    assert condition(seen.buckets[0]["status"], "Ready")[:2] == ("False", "WaitingForProxies")


def test_a_backend_whose_secret_is_gone_says_so_until_it_is_back() -> None:
    """It is served as before: what lies there must stay readable."""
    seen = settled()
    gone = carried_out(replace(seen, secrets=tuple(one for one in seen.secrets if one["metadata"]["name"] != "backend-keys")))
    status = gone.backends[0]["status"]
    message = "Secret default/backend-keys does not exist: what was read of it before is used; make it again"
    assert condition(status, "Accepted") == ("True", "SecretGone", message)
    assert condition(status, "Ready") == condition(seen.backends[0]["status"], "Ready")
    assert (status["phase"], condition(status, "Stalled")[0]) == ("Ready", "False")
    assert condition(gone.buckets[0]["status"], "Accepted") == ("True", "Accepted", "")
    assert not plan(gone).actions
    back = carried_out(replace(gone, secrets=seen.secrets))
    assert condition(back.backends[0]["status"], "Accepted") == ("True", "Accepted", "")
