"""The template of pods: what replaces them and what does not, and how long they have to end."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support import resources
from tests.support.blueprints import blueprint_of, made, one
from tests.support.operator_fields import SMALL
from tests.support.resources import Document

from s3o_crds.v1alpha1.pods import Image
from s3o_operator.plan.manifests.pods import image_of
from s3o_operator.plan.observed import Object

BY_URI = {"database": {"driver": "Postgres", "uriSecretRef": {"name": "db", "key": "uri"}}}


def template(spec: Document, secrets: list[Document] | None = None, component: str = "proxy", **changes: Any) -> Object:
    found: Object = one(made(spec, secrets=secrets, **changes), "Deployment", component)["spec"]["template"]
    return found


@pytest.mark.parametrize(
    ("image", "found"),
    [
        ({}, "localhost:5000/proxy:1"),
        ({"tag": "2"}, "localhost:5000/proxy:2"),
        ({"digest": "sha256:" + "a" * 64}, "localhost:5000/proxy@sha256:" + "a" * 64),
        ({"repository": "example.com/other", "tag": "2"}, "example.com/other:2"),
    ],
)
def test_the_image_is_the_operators_with_what_was_chosen_in_its_place(image: dict[str, str], found: str) -> None:
    assert image_of(Image(**image), "localhost:5000/proxy:1") == found  # type: ignore[arg-type]  # all are texts
    assert image_of(Image(tag="3"), "proxy@sha256:" + "b" * 64) == "proxy:3"


def test_what_is_hot_replaces_no_pod() -> None:
    before = template(SMALL)
    hot = {"routing": {"strategy": "Spread"}, "server": {"logLevel": "debug", "region": "eu-1", "maxConcurrentRequests": 5}}
    assert template(SMALL | hot | {"cleanup": {"concurrency": 3}}) == before


def test_what_is_static_replaces_them() -> None:
    secret = resources.secret("db", uri="postgresql://u:one@h/d")
    rotated = resources.secret("db", uri="postgresql://u:two@h/d")
    assert template(BY_URI, [secret]) != template(BY_URI, [rotated])
    assert template(SMALL, token="another-admin-token") != template(SMALL)
    assert template(SMALL, restart="token") != template(SMALL)


def test_nothing_secret_stands_in_a_template() -> None:
    text = repr(template(BY_URI, [resources.secret("db", uri="postgresql://u:hidden@h/d")], token="the-hidden-token"))
    assert "hidden" not in text


@pytest.mark.parametrize(
    ("spec", "seconds"),
    [
        ({}, 300 + 30),
        ({"server": {"shutdownDelay": "20s", "shutdownGrace": "2h"}}, 20 + 7200 + 30),
        ({"proxy": {"terminationGracePeriodSeconds": 900}}, 900),
        # Less than transfers are allowed to take would kill them.
        ({"proxy": {"terminationGracePeriodSeconds": 60}}, 330),
    ],
)
def test_a_pod_has_longer_to_end_than_the_longest_transfer(spec: Document, seconds: int) -> None:
    assert template(SMALL | spec)["spec"]["terminationGracePeriodSeconds"] == seconds


def test_split_gives_each_role_to_its_own_pods() -> None:
    spec = SMALL | {"topology": "Split", "worker": {"replicas": 2}}
    args = {name: template(spec, component=name)["spec"]["containers"][0]["args"][-2:] for name in ("proxy", "worker")}
    assert args == {"proxy": ["--role", "api"], "worker": ["--role", "worker"]}
    labels = [template(spec, component=name)["metadata"]["labels"]["app.kubernetes.io/component"] for name in ("proxy", "worker")]
    assert labels == ["proxy", "worker"]
    assert "--role" not in template(SMALL)["spec"]["containers"][0]["args"]


def test_pods_pass_the_restricted_standard() -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted"""
    pod = template(SMALL)["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {kind for volume in pod["volumes"] for kind in volume if kind != "name"} <= {"projected", "emptyDir", "persistentVolumeClaim"}


def test_proxies_are_spread_over_nodes_and_zones() -> None:
    keys = [one["topologyKey"] for one in template(SMALL)["spec"]["topologySpreadConstraints"]]
    assert keys == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]


def test_https_is_asked_by_https() -> None:
    secret = resources.secret("cert", **{"tls.crt": "-----BEGIN CERTIFICATE-----", "tls.key": "-----BEGIN PRIVATE KEY-----"})
    (container,) = template(SMALL | {"server": {"tls": {"secretName": "cert"}}}, [secret])["spec"]["containers"]
    assert {container[probe]["httpGet"]["scheme"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")} == {"HTTPS"}
    assert blueprint_of(SMALL).config.server.tls is None
