"""A malformed request, and the answer it must get."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from tests.probe.malformed.scene import Scene, sha256, sign
from tests.support.fleet import REGION, KeyPair

NEW = "/{bucket}/new"
KEPT = "/{bucket}/{key}"
"""Where nothing is yet, and where an object is that must stay as it is."""

Build = Callable[[Scene], bytes]


@dataclass(frozen=True)
class Ask:
    """A request by its parts; whatever is not said is right. `{names}` of the scene are filled in.

    `headers` are signed, `behind` are added after signing. `payload`: x-amz-content-sha256; None is the hash of the body. `length`:
    Content-Length; None is the body's, "" sends none. `path`: what stands on the wire instead of the target that was signed.
    """

    method: str = "PUT"
    target: str = NEW
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | bytes = b""
    payload: str | None = None
    length: str | None = None
    behind: Mapping[str, str] = field(default_factory=dict)
    path: bytes | None = None
    keys: KeyPair | None = None
    region: str = REGION
    later: timedelta = timedelta(0)
    tamper: Callable[[dict[str, str]], None] = lambda headers: None
    """Changes the signed headers before they are sent."""

    def __call__(self, scene: Scene) -> bytes:
        target = scene.fill(self.target)
        body = scene.fill(self.body).encode() if isinstance(self.body, str) else self.body
        length = str(len(body)) if self.length is None else self.length
        headers = {name: scene.fill(value) for name, value in self.headers.items()}
        if length and (self.method in {"PUT", "POST"} or body):
            headers["Content-Length"] = length
        payload = sha256(body) if self.payload is None else self.payload
        signed = sign(scene, self.method, target, headers, payload, keys=self.keys, region=self.region, later=self.later)
        self.tamper(signed)
        return head(self.method, self.path or target, signed | {name: scene.fill(value) for name, value in self.behind.items()}) + body


@dataclass(frozen=True)
class Case:
    """`code` is "" where no document comes (HEAD). `status` 0: the client goes away after its last byte and hears nothing."""

    name: str
    build: Build
    status: int
    code: str = ""
    words: str = ""
    """What the message must say, where the code alone does not tell one fault from another."""
    leaves_bytes: bool = False
    """It sends more than its length says: the rest is the beginning of a request that never ends."""


def head(method: str, target: str | bytes, headers: Mapping[str, str], version: str = "1.1") -> bytes:
    target = target.encode() if isinstance(target, str) else target
    lines = [b"%b %b HTTP/%b" % (method.encode(), target, version.encode())]
    return b"\r\n".join([*lines, *[f"{name}: {value}".encode() for name, value in headers.items()], b"", b""])


def raw(text: str, body: bytes = b"") -> Build:
    """A head as it stands: each line of `text` ends in CRLF, and an empty one ends it."""
    return lambda scene: scene.fill(text).replace("\n", "\r\n").encode("latin-1") + b"\r\n\r\n" + body


def named(family: str, cases: list[Case]) -> list[Case]:
    return [replace(case, name=f"{family}: {case.name}") for case in cases]
