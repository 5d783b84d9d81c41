"""What a plan found out, and with it all that reports are made of."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from s3o_crds.compile import Compilation, Rejection
from s3o_operator.plan.credentials import Generated
from s3o_operator.plan.fates import Fate
from s3o_operator.plan.identity import replacement
from s3o_operator.plan.manifests.labels import proxy_name
from s3o_operator.plan.observed import Observed, Ref
from s3o_operator.plan.reading import Reading
from s3o_operator.plan.rollout import Rollout, rollout_of, workers_of
from s3o_operator.plan.sync import Sync


@dataclass(frozen=True)
class Findings:
    """`conflicts`: children that cannot be made because a foreign object has their name → uid of their owner."""

    compilation: Compilation | None = None
    conflicts: Mapping[Ref, str] = field(default_factory=dict)
    generated: Mapping[Ref, tuple[Generated, ...]] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    """What is wanted and cannot be made here, in words."""
    endpoint: str = ""
    fates: Mapping[Ref, Fate] = field(default_factory=dict)
    frozen: frozenset[Ref] = frozenset()


@dataclass(frozen=True)
class Scene:
    """Of one plan. What follows from the three is found out once."""

    observed: Observed
    reading: Reading
    findings: Findings

    @cached_property
    def proxies(self) -> Rollout:
        return rollout_of(self.observed, proxy_name(self.observed.key))

    @cached_property
    def workers(self) -> Rollout:
        return workers_of(self.observed, self.reading)

    @cached_property
    def sync(self) -> Sync:
        return Sync(self.observed, self.findings.compilation)

    @cached_property
    def replacement(self) -> str:
        """Why nothing is served though all pods are there: the database is not the one that is expected."""
        return replacement(self.observed)

    @cached_property
    def _rejections(self) -> Mapping[Ref, Rejection]:
        compiled = self.findings.compilation.rejections if self.findings.compilation else ()
        return {Ref(one.kind, one.namespace, one.name): one for one in reversed(compiled)} | self.reading.rejections

    def rejection_of(self, ref: Ref) -> Rejection | None:
        return self._rejections.get(ref)

    def fate_of(self, ref: Ref) -> Fate:
        return self.findings.fates.get(ref) or Fate(self.reading.raw[ref])

    def conflicts_of(self, owners: Collection[str]) -> str:
        """What cannot be made of the children of these (uids), in words."""
        children = [str(child) for child, owner in sorted(self.findings.conflicts.items()) if owner in owners]
        return f"{', '.join(children)}: exists and is not ours; remove or rename it" if children else ""

    def refusals_of(self, owners: Collection[str], ref: Ref | None = None) -> str:
        """What the API server refuses of them and their children, and the step of `ref` that it refuses. A namespace that is full, say, is
        the trouble of who is in it, not of all."""
        failures = self.observed.failures
        own = [one.message for one in failures if one.owner in owners or (one.step and one.step.ref == ref)]
        return "; ".join(dict.fromkeys(own))
