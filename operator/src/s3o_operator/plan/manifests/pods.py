"""The template of proxies' and workers' pods: one container, restricted Pod Security, and everything that is hot in a mounted directory.

A pod is replaced only for what a running process cannot take over: its image and settings here, the name of its static Secret, the admin
token, https on or off. All else reaches it through the projected volume, whose Secrets may come and go without the template changing.
"""

from __future__ import annotations

from typing import Any

from s3o_crds.layout import MOST_PARTS
from s3o_crds.quantities import canonical_size
from s3o_crds.v1alpha1.pods import Amounts, EnvironmentVariable, Image, PodTemplate, Resources
from s3o_operator.plan.manifests.admin import admin_environment
from s3o_operator.plan.manifests.blueprint import Blueprint, as_written
from s3o_operator.plan.manifests.config import static_name
from s3o_operator.plan.manifests.labels import Component, config_name, data_name, digest, part_name, proxy_name, selector
from s3o_operator.plan.observed import Object

PORT = 9000
CONFIG_PATH = "/etc/s3o/config"
DATA_PATH = "/var/lib/s3o"
NEEDS_RESTART = "s3orchestrator.io/needs-restart"
RESTARTED = "s3orchestrator.io/restarted-for"
_USER = 65532
_EXIT_S = 30
"""What a process may need to end after its last request."""
_SPREAD_OVER = ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
_REQUESTED = {"requests": {"cpu": "100m", "memory": "256Mi"}}


def pod_template(blueprint: Blueprint, component: Component, role: str, given: PodTemplate, resources: Resources | None) -> Object:
    """`role`: of the program, or empty for all."""
    labels = (given.metadata.labels or {}) | selector(blueprint.key, component)
    annotations = (given.metadata.annotations or {}) | {NEEDS_RESTART: digest(digest(blueprint.token))}
    if blueprint.restart:
        annotations[RESTARTED] = blueprint.restart
    spec = _pod(blueprint, given) | _placement(blueprint, component, given) | {"containers": [_container(blueprint, role, resources)]}
    return {"metadata": {"labels": labels, "annotations": annotations}, "spec": spec}


def _pod(blueprint: Blueprint, given: PodTemplate) -> Object:
    key, spec = blueprint.key, blueprint.orchestrator.spec
    data: dict[str, Any] = {"persistentVolumeClaim": {"claimName": data_name(key)}} if blueprint.is_embedded else {"emptyDir": {}}
    pull = [{"name": name} for name in sorted(spec.image.pull_secrets)]  # In another order they are the same: no reason to roll.
    return {
        "serviceAccountName": given.spec.service_account_name or proxy_name(key),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": max(_needed_to_end_s(blueprint), spec.proxy.termination_grace_period_seconds or 0),
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumes": [
            {"name": "config", "projected": {"sources": _sources(blueprint)}},
            {"name": "data", **data},
            {"name": "tmp", "emptyDir": {}},
        ],
    } | ({"imagePullSecrets": pull} if pull else {})


def _needed_to_end_s(blueprint: Blueprint) -> int:
    """Longer than the longest transfer that is allowed to finish: whoever is killed before it drops it."""
    server = blueprint.config.server
    return (server.shutdown_delay_ms + server.shutdown_grace_ms + 999) // 1000 + _EXIT_S


def _sources(blueprint: Blueprint) -> list[Object]:
    """All parts that there may ever be: one more of them must not change the template, which would replace the pods."""
    key = blueprint.key
    names = [config_name(key), static_name(blueprint)]
    parts = [{"secret": {"name": part_name(key, number), "optional": True}} for number in range(1, MOST_PARTS + 1)]
    return [*({"secret": {"name": name}} for name in names), *parts]


def _placement(blueprint: Blueprint, component: Component, given: PodTemplate) -> Object:
    own = {"labelSelector": {"matchLabels": selector(blueprint.key, component)}}
    default = [{"maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "ScheduleAnyway"} for key in _SPREAD_OVER]
    spread = [as_written(one) for one in given.spec.topology_spread_constraints] or default
    placement: Object = {"topologySpreadConstraints": [one | own for one in spread]}
    written = as_written(given.spec)
    kept = ("nodeSelector", "tolerations", "affinity", "priorityClassName")
    return placement | {name: written[name] for name in kept if name in written}


def _container(blueprint: Blueprint, role: str, resources: Resources | None) -> Object:
    spec = blueprint.orchestrator.spec
    scheme = "HTTPS" if blueprint.config.server.tls else "HTTP"
    return {
        "name": "proxy",
        "image": image_of(spec.image, blueprint.image),
        "imagePullPolicy": spec.image.pull_policy,
        "args": ["serve", CONFIG_PATH, "--listen", f"0.0.0.0:{PORT}", *(["--role", role] if role else [])],
        "workingDir": DATA_PATH,
        "env": [*admin_environment(blueprint.key), *map(_variable, spec.extra_env)],
        "ports": [{"name": "s3", "containerPort": PORT, "protocol": "TCP"}],
        "resources": _resources(resources) if resources else _REQUESTED,
        "startupProbe": _probe("/health", scheme, period_s=1, failures=60),
        "livenessProbe": _probe("/health", scheme, period_s=10, failures=6),
        "readinessProbe": _probe("/health/ready", scheme, period_s=2, failures=2),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        # Directories, never subPath: only so does a changed Secret reach a running pod.
        "volumeMounts": [
            {"name": "config", "mountPath": CONFIG_PATH, "readOnly": True},
            {"name": "data", "mountPath": DATA_PATH},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  a volume of the pod's own
        ],
    }


def image_of(image: Image, default: str) -> str:
    """`default` with what was chosen in its place: a registry may have a port, so a tag is what follows the last slash's colon."""
    name = default.partition("@")[0]
    folder, slash, last = name.rpartition("/")
    repository = image.repository or f"{folder}{slash}{last.partition(':')[0]}"
    if image.digest:
        return f"{repository}@{image.digest}"
    return f"{repository}:{image.tag}" if image.tag else default


def _variable(variable: EnvironmentVariable) -> Object:
    if variable.secret_key_ref is None:
        return {"name": variable.name, "value": variable.value or ""}
    return {"name": variable.name, "valueFrom": {"secretKeyRef": as_written(variable.secret_key_ref)}}


def _resources(resources: Resources) -> Object:
    given = {"requests": _amounts(resources.requests), "limits": _amounts(resources.limits)}
    return {name: amounts for name, amounts in given.items() if amounts}


def _amounts(amounts: Amounts) -> Object:
    cpu = {"cpu": amounts.cpu.canonical} if amounts.cpu else {}
    return cpu | ({"memory": canonical_size(amounts.memory.bytes)} if amounts.memory else {})


def _probe(path: str, scheme: str, *, period_s: int, failures: int) -> Object:
    ask = {"path": path, "port": "s3", "scheme": scheme}
    return {"httpGet": ask, "periodSeconds": period_s, "timeoutSeconds": 5, "failureThreshold": failures}
