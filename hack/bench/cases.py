"""What is measured: seven operations, each as the requests that play it and the answer that it must get."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from hack.bench.signing import EMPTY, UNSIGNED, Signer, canonical_query

KIB, MIB, GIB = 1024, 1024**2, 1024**3

SMALL_BYTES, LARGE_BYTES = 4 * KIB, 64 * MIB
SMALL_KEYS, LARGE_KEYS = 1000, 4
"""Objects stored before the first window: those that GET and HEAD read, and (the small ones) what LIST lists."""

# A body up to here is hashed by its client, as SDKs do over plain http; a larger one goes unsigned, as rclone and many others send it.
_SIGNED_BODY_BYTES = MIB


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    name: str
    title: str
    method: Literal["GET", "HEAD", "PUT", "DELETE", "LIST"]
    size_bytes: int
    connections: int
    """How many requests are in flight; 0 takes what the command line says."""

    @property
    def large(self) -> bool:
        return self.size_bytes >= MIB

    @property
    def status(self) -> int:
        """Of the right answer."""
        return 204 if self.method == "DELETE" else 200


CASES = (
    Case("get4k", "GET 4 KiB", "GET", SMALL_BYTES, 0),
    Case("put4k", "PUT 4 KiB", "PUT", SMALL_BYTES, 0),
    Case("delete", "DELETE", "DELETE", SMALL_BYTES, 0),
    Case("head", "HEAD", "HEAD", SMALL_BYTES, 0),
    Case("list1000", "LIST 1000", "LIST", 0, 0),
    Case("get64m", "GET 64 MiB", "GET", LARGE_BYTES, 4),
    Case("put64m", "PUT 64 MiB", "PUT", LARGE_BYTES, 4),
)


def case_named(name: str) -> Case:
    return next(case for case in CASES if case.name == name)


# What an SDK sends besides the signature: a proxy has to read it, too.
_SDK_HEADERS = (
    "User-Agent: Boto3/1.42.0 md/Botocore#1.42.0 ua/2.1 os/linux#6.1 md/arch#x86_64 lang/python#3.11.7 cfg/retry-mode#standard\r\n"
    "amz-sdk-invocation-id: 8d3c5ac0-8f4a-4f3b-9d3c-1c1c1f0b8a52\r\n"
    "amz-sdk-request: attempt=1\r\n"
    "Accept-Encoding: identity\r\n"
)


@dataclass(frozen=True)
class Requests:
    """Prepares the heads of requests to one bucket, signed with one date."""

    signer: Signer
    bucket: str

    def reads(self, method: Literal["GET", "HEAD"], size_bytes: int) -> Iterator[bytes]:
        """Round and round over the objects of that size, for ever."""
        keys = seeded_keys(size_bytes)
        return itertools.cycle([self._head(method, key, {}, EMPTY) for key in keys])

    def puts(self, keys: list[str], body: bytes) -> Iterator[bytes]:
        """One for each key. The body is sent behind the head."""
        digest = hashlib.sha256(body).hexdigest() if len(body) <= _SIGNED_BODY_BYTES else UNSIGNED
        extra = f"Content-Type: application/octet-stream\r\nContent-Length: {len(body)}\r\n"
        return iter([self._head("PUT", key, {}, digest, extra) for key in keys])

    def deletes(self, keys: list[str]) -> Iterator[bytes]:
        """One for each key."""
        return iter([self._head("DELETE", key, {}, EMPTY) for key in keys])

    def lists(self) -> Iterator[bytes]:
        query = {"encoding-type": "url", "list-type": "2", "max-keys": str(SMALL_KEYS), "prefix": seed_prefix(SMALL_BYTES)}
        return itertools.cycle([self._head("GET", "", query, EMPTY)])

    def _head(self, method: str, key: str, query: dict[str, str], digest: str, extra: str = "") -> bytes:
        path = f"/{self.bucket}/{key}" if key else f"/{self.bucket}"
        target = f"{path}?{canonical_query(query)}" if query else path
        signed = "".join(f"{name}: {value}\r\n" for name, value in self.signer.headers(method, path, query, digest).items())
        return f"{method} {target} HTTP/1.1\r\n{signed}{_SDK_HEADERS}{extra}\r\n".encode()


def seed_prefix(size_bytes: int) -> str:
    return f"seed/{size_bytes}/"


def seeded_keys(size_bytes: int) -> list[str]:
    """The keys that are stored before anything is measured; plain ASCII, so they need no encoding."""
    count = {SMALL_BYTES: SMALL_KEYS, LARGE_BYTES: LARGE_KEYS}.get(size_bytes, 1)
    return [f"{seed_prefix(size_bytes)}{number:04d}" for number in range(count)]
