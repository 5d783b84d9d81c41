"""One request on a connection of its own, byte for byte as it was made; what came back, and whether the connection is still in order."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from xml.etree import ElementTree

from tests.probe.malformed.case import Ask, Case
from tests.probe.malformed.scene import CONTENT, Scene

_TIMEOUT_S = 20


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes


def trouble(scene: Scene, case: Case) -> list[str]:
    """Send the request of `case`; what is wrong with its answer and with the connection afterwards, or nothing."""
    request = case.build(scene)
    with _connected(scene) as connection:
        connection.sendall(request)
        if not case.status:
            return []
        answer = _answer(connection, request)
        found = [*_wrong_with(case, answer), *([] if case.leaves_bytes else _wrong_with_connection(scene, connection, answer))]
    return [f"{case.name}: {wrong}" for wrong in found]


def ask(scene: Scene, request: bytes) -> Answer:
    with _connected(scene) as connection:
        connection.sendall(request)
        return _answer(connection, request)


@contextmanager
def _connected(scene: Scene) -> Iterator[socket.socket]:
    host, _, port = scene.host.rpartition(":")
    with socket.create_connection((host, int(port)), _TIMEOUT_S) as connection:
        yield connection


def _answer(connection: socket.socket, request: bytes) -> Answer:
    response = http.client.HTTPResponse(connection, method=request.partition(b" ")[0].decode("latin-1"))
    response.begin()
    return Answer(response.status, response.headers, response.read())


def _wrong_with(case: Case, answer: Answer) -> list[str]:
    if answer.status != case.status:
        return [f"{answer.status} instead of {case.status} {case.code}: {answer.body[:300]!r}"]
    if not case.code:
        return [f"a document where none is due: {answer.body[:300]!r}"] if case.status >= 400 and answer.body else []
    try:
        document = ElementTree.fromstring(answer.body)
    except ElementTree.ParseError as error:
        return [f"no XML ({error}): {answer.body[:600]!r}"]
    texts = {child.tag: child.text or "" for child in document}
    expectations = {
        "root and type": (document.tag, answer.headers["content-type"]) == ("Error", "application/xml"),
        "Code": texts.get("Code") == case.code,
        "Message": bool(texts.get("Message")) and case.words in texts["Message"],
        "Resource": bool(texts.get("Resource")),
        "RequestId": bool(texts.get("RequestId")) and texts["RequestId"] == answer.headers["x-amz-request-id"],
    }
    if case.code == "InvalidRange":
        size = str(len(CONTENT))
        expectations["size"] = (texts.get("ActualObjectSize"), answer.headers["content-range"]) == (size, f"bytes */{size}")
    return [f"{name} instead of {case.code} {case.words!r}: {answer.body!r}" for name, holds in expectations.items() if not holds]


def _wrong_with_connection(scene: Scene, connection: socket.socket, answer: Answer) -> list[str]:
    """A kept one serves a good request with that one's answer; a closed one sends no byte more."""
    if answer.headers["connection"] == "close":
        connection.shutdown(socket.SHUT_WR)
        rest = connection.recv(1000)
        return [f"bytes behind the last answer: {rest!r}"] if rest else []
    good = _good_request(scene)
    connection.sendall(good)
    again = _answer(connection, good)
    served = again.status == 200 and b"LocationConstraint" in again.body
    return [] if served else [f"the next request on the connection got {again.status} {again.body[:300]!r}"]


@cache
def _good_request(scene: Scene) -> bytes:
    """Signed once for all: a signature is good for a quarter of an hour."""
    return Ask("GET", "/{bucket}?location")(scene)
