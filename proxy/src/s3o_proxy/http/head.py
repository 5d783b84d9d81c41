"""The head of a request as it stood on the wire, and what is refused before anybody looks at what it asks for."""

from __future__ import annotations

from dataclasses import dataclass

from s3o_proxy.s3.errors import S3Error

URL_LIMIT_BYTES = 16 * 1024
"""A key of 1,024 bytes, every one percent-encoded, and a presigned query with a session token fit several times."""

HEAD_LIMIT_BYTES = 64 * 1024


@dataclass(slots=True)
class Head:
    """`target` is the wire form, `headers` are in the order sent with lower-case names. `peer`: the client's address.

    `content_length`: None where the header is absent; the body of such a request is chunked, or there is none.
    """

    method: str
    target: bytes
    headers: list[tuple[bytes, bytes]]
    content_length: int | None = None
    chunked: bool = False
    keep_alive: bool = False
    expects_continue: bool = False
    peer: str = ""
    secure: bool = False

    @property
    def host(self) -> str:
        return next((value.decode("latin-1") for name, value in self.headers if name == b"host"), "")

    @property
    def path(self) -> str:
        """As it was sent."""
        return self.target.partition(b"?")[0].decode("latin-1")

    @property
    def size_bytes(self) -> int:
        """Of the target and the headers, each with its colon, space and line end."""
        return len(self.target) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    @property
    def has_body(self) -> bool:
        return self.chunked or bool(self.content_length)


def read_head(
    method: str, target: bytes, headers: list[tuple[bytes, bytes]], http_version: str, *, keep_alive: bool, upgrade: bool
) -> tuple[Head, S3Error | None]:
    """The head, and why it is refused. The parser has already refused what llhttp's strict mode does: two lengths, a length beside
    a transfer coding, bare line feeds, folded headers, control characters (RFC 9112 §2.2, §5.2, §6.3)."""
    modern = http_version == "1.1"
    head = Head(method, target, headers, keep_alive=keep_alive and modern)
    hosts = 0
    refusal = None if http_version in {"1.0", "1.1"} else _bad_request(f"HTTP/{http_version} is not spoken here.")
    for name, value in headers:
        if name == b"host":
            hosts += 1
        elif name == b"content-length":
            head.content_length = int(value)
        elif name == b"transfer-encoding":
            head.chunked = True
            refusal = refusal or _transfer_coding(value, modern=modern)
        elif name == b"expect" and modern:
            head.expects_continue = value.lower() == b"100-continue"
    if hosts != 1 and (modern or hosts > 1):
        refusal = refusal or _bad_request("The Host header is missing, or comes twice.")  # RFC 9112 §3.2
    if method == "CONNECT" or not target.startswith(b"/"):
        head, refusal = _other_target(head, refusal)
    if upgrade and head.has_body:
        # The parser passes over the body of an upgrade, which we would have answered as if it were none.
        refusal = refusal or _bad_request("A request with a body cannot ask for an upgrade.")
    return head, refusal


def _transfer_coding(value: bytes, *, modern: bool) -> S3Error | None:
    if not modern:
        return _bad_request("HTTP/1.0 has no Transfer-Encoding.")  # RFC 9112 §6.1: a way to smuggle
    if value.strip().lower() != b"chunked":
        return S3Error("NotImplemented", "The only transfer coding understood is chunked.")
    return None


def _other_target(head: Head, refusal: S3Error | None) -> tuple[Head, S3Error | None]:
    """RFC 9112 §3.2: the absolute form must be taken, and its host counts; the others name nothing that S3 has."""
    scheme, separator, rest = head.target.partition(b"://")
    if head.method == "CONNECT" or not separator or scheme.lower() not in {b"http", b"https"}:
        return head, refusal or S3Error("MethodNotAllowed", "The specified method is not allowed against this resource.")
    authority, slash, path = rest.partition(b"/")
    head.target = slash + path or b"/"
    head.headers = [(name, authority if name == b"host" else value) for name, value in head.headers]
    return head, refusal


def _bad_request(message: str) -> S3Error:
    return S3Error("BadRequest", message)
