"""How a proxy ends: what it began is finished, and nothing new begins."""

from __future__ import annotations

import http.client
import socket
import time
from urllib.parse import urlsplit

import httpx
import pytest
from tests.support.fleet import Fleet, Launch
from tests.support.trees import random_bytes

MIB = 1024**2
_WAIT_S = 20.0


@pytest.fixture
def fleet(launch: Launch) -> Fleet:
    return launch()


def open_request(url: str, method: str, length_bytes: int = 0) -> http.client.HTTPConnection:
    """A request whose head is sent; its body, if it has one, is up to the caller."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=_WAIT_S)
    connection.putrequest(method, f"{parts.path}?{parts.query}")
    if method == "PUT":
        connection.putheader("Content-Length", str(length_bytes))
    connection.endheaders()
    return connection


def wait_until_nobody_listens(fleet: Fleet) -> None:
    deadline = time.monotonic() + _WAIT_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", fleet.proxies[0].port)).close()
        except ConnectionRefusedError:
            return
        assert time.monotonic() < deadline, "new connections are still accepted"
        time.sleep(0.02)


def test_requests_in_flight_finish_and_nothing_new_is_taken(fleet: Fleet) -> None:
    proxy, content, large = fleet.proxies[0], random_bytes(3 * MIB), random_bytes(32 * MIB)
    fleet.client().put_object(Bucket=fleet.bucket, Key="large", Body=large)

    upload = open_request(fleet.presigned_url("put_object", "slow"), "PUT", len(content))
    upload.send(content[:MIB])
    download = open_request(fleet.presigned_url("get_object", "large"), "GET")
    answer = download.getresponse()
    got = answer.read(MIB)

    proxy.terminate()
    wait_until_nobody_listens(fleet)
    upload.send(content[MIB:])
    assert upload.getresponse().status == 200
    assert got + answer.read() == large
    assert proxy.wait() == 0

    proxy.start()
    assert fleet.client().get_object(Bucket=fleet.bucket, Key="slow")["Body"].read() == content
    assert fleet.audit() == []


def test_idle_connections_do_not_hold_it_up(fleet: Fleet) -> None:
    proxy = fleet.proxies[0]
    with httpx.Client(base_url=proxy.endpoint) as idle:
        assert idle.get("/health").status_code == 200
        began = time.monotonic()
        assert fleet.stop() == 0
        assert time.monotonic() - began < 5


def test_readiness_says_no_before_the_listener_closes(launch: Launch) -> None:
    fleet = launch(server={"shutdownDelay": "2s"})
    proxy, s3 = fleet.proxies[0], fleet.client()
    proxy.terminate()
    deadline = time.monotonic() + _WAIT_S
    while proxy.health() == 200:
        assert time.monotonic() < deadline, "readiness still says yes"
    assert proxy.health() == 503
    # Load balancers need a moment to notice; who still comes is served.
    s3.put_object(Bucket=fleet.bucket, Key="late", Body=b"1")
    assert proxy.wait() == 0


def test_a_request_that_never_ends_is_given_up_after_the_grace(launch: Launch) -> None:
    fleet = launch(server={"shutdownGrace": "1s"})
    upload = open_request(fleet.presigned_url("put_object", "never"), "PUT", MIB)
    upload.send(b"only this")
    # The proxy has read this much: it answers a second request, which came later.
    fleet.client().list_buckets()
    assert fleet.stop() == 0
    upload.close()

    fleet.restart()
    assert "Contents" not in fleet.client().list_objects_v2(Bucket=fleet.bucket)
    assert fleet.audit() == []


def test_a_second_signal_waits_for_nobody(fleet: Fleet) -> None:
    proxy = fleet.proxies[0]
    upload = open_request(fleet.presigned_url("put_object", "never"), "PUT", MIB)
    upload.send(b"only this")
    fleet.client().list_buckets()
    proxy.terminate()
    wait_until_nobody_listens(fleet)
    proxy.terminate()
    proxy.wait()
    upload.close()
    fleet.restart()
    assert "Contents" not in fleet.client().list_objects_v2(Bucket=fleet.bucket)
