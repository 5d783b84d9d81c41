"""Children that a fleet serves without: made where their kinds are served and granted, told of where not, and taken away again."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from tests.support import operator_fields, resources
from tests.support.foreign_kinds import installed
from tests.support.kube import Cluster
from tests.support.operator_fields import SMALL
from tests.support.operators import WITHIN_S, Namespace, Object, Operators, authorize, condition, operators

from s3o_operator.kube.kinds import OPTIONAL, WATCHED

SOON = {"S3O_OPTIONAL_KINDS_SECONDS": "1"}
ISSUED = {"tls.crt": "-----BEGIN CERTIFICATE-----", "tls.key": "-----BEGIN PRIVATE KEY-----"}
OFTEN_MISSING = ("HTTPRoute", "Certificate", "PodMonitor", "PrometheusRule")


def orchestrator(spec: Object) -> Object:
    return resources.orchestrator() | {"spec": spec}


def monitored(enabled: bool = True) -> Object:
    return orchestrator(SMALL | {"monitoring": {"podMonitor": {"enabled": enabled}}})


def test_a_kind_that_is_installed_later_is_used_then(namespace: Namespace, starting: Operators) -> None:
    starting.start(**SOON)
    namespace.cluster.apply(monitored(), namespace.name)
    told = namespace.eventually("S3Orchestrator", "main", lambda found: condition(found, "ExtrasReady") == ("False", "KindsUnusable"))
    assert "does not serve podmonitors.monitoring.coreos.com/v1" in json.dumps(told["status"]["conditions"])
    assert namespace.get("Deployment", "main-proxy"), "everything else is made"
    with installed(namespace.cluster, "PodMonitor"):
        monitor = namespace.eventually("PodMonitor", "main", lambda found: found is not None)
        namespace.eventually("S3Orchestrator", "main", lambda found: condition(found, "ExtrasReady") == ("True", "AsWanted"))
        namespace.patch("PodMonitor", "main", {"spec": {"podMetricsEndpoints": []}})
        namespace.eventually("PodMonitor", "main", lambda found: found["spec"] == monitor["spec"])
        namespace.delete("PodMonitor", "main")
        namespace.eventually("PodMonitor", "main", lambda found: found is not None)
        namespace.cluster.apply(monitored(enabled=False), namespace.name)
        namespace.eventually("PodMonitor", "main", lambda found: found is None)
        namespace.cluster.apply(monitored(), namespace.name)
        namespace.eventually("PodMonitor", "main", lambda found: found is not None)
    namespace.eventually("S3Orchestrator", "main", lambda found: condition(found, "ExtrasReady") == ("False", "KindsUnusable"))


def test_a_right_that_is_missing_is_told_and_used_when_it_is_granted(cluster: Cluster, namespace: Namespace, tmp_path: Path) -> None:
    kubeconfig = authorize(cluster, namespace.name, tmp_path)
    rules = cluster.get("clusterrole", "s3orchestrator-operator")["rules"]
    fewer = [rule for rule in rules if "networkpolicies" not in rule["resources"]]
    api = "rbac.authorization.k8s.io"
    role = {"apiVersion": f"{api}/v1", "kind": "Role", "metadata": {"name": "fewer"}, "rules": fewer}
    account = {"kind": "ServiceAccount", "name": "operator", "namespace": namespace.name}
    ref = {"apiGroup": api, "kind": "Role", "name": "fewer"}
    binding = {"apiVersion": f"{api}/v1", "kind": "RoleBinding", "metadata": {"name": "fewer"}, "roleRef": ref, "subjects": [account]}
    granted = cluster.get("rolebinding", "clusterrole", namespace=namespace.name)
    cluster.kubectl("delete", "rolebinding", "clusterrole", namespace=namespace.name)
    cluster.apply([role, binding], namespace.name)
    with operators(cluster, namespace.name, tmp_path, kubeconfig=kubeconfig) as starting:
        operator = starting.start(**SOON)
        cluster.apply(orchestrator(SMALL | {"networkPolicy": {"enabled": True}}), namespace.name)
        told = namespace.eventually("S3Orchestrator", "main", lambda found: condition(found, "ExtrasReady")[0] == "False")
        assert "lacks rights: list networkpolicies.networking.k8s.io" in json.dumps(told["status"]["conditions"])
        assert namespace.get("Deployment", "main-proxy")
        cluster.apply(
            {name: granted[name] for name in ("apiVersion", "kind", "roleRef", "subjects")} | {"metadata": {"name": "clusterrole"}},
            namespace.name,
        )
        namespace.eventually("NetworkPolicy", "main", lambda found: found is not None)
        namespace.eventually("S3Orchestrator", "main", lambda found: condition(found, "ExtrasReady")[0] == "True")
        assert operator.process.poll() is None


@pytest.mark.parametrize("side", [0, 1])
def test_an_api_server_takes_everything_there_is_and_keeps_it_so(side: int, namespace: Namespace, starting: Operators) -> None:
    with installed(namespace.cluster, *OFTEN_MISSING):
        starting.start(**SOON)
        spec = operator_fields.spec(side) | operator_fields.certificate_spec(side)
        # No issuer works here: its Secret is put in its place.
        secret = resources.secret("main-tls", **ISSUED)
        namespace.cluster.apply([orchestrator(spec), secret], namespace.name)
        namespace.eventually("Deployment", "main-worker", lambda found: found is not None and found["spec"]["replicas"] == 1 + side)
        namespace.eventually("S3Orchestrator", "main", lambda found: condition(found, "ExtrasReady") == ("True", "AsWanted"))
        for kind in ("Ingress", "HTTPRoute", "NetworkPolicy", "PodMonitor", "PrometheusRule"):
            namespace.eventually(kind, "main", lambda found: (found is None) == bool(side))
        settled = at_rest(namespace)
        assert starting.started[-1].stop() == 0
        starting.start(**SOON)
        namespace.cluster.apply(resources.orchestrator("late"), namespace.name)
        namespace.eventually("S3Orchestrator", "late", lambda found: condition(found, "Accepted")[0] == "True")
        assert everything(namespace) == settled


def at_rest(namespace: Namespace) -> dict[str, str]:
    """Everything, when none of it has been written for a second."""
    found, since, deadline = everything(namespace), time.monotonic(), time.monotonic() + WITHIN_S
    while time.monotonic() < since + 1:
        assert time.monotonic() < deadline
        if (again := everything(namespace)) != found:
            found, since = again, time.monotonic()
        time.sleep(0.1)  # rest is the absence of events
    return found


def everything(namespace: Namespace) -> dict[str, str]:
    found = {}
    for kind in (*WATCHED, *OPTIONAL):
        answer = namespace.cluster.api.get(f"{kind.base}/namespaces/{namespace.name}/{kind.plural}")
        for item in answer.raise_for_status().json()["items"] if answer.status_code != 404 else []:
            if not item["metadata"]["name"].startswith("late"):
                found[f"{kind.name} {item['metadata']['name']}"] = item["metadata"]["resourceVersion"]
    return found


def test_what_is_split_is_joined_again(namespace: Namespace, starting: Operators) -> None:
    starting.start(**SOON)
    namespace.cluster.apply(orchestrator(SMALL | {"topology": "Split"}), namespace.name)
    namespace.eventually("Deployment", "main-worker", lambda found: found is not None)
    namespace.make_proxies_ready()
    waiting = namespace.eventually("S3Orchestrator", "main", lambda found: condition(found, "Ready") == ("False", "WorkersNotReady"))
    assert waiting["status"]["worker"] == {"replicas": 1, "summary": "0/1"}
    namespace.cluster.apply(orchestrator(SMALL), namespace.name)
    namespace.eventually("Deployment", "main-worker", lambda found: found is None)
    proxy = namespace.eventually("Deployment", "main-proxy", lambda found: "--role" not in json.dumps(found))
    assert proxy["spec"]["template"]["spec"]["containers"][0]["args"][-2] == "--listen"


def test_a_certificate_is_asked_for_before_there_is_anything_to_serve_with(namespace: Namespace, starting: Operators) -> None:
    with installed(namespace.cluster, "Certificate"):
        starting.start(**SOON)
        namespace.cluster.apply(orchestrator(operator_fields.certificate_spec(0)), namespace.name)
        namespace.eventually("Certificate", "main", lambda found: found is not None)
        told = namespace.eventually("S3Orchestrator", "main", lambda found: condition(found, "Ready") == ("False", "CertificatePending"))
        assert condition(told, "Reconciling")[0] == "True"
        assert condition(told, "Stalled")[0] == "False"
        namespace.cluster.apply(resources.secret("main-tls", **ISSUED), namespace.name)
        namespace.eventually("Deployment", "main-proxy", lambda found: found is not None)
