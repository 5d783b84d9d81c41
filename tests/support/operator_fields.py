"""Every field of an S3Orchestrator that only the operator reads, with two values that differ in what is made: `first` and `second`.

Sections that Kubernetes is handed as they stand are written down once and used in each place where they may stand.
"""

from __future__ import annotations

from typing import Any

from tests.support.resources import Document

_EXPRESSION = ({"key": "a", "operator": "In", "values": ["x"]}, {"key": "b", "operator": "NotIn", "values": ["y"]})
_LABELS = ({"a": "1"}, {"b": "2"})


def _selector(side: int) -> Document:
    return {"matchLabels": _LABELS[side], "matchExpressions": [_EXPRESSION[side]]}


def _node_term(side: int) -> Document:
    return {"matchExpressions": [_EXPRESSION[side]]}


def _pod_term(side: int) -> Document:
    return {"labelSelector": _selector(side), "namespaces": [f"n{side}"], "topologyKey": f"zone{side}"}


def _pod_affinity(side: int) -> Document:
    preferred = {"weight": 10 + side, "podAffinityTerm": _pod_term(side)}
    return {
        "requiredDuringSchedulingIgnoredDuringExecution": [_pod_term(side)],
        "preferredDuringSchedulingIgnoredDuringExecution": [preferred],
    }


def _affinity(side: int) -> Document:
    preferred = {"weight": 10 + side, "preference": _node_term(side)}
    node = {
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [_node_term(side)]},
        "preferredDuringSchedulingIgnoredDuringExecution": [preferred],
    }
    return {"nodeAffinity": node, "podAffinity": _pod_affinity(side), "podAntiAffinity": _pod_affinity(side)}


def _pod_template(side: int) -> Document:
    toleration = {"key": f"taint{side}", "value": f"v{side}", "effect": "NoExecute", "tolerationSeconds": 5 + side}
    spread = {"maxSkew": 1 + side, "topologyKey": f"rack{side}", "whenUnsatisfiable": ("ScheduleAnyway", "DoNotSchedule")[side]}
    return {
        "metadata": {"labels": _LABELS[side], "annotations": _LABELS[side]},
        "spec": {
            "nodeSelector": _LABELS[side],
            "tolerations": [toleration],
            "affinity": _affinity(side),
            "topologySpreadConstraints": [spread],
            "priorityClassName": f"priority{side}",
            "serviceAccountName": f"account{side}",
        },
    }


def _resources(side: int) -> Document:
    return {
        "requests": {"cpu": ("500m", 1)[side], "memory": ("1Gi", "2Gi")[side]},
        "limits": {"cpu": ("2", "3")[side], "memory": ("4Gi", "5Gi")[side]},
    }


def _peer(side: int) -> Document:
    return {"podSelector": _selector(side), "namespaceSelector": _selector(side)}


def spec(side: int) -> Document:
    """A whole one; `side` 0 or 1. Any one value of the other side may take the place of this one's."""
    return {
        "database": {"driver": "Postgres", "host": "db", "database": "s3o", "user": "s3o"},
        "image": {"repository": f"registry.example.com/proxy{side}", "tag": f"v{side}", "pullPolicy": ("IfNotPresent", "Always")[side]}
        | {"pullSecrets": [f"pull{side}"]},
        "topology": "Split",
        "proxy": {
            "replicas": 3 + side,
            "resources": _resources(side),
            "autoscaling": {
                "enabled": False,
                "minReplicas": 2 + side,
                "maxReplicas": 8 + side,
                "targetCPUUtilizationPercentage": 60 + side,
            },
            "podDisruptionBudget": {"enabled": not side, "maxUnavailable": (1, "20%")[side]},
            "strategy": {"maxSurge": ("25%", 2)[side], "maxUnavailable": (0, 1)[side]},
            "terminationGracePeriodSeconds": 1000 + side,
            "podTemplate": _pod_template(side),
        },
        "worker": {"replicas": 1 + side, "resources": _resources(side), "podTemplate": _pod_template(side)},
        "extraEnv": [{"name": ("ONE", "TWO")[side], "value": f"v{side}"}],
        "service": {
            "type": "LoadBalancer",
            "port": 9000 + side,
            "annotations": _LABELS[side],
            "loadBalancerClass": f"example.com/class{side}",
            "trafficDistribution": ("PreferClose", "PreferSameNode")[side],
        },
        "ingress": {
            "enabled": not side,
            "className": f"class{side}",
            "host": f"s3-{side}.example.com",
            "tlsSecretName": f"tls{side}",
            "annotations": _LABELS[side],
        },
        "gateway": {
            "enabled": not side,
            "parentRefs": [{"name": f"gateway{side}", "namespace": f"n{side}", "sectionName": f"https{side}"}],
            "hostnames": [f"s3-{side}.example.org"],
        },
        "networkPolicy": {
            "enabled": not side,
            "ingressFrom": [_peer(side)],
            "egressExtra": [{"to": [_peer(side)], "ports": [{"port": 1 + side, "protocol": ("TCP", "UDP")[side]}]}],
        },
        "monitoring": {
            "podMonitor": {"enabled": not side, "interval": ("30s", "1m")[side], "labels": _LABELS[side]},
            "prometheusRule": {"enabled": not side, "labels": _LABELS[side]},
        },
    }


def _issued(side: int) -> Document:
    issuer = {"name": f"ca{side}", "kind": ("Issuer", "ClusterIssuer")[side], "group": ("cert-manager.io", "example.com")[side]}
    times = {"duration": ("90d", "80d")[side], "renewBefore": ("15d", "20d")[side]}
    return {"tls": {"certManager": {"issuerRef": issuer, "dnsNames": [f"s3-{side}.example.net"]} | times}}


def certificate_spec(side: int) -> Document:
    return {"server": _issued(side)}


SMALL: Document = {"database": {"driver": "Postgres", "host": "db", "database": "s3o", "user": "s3o"}}
SCALED: Document = SMALL | {"proxy": {"autoscaling": {"enabled": True}}}
FROM_SECRET: Document = SMALL | {"extraEnv": [{"name": "ONE", "secretKeyRef": {"name": "more", "key": "one"}}]}

BLOCK = {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}
BLOCKS: Document = SMALL | {
    "networkPolicy": {"enabled": True, "ingressFrom": [{"ipBlock": BLOCK}], "egressExtra": [{"to": [{"ipBlock": BLOCK}]}]}
}
_TOLERANT: Document = {"podTemplate": {"spec": {"tolerations": [{"key": "taint"}]}}}
TOLERANT: Document = SMALL | {"topology": "Split", "proxy": _TOLERANT, "worker": _TOLERANT}

ALONE: dict[str, tuple[Document, Any]] = {
    "spec.topology": (SMALL, "Split"),
    "spec.service.type": (SMALL, "NodePort"),
    "spec.image.digest": (SMALL, "sha256:" + "0" * 64),
    "spec.proxy.autoscaling.enabled": (SMALL, True),
    "spec.proxy.autoscaling.minReplicas": (SCALED, 4),
    "spec.proxy.autoscaling.maxReplicas": (SCALED, 44),
    "spec.proxy.autoscaling.targetCPUUtilizationPercentage": (SCALED, 44),
    "spec.extraEnv[].secretKeyRef.name": (FROM_SECRET, "other"),
    "spec.extraEnv[].secretKeyRef.key": (FROM_SECRET, "other"),
    **{
        f"spec.{pods}.podTemplate.spec.tolerations[].{name}": (TOLERANT, value)
        for pods in ("proxy", "worker")
        for name, value in (("operator", "Exists"), ("effect", "NoSchedule"))
    },
    **{
        f"spec.networkPolicy.{where}.ipBlock.{name}": (BLOCKS, value)
        for where in ("ingressFrom[]", "egressExtra[].to[]")
        for name, value in (("cidr", "10.0.0.0/9"), ("except", ["10.2.0.0/16"]))
    },
    "spec.database.volume.size": ({}, "9Gi"),
    "spec.database.volume.storageClassName": ({}, "fast"),
}
"""What cannot stand beside everything else: the spec it is changed in, and the value that it gets."""


def leaves(document: Any, path: str) -> dict[str, Any]:
    """Path → value. A list of sections is one section; a map of texts, and a list of texts, are leaves."""
    match document:
        case {"a": _} | {"b": _}:
            return {path: document}
        case dict():
            return {where: value for name, member in document.items() for where, value in leaves(member, f"{path}.{name}").items()}
        case [dict() as section]:
            return leaves(section, f"{path}[]")
    return {path: document}


_SERVED_BY_ALL = {f"spec.database.{name}" for name in SMALL["database"]}
CHANGED: dict[str, Any] = {
    path: value for path, value in leaves(spec(1), "spec").items() if path not in ALONE and path not in _SERVED_BY_ALL
}
ISSUED: dict[str, Any] = leaves(certificate_spec(1), "spec")
PATHS = CHANGED.keys() | ISSUED.keys() | ALONE.keys()
