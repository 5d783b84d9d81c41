"""The backend of the benchmark: an S3 server in one process that does as little as an answer needs, so that the proxy is what is measured.

It keeps no bytes, only the size of each key; what it gives back are the benchmark's own bytes (payload.py), and a body that is none of them
is refused, so that a proxy which spoils a byte is found out. It checks no signature. Run: python -m hack.bench.stub PORT
"""

from __future__ import annotations

import asyncio
import functools
import re
import sys
from email.utils import formatdate
from typing import cast
from urllib.parse import parse_qs, unquote_to_bytes
from xml.sax.saxutils import escape

import httptools
import uvloop
from hack.bench.cases import LARGE_BYTES
from hack.bench.payload import payload

PAYLOAD = payload(LARGE_BYTES)
ETAG = '"9a0364b9e99bb480dd25e1f0284c8555"'

_COMMON = f"Date: {formatdate(usegmt=True)}\r\nServer: stub\r\nx-amz-request-id: 0123456789ABCDEF\r\n"
_RANGE = re.compile(rb"bytes=(\d+)-(\d*)$")
_KEY = re.compile(r"<Key>([^<]*)</Key>")

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_STORED = f"HTTP/1.1 200 OK\r\n{_COMMON}ETag: {ETAG}\r\nContent-Length: 0\r\n\r\n".encode()
_DELETED = f"HTTP/1.1 204 No Content\r\n{_COMMON}\r\n".encode()


@functools.lru_cache(maxsize=1024)
def _object_head(first: int, end: int, size_bytes: int) -> bytes:
    partial = end - first != size_bytes
    status = f"206 Partial Content\r\nContent-Range: bytes {first}-{end - 1}/{size_bytes}" if partial else "200 OK"
    return (
        f"HTTP/1.1 {status}\r\n{_COMMON}ETag: {ETAG}\r\nLast-Modified: {formatdate(usegmt=True)}\r\nAccept-Ranges: bytes\r\n"
        f"Content-Type: application/octet-stream\r\nContent-Length: {end - first}\r\n\r\n"
    ).encode()


def _xml(status: str, body: str) -> bytes:
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n{body}'.encode()
    return f"HTTP/1.1 {status}\r\n{_COMMON}Content-Type: application/xml\r\nContent-Length: {len(text)}\r\n\r\n".encode() + text


def _error(status: str, code: str) -> bytes:
    return _xml(status, f"<Error><Code>{code}</Code><Message>{code}</Message><RequestId>0123456789ABCDEF</RequestId></Error>")


class Store:
    """Sizes by path (`/bucket/key`), and the listing that they make."""

    def __init__(self) -> None:
        self.sizes: dict[bytes, int] = {}
        self._pages: dict[tuple[bytes, bytes], bytes] = {}

    def put(self, path: bytes, size_bytes: int) -> None:
        self.sizes[path] = size_bytes
        self._pages.clear()

    def delete(self, path: bytes) -> None:
        self.sizes.pop(path, None)
        self._pages.clear()

    def page(self, bucket: bytes, query: bytes) -> bytes:
        """The whole answer of ListObjectsV2, made once for as long as nothing changes.

        https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
        """
        if (bucket, query) not in self._pages:
            self._pages[bucket, query] = _xml("200 OK", self._page(bucket, parse_qs(query.decode())))
        return self._pages[bucket, query]

    def _page(self, bucket: bytes, query: dict[str, list[str]]) -> str:
        prefix = query.get("prefix", [""])[0].encode()
        after = (query.get("continuation-token") or query.get("start-after") or [""])[0].encode()
        limit = int(query.get("max-keys", ["1000"])[0])
        root = bucket + b"/"
        found = sorted(path[len(root) :] for path in self.sizes if path.startswith(root + prefix) and path > root + after)
        page = found[:limit]
        entries = "".join(
            f"<Contents><Key>{escape(key.decode())}</Key><LastModified>2026-03-20T10:15:30.000Z</LastModified><ETag>{ETAG}</ETag>"
            f"<Size>{self.sizes[root + key]}</Size><StorageClass>STANDARD</StorageClass></Contents>"
            for key in page
        )
        more = len(found) > len(page)
        token = f"<NextContinuationToken>{escape(page[-1].decode())}</NextContinuationToken>" if more and page else ""
        return (
            f'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>{bucket[1:].decode()}</Name><KeyCount>{len(page)}</KeyCount>'
            f"<MaxKeys>{limit}</MaxKeys><IsTruncated>{str(more).lower()}</IsTruncated>{token}{entries}</ListBucketResult>"
        )

    def delete_many(self, bucket: bytes, request: bytes) -> str:
        keys = _KEY.findall(request.decode())
        for key in keys:
            self.delete(bucket + b"/" + key.encode())
        deleted = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
        return f"<DeleteResult>{deleted}</DeleteResult>"


class Connection(asyncio.Protocol):
    """One keep-alive connection. Requests are answered when their body has ended."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.WriteTransport
        self.on_message_begin()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's transports are of no class of asyncio

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.write(_error("400 Bad Request", "InvalidRequest"))
            self._transport.close()

    def on_message_begin(self) -> None:
        self._url = b""
        self._range = b""
        self._size = 0
        self._intact = True
        self._kept: list[bytes] = []

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(name) == 5 and name.lower() == b"range":
            self._range = value
        elif len(name) == 6 and name.lower() == b"expect":
            self._transport.write(_CONTINUE)

    def on_body(self, chunk: bytes) -> None:
        if self._parser.get_method() == b"POST":
            self._kept.append(chunk)
        elif not PAYLOAD.startswith(chunk, self._size):
            self._intact = False
        self._size += len(chunk)

    def on_message_complete(self) -> None:
        path, _, query = self._url.partition(b"?")
        if b"%" in path:
            path = unquote_to_bytes(path)
        method = self._parser.get_method()
        bucket, _, key = path[1:].partition(b"/")
        if not key:
            self._transport.write(self._bucket(method, b"/" + bucket, query))
        elif method in (b"GET", b"HEAD"):
            self._read(method, path)
        elif method == b"PUT" and not query.startswith(b"partNumber"):
            self._transport.write(self._put(path))
        elif method == b"DELETE":
            self._store.delete(path)
            self._transport.write(_DELETED)
        else:
            self._transport.write(_error("501 Not Implemented", "NotImplemented"))

    def _bucket(self, method: bytes, bucket: bytes, query: bytes) -> bytes:
        asked = parse_qs(query.decode(), keep_blank_values=True)
        if method == b"POST" and "delete" in asked:
            return _xml("200 OK", self._store.delete_many(bucket, b"".join(self._kept)))
        if method == b"GET" and "uploads" in asked:
            return _xml("200 OK", "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>")
        if method == b"GET":
            return self._store.page(bucket, query)
        return f"HTTP/1.1 200 OK\r\n{_COMMON}Content-Length: 0\r\n\r\n".encode()

    def _read(self, method: bytes, path: bytes) -> None:
        size = self._store.sizes.get(path)
        if size is None:
            missing = _error("404 Not Found", "NoSuchKey")
            self._transport.write(missing if method == b"GET" else missing.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
            return
        first, end = 0, size
        if asked := _RANGE.match(self._range):
            first, end = int(asked[1]), min(size, int(asked[2]) + 1 if asked[2] else size)
        head = _object_head(first, end, size)
        if method == b"HEAD":
            self._transport.write(head)
        else:
            self._transport.writelines([head, memoryview(PAYLOAD)[first:end]])

    def _put(self, path: bytes) -> bytes:
        if not self._intact or self._size > len(PAYLOAD):
            return _error("400 Bad Request", "BadDigest")
        self._store.put(path, self._size)
        return _STORED


async def serve(port: int) -> None:
    store = Store()
    server = await asyncio.get_running_loop().create_server(lambda: Connection(store), "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
