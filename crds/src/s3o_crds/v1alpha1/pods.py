"""The pods of an orchestrator: their image, how many there are, what they are given, and how one set replaces another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from s3o_crds.meta import Rule, SecretKeyRef, Section, list_map
from s3o_crds.quantities import CPU, CountOrPercent
from s3o_crds.v1alpha1.scheduling import Affinity, Labels, Toleration, TopologySpreadConstraint
from s3o_crds.values import VALIDATIONS, ObjectName, PositiveByteSize, cel

_ATOMIC = {"x-kubernetes-list-type": "atomic"}
_SET = {"x-kubernetes-list-type": "set"}
_RESERVED = ("app.kubernetes.io/", "s3orchestrator.io/")
_RESERVED_SENTENCE = "keys below app.kubernetes.io/ and s3orchestrator.io/ are the operator's own"
_RESERVED_CEL = cel("self.all(key, !(" + " || ".join(f"key.startsWith('{prefix}')" for prefix in _RESERVED) + "))", _RESERVED_SENTENCE)


def _not_reserved(given: Mapping[str, str]) -> Mapping[str, str]:
    if any(key.startswith(_RESERVED) for key in given):
        raise ValueError(_RESERVED_SENTENCE)
    return given


OwnLabels = Annotated[Labels, Field(json_schema_extra={VALIDATIONS: [_RESERVED_CEL]}), AfterValidator(_not_reserved)]
Annotations = Annotated[
    dict[str, Annotated[str, Field(max_length=4096)]],
    Field(max_length=32, json_schema_extra={VALIDATIONS: [_RESERVED_CEL]}),
    AfterValidator(_not_reserved),
]


class Image(Section):
    rules = (
        Rule(
            "!has(self.tag) || !has(self.digest)",
            "tag and digest exclude each other",
            holds=lambda image: image.tag is None or image.digest is None,
        ),
        Rule(
            "!has(self.repository) || has(self.tag) || has(self.digest)",
            "repository needs a tag or a digest",
            "repository",
            holds=lambda image: image.repository is None or image.tag is not None or image.digest is not None,
        ),
    )

    repository: Annotated[str, Field(min_length=1, max_length=512, pattern=r"^[a-z0-9][A-Za-z0-9._:/-]*[A-Za-z0-9]$")] | None = None
    """Registry and name of the image, without a tag; by default those of the image that the operator was given (S3O_PROXY_IMAGE)."""
    tag: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")] | None = None
    """Its tag. An image that is built anew under the same tag reaches pods only with a restart."""
    digest: Annotated[str, Field(max_length=71, pattern=r"^sha256:[0-9a-f]{64}$")] | None = None
    """Its digest, instead of a tag."""
    pull_policy: Literal["IfNotPresent", "Always", "Never"] = "IfNotPresent"
    """When nodes pull it."""
    pull_secrets: Annotated[tuple[ObjectName, ...], Field(max_length=8, json_schema_extra=_SET)] = ()
    """Secrets of type kubernetes.io/dockerconfigjson, in the namespace of this object."""


class Amounts(Section):
    cpu: CPU | None = None
    """Cores, as a quantity."""
    memory: PositiveByteSize | None = None
    """Bytes, as a quantity."""


class Resources(Section):
    requests: Amounts = Amounts()
    """What a node must have free."""
    limits: Amounts = Amounts()
    """What a container may use at most."""


class PodMetadata(Section):
    labels: OwnLabels | None = None
    """Further labels."""
    annotations: Annotations | None = None
    """Further annotations."""


class PodSpec(Section):
    node_selector: Labels | None = None
    """Labels that a node must have."""
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=16, json_schema_extra=_ATOMIC)] = ()
    """Taints of nodes that are tolerated."""
    affinity: Affinity | None = None
    """Nodes and pods to be near to, or away from."""
    topology_spread_constraints: Annotated[tuple[TopologySpreadConstraint, ...], Field(max_length=8, json_schema_extra=_ATOMIC)] = ()
    """How pods are spread; by default over nodes and zones, as far as possible."""
    priority_class_name: ObjectName | None = None
    """Their priority class."""
    service_account_name: ObjectName | None = None
    """A ServiceAccount of your own; by default one is made, which may do nothing."""


class PodTemplate(Section):
    metadata: PodMetadata = PodMetadata()
    """What is added to the metadata of pods."""
    spec: PodSpec = PodSpec()
    """Where pods run, and as whom."""


class Autoscaling(Section):
    rules = (
        Rule(
            "self.minReplicas <= self.maxReplicas",
            "minReplicas must be at most maxReplicas",
            "minReplicas",
            holds=lambda autoscaling: autoscaling.min_replicas <= autoscaling.max_replicas,
        ),
    )

    enabled: bool = False
    """Whether a HorizontalPodAutoscaler decides how many proxies there are; proxy.replicas is not read then."""
    min_replicas: Annotated[int, Field(ge=1, le=500)] = 2
    """Fewest proxies."""
    max_replicas: Annotated[int, Field(ge=1, le=500)] = 10
    """Most proxies."""
    target_cpu_utilization_percentage: Annotated[int, Field(ge=1, le=1000, alias="targetCPUUtilizationPercentage")] = 70
    """Average use of the CPU that proxies request, which is kept."""


class DisruptionBudget(Section):
    enabled: bool = True
    """Whether Kubernetes is told how many proxies it may take away at once. With one proxy there is no budget."""
    max_unavailable: CountOrPercent = CountOrPercent(1)
    """How many it may take away."""


class Strategy(Section):
    rules = (
        Rule(
            "!(string(self.maxSurge) in ['0', '0%'] && string(self.maxUnavailable) in ['0', '0%'])",
            "maxSurge and maxUnavailable must not both be 0",
            holds=lambda strategy: not (strategy.max_surge.is_zero and strategy.max_unavailable.is_zero),
        ),
    )

    max_surge: CountOrPercent = CountOrPercent("25%")
    """How many proxies may be there beyond those that are wanted, while they are replaced."""
    max_unavailable: CountOrPercent = CountOrPercent(0)
    """How many of those that are wanted may be missing meanwhile."""


def _proxy_requests_cpu(proxy: Any) -> bool:
    return not proxy.autoscaling.enabled or proxy.resources is None or proxy.resources.requests.cpu is not None


class Proxy(Section):
    rules = (
        Rule(
            "!(has(self.autoscaling) && self.autoscaling.enabled && has(self.resources))"
            " || (has(self.resources.requests) && has(self.resources.requests.cpu))",
            "autoscaling needs resources.requests.cpu: its target is a share of it",
            "resources",
            holds=_proxy_requests_cpu,
        ),
    )

    replicas: Annotated[int, Field(ge=0, le=500)] = 1
    """Number of proxies. SQLite has one at most."""
    resources: Resources | None = None
    """What each proxy is given; by default 100m of CPU and 256Mi of memory are requested."""
    autoscaling: Autoscaling = Autoscaling()
    """How many proxies there are, by their load."""
    pod_disruption_budget: DisruptionBudget = DisruptionBudget()
    """How many proxies Kubernetes may take away at once, to drain a node."""
    strategy: Strategy = Strategy()
    """How proxies are replaced. Over SQLite the old one always ends first."""
    termination_grace_period_seconds: Annotated[int, Field(ge=1, le=90_000)] | None = None
    """How long Kubernetes waits for a proxy to end; by default shutdownDelay and shutdownGrace and 30 seconds, and never less."""
    pod_template: PodTemplate = PodTemplate()
    """What is added to the pods."""


class Worker(Section):
    replicas: Annotated[int, Field(ge=1, le=100)] = 1
    """Number of workers. They share their work."""
    resources: Resources | None = None
    """What each worker is given; by default 100m of CPU and 256Mi of memory are requested."""
    pod_template: PodTemplate = PodTemplate()
    """What is added to the pods."""


class EnvironmentVariable(Section):
    rules = (
        Rule(
            "has(self.value) != has(self.secretKeyRef)",
            "needs value or secretKeyRef, and not both",
            holds=lambda variable: (variable.value is None) != (variable.secret_key_ref is None),
        ),
        Rule(
            "!self.name.startsWith('S3O_') && !self.name.startsWith('AWS_')",
            "names that begin with S3O_ or AWS_ are not for extraEnv: they would change what is served behind the back of this object",
            "name",
            holds=lambda variable: not variable.name.startswith(("S3O_", "AWS_")),
        ),
    )

    name: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
    """Name of the variable."""
    value: Annotated[str, Field(max_length=4096)] | None = None
    """Its value, as it stands."""
    secret_key_ref: SecretKeyRef | None = None
    """Where its value comes from."""


ExtraEnv = Annotated[tuple[EnvironmentVariable, ...], *list_map("name", 32)]
