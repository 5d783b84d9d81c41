"""What may be written: every bound, enum and rule, asked twice. The API server and the models must agree, and name the same field."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from tests.support import resources
from tests.support.kube import Cluster, Refused
from tests.support.resources import REMOVED, Document, changed

from s3o_crds.kinds import KINDS
from s3o_crds.parse import InvalidResource, parse_resource

PLURALS = {kind.name: kind.plural for kind in KINDS}
REF = {"name": "pg", "key": "uri"}
FIELDS = {"driver": "Postgres", "host": "pg", "database": "s3", "user": "proxy"}


def orchestrator(**spec: Any) -> Document:
    return resources.orchestrator(**spec)


def server(**fields: object) -> Document:
    return resources.orchestrator(server=fields)


def database(**fields: object) -> Document:
    return resources.orchestrator(database=fields)


def backend(**spec: Any) -> Document:
    return resources.backend(**spec)


def bucket(**spec: Any) -> Document:
    return resources.bucket(**spec)


def named(document: Document, name: str) -> Document:
    return changed(document, {"metadata.name": name})


def credential(**fields: object) -> Document:
    return bucket(credentials=[{"name": "app", "secretRef": {"name": "keys"}} | fields])


def generated(**fields: object) -> Document:
    return bucket(credentials=[{"name": "app", "generate": {}} | fields])


def access(**fields: object) -> Document:
    return resources.orchestrator(access={"buckets": fields})


def selecting(**selector: object) -> Document:
    return access(namespaces={"from": "Selector", "selector": selector})


GOOD = [
    orchestrator(),
    orchestrator(proxy={}, server={}, database={}, routing={}, cleanup={}),
    orchestrator(proxy={"replicas": 0}),
    orchestrator(proxy={"replicas": 500}, database=FIELDS),
    orchestrator(routing={"strategy": "Spread"}, cleanup={"concurrency": 1000, "multipartStaleTimeout": "1ms"}),
    named(orchestrator(), "a" * 45),
    server(region="x", logLevel="error", maxObjectSize=1, maxConcurrentRequests=100_000, presignedSigV2=True),
    server(readHeaderTimeout="1h30m", stallTimeout="500ms", idleTimeout="2d", shutdownDelay="0s", shutdownGrace="0ms"),
    server(locationCache={"maxAge": "100ms", "maxEntries": 10_000_000}),
    server(virtualHostDomain="s3.example.com", tls={"secretName": "s3-tls", "minVersion": "1.3"}),
    database(driver="SQLite", path="/var/lib/s3o/s3o.db"),
    database(driver="Postgres", uriSecretRef=REF),
    database(driver="Postgres", uriSecretRef=REF, caSecretRef={"name": "pg-ca"}),
    database(**FIELDS),
    database(**FIELDS, port=65535, passwordSecretRef={"name": "pg", "key": "password"}, sslMode="verify-full", caSecretRef={"name": "ca"}),
    database(**FIELDS | {"host": "/var/run/postgresql"}),
    backend(),
    backend(backendName="oci", order=0, state="Cordoned", provider="OCI", region="us-phoenix-1", deletionPolicy="Purge"),
    backend(order=1_000_000, forcePathStyle=False, unsignedPayload=False, etagIsMD5=True, caSecretRef={"name": "ca", "key": "x.pem"}),
    backend(quota={}, timeouts={}),
    backend(quota={"bytes": 1048576, "maxObjectSize": "1Mi"}),
    backend(quota={"bytes": "20Gi", "maxObjectSize": 0}),
    backend(quota={"bytes": 0, "maxObjectSize": "5Ti"}),
    backend(quota={"bytes": "1Ei"}),
    backend(endpoint="http://[::1]:65535"),
    backend(endpoint="http://minio_1:9000", bucket="Old_Bucket"),
    named(backend(backendName="fine"), "with.a.dot"),
    bucket(),
    bucket(credentials=REMOVED),
    bucket(bucketName="my.photos-1", maxMultipartUploads=0),
    bucket(orchestratorRef={"name": "main", "namespace": "storage"}),
    named(bucket(bucketName="photos"), "ab"),
    named(bucket(bucketName="photos"), "metrics"),
    credential(type="Token", secretRef={"name": "tokens", "tokenKey": "legacy"}),
    generated(),
    generated(type="Token", secretTemplate={"name": "app-token"}, rotation={}),
    generated(secretTemplate={"keys": "Both", "labels": {"team": "", "example.com/a": "b"}, "annotations": {"note": "any text, 世界"}}),
    generated(rotation={"gracePeriod": "0s"}),
    resources.orchestrator(access={"backends": {"namespaces": {"from": "All"}}, "buckets": {}}),
    access(namespaces={}, limits={"maxBuckets": 0, "maxCredentialsPerBucket": 64}),
    selecting(),
    selecting(matchLabels={"s3orchestrator.io/tenant": "true"}),
    selecting(matchExpressions=[{"key": "team", "operator": "In", "values": ["a", ""]}, {"key": "off", "operator": "DoesNotExist"}]),
    credential(secretRef={"name": "keys", "accessKeyIdKey": "id", "secretAccessKeyKey": "secret"}),
]

BAD = [
    # names
    (named(orchestrator(), "a" * 46), "metadata.name"),
    (named(orchestrator(), "a.b"), "metadata.name"),
    (named(backend(), "a.b"), "metadata.name"),
    (named(backend(), "a" * 64), "metadata.name"),
    (named(bucket(), "ab"), "metadata.name"),
    (named(bucket(), "a" * 64), "metadata.name"),
    (named(bucket(), "192.168.5.4"), "metadata.name"),
    (named(bucket(), "xn--photos"), "metadata.name"),
    (named(bucket(), "photos--x-s3"), "metadata.name"),
    (named(bucket(), "health"), "metadata.name"),
    (bucket(bucketName="ab"), "spec.bucketName"),
    (bucket(bucketName="Photos"), "spec.bucketName"),
    (bucket(bucketName="a..b"), "spec.bucketName"),
    (bucket(bucketName="10.0.0.1"), "spec.bucketName"),
    (bucket(bucketName="sthree-photos"), "spec.bucketName"),
    (bucket(bucketName="photos-s3alias"), "spec.bucketName"),
    (bucket(bucketName="admin"), "spec.bucketName"),
    (bucket(bucketName=""), "spec.bucketName"),
    (backend(backendName="a.b"), "spec.backendName"),
    (backend(backendName="Oci"), "spec.backendName"),
    (backend(backendName="a" * 64), "spec.backendName"),
    (backend(orchestratorRef={"name": ""}), "spec.orchestratorRef.name"),
    (backend(orchestratorRef={"name": "main", "namespace": "No"}), "spec.orchestratorRef.namespace"),
    # what must be there, and what must not
    *((backend(**{field: REMOVED}), f"spec.{field}") for field in ("orchestratorRef", "endpoint", "bucket", "credentialsSecretRef")),
    (bucket(orchestratorRef=REMOVED), "spec.orchestratorRef"),
    (changed(orchestrator(), {"spec": REMOVED}), "spec"),
    (backend(credentialsSecretRef={}), "spec.credentialsSecretRef.name"),
    (backend(bucke="typo"), "spec.bucke"),
    (backend(quota={"byte": 1}), "spec.quota.byte"),
    (server(tls={}), "spec.server.tls"),
    (server(tls={"secretName": ""}), "spec.server.tls.secretName"),
    # numbers
    (orchestrator(proxy={"replicas": -1}), "spec.proxy.replicas"),
    (orchestrator(proxy={"replicas": 501}, database=FIELDS), "spec.proxy.replicas"),
    (orchestrator(proxy={"replicas": "1"}), "spec.proxy.replicas"),
    (orchestrator(cleanup={"concurrency": 0}), "spec.cleanup.concurrency"),
    (orchestrator(cleanup={"concurrency": 1001}), "spec.cleanup.concurrency"),
    (server(maxConcurrentRequests=0), "spec.server.maxConcurrentRequests"),
    (server(maxConcurrentRequests=100_001), "spec.server.maxConcurrentRequests"),
    (database(**FIELDS, port=0), "spec.database.port"),
    (database(**FIELDS, port=65536), "spec.database.port"),
    (backend(order=-1), "spec.order"),
    (backend(order=1_000_001), "spec.order"),
    (backend(order=1.5), "spec.order"),
    (bucket(maxMultipartUploads=-1), "spec.maxMultipartUploads"),
    (bucket(maxMultipartUploads=1_000_001), "spec.maxMultipartUploads"),
    # sizes and durations
    (backend(quota={"bytes": "20GB"}), "spec.quota.bytes"),
    (backend(quota={"bytes": -1}), "spec.quota.bytes"),
    (backend(quota={"bytes": 1.5}), "spec.quota.bytes"),
    (backend(quota={"bytes": True}), "spec.quota.bytes"),
    (backend(quota={"bytes": "2Ei"}), "spec.quota.bytes"),
    (backend(quota={"bytes": 2**60 + 1}), "spec.quota.bytes"),
    (backend(quota={"bytes": ""}), "spec.quota.bytes"),
    (backend(quota={"bytes": "1Gi", "maxObjectSize": "1025Mi"}), "spec.quota"),
    (backend(quota={"bytes": 5, "maxObjectSize": 6}), "spec.quota"),
    (server(maxObjectSize=0), "spec.server.maxObjectSize"),
    (server(maxObjectSize="0Gi"), "spec.server.maxObjectSize"),
    (server(maxObjectSize="2Ei"), "spec.server.maxObjectSize"),
    (backend(quota={"maxObjectSize": "2Ei"}), "spec.quota.maxObjectSize"),
    (server(stallTimeout="0s"), "spec.server.stallTimeout"),
    (server(stallTimeout=30), "spec.server.stallTimeout"),
    (server(stallTimeout="30"), "spec.server.stallTimeout"),
    (server(stallTimeout="-1s"), "spec.server.stallTimeout"),
    (server(readHeaderTimeout="0ms"), "spec.server.readHeaderTimeout"),
    (server(idleTimeout="1.5h"), "spec.server.idleTimeout"),
    (server(idleTimeout="0s"), "spec.server.idleTimeout"),
    (server(shutdownGrace="soon"), "spec.server.shutdownGrace"),
    (server(locationCache={"maxAge": "0s"}), "spec.server.locationCache.maxAge"),
    (server(locationCache={}), "spec.server.locationCache.maxAge"),
    (server(locationCache={"maxAge": "1s", "maxEntries": 0}), "spec.server.locationCache.maxEntries"),
    (backend(timeouts={"request": "0m0s"}), "spec.timeouts.request"),
    (backend(timeouts={"stall": "1s" * 17}), "spec.timeouts.stall"),
    (backend(timeouts={"stall": "0h"}), "spec.timeouts.stall"),
    (orchestrator(cleanup={"multipartStaleTimeout": "0d"}), "spec.cleanup.multipartStaleTimeout"),
    # enums and booleans
    (server(logLevel="INFO"), "spec.server.logLevel"),
    (server(presignedSigV2="yes"), "spec.server.presignedSigV2"),
    (server(tls={"secretName": "x", "minVersion": "1.1"}), "spec.server.tls.minVersion"),
    (server(tls={"secretName": "x", "minVersion": 1.2}), "spec.server.tls.minVersion"),
    (database(driver="MySQL"), "spec.database.driver"),
    (database(**FIELDS, sslMode="verify"), "spec.database.sslMode"),
    (orchestrator(routing={"strategy": "pack"}), "spec.routing.strategy"),
    (backend(state="Drained"), "spec.state"),
    (backend(deletionPolicy="Delete"), "spec.deletionPolicy"),
    (backend(provider="SeaweedFS"), "spec.provider"),
    (backend(etagIsMD5="true"), "spec.etagIsMD5"),
    (credential(type="SigV2"), "spec.credentials[0].type"),
    # text
    (server(region=""), "spec.server.region"),
    (server(region="x" * 65), "spec.server.region"),
    (server(virtualHostDomain="*.example.com"), "spec.server.virtualHostDomain"),
    (database(path=""), "spec.database.path"),
    (database(**FIELDS | {"host": "two hosts"}), "spec.database.host"),
    (backend(endpoint="localhost:9000"), "spec.endpoint"),
    (backend(endpoint="http://localhost:9000/"), "spec.endpoint"),
    (backend(endpoint="http://user:password@localhost"), "spec.endpoint"),
    (backend(endpoint="http://localhost:65536"), "spec.endpoint"),
    (backend(endpoint="http://localhost:0"), "spec.endpoint"),
    (backend(endpoint="http://" + "a" * 512), "spec.endpoint"),
    (backend(bucket=""), "spec.bucket"),
    (backend(bucket="a/b"), "spec.bucket"),
    (backend(caSecretRef={"name": ""}), "spec.caSecretRef.name"),
    (backend(credentialsSecretRef={"name": "keys", "accessKeyIdKey": ""}), "spec.credentialsSecretRef.accessKeyIdKey"),
    (backend(credentialsSecretRef={"name": "Keys"}), "spec.credentialsSecretRef.name"),
    # lists
    (bucket(credentials=[{"name": "app"}]), "spec.credentials[0]"),
    (credential(generate={}), "spec.credentials[0]"),
    (credential(secretTemplate={}), "spec.credentials[0].secretTemplate"),
    (credential(rotation={}), "spec.credentials[0].rotation"),
    (generated(generate={"length": 40}), "spec.credentials[0].generate.length"),
    (generated(type="Token", secretTemplate={"keys": "COSI"}), "spec.credentials[0].secretTemplate"),
    (generated(rotation={"gracePeriod": "1y"}), "spec.credentials[0].rotation.gracePeriod"),
    (generated(secretTemplate={"name": ""}), "spec.credentials[0].secretTemplate.name"),
    (generated(secretTemplate={"keys": "OBC"}), "spec.credentials[0].secretTemplate.keys"),
    (generated(secretTemplate={"labels": {"not a key": "x"}}), "spec.credentials[0].secretTemplate.labels"),
    (generated(secretTemplate={"labels": {"team": "not a value"}}), "spec.credentials[0].secretTemplate.labels.team"),
    (generated(secretTemplate={"labels": {f"l{n}": "x" for n in range(17)}}), "spec.credentials[0].secretTemplate.labels"),
    (generated(secretTemplate={"annotations": {"-": "x"}}), "spec.credentials[0].secretTemplate.annotations"),
    (generated(secretTemplate={"annotations": {"note": "x" * 1025}}), "spec.credentials[0].secretTemplate.annotations.note"),
    (generated(secretTemplate={"labels": {"s3orchestrator.io/orchestrator": "x"}}), "spec.credentials[0].secretTemplate"),
    (generated(secretTemplate={"annotations": {"app.kubernetes.io/name": "x"}}), "spec.credentials[0].secretTemplate"),
    (access(namespaces={"from": "Other"}), "spec.access.buckets.namespaces.from"),
    (access(namespaces={"from": "Selector"}), "spec.access.buckets.namespaces.selector"),
    (access(namespaces={"from": "All", "selector": {}}), "spec.access.buckets.namespaces.selector"),
    (access(limits={"maxBuckets": -1}), "spec.access.buckets.limits.maxBuckets"),
    (access(limits={"maxCredentialsPerBucket": 65}), "spec.access.buckets.limits.maxCredentialsPerBucket"),
    (selecting(matchLabels={"/team": "a"}), "spec.access.buckets.namespaces.selector.matchLabels"),
    (selecting(matchExpressions=[{"key": "a", "operator": "In"}]), "spec.access.buckets.namespaces.selector.matchExpressions[0]"),
    (
        selecting(matchExpressions=[{"key": "a", "operator": "Exists", "values": ["b"]}]),
        "spec.access.buckets.namespaces.selector.matchExpressions[0]",
    ),
    (bucket(credentials=[{"secretRef": {"name": "keys"}}]), "spec.credentials[0].name"),
    (bucket(credentials=[{"name": "app", "secretRef": {"name": "keys"}}] * 2), "spec.credentials"),
    (bucket(credentials=[{"name": f"c{n}", "secretRef": {"name": "keys"}} for n in range(65)]), "spec.credentials"),
    (bucket(credentials={"name": "app"}), "spec.credentials"),
    # rules between fields
    (orchestrator(proxy={"replicas": 2}), "spec.proxy"),
    (orchestrator(proxy={"replicas": 2}, database={"driver": "SQLite"}), "spec.proxy"),
    (database(driver="SQLite", uriSecretRef=REF), "spec.database"),
    (database(driver="SQLite", path="s3o.db", host="pg"), "spec.database"),
    (database(driver="SQLite", sslMode="require"), "spec.database"),
    (database(driver="SQLite", caSecretRef={"name": "ca"}), "spec.database"),
    (database(host="pg", database="s3", user="proxy"), "spec.database"),
    (database(driver="Postgres"), "spec.database"),
    (database(driver="Postgres", host="pg", database="s3"), "spec.database"),
    (database(driver="Postgres", uriSecretRef=REF, path="s3o.db"), "spec.database.path"),
    (database(driver="Postgres", uriSecretRef=REF, host="pg"), "spec.database"),
    (database(driver="Postgres", uriSecretRef=REF, passwordSecretRef=REF), "spec.database"),
    (database(driver="Postgres", uriSecretRef=REF, sslMode="require"), "spec.database"),
    *((backend(provider=provider), "spec") for provider in ("AWS", "OCI", "B2", "Wasabi")),
]


def _id(document: Document) -> str:
    spec = {key: value for key, value in document.get("spec", {}).items() if key not in {"orchestratorRef", "credentialsSecretRef"}}
    return f"{document['kind']} {document['metadata']['name']} {spec}"[:120]


@pytest.mark.parametrize("document", GOOD, ids=_id)
def test_accepted(cluster: Cluster, document: Document) -> None:
    parse_resource(document)
    cluster.create(PLURALS[document["kind"]], document, "default", dry_run=True)


@pytest.mark.parametrize(("document", "path"), BAD, ids=[f"{path}: {_id(document)}" for document, path in BAD])
def test_refused(cluster: Cluster, document: Document, path: str) -> None:
    with pytest.raises(InvalidResource) as by_the_model:
        parse_resource(document)
    assert any(problem.startswith((f"{path}:", f"{path} ")) for problem in by_the_model.value.problems), by_the_model.value.problems
    with pytest.raises(Refused) as by_the_server:
        cluster.create(PLURALS[document["kind"]], document, "default", dry_run=True)
    assert path in str(by_the_server.value)


def test_every_sentence_of_a_rule_is_the_same_on_both_sides(cluster: Cluster) -> None:
    document = orchestrator(database={"driver": "SQLite", "host": "pg"}, proxy={"replicas": 2})
    with pytest.raises(Refused, match="driver SQLite takes only path"):
        cluster.create("s3orchestrators", document, "default", dry_run=True)
    with pytest.raises(InvalidResource, match="driver SQLite takes only path"):
        parse_resource(document)


def _mostly(alphabet: str, *likely: str) -> st.SearchStrategy[str]:
    """Near misses: text of few letters, and likely values with a letter put in, taken out or doubled."""

    def spoiled(text: str, at: int, letter: str) -> str:
        at %= len(text) + 1
        return text[:at] + letter + text[at + (len(letter) == 0) :]

    letters = st.sampled_from(["", *alphabet])
    return st.text(alphabet, max_size=12) | st.builds(spoiled, st.sampled_from(likely), st.integers(0, 70), letters)


ANY_VALUE = {
    "quota.bytes": _mostly("0159.GiKmE- ", "20Gi", "1.5G", "1048576", "1Ei", "0.0") | st.integers(-3, 2**61) | st.floats() | st.booleans(),
    "timeouts.stall": _mostly("0159msh.d ", "1h30m", "500ms", "0s") | st.integers(-3, 3),
    "endpoint": _mostly("abhtps:/0159.[]-_@ ?", "http://localhost:9000", "https://s3.example.com", "http://[::1]:9000", "http://h:65535"),
    "bucket": _mostly("aZ0-_./ ", "data", "Old_Bucket.1", "x" * 255),
    "backendName": _mostly("aZ0-_. ", "oci-1", "x" * 63),
    "region": _mostly("aZ0-_. ", "us-east-1", "x" * 64),
}


BUCKET_NAMES = ("photos", "xn--a", "10.0.0.1", "a--x-s3", "sthree-a", "amzn-s3-demo-a", "a.mrap", "health", "a" * 63)


@pytest.mark.parametrize("field", ANY_VALUE)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_models_and_the_api_server_agree_on_any_value(cluster: Cluster, field: str, data: st.DataObject) -> None:
    value = data.draw(ANY_VALUE[field])
    assume(not isinstance(value, float) or math.isfinite(value))  # JSON knows no others
    document = changed(backend(), {f"spec.{field}": value})
    assert _accepts_model(document) == _accepts_server(cluster, document), value


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=_mostly("ab01.-", *BUCKET_NAMES))
def test_they_agree_on_any_bucket_name_given_or_by_default(cluster: Cluster, name: str) -> None:
    given = bucket(bucketName=name)
    assert _accepts_model(given) == _accepts_server(cluster, given), name
    default = named(bucket(), name)
    assert _accepts_model(default) == _accepts_server(cluster, default), name


def _accepts_model(document: Document) -> bool:
    try:
        parse_resource(document)
    except InvalidResource:
        return False
    return True


def _accepts_server(cluster: Cluster, document: Document) -> bool:
    try:
        cluster.create(PLURALS[document["kind"]], document, "default", dry_run=True)
    except Refused:
        return False
    return True


class TestWhatNeverChanges:
    """Only the API server sees a change: these rules have no other side."""

    @pytest.mark.parametrize(
        ("before", "change", "message"),
        [
            (backend(), {"orchestratorRef": {"name": "other"}}, "orchestratorRef is immutable"),
            (backend(), {"orchestratorRef": {"namespace": "default"}}, "orchestratorRef is immutable"),
            (backend(), {"backendName": "added"}, "backendName is immutable"),
            (backend(backendName="x"), {"backendName": "y"}, "backendName is immutable"),
            (backend(backendName="x"), {"backendName": None}, "backendName is immutable"),
            (backend(bucket="bytes"), {"bucket": "elsewhere"}, "bucket is immutable"),
            (bucket(), {"orchestratorRef": {"name": "other"}}, "orchestratorRef is immutable"),
            (bucket(), {"bucketName": "added"}, "bucketName is immutable"),
            (bucket(bucketName="abc"), {"bucketName": "abcd"}, "bucketName is immutable"),
            (bucket(bucketName="abc"), {"bucketName": None}, "bucketName is immutable"),
            (orchestrator(), {"database": FIELDS}, "database.driver is immutable"),
            (database(**FIELDS), {"database": None}, "database.driver is immutable"),
            (
                database(**FIELDS),
                {"database": dict.fromkeys(FIELDS)},
                "database.driver is immutable",
            ),
        ],
    )
    def test_is_refused(self, cluster: Cluster, namespace: str, before: Document, change: Document, message: str) -> None:
        plural = PLURALS[before["kind"]]
        cluster.create(plural, before, namespace)
        with pytest.raises(Refused, match=message):
            cluster.merge(plural, before["metadata"]["name"], {"spec": change}, namespace)

    @pytest.mark.parametrize(
        ("before", "change"),
        [
            (backend(backendName="x"), {"endpoint": "http://moved:9000", "order": 1, "state": "Cordoned", "quota": {"bytes": "1Gi"}}),
            (bucket(bucketName="abc"), {"credentials": [], "maxMultipartUploads": 3}),
            (orchestrator(), {"database": {"driver": "SQLite", "path": "elsewhere.db"}, "server": {"logLevel": "debug"}}),
            (database(**FIELDS), {"database": {"host": "moved"}, "proxy": {"replicas": 5}}),
        ],
    )
    def test_and_everything_else_may(self, cluster: Cluster, namespace: str, before: Document, change: Document) -> None:
        plural = PLURALS[before["kind"]]
        cluster.create(plural, before, namespace)
        cluster.merge(plural, before["metadata"]["name"], {"spec": change}, namespace)
