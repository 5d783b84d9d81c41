"""What changes when a file changes while the proxy runs, and what does not."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import httpx
import pytest
from botocore.config import Config
from tests.support.fleet import BackendShape, Fleet, KeyPair, Launch
from tests.support.manifests import write_whole
from tests.support.postgres import PostgresServer
from tests.support.proxy import wait_until
from tests.support.s3 import refused
from tests.support.trees import random_bytes

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

KIB = 1024
_WAIT_S = 30.0


def impatient(fleet: Fleet) -> S3Client:
    """A client that does not try again what failed on the server's side."""
    return fleet.client(config=Config(retries={"max_attempts": 0}))


def put(s3: S3Client, key: str, size_bytes: int = 1) -> None:
    s3.put_object(Bucket="photos", Key=key, Body=random_bytes(size_bytes))


def test_a_new_backend_takes_what_the_full_one_cannot(launch: Launch) -> None:
    fleet = launch(backends=[BackendShape("first", 1, spec={"quota": {"bytes": "1Mi"}})])
    s3 = fleet.client()
    put(s3, "a", 700 * KIB)
    with refused("InsufficientStorage", 507) as refusal:
        put(impatient(fleet), "b", 700 * KIB)
    assert "quota" in refusal.message

    with fleet.next_generation():
        fleet.write_backend(BackendShape("second", 2))
    put(s3, "b", 700 * KIB)
    put(s3, "c", 100 * KIB)
    assert sorted(fleet.stored("first").values()) == [100 * KIB, 700 * KIB]
    assert list(fleet.stored("second").values()) == [700 * KIB]

    with fleet.next_generation():
        fleet.write_backend(BackendShape("first", 1, spec={"quota": {"bytes": "2Mi"}}))
    put(s3, "d", 700 * KIB)
    assert len(fleet.stored("first", "d")) == 1, "the larger quota has no effect"
    assert fleet.audit() == []


def test_a_cordoned_backend_is_read_and_not_written(launch: Launch) -> None:
    fleet = launch(backends=[BackendShape("first", 1), BackendShape("second", 2)])
    s3 = fleet.client()
    put(s3, "before", 1000)
    with fleet.next_generation():
        fleet.write_backend(BackendShape("first", 1, spec={"state": "Cordoned"}))
    put(s3, "after", 1000)
    assert len(fleet.stored("second", "after")) == 1
    assert s3.get_object(Bucket="photos", Key="before")["Body"].read() == random_bytes(1000)

    with fleet.next_generation():
        fleet.write_backend(BackendShape("second", 2, spec={"state": "Cordoned"}))
    with refused("InsufficientStorage", 507) as refusal:
        put(impatient(fleet), "nowhere")
    assert "cordoned" in refusal.message

    with fleet.next_generation():
        fleet.write_backend(BackendShape("first", 1))
    put(s3, "again", 1000)
    assert len(fleet.stored("first", "again")) == 1


def test_a_removed_backend_takes_no_more_writes_and_its_objects_wait_for_its_return(launch: Launch) -> None:
    first = BackendShape("first", 1)
    fleet = launch(backends=[first, BackendShape("second", 2)])
    s3 = fleet.client()
    put(s3, "left-behind", 1000)
    with fleet.next_generation():
        fleet.remove_backend("first")
    put(s3, "after", 1000)
    assert len(fleet.stored("second", "after")) == 1
    assert s3.head_object(Bucket="photos", Key="left-behind")["ContentLength"] == 1000
    with refused("ServiceUnavailable", 503):
        impatient(fleet).get_object(Bucket="photos", Key="left-behind")

    with fleet.next_generation():
        fleet.write_backend(first)
    assert s3.get_object(Bucket="photos", Key="left-behind")["Body"].read() == random_bytes(1000)


def test_what_lies_on_a_removed_backend_is_listed_and_may_be_replaced_and_deleted(launch: Launch) -> None:
    """So that Retain keeps what it says: only what nobody replaced or deleted meanwhile comes back."""
    first = BackendShape("first", 1)
    fleet = launch(backends=[first, BackendShape("second", 2)])
    s3 = fleet.client()
    for key in ("kept", "replaced", "deleted"):
        put(s3, key, 1000)
    with fleet.next_generation():
        fleet.remove_backend("first")
    put(s3, "replaced", 500)
    s3.delete_object(Bucket="photos", Key="deleted")
    assert [one["Key"] for one in s3.list_objects_v2(Bucket="photos")["Contents"]] == ["kept", "replaced"]
    assert len(fleet.stored("first")) == 3

    with fleet.next_generation():
        fleet.write_backend(first)
    assert [s3.get_object(Bucket="photos", Key=key)["ContentLength"] for key in ("kept", "replaced")] == [1000, 500]
    with refused("NoSuchKey", 404):
        s3.get_object(Bucket="photos", Key="deleted")
    assert fleet.audit() == []


def test_a_bucket_and_its_credential_come_and_go(launch: Launch) -> None:
    fleet = launch()
    keys = KeyPair()
    theirs = fleet.client(keys=keys)
    with refused("InvalidAccessKeyId", 403):
        theirs.put_object(Bucket="letters", Key="k", Body=b"1")

    with fleet.next_generation():
        fleet.write_bucket("letters", keys)
    theirs.put_object(Bucket="letters", Key="k", Body=b"1")
    with refused("AccessDenied", 403):
        theirs.get_object(Bucket="photos", Key="k")
    with refused("AccessDenied", 403):
        fleet.client().get_object(Bucket="letters", Key="k")

    with fleet.next_generation():
        fleet.remove_bucket("letters")
    with refused("InvalidAccessKeyId", 403):
        theirs.get_object(Bucket="letters", Key="k")

    with fleet.next_generation():
        fleet.write_bucket("letters", keys)
    assert theirs.get_object(Bucket="letters", Key="k")["Body"].read() == b"1", "the bucket came back without its objects"


def test_a_rotated_secret(launch: Launch) -> None:
    fleet = launch()
    old = fleet.client()
    put(old, "k")
    with fleet.next_generation():
        fleet.rotate_keys()
    with refused("InvalidAccessKeyId", 403):
        old.get_object(Bucket="photos", Key="k")
    assert fleet.client().get_object(Bucket="photos", Key="k")["ContentLength"] == 1


def test_a_backend_gets_new_keys(launch: Launch) -> None:
    fleet = launch(backends=[BackendShape("first", 1)])
    s3 = fleet.client()
    put(s3, "k")
    with fleet.next_generation():
        fleet.write_backend(BackendShape("first", 1), KeyPair())
    with refused("ServiceUnavailable", 503):
        impatient(fleet).get_object(Bucket="photos", Key="k")
    with fleet.next_generation():
        fleet.write_backend(BackendShape("first", 1))
    assert s3.get_object(Bucket="photos", Key="k")["ContentLength"] == 1


BROKEN = {
    "no YAML": "kind: [",
    "an unknown field": "{apiVersion: s3orchestrator.io/v1alpha1, kind: VirtualBucket, metadata: {name: bad}, spec: {colour: red}}",
    "a Secret that is not there": (
        "{apiVersion: s3orchestrator.io/v1alpha1, kind: VirtualBucket, metadata: {name: bad}, spec: {orchestratorRef: {name: main},"
        " credentials: [{name: a, secretRef: {name: nowhere}}]}}"
    ),
}


def test_an_invalid_change_is_refused_and_the_old_generation_keeps_serving(launch: Launch) -> None:
    fleet = launch()
    proxy, s3 = fleet.proxies[0], fleet.client()
    put(s3, "k")
    before = proxy.generation
    broken = fleet.config / "broken.yaml"
    for number, (what, text) in enumerate(BROKEN.items(), 1):
        write_whole(broken, text)
        wait_until(lambda: (proxy.metric("s3o_config_refusals_total") or 0) >= number, f"{what} was not refused")  # noqa: B023  not kept
        assert proxy.generation == before
        assert s3.get_object(Bucket="photos", Key="k")["ContentLength"] == 1
    log = proxy.log.read_text()
    assert log.count("broken.yaml") >= len(BROKEN), "the log does not name the file"
    assert "colour" in log
    assert "nowhere" in log

    with fleet.next_generation():
        broken.unlink()
        fleet.write_bucket("letters")
    fleet.client().put_object(Bucket="letters", Key="k", Body=b"1")


def test_a_change_that_needs_a_restart_is_refused_and_says_so(launch: Launch) -> None:
    fleet = launch()
    proxy = fleet.proxies[0]
    manifest = fleet.config / "orchestrator.yaml"
    write_whole(manifest, manifest.read_text().replace("s3o.db", "other.db"))
    wait_until(lambda: proxy.metric("s3o_config_refusals_total") == 1, "another database was not refused")
    assert "needs a restart" in proxy.log.read_text()
    put(fleet.client(), "k")


def test_server_settings_change_too(launch: Launch) -> None:
    fleet = launch()
    s3 = fleet.client()
    put(s3, "k", 2000)
    with fleet.next_generation():
        fleet.write_server(maxObjectSize=1000)
    with refused("EntityTooLarge", 400):
        put(s3, "k", 2000)
    put(s3, "k", 1000)


def test_a_request_keeps_the_configuration_that_it_began_with(launch: Launch) -> None:
    fleet = launch(backends=[BackendShape("first", 1), BackendShape("second", 2)])
    half, rest = threading.Event(), threading.Event()

    def body() -> Iterator[bytes]:
        yield b"a" * 1000
        half.set()
        assert rest.wait(_WAIT_S)
        yield b"b" * 1000

    status: list[int] = []
    url = fleet.presigned_url("put_object", "slow")
    length = {"Content-Length": "2000"}
    sender = threading.Thread(target=lambda: status.append(httpx.put(url, content=body(), headers=length).status_code))
    sender.start()
    assert half.wait(_WAIT_S)
    with fleet.next_generation():
        fleet.rotate_keys()
        fleet.remove_backend("first")
    rest.set()
    sender.join()
    assert status == [200]
    assert list(fleet.stored("first", "slow").values()) == [2000]


@pytest.mark.parametrize("number", [0, 1])
def test_every_proxy_follows_by_itself(two_proxies: Fleet, number: int) -> None:
    keys = KeyPair()
    with two_proxies.next_generation(number):
        two_proxies.write_bucket(f"bucket-{number}", keys)
    two_proxies.client(number, keys=keys).put_object(Bucket=f"bucket-{number}", Key="k", Body=b"1")


@pytest.fixture(scope="module")
def two_proxies(launch: Launch, postgres: PostgresServer) -> Fleet:
    return launch(proxies=2, database_uri=postgres.uri(postgres.create_database()))


def test_a_backend_keeps_its_bucket(launch: Launch) -> None:
    """In another one nothing would be found, and what is to be deleted would count as deleted. Who was restarted knows it, too.
    Once nothing is left of it, its name may be used anew."""
    fleet = launch(backends=[BackendShape("first", 1)])
    proxy, s3 = fleet.proxies[0], fleet.client()
    put(s3, "k")
    written = fleet.config / "backend-first.yaml"
    text = written.read_text()
    changed = re.sub(r"^(\s+bucket:) .*$", r"\1 elsewhere", text, flags=re.MULTILINE)
    assert changed != text
    write_whole(written, changed)
    wait_until(lambda: (proxy.metric("s3o_config_refusals_total") or 0) >= 1, "the other bucket was not refused")
    assert s3.get_object(Bucket="photos", Key="k")["ContentLength"] == 1
    fleet.stop()
    with pytest.raises(AssertionError, match="lie in the bucket"):
        proxy.start()
    write_whole(written, text)
    proxy.start()
    assert s3.get_object(Bucket="photos", Key="k")["ContentLength"] == 1
    fleet.client().delete_object(Bucket="photos", Key="k")
    wait_until(lambda: proxy.metric("s3o_cleanup_queue_depth") == 0 and fleet.stored("first") == {}, "the object was not cleaned up")
    with fleet.next_generation():
        write_whole(written, changed)
