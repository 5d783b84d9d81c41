"""The stories of what is known by name: leases, backends, buckets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from s3o_proxy.domain.errors import DomainError
from s3o_proxy.domain.frozen import frozen
from s3o_proxy.metadata.story import Book, Kind, Steps, ask, ask_each


@frozen
class AcquireLease:
    name: str
    owner: str
    now_ms: int
    ttl_ms: int


@frozen
class ReleaseLease:
    name: str
    owner: str


@frozen
class RegisterBackends:
    names: tuple[str, ...]


@frozen
class LocateBackends:
    """`buckets`: at the providers, by name of the backend. `owner`: who says so."""

    buckets: tuple[tuple[str, str], ...]
    owner: str


@frozen
class RememberBucket:
    bucket: str
    now_ms: int


def acquire_leases(members: Sequence[AcquireLease], _book: Book) -> Steps[list[bool | DomainError]]:
    held: list[bool | DomainError] = []
    for m in members:
        rows = yield from ask("acquire_lease", name=m.name, owner=m.owner, now_ms=m.now_ms, expires_ms=m.now_ms + m.ttl_ms)
        held.append(bool(rows))
    return held


def release_leases(members: Sequence[ReleaseLease], _book: Book) -> Steps[list[DomainError | None]]:
    for m in members:
        yield from ask("release_lease", name=m.name, owner=m.owner)
    return [None for _ in members]


def register_backends(members: Sequence[RegisterBackends], _book: Book) -> Steps[list[DomainError | None]]:
    names = sorted({name for m in members for name in m.names})
    yield from ask_each("register_backends", [{"name": name} for name in names])
    return [None for _ in members]


def locate_backends(members: Sequence[LocateBackends], _book: Book) -> Steps[list[Mapping[str, str] | DomainError]]:
    """The first bucket that a name was served with is the one, until the name is forgotten."""
    located: list[Mapping[str, str] | DomainError] = []
    for m in members:
        rows = yield from ask_each("locate_backends", [{"name": name, "bucket": bucket} for name, bucket in m.buckets], owner=m.owner)
        located.append({row["name"]: row["bucket"] for row in rows})
    return located


def database_time() -> Steps[int]:
    rows = yield from ask("database_time")
    return int(rows[0]["now_ms"])


def remember_buckets(members: Sequence[RememberBucket], _book: Book) -> Steps[list[int | DomainError]]:
    yield from ask_each("remember_buckets", [{"name": m.bucket, "created_ms": m.now_ms} for m in members])
    created: list[int | DomainError] = []
    for m in members:
        rows = yield from ask("bucket_created", name=m.bucket)
        created.append(int(rows[0]["created_ms"]))
    return created


def bucket_created_ms(bucket: str) -> Steps[int | None]:
    rows = yield from ask("bucket_created", name=bucket)
    return int(rows[0]["created_ms"]) if rows else None


ACQUIRE_LEASE = Kind("acquire_lease", acquire_leases, identity=lambda m: f"lease/{m.name}")
RELEASE_LEASE = Kind("release_lease", release_leases, identity=lambda m: f"lease/{m.name}")
REGISTER_BACKENDS = Kind("register_backends", register_backends, identity=lambda _: "register")
LOCATE_BACKENDS = Kind("locate_backends", locate_backends, identity=lambda _: "locate")
REMEMBER_BUCKET = Kind("remember_bucket", remember_buckets, identity=lambda m: f"bucket/{m.bucket}")
