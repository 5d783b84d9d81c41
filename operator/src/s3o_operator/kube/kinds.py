"""The table of kinds that we touch: where each stands in the API, and which objects of it we watch."""

from __future__ import annotations

from dataclasses import dataclass

from s3o_crds.kinds import KINDS as OUR_KINDS
from s3o_crds.kinds import VERSION
from s3o_crds.meta import GROUP
from s3o_operator.plan.manifests.labels import APPLICATION, MANAGED_BY, MANAGER, NAME


@dataclass(frozen=True)
class Kind:
    """`labels`, `fields`: selectors of what is watched and listed; the API server filters."""

    name: str
    group: str
    version: str
    plural: str
    labels: str = ""
    fields: str = ""
    verbs: tuple[str, ...] = ("get", "list", "watch", "create", "patch")
    """What we must be allowed to do with it."""

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def base(self) -> str:
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"


_READ = ("list", "watch")
_OURS = f"{MANAGED_BY}={MANAGER}"
_NEVER_NAMED = "type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token,type!=bootstrap.kubernetes.io/token"

WATCHED = (
    *(Kind(kind.name, GROUP, VERSION, kind.plural, verbs=("get", "list", "watch", "patch")) for kind in OUR_KINDS),
    # Any Secret may be named by a resource, and a rotated one must reach the proxies at once.
    Kind("Secret", "", "v1", "secrets", fields=_NEVER_NAMED),
    Kind("ConfigMap", "", "v1", "configmaps", labels=_OURS),
    Kind("Service", "", "v1", "services", labels=_OURS),
    Kind("ServiceAccount", "", "v1", "serviceaccounts", labels=_OURS),
    Kind("PersistentVolumeClaim", "", "v1", "persistentvolumeclaims", labels=_OURS),
    # Made by the Deployments, with the labels of their templates. We call them, and leave them alone.
    Kind("Pod", "", "v1", "pods", labels=f"{NAME}={APPLICATION}", verbs=_READ),
    Kind("ReplicaSet", "apps", "v1", "replicasets", labels=f"{NAME}={APPLICATION}", verbs=_READ),
    Kind("Deployment", "apps", "v1", "deployments", labels=_OURS),
    Kind("PodDisruptionBudget", "policy", "v1", "poddisruptionbudgets", labels=_OURS),
)
_OPTIONAL_VERBS = ("list", "get", "create", "patch", "delete")
OPTIONAL = (
    Kind("HorizontalPodAutoscaler", "autoscaling", "v2", "horizontalpodautoscalers", labels=_OURS, verbs=_OPTIONAL_VERBS),
    Kind("NetworkPolicy", "networking.k8s.io", "v1", "networkpolicies", labels=_OURS, verbs=_OPTIONAL_VERBS),
    Kind("Ingress", "networking.k8s.io", "v1", "ingresses", labels=_OURS, verbs=_OPTIONAL_VERBS),
    Kind("HTTPRoute", "gateway.networking.k8s.io", "v1", "httproutes", labels=_OURS, verbs=_OPTIONAL_VERBS),
    Kind("Certificate", "cert-manager.io", "v1", "certificates", labels=_OURS, verbs=_OPTIONAL_VERBS),
    Kind("PodMonitor", "monitoring.coreos.com", "v1", "podmonitors", labels=_OURS, verbs=_OPTIONAL_VERBS),
    Kind("PrometheusRule", "monitoring.coreos.com", "v1", "prometheusrules", labels=_OURS, verbs=_OPTIONAL_VERBS),
)
"""Without which a fleet serves as well: some are not installed everywhere, and a cluster may not grant us others."""
NAMESPACE = Kind("Namespace", "", "v1", "namespaces", verbs=_READ)
"""Not part of any namespace: seen only by an operator that watches all of them."""
LEASE = Kind("Lease", "coordination.k8s.io", "v1", "leases")
EVENT = Kind("Event", "events.k8s.io", "v1", "events")
ACCESS_REVIEW = Kind("SelfSubjectAccessReview", "authorization.k8s.io", "v1", "selfsubjectaccessreviews")

BY_NAME = {kind.name: kind for kind in (*WATCHED, *OPTIONAL, NAMESPACE, LEASE, EVENT, ACCESS_REVIEW)}


def watched(namespace: str) -> tuple[Kind, ...]:
    """What is watched and listed: of one namespace, or, when it is empty, of all."""
    return WATCHED if namespace else (NAMESPACE, *WATCHED)
