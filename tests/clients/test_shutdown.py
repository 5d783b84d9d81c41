"""How a proxy ends: what it began is finished, and nothing new begins."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from tests.support.fleet import Fleet, Launch
from tests.support.proxy import wait_until
from tests.support.trees import random_bytes

MIB = 1024**2
_WAIT_S = 20.0


@pytest.fixture
def fleet(launch: Launch) -> Fleet:
    return launch()


@contextmanager
def open_request(url: str, method: str, length_bytes: int = 0) -> Iterator[http.client.HTTPConnection]:
    """A request whose head is sent; its body, if it has one, is up to the caller."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=_WAIT_S)
    connection.putrequest(method, f"{parts.path}?{parts.query}")
    if method == "PUT":
        connection.putheader("Content-Length", str(length_bytes))
    connection.endheaders()
    try:
        yield connection
    finally:
        connection.close()


def nobody_listens(fleet: Fleet) -> bool:
    try:
        socket.create_connection(("127.0.0.1", fleet.proxies[0].port)).close()
    except ConnectionRefusedError:
        return True
    return False


def test_requests_in_flight_finish_and_nothing_new_is_taken(fleet: Fleet) -> None:
    proxy, content, large = fleet.proxies[0], random_bytes(3 * MIB), random_bytes(32 * MIB)
    fleet.client().put_object(Bucket=fleet.bucket, Key="large", Body=large)

    with (
        open_request(fleet.presigned_url("put_object", "slow"), "PUT", len(content)) as upload,
        open_request(fleet.presigned_url("get_object", "large"), "GET") as download,
    ):
        upload.send(content[:MIB])
        with download.getresponse() as answer:
            got = answer.read(MIB)
            proxy.terminate()
            wait_until(lambda: nobody_listens(fleet), "new connections are still accepted")
            got += answer.read()
        upload.send(content[MIB:])
        with upload.getresponse() as answer:
            assert answer.status == 200
    assert got == large
    assert proxy.wait() == 0

    proxy.start()
    assert fleet.client().get_object(Bucket=fleet.bucket, Key="slow")["Body"].read() == content
    assert fleet.audit() == []


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_idle_connections_do_not_hold_it_up(launch: Launch, tls: bool) -> None:
    fleet = launch(tls=tls)
    s3 = fleet.client()
    s3.list_buckets()
    began = time.monotonic()
    # Who keeps an idle connection does not listen on it: over TLS it will not say goodbye.
    assert fleet.stop() == 0
    assert time.monotonic() - began < 20
    s3.close()


def test_readiness_says_no_before_the_listener_closes(launch: Launch) -> None:
    fleet = launch(server={"shutdownDelay": "5s"})
    proxy, s3 = fleet.proxies[0], fleet.client()
    proxy.terminate()
    wait_until(lambda: proxy.health() == 503, "readiness still says yes")
    # Load balancers need a moment to notice; who still comes is served.
    s3.put_object(Bucket=fleet.bucket, Key="late", Body=b"1")
    assert proxy.wait() == 0


def test_a_request_that_never_ends_is_given_up_after_the_grace(launch: Launch) -> None:
    fleet = launch(server={"shutdownGrace": "1s"})
    with open_request(fleet.presigned_url("put_object", "never"), "PUT", MIB) as upload:
        upload.send(b"only this")
        # The proxy has read this much: it answers a request that came later.
        fleet.client().list_buckets()
        assert fleet.stop() == 0

    fleet.restart()
    assert "Contents" not in fleet.client().list_objects_v2(Bucket=fleet.bucket)
    assert fleet.audit() == []


def test_a_second_signal_waits_for_nobody(fleet: Fleet) -> None:
    proxy = fleet.proxies[0]
    with open_request(fleet.presigned_url("put_object", "never"), "PUT", MIB) as upload:
        upload.send(b"only this")
        fleet.client().list_buckets()
        proxy.terminate()
        wait_until(lambda: nobody_listens(fleet), "new connections are still accepted")
        proxy.terminate()
        proxy.wait()
    fleet.restart()
    assert "Contents" not in fleet.client().list_objects_v2(Bucket=fleet.bucket)
