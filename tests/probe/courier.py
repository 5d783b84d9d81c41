"""Moves noise by presigned URLs over plain connections, and holds none of it: the cheapest client there is."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from botocore.config import Config
from tests.support.noise import Noise

if TYPE_CHECKING:
    from tests.support.fleet import Fleet

_TIMEOUT_S = 60


class Courier:
    """Any number of threads may use it. Every call has a connection of its own, and raises AssertionError for any answer but a good one."""

    def __init__(self, fleet: Fleet) -> None:
        self._bucket = fleet.bucket
        self._signer = fleet.client(config=Config(signature_version="s3v4"))
        self._context = ssl.create_default_context(cafile=str(fleet.certificate)) if fleet.certificate else None

    def put(self, noise: Noise, key: str) -> str:
        """Returns the ETag."""
        return self._put(noise, 0, noise.size_bytes, "put_object", Key=key)

    def put_part(self, noise: Noise, first: int, end: int, key: str, upload_id: str, number: int) -> str:
        """The bytes from `first` to before `end` as part `number`. Returns the ETag."""
        return self._put(noise, first, end, "upload_part", Key=key, UploadId=upload_id, PartNumber=number)

    def get(self, noise: Noise, key: str) -> None:
        """Read the object to its end; it must be `noise`."""
        with self.opened(key) as answer:
            noise.assert_is(answer)

    @contextmanager
    def opened(self, key: str, *, receive_buffer_bytes: int | None = None) -> Iterator[http.client.HTTPResponse]:
        """The answer to a GET, to be read as far as one likes."""
        url = urlsplit(self._url("get_object", Key=key))
        with self._connected(url.netloc, receive_buffer_bytes) as connection:
            connection.sendall(f"GET {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\n\r\n".encode())
            yield _answer(connection, "GET")

    def _put(self, noise: Noise, first: int, end: int, method: str, **named: object) -> str:
        url = urlsplit(self._url(method, **named))
        with self._connected(url.netloc) as connection:
            connection.sendall(
                f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Length: {end - first}\r\n\r\n".encode()
            )
            for block in noise.blocks(first, end):
                connection.sendall(block)
            return str(_answer(connection, "PUT").headers["etag"])

    @contextmanager
    def _connected(self, address: str, receive_buffer_bytes: int | None = None) -> Iterator[socket.socket]:
        host, _, port = address.rpartition(":")
        connection = socket.socket()
        connection.settimeout(_TIMEOUT_S)
        if receive_buffer_bytes is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        with connection:
            connection.connect((host, int(port)))
            if self._context is None:
                yield connection
                return
            with self._context.wrap_socket(connection, server_hostname=host) as secured:
                yield secured

    def _url(self, method: str, **named: object) -> str:
        return self._signer.generate_presigned_url(method, Params={"Bucket": self._bucket, **named}, ExpiresIn=3600)


def _answer(connection: socket.socket, method: str) -> http.client.HTTPResponse:
    answer = http.client.HTTPResponse(connection, method=method)
    answer.begin()
    assert answer.status == 200, f"{answer.status}: {answer.read(1000)!r}"
    return answer
