"""The rules of an orchestrator's pods and routes: the models and a real API server accept the same, and refuse the same."""

from __future__ import annotations

import pytest
from tests.support import operator_fields, resources
from tests.support.kube import Cluster, Refused
from tests.support.operator_fields import ALONE, SMALL
from tests.support.resources import Document

from s3o_crds.parse import InvalidResource, parse_resource

GOOD = [
    *(operator_fields.spec(side) for side in (0, 1)),
    *(operator_fields.certificate_spec(side) for side in (0, 1)),
    *(beside for beside, _ in ALONE.values()),
    {"image": {"digest": "sha256:" + "0" * 64}},
    {"proxy": {"strategy": {"maxSurge": 0, "maxUnavailable": "50%"}}},
    SMALL | {"proxy": {"autoscaling": {"enabled": True}, "resources": {"requests": {"cpu": 1}}}},
    *({"service": {"type": "LoadBalancer", "loadBalancerClass": name}} for name in ("service.k8s.aws/nlb", f"{'a' * 253}/{'a' * 63}")),
    {"networkPolicy": {"enabled": True, "ingressFrom": [{"namespaceSelector": {}}], "egressExtra": [{}]}},
]


def given(spec: Document) -> Document:
    return resources.orchestrator() | {"spec": spec}


def tolerating(**toleration: object) -> Document:
    return {"proxy": {"podTemplate": {"spec": {"tolerations": [toleration]}}}}


BAD = [
    ({"image": {"repository": "example.com/proxy"}}, "spec.image.repository", "repository needs a tag or a digest"),
    ({"image": {"tag": "1", "digest": "sha256:" + "0" * 64}}, "spec.image", "tag and digest exclude each other"),
    ({"image": {"digest": "sha256:abc"}}, "spec.image.digest", ""),
    ({"image": {"pullPolicy": "Sometimes"}}, "spec.image.pullPolicy", ""),
    ({"topology": "Split"}, "spec.topology", "topology Split needs database.driver Postgres"),
    (SMALL | {"worker": {"replicas": 2}}, "spec.worker", "worker goes with topology Split only"),
    (SMALL | {"topology": "Split", "worker": {"replicas": 0}}, "spec.worker.replicas", ""),
    ({"proxy": {"autoscaling": {"enabled": True}}}, "spec.proxy", "driver SQLite allows one proxy"),
    (SMALL | {"proxy": {"autoscaling": {"minReplicas": 11}}}, "spec.proxy.autoscaling.minReplicas", "at most maxReplicas"),
    (
        SMALL | {"proxy": {"autoscaling": {"enabled": True}, "resources": {"requests": {"memory": "1Gi"}}}},
        "spec.proxy.resources",
        "autoscaling needs resources.requests.cpu",
    ),
    (SMALL | {"proxy": {"autoscaling": {"enabled": True}, "resources": {}}}, "spec.proxy.resources", "autoscaling needs"),
    ({"proxy": {"strategy": {"maxSurge": "0%", "maxUnavailable": 0}}}, "spec.proxy.strategy", "must not both be 0"),
    ({"proxy": {"strategy": {"maxSurge": 0}}}, "spec.proxy.strategy", "must not both be 0"),
    ({"proxy": {"strategy": {"maxSurge": "many"}}}, "spec.proxy.strategy.maxSurge", ""),
    ({"proxy": {"resources": {"requests": {"cpu": "1.5m"}}}}, "spec.proxy.resources.requests.cpu", ""),
    ({"proxy": {"resources": {"limits": {"memory": "0Gi"}}}}, "spec.proxy.resources.limits.memory", "more than 0"),
    (
        {"proxy": {"podTemplate": {"metadata": {"labels": {"app.kubernetes.io/name": "x"}}}}},
        "spec.proxy.podTemplate.metadata.labels",
        "own",
    ),
    (
        {"proxy": {"podTemplate": {"metadata": {"annotations": {"s3orchestrator.io/drain": "1"}}}}},
        "spec.proxy.podTemplate.metadata.annotations",
        "own",
    ),
    ({"proxy": {"podTemplate": {"spec": {"containers": []}}}}, "spec.proxy.podTemplate.spec.containers", ""),
    ({"extraEnv": [{"name": "S3O_ADMIN_TOKEN", "value": "x"}]}, "spec.extraEnv[0].name", "begin with S3O_ or AWS_"),
    ({"extraEnv": [{"name": "AWS_REGION", "value": "x"}]}, "spec.extraEnv[0].name", "begin with S3O_ or AWS_"),
    ({"extraEnv": [{"name": "TZ"}]}, "spec.extraEnv[0]", "needs value or secretKeyRef"),
    ({"extraEnv": [{"name": "TZ", "value": "UTC"}, {"name": "TZ", "value": "CET"}]}, "spec.extraEnv", ""),
    ({"service": {"loadBalancerClass": "x"}}, "spec.service.loadBalancerClass", "type LoadBalancer only"),
    *(
        ({"service": {"type": "LoadBalancer", "loadBalancerClass": name}}, "spec.service.loadBalancerClass", "")
        for name in ("a" * 64, f"example.com/{'a' * 64}", f"{'a' * 254}/b", "a/b/c", "")
    ),
    ({"service": {"type": "ExternalName"}}, "spec.service.type", ""),
    ({"ingress": {"enabled": True}}, "spec.ingress.host", "needs host"),
    ({"gateway": {"enabled": True}}, "spec.gateway.parentRefs", "needs parentRefs"),
    ({"server": {"tls": {"secretName": "x", "certManager": {"issuerRef": {"name": "ca"}}}}}, "spec.server.tls", "and not both"),
    ({"networkPolicy": {"ingressFrom": [{}]}}, "spec.networkPolicy.ingressFrom[0]", "needs ipBlock"),
    (
        {"networkPolicy": {"ingressFrom": [{"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}]}},
        "spec.networkPolicy.ingressFrom[0]",
        "needs ipBlock",
    ),
    (tolerating(operator="Exists", value="x"), "spec.proxy.podTemplate.spec.tolerations[0].value", "operator Equal only"),
    (tolerating(tolerationSeconds=5), "spec.proxy.podTemplate.spec.tolerations[0].tolerationSeconds", "effect NoExecute only"),
    ({"networkPolicy": {"ingressFrom": [{"ipBlock": {"cidr": "10.0.0.0"}}]}}, "spec.networkPolicy.ingressFrom[0].ipBlock.cidr", ""),
]


@pytest.mark.parametrize("spec", GOOD, ids=range(len(GOOD)))
def test_accepted(cluster: Cluster, spec: Document) -> None:
    parse_resource(given(spec))
    cluster.create("s3orchestrators", given(spec), "default", dry_run=True)


@pytest.mark.parametrize(("spec", "path", "sentence"), BAD, ids=[f"{number}: {path}" for number, (_, path, _) in enumerate(BAD)])
def test_refused(cluster: Cluster, spec: Document, path: str, sentence: str) -> None:
    with pytest.raises(InvalidResource) as by_the_model:
        parse_resource(given(spec))
    assert any(problem.startswith(f"{path}:") and sentence in problem for problem in by_the_model.value.problems), (
        by_the_model.value.problems
    )
    with pytest.raises(Refused) as by_the_server:
        cluster.create("s3orchestrators", given(spec), "default", dry_run=True)
    assert sentence in str(by_the_server.value)
