"""Acto's *misoperation*: what makes no sense is refused by the API server, or reported where it was written, and the others go on.

What is tried on one field of a kind is tried on all: the fields are those of the CRDs' schemas.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support import resources
from tests.support.inline_operator import InlineOperator, inline_operator
from tests.support.kube import Cluster, Refused
from tests.support.operators import Namespace, Object, authorize, condition
from tests.support.resources import Document
from tests.support.whole_specs import WHOLE, Path_, named, places, with_value

from s3o_crds.kinds import KINDS

PLURALS = {kind.name: kind.plural for kind in KINDS}
NAMES = {"S3Orchestrator": "main", "StorageBackend": "one", "VirtualBucket": "photos"}


def is_text(schema: Object) -> bool:
    return schema.get("type") == "string"


def is_duration(schema: Object) -> bool:
    return is_text(schema) and "ms" in schema.get("pattern", "")


def is_size(schema: Object) -> bool:
    return bool(schema.get("x-kubernetes-int-or-string"))


def is_number(schema: Object) -> bool:
    return schema.get("type") == "integer"


def is_port(path: Path_) -> bool:
    return path[-1] == "port"


NONSENSE: dict[str, tuple[Callable[[Path_, Object], bool], tuple[Any, ...]]] = {
    "a text of 10,000 characters": (lambda _, schema: is_text(schema), ("a" * 10_000,)),
    "a duration": (lambda _, schema: is_duration(schema), ("5", "-1s", "1e3s", "soon", "")),
    "a size": (lambda _, schema: is_size(schema), (-1, "-1Gi", "1e30", "1e30Gi", "many", "")),
    "a number": (lambda _, schema: is_number(schema), (-(2**31), 2**40)),
    "a port": (lambda path, _: is_port(path), (0, -1, 65536)),
    "an endpoint": (
        lambda path, _: path[-1] == "endpoint",
        ("", "garbage", "ftp://h", "http://", "http://a b", "http://h:0", "http://[", "http://h/../x", "//h", "https://h?x"),
    ),
    "a version of TLS": (lambda path, _: path[-1] == "minVersion", ("1.4", "TLS1.2", 1.3)),
    "a choice": (lambda _, schema: "enum" in schema, ("Unheard-of",)),
}


@pytest.mark.parametrize("what", NONSENSE)
def test_nonsense_is_refused_by_the_api_server_by_the_name_of_its_field(what: str, cluster: Cluster) -> None:
    concerns, values = NONSENSE[what]
    tried = set()
    for kind, number in [(kind, number) for kind, specs in WHOLE.items() for number in range(len(specs))]:
        for path, schema, _ in places(kind, number):
            if not concerns(path, schema) or (kind, named(path)) in tried:
                continue
            tried.add((kind, named(path)))
            for value in values:
                said = refusal(cluster, kind, with_value(WHOLE[kind][number], path, value))
                assert str(path[0]) in said, f"{kind} {named(path)} = {value!r:.40}: {said or 'was accepted'}"
    assert tried


def refusal(cluster: Cluster, kind: str, spec: Document) -> str:
    document = {"apiVersion": resources.API_VERSION, "kind": kind, "metadata": {"name": NAMES[kind]}, "spec": spec}
    try:
        cluster.create(PLURALS[kind], document, "default", dry_run=True)
    except Refused as refused:
        return str(refused)
    return ""


@pytest.mark.parametrize("kind", NAMES)
def test_a_name_of_10_000_characters_is_refused(kind: str, cluster: Cluster) -> None:
    document = {"apiVersion": resources.API_VERSION, "kind": kind, "metadata": {"name": "a" * 10_000}, "spec": WHOLE[kind][0]}
    with pytest.raises(Refused, match=r"metadata\.name"):
        cluster.create(PLURALS[kind], document, "default", dry_run=True)


@pytest.fixture
async def operator(cluster: Cluster, namespace: Namespace, tmp_path: Path) -> AsyncIterator[InlineOperator]:
    async with inline_operator(authorize(cluster, namespace.name, tmp_path), namespace.name) as made:
        yield made


def backend(name: str, **spec: Any) -> Document:
    return resources.backend(name, **spec)


def bucket(name: str, secret: str, **ref: str) -> Document:
    return resources.bucket(name, credentials=[{"name": "app", "secretRef": {"name": secret, **ref}}])


def orchestrator(name: str, **spec: Any) -> Document:
    return resources.orchestrator(name, **spec)


def pods(**spec: Any) -> Document:
    return {"podTemplate": {"spec": spec}}


GREEDY = {"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}

REPORTED: list[tuple[Document, tuple[str, str, str], str]] = [
    (backend("ca", caSecretRef={"name": "garbage"}), ("Accepted", "False", "SecretKeyInvalid"), "holds no CERTIFICATE in PEM"),
    (backend("empty", credentialsSecretRef={"name": "empty"}), ("Accepted", "False", "SecretKeyInvalid"), "is empty"),
    (backend("newline", credentialsSecretRef={"name": "newline"}), ("Accepted", "False", "SecretKeyInvalid"), "line break or white space"),
    (backend("gone", credentialsSecretRef={"name": "gone"}), ("Accepted", "False", "SecretNotFound"), "/gone does not exist"),
    (backend("same", endpoint="https://good.example.com"), ("Accepted", "False", "SameBucketTwice"), "/good"),
    (bucket("no-key", "backend-keys", accessKeyIdKey="nowhere"), ("Accepted", "False", "SecretKeyNotFound"), "no key nowhere"),
    (orchestrator("bad-tls", server={"tls": {"secretName": "garbage"}}), ("Accepted", "False", "SecretKeyInvalid"), "PEM"),
    (orchestrator("no-node", proxy=pods(nodeSelector={"planet": "pluto"})), ("Reconciling", "True", "ProxiesNotReady"), "0/1 proxies"),
    (orchestrator("greedy", proxy=GREEDY), ("Stalled", "True", "ApplyFailed"), "must be less than or equal to cpu limit of 1"),
]


async def test_what_only_the_operator_can_see_is_reported_in_conditions_and_the_others_are_served(
    operator: InlineOperator, namespace: Namespace
) -> None:
    garbage = {"ca.crt": "no certificate", "tls.crt": "no certificate", "tls.key": "no key"}
    keys = [resources.key_pair("backend-keys"), resources.secret("garbage", **garbage), resources.key_pair("newline", "id\n")]
    keys.append(resources.secret("empty", AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY=""))
    good = [resources.orchestrator(), backend("good", quota={"bytes": 0}), resources.bucket("photos", credentials=resources.REMOVED)]
    for document in (*keys, *good, *(document for document, _, _ in REPORTED)):
        namespace.create(document)
    await operator.work()
    for document, (kind, *wanted), part in REPORTED:
        found = namespace.get(document["kind"], document["metadata"]["name"]) or {}
        assert condition(found, kind) == tuple(wanted), (document, found.get("status"))
        (message,) = [one["message"] for one in found["status"]["conditions"] if one["type"] == kind]
        assert part in message
    config = json.loads(base64.b64decode((namespace.get("Secret", "main-config") or {})["data"]["config.json"]))
    # A quota of 0 is documented: there is none.
    assert [(one["name"], one["quotaBytes"]) for one in config["backends"]] == [("good", None)]
    assert [one["name"] for one in config["buckets"]] == ["photos"]
    assert condition(namespace.get("VirtualBucket", "photos"), "Accepted")[0] == "True"
    # Nobody has to do more than write what makes sense.
    namespace.patch("S3Orchestrator", "greedy", {"spec": {"proxy": {"resources": None}}})
    await operator.work()
    assert condition(namespace.get("S3Orchestrator", "greedy"), "Stalled")[0] == "False"
    assert namespace.get("Deployment", "greedy-proxy")
