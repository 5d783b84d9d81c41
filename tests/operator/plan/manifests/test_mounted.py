"""What proxies mount can be read back, and garbage is nothing."""

from __future__ import annotations

import base64

import pytest
from tests.operator.plan.manifests.test_config import with_buckets
from tests.support import resources
from tests.support.blueprints import blueprint_of
from tests.support.operator_fields import SMALL

from s3o_crds.layout import split
from s3o_operator.plan.manifests.config import build_config_secrets
from s3o_operator.plan.manifests.mounted import read_back
from s3o_operator.plan.observed import Object

PEM = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"
KEY_PEM = "-----BEGIN PRIVATE KEY-----\nMA==\n-----END PRIVATE KEY-----\n"


@pytest.mark.parametrize("tls", [{"secretName": "mine"}, {"certManager": {"issuerRef": {"name": "ca"}}}])
def test_the_certificate_is_the_one_that_pods_are_given_whoever_issued_it(tls: Object) -> None:
    name = tls.get("secretName", "main-tls")
    secret = resources.secret(name, **{"tls.crt": PEM, "tls.key": KEY_PEM})
    (head,) = build_config_secrets(blueprint_of(SMALL | {"server": {"tls": tls}}, [secret]))
    mounted = read_back(head)
    assert mounted is not None
    assert mounted.certificate == PEM


def test_without_https_there_is_no_certificate() -> None:
    mounted = read_back(build_config_secrets(blueprint_of(SMALL))[-1])
    assert mounted is not None
    assert mounted.certificate == ""


def test_parts_are_read_back_together() -> None:
    blueprint = with_buckets(10_000)
    *parts, head = build_config_secrets(blueprint)
    assert len(split(blueprint.config, blueprint.values)) > 2
    mounted, alone = read_back(head, parts), read_back(head)
    assert mounted is not None
    assert alone is not None
    assert (len(mounted.config.buckets), len(alone.config.buckets)) == (10_000, 0)
    names = {ref for bucket in mounted.config.buckets for one in bucket.credentials for ref in (one.access_key_id, one.secret_access_key)}
    assert names <= mounted.values.keys()


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"config.json": "not JSON", "secrets.json": "{}"},
        {"config.json": "{}", "secrets.json": "{}"},
        {"config.json": "[]", "secrets.json": "{}"},
        {"config.json": '{"name": "main"}', "secrets.json": "[1]"},
        {"config.json": '{"name": "main"}', "secrets.json": "{}", "part-1.json": "[]"},
        {"config.json": '{"name": "main"}', "secrets.json": "{}", "part-1.json": '{"buckets": [1], "secrets": {}}'},
    ],
)
def test_garbage_is_nothing(files: dict[str, str]) -> None:
    assert read_back(None) is None
    assert read_back({"data": {name: base64.b64encode(text.encode()).decode() for name, text in files.items()}}) is None
