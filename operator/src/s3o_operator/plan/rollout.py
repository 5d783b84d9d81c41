"""How far Kubernetes is with a Deployment of ours, as its status tells."""

from __future__ import annotations

from dataclasses import dataclass

from s3o_crds.v1alpha1.pods import Worker
from s3o_operator.plan.manifests.labels import worker_name
from s3o_operator.plan.observed import Observed, Ref
from s3o_operator.plan.reading import Reading


@dataclass(frozen=True)
class Rollout:
    wanted: int = 0
    available: int = 0
    settled: bool = False
    """Whether all of the newest template run, and no other."""
    stuck: str = ""
    """Why Kubernetes gave up on the rollout."""

    @property
    def summary(self) -> str:
        return f"{self.available}/{self.wanted}"


def rollout_of(observed: Observed, name: str) -> Rollout:
    """Of the Deployment `name`; of none, where there is none."""
    deployment = observed.live.get(Ref("Deployment", observed.key.namespace, name))
    if deployment is None:
        return Rollout()
    status, wanted = deployment.get("status") or {}, deployment["spec"].get("replicas", 1)
    counts = [status.get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas")]
    seen = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    # Of the template before, it says nothing about this one: what is rolled back is on its way again.
    gave_up = [one for one in status.get("conditions") or [] if seen and one["type"] == "Progressing" and one["status"] == "False"]
    return Rollout(wanted, counts[2], seen and counts == [wanted] * 3, gave_up[0].get("message", "") if gave_up else "")


def workers_of(observed: Observed, reading: Reading) -> Rollout:
    """Of topology Split: whatever is left of workers is not waited for without it."""
    if reading.orchestrator is None or reading.orchestrator.spec.topology != "Split":
        return Rollout()
    found = rollout_of(observed, worker_name(observed.key))
    return found if found.wanted else Rollout(wanted=(reading.orchestrator.spec.worker or Worker()).replicas)
