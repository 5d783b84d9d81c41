"""Where pods may run, in the words of Kubernetes' own pod specification, which these are handed on to as they stand."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from s3o_crds.meta import Rule, Section
from s3o_crds.values import Label

LabelKey = Annotated[str, Field(min_length=1, max_length=317)]
LabelValue = Annotated[str, Field(max_length=63)]
Labels = Annotated[dict[str, LabelValue], Field(max_length=32)]
_ATOMIC = {"x-kubernetes-list-type": "atomic"}
_Weight = Annotated[int, Field(ge=1, le=100)]


class LabelRequirement(Section):
    key: LabelKey
    """Key of the label."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    """How the values are compared."""
    values: Annotated[tuple[LabelValue, ...], Field(max_length=32, json_schema_extra=_ATOMIC)] = ()
    """For In and NotIn."""


class LabelSelector(Section):
    match_labels: Labels | None = None
    """Labels that must be there."""
    match_expressions: Annotated[tuple[LabelRequirement, ...], Field(max_length=16, json_schema_extra=_ATOMIC)] = ()
    """Requirements that must hold."""


class Toleration(Section):
    rules = (
        Rule(
            "self.operator == 'Equal' || !has(self.value)",
            "value goes with operator Equal only",
            "value",
            holds=lambda toleration: toleration.operator == "Equal" or toleration.value is None,
        ),
        Rule(
            "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
            "tolerationSeconds goes with effect NoExecute only",
            "tolerationSeconds",
            holds=lambda toleration: toleration.toleration_seconds is None or toleration.effect == "NoExecute",
        ),
    )

    key: LabelKey | None = None
    """Taint that is tolerated; absent with operator Exists means all."""
    operator: Literal["Exists", "Equal"] = "Equal"
    """Whether the value is compared."""
    value: LabelValue | None = None
    """Value of the taint, with Equal."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Effect that is tolerated; absent means all."""
    toleration_seconds: Annotated[int, Field(ge=0, le=10**9)] | None = None
    """How long NoExecute is tolerated; absent means for ever."""


class TopologySpreadConstraint(Section):
    max_skew: Annotated[int, Field(ge=1, le=100)] = 1
    """Most pods that one domain may have above another."""
    topology_key: LabelKey
    """Label of nodes whose values are the domains."""
    when_unsatisfiable: Literal["ScheduleAnyway", "DoNotSchedule"] = "ScheduleAnyway"
    """Whether a pod that would break it is scheduled."""


class NodeRequirement(Section):
    key: LabelKey
    """Key of the node's label."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]
    """How the values are compared."""
    values: Annotated[tuple[LabelValue, ...], Field(max_length=64, json_schema_extra=_ATOMIC)] = ()
    """What the label is compared with."""


class NodeSelectorTerm(Section):
    match_expressions: Annotated[tuple[NodeRequirement, ...], Field(max_length=16, json_schema_extra=_ATOMIC)] = ()
    """Requirements for labels of the node."""


class NodeSelector(Section):
    node_selector_terms: Annotated[tuple[NodeSelectorTerm, ...], Field(min_length=1, max_length=16, json_schema_extra=_ATOMIC)]
    """One of them must hold."""


class PreferredNode(Section):
    weight: _Weight
    """How much it counts."""
    preference: NodeSelectorTerm
    """What is preferred."""


class NodeAffinity(Section):
    required_during_scheduling_ignored_during_execution: NodeSelector | None = None
    """Nodes that pods may run on."""
    preferred_during_scheduling_ignored_during_execution: Annotated[
        tuple[PreferredNode, ...], Field(max_length=16, json_schema_extra=_ATOMIC)
    ] = ()
    """Nodes that are preferred."""


class PodAffinityTerm(Section):
    label_selector: LabelSelector | None = None
    """The other pods."""
    namespaces: Annotated[tuple[Label, ...], Field(max_length=16, json_schema_extra=_ATOMIC)] = ()
    """Their namespaces; by default the pod's own."""
    topology_key: LabelKey
    """Label of nodes that says what counts as the same place."""


class PreferredPods(Section):
    weight: _Weight
    """How much it counts."""
    pod_affinity_term: PodAffinityTerm
    """What is preferred."""


class PodAffinity(Section):
    required_during_scheduling_ignored_during_execution: Annotated[
        tuple[PodAffinityTerm, ...], Field(max_length=16, json_schema_extra=_ATOMIC)
    ] = ()
    """What must hold."""
    preferred_during_scheduling_ignored_during_execution: Annotated[
        tuple[PreferredPods, ...], Field(max_length=16, json_schema_extra=_ATOMIC)
    ] = ()
    """What is preferred."""


class Affinity(Section):
    node_affinity: NodeAffinity | None = None
    """Nodes to run on."""
    pod_affinity: PodAffinity | None = None
    """Pods to run near."""
    pod_anti_affinity: PodAffinity | None = None
    """Pods to keep away from."""
