"""What a proxy is given: one FleetConfig, compiled from custom resources. The proxy never sees a custom resource.

Secret values never stand here: a `SecretRef` names one (`namespace/name/key`), and the values travel beside the config in a map by that
name. So the config itself can be logged and diffed.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

SecretRef = str
"""`namespace/name/key` of a secret value."""


class Compiled(BaseModel):
    """Unknown fields of a newer compiler are ignored, so a fleet can be rolled in either direction."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)


class TLSConfig(Compiled):
    certificate: SecretRef
    private_key: SecretRef
    min_version: Literal["1.2", "1.3"] = "1.2"


class ServerConfig(Compiled):
    """How the endpoint behaves. Durations in milliseconds, sizes in bytes."""

    region: str = "us-east-1"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    max_object_size_bytes: int = 5 * 1024**4
    max_concurrent_requests: int = 1000
    header_timeout_ms: int = 10_000
    """From the first byte of a request's head to its last."""
    stall_timeout_ms: int = 30_000
    """A client that sends or takes nothing for this long, while it is its turn, is given up."""
    idle_timeout_ms: int = 120_000
    """Between two requests of a connection."""
    shutdown_delay_ms: int = 0
    """How long readiness says no before the listener closes."""
    shutdown_grace_ms: int = 300_000
    """How long requests in flight may take to finish after that."""
    location_max_age_ms: int = 0
    """What a process found of an object it answers from for so long, without asking the database; 0: never."""
    max_locations: int = 0
    """Objects that a process remembers so."""
    allow_presigned_sig_v2: bool = False
    virtual_host_domain: str = ""
    """With `s3.example.com`, `bucket.s3.example.com` addresses a bucket too."""
    tls: TLSConfig | None = None


class DatabaseConfig(Compiled):
    """`uri` (a secret, it may hold a password) or the single fields; for SQLite only `path`."""

    driver: Literal["SQLite", "Postgres"] = "SQLite"
    path: str = "s3o.db"
    uri: SecretRef = ""
    host: str = ""
    port: int = 5432
    database: str = ""
    user: str = ""
    password: SecretRef = ""
    ssl_mode: Literal["disable", "prefer", "require", "verify-full"] = "prefer"
    ca: SecretRef = ""


class CleanupConfig(Compiled):
    concurrency: int = 10
    multipart_stale_timeout_ms: int = 24 * 3600 * 1000


class BackendConfig(Compiled):
    """One backend, every provider flag resolved."""

    name: str
    order: int = 100
    accepts_writes: bool = True
    provider: str = "Generic"
    endpoint: str
    region: str
    bucket: str
    access_key_id: SecretRef
    secret_access_key: SecretRef
    ca: SecretRef = ""
    force_path_style: bool = True
    unsigned_payload: bool = True
    etag_is_md5: bool = False
    verifies_content_md5: bool = False
    quota_bytes: int | None = None
    max_object_size_bytes: int | None = None
    request_timeout_ms: int = 30_000
    """To connect, and from the end of a request to the first byte of its answer."""
    stall_timeout_ms: int = 30_000
    """Between two pieces of a body, in either direction."""


class CredentialConfig(Compiled):
    """`SigV4`: both halves are secrets; `Token`: `token` is what X-Proxy-Token must hold."""

    name: str
    type: Literal["SigV4", "Token"] = "SigV4"
    access_key_id: SecretRef = ""
    secret_access_key: SecretRef = ""
    token: SecretRef = ""


class BucketConfig(Compiled):
    name: str
    max_multipart_uploads: int | None = None
    credentials: tuple[CredentialConfig, ...] = ()


class FleetConfig(Compiled):
    """Everything a fleet of proxies needs to serve, and nothing else.

    `generation` only grows; a proxy refuses an older one. `digest` is the sha256 of the canonical JSON of all other fields but `database`,
    and of the digests of the secret values (so that a rotated Secret is a new config).
    """

    name: str
    generation: int = 1
    digest: str = ""
    server: ServerConfig = ServerConfig()
    database: DatabaseConfig = DatabaseConfig()
    """Static: a process keeps it for its whole life, and so it does not belong to the digest."""
    database_id: str = ""
    """The id that the metadata database must have; with any other one nothing is served. Empty: whichever is there."""
    routing_strategy: Literal["Pack", "Spread"] = "Pack"
    cleanup: CleanupConfig = CleanupConfig()
    backends: tuple[BackendConfig, ...] = ()
    """In the order Pack fills them: by `order`, then by name."""
    buckets: tuple[BucketConfig, ...] = ()
