"""S3Orchestrator: one endpoint, its metadata, and how it chooses among its backends."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.alias_generators import to_camel

from s3o_crds.meta import CASecretRef, ConfigStatus, Observation, Resource, Rule, SecretKeyRef, Section, Status, Usage
from s3o_crds.v1alpha1.access import Access
from s3o_crds.v1alpha1.exposure import CertManager, Gateway, Ingress, Monitoring, NetworkPolicy, Service
from s3o_crds.v1alpha1.operations import OperationPlan, Operations, Progress, Token
from s3o_crds.v1alpha1.pods import ExtraEnv, Image, Proxy, Worker
from s3o_crds.values import DomainName, Duration, ObjectName, PositiveByteSize, PositiveDuration, Region


class TLS(Section):
    rules = (
        Rule(
            "has(self.secretName) != has(self.certManager)",
            "needs secretName or certManager, and not both",
            holds=lambda tls: (tls.secret_name is None) != (tls.cert_manager is None),
        ),
    )

    secret_name: ObjectName | None = None
    """Secret of type kubernetes.io/tls, in the namespace of this object: tls.crt and tls.key."""
    cert_manager: CertManager | None = None
    """Have cert-manager issue the certificate, and renew it."""
    min_version: Literal["1.2", "1.3"] = "1.2"
    """Oldest version of TLS that is spoken."""


class LocationCache(Section):
    max_age: PositiveDuration
    """For how long a proxy answers from what it found. What it changes itself it knows at once; what another one changes, readers may see
    that much later."""
    max_entries: Annotated[int, Field(ge=1, le=10_000_000)] = 100_000
    """Objects that one proxy remembers, at one to two KiB of memory each."""


class Server(Section):
    region: Region = "us-east-1"
    """Region that clients sign for, and that GetBucketLocation answers."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severity that is logged."""
    max_object_size: PositiveByteSize = PositiveByteSize("5Ti")
    """Largest object that a client may store, as a quantity."""
    max_concurrent_requests: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Requests that one proxy works on at once; more are answered SlowDown."""
    read_header_timeout: PositiveDuration = PositiveDuration("10s")
    """From the first byte of a request's head to its last."""
    stall_timeout: PositiveDuration = PositiveDuration("30s")
    """A client that sends or takes nothing for this long, while it is its turn, is given up."""
    idle_timeout: PositiveDuration = PositiveDuration("120s")
    """How long a connection is kept between two requests."""
    shutdown_delay: Duration | None = None
    """How long readiness says no before the listener closes; by default 10s over Postgres on a cluster, else 0s."""
    shutdown_grace: Duration = Duration("5m")
    """How long requests in flight may take to finish after that."""
    location_cache: LocationCache | None = None
    """Have proxies remember the places of objects that were read: GET and HEAD of them then ask no database. Absent, it is always asked."""
    presigned_sig_v2: bool = False
    """Whether URLs presigned by signature version 2 are accepted, which old clients make for us-east-1."""
    virtual_host_domain: DomainName | None = None
    """With s3.example.com, a request to photos.s3.example.com addresses the bucket photos, too."""
    tls: TLS | None = None
    """Serve https; absent means http."""


_URI_EXCLUDES = ("host", "port", "database", "user", "password_secret_ref", "ssl_mode")
_POSTGRES_ONLY = (*_URI_EXCLUDES, "uri_secret_ref", "ca_secret_ref")


def _any_set(database: Any, fields: tuple[str, ...]) -> bool:
    return any(getattr(database, field) is not None for field in fields)


def _any_set_cel(fields: tuple[str, ...]) -> str:
    return "(" + " || ".join(f"has(self.{to_camel(field)})" for field in fields) + ")"


class Volume(Section):
    size: PositiveByteSize = PositiveByteSize("8Gi")
    """Size of the claim, as a quantity."""
    storage_class_name: ObjectName | None = None
    """Its storage class; by default the cluster's default."""


class Database(Section):
    rules = (
        Rule(
            f"self.driver != 'SQLite' || !{_any_set_cel(_POSTGRES_ONLY)}",
            "driver SQLite takes only path",
            holds=lambda database: database.driver != "SQLite" or not _any_set(database, _POSTGRES_ONLY),
        ),
        Rule(
            "self.driver != 'Postgres' || !has(self.path)",
            "path goes with driver SQLite only",
            "path",
            holds=lambda database: database.driver != "Postgres" or database.path is None,
        ),
        Rule(
            "self.driver != 'Postgres' || !has(self.volume)",
            "volume goes with driver SQLite only",
            "volume",
            holds=lambda database: database.driver != "Postgres" or database.volume is None,
        ),
        Rule(
            f"!has(self.uriSecretRef) || !{_any_set_cel(_URI_EXCLUDES)}",
            "uriSecretRef excludes host, port, database, user, passwordSecretRef and sslMode, which stand in the URI",
            holds=lambda database: database.uri_secret_ref is None or not _any_set(database, _URI_EXCLUDES),
        ),
        Rule(
            "self.driver != 'Postgres' || has(self.uriSecretRef) || (has(self.host) && has(self.database) && has(self.user))",
            "driver Postgres needs uriSecretRef, or host, database and user",
            holds=lambda database: (
                database.driver != "Postgres"
                or database.uri_secret_ref is not None
                or None not in (database.host, database.database, database.user)
            ),
        ),
    )

    driver: Literal["SQLite", "Postgres"] = "SQLite"
    """SQLite is embedded, for one proxy with a disk of its own. Postgres is for any number of proxies."""
    volume: Volume | None = None
    """The volume of the SQLite database, on a cluster; by default 8Gi of the default storage class. It outlives this object."""
    path: Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[^\x00]+$")] | None = None
    """File of the SQLite database, relative to the working directory of the proxy; by default s3o.db."""
    host: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9/:][A-Za-z0-9/:._-]*$")] | None = None
    """Host of PostgreSQL, or the directory of its socket."""
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """Port of PostgreSQL; by default 5432."""
    database: Annotated[str, Field(min_length=1, max_length=63)] | None = None
    """Name of the database."""
    user: Annotated[str, Field(min_length=1, max_length=63)] | None = None
    """User of the database."""
    password_secret_ref: SecretKeyRef | None = None
    """Secret with the user's password."""
    uri_secret_ref: SecretKeyRef | None = None
    """Secret with a URI such as postgresql://user:password@host:5432/database; instead of the fields above."""
    ssl_mode: Literal["disable", "prefer", "require", "verify-full"] | None = None
    """How the connection is encrypted, in the words of libpq; by default prefer."""
    ca_secret_ref: CASecretRef | None = None
    """Secret with the certificates to trust; by default those of the system."""


class Routing(Section):
    strategy: Literal["Pack", "Spread"] = "Pack"
    """Pack fills backends in their order. Spread writes to the one that is least full."""


class Cleanup(Section):
    concurrency: Annotated[int, Field(ge=1, le=1000)] = 10
    """Deletions on backends at once."""
    multipart_stale_timeout: PositiveDuration = PositiveDuration("24h")
    """A multipart upload that was not touched for this long is aborted."""


def _sqlite_has_one_proxy(spec: S3OrchestratorSpec) -> bool:
    return _is_postgres(spec) or (spec.proxy.replicas <= 1 and not spec.proxy.autoscaling.enabled)


def _is_postgres(spec: S3OrchestratorSpec) -> bool:
    return spec.database is not None and spec.database.driver == "Postgres"


_IS_POSTGRES = "(has(self.database) && self.database.driver == 'Postgres')"


class S3OrchestratorSpec(Section):
    rules = (
        Rule(
            f"{_IS_POSTGRES} || (self.proxy.replicas <= 1 && !(has(self.proxy.autoscaling) && self.proxy.autoscaling.enabled))",
            "driver SQLite allows one proxy: set proxy.replicas to 1 and leave autoscaling off, or database.driver to Postgres",
            "proxy",
            holds=_sqlite_has_one_proxy,
        ),
        Rule(
            f"{_IS_POSTGRES} || self.topology == 'Combined'",
            "topology Split needs database.driver Postgres: SQLite is for one process",
            "topology",
            holds=lambda spec: _is_postgres(spec) or spec.topology == "Combined",
        ),
        Rule(
            "!has(self.worker) || self.topology == 'Split'",
            "worker goes with topology Split only",
            "worker",
            holds=lambda spec: spec.worker is None or spec.topology == "Split",
        ),
        Rule(
            "(has(self.database) ? self.database.driver : 'SQLite') == (has(oldSelf.database) ? oldSelf.database.driver : 'SQLite')",
            "database.driver is immutable: the metadata would stay behind",
        ),
    )

    suspend: bool | None = None
    """Whether the operator leaves all of this orchestrator as it is. The proxies go on serving; edits are caught up with afterwards."""
    image: Image = Image()
    """The image of the pods."""
    topology: Literal["Combined", "Split"] = "Combined"
    """Combined: every proxy also does the background work. Split: workers of their own do it."""
    proxy: Annotated[Proxy, Field(json_schema_extra={"default": {}})] = Proxy()
    """The proxies that serve the endpoint."""
    worker: Worker | None = None
    """The workers of topology Split."""
    extra_env: ExtraEnv = ()
    """Further environment variables of proxies and workers, such as HTTPS_PROXY."""
    service: Service = Service()
    """The Service in front of the proxies."""
    ingress: Ingress = Ingress()
    """An Ingress to the Service."""
    gateway: Gateway = Gateway()
    """An HTTPRoute to the Service."""
    network_policy: NetworkPolicy = NetworkPolicy()
    """Which connections pods may accept and make."""
    monitoring: Monitoring = Monitoring()
    """How Prometheus watches over the pods."""
    server: Server = Server()
    """How the endpoint behaves."""
    database: Database | None = None
    """Where the metadata lives; by default SQLite in s3o.db."""
    routing: Routing = Routing()
    """How a backend is chosen for a new object."""
    cleanup: Cleanup = Cleanup()
    """How bytes that no object needs any more are removed."""
    access: Access = Access()
    """Who may attach; by default only objects of this object's own namespace."""


class ProxyStatus(Observation):
    replicas: Annotated[int, Field(ge=0, le=500)] | None = None
    """Proxies that exist; read by the scale subresource."""
    selector: Annotated[str, Field(max_length=1024)] | None = None
    """Labels of their pods; read by the scale subresource."""
    config_up_to_date_replicas: Annotated[int, Field(ge=0, le=500)] | None = None
    """Ready proxies that serve the configuration that was written last."""
    summary: Annotated[str, Field(max_length=64)] | None = None
    """Ready of wanted, such as 3/3."""


class WorkerStatus(Observation):
    replicas: Annotated[int, Field(ge=0, le=500)] | None = None
    """Workers that are wanted."""
    summary: Annotated[str, Field(max_length=64)] | None = None
    """Ready of wanted, such as 1/1."""


class Count(Observation):
    total: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    """How many belong to this orchestrator."""
    ready: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    """How many of them are ready."""
    summary: Annotated[str, Field(max_length=64)] | None = None
    """Ready of total, such as 2/3."""


DatabaseId = Annotated[str, Field(min_length=1, max_length=64)]


class DatabaseStatus(Observation):
    id: DatabaseId | None = None
    """The id that the metadata database was made with. Proxies serve no other one, until s3orchestrator.io/adopt-database names its id."""
    recorded_at: datetime | None = None
    """When it was noted."""
    previous_id: DatabaseId | None = None
    """The id of the database that was given up for this one."""


class OrchestratorTokens(Observation):
    """Values of annotations that have been taken note of: none of them starts anything a second time."""

    rebalance: Token | None = None
    """Of s3orchestrator.io/rebalance."""
    restart: Token | None = None
    """Of s3orchestrator.io/restart. Pods are made anew when it changes."""
    reconcile: Token | None = None
    """Of s3orchestrator.io/reconcile: everything was looked at after it was set."""


class S3OrchestratorStatus(Status):
    phase: Literal["Pending", "Deploying", "Ready", "Degraded", "Paused", "Deleting"] | None = None
    """The state in one word."""
    proxy: ProxyStatus | None = None
    """The proxies."""
    worker: WorkerStatus | None = None
    """The workers of topology Split."""
    config: ConfigStatus | None = None
    """The configuration that the proxies are given, and the sha256 over it and the digests of its secret values."""
    database: DatabaseStatus | None = None
    """The metadata database, which knows what the backends hold."""
    endpoint: Annotated[str, Field(max_length=512)] | None = None
    """Where the proxies serve, within the cluster."""
    backends: Count | None = None
    """StorageBackends of this orchestrator."""
    buckets: Count | None = None
    """VirtualBuckets of this orchestrator."""
    usage: Usage | None = None
    """What is stored on all backends."""
    rebalance: Progress | None = None
    """The rebalance that was asked for last."""
    plan: OperationPlan | None = None
    """What that rebalance was going to cost."""
    operations: Operations = ()
    """The operations that were asked for last, the newest first."""
    last_handled: OrchestratorTokens | None = None
    """Annotations that have been taken note of."""


class S3Orchestrator(Resource):
    """One S3 endpoint in front of many S3 backends. Deleting it deletes nothing that was stored, and there is no deletionPolicy."""

    rules = (
        Rule(
            "size(self.metadata.name) <= 45 && !self.metadata.name.contains('.')",
            "metadata.name must have at most 45 characters and no dot: names of children are made from it",
            holds=lambda orchestrator: len(orchestrator.name) <= 45 and "." not in orchestrator.name,
        ),
    )

    spec: S3OrchestratorSpec
    """What is wanted."""
    status: S3OrchestratorStatus | None = None
    """What was observed."""
