"""One custom resource and the Secrets it names become its part of a FleetConfig, with every default and provider flag filled in.

Secret values are collected beside the parts, by reference. A resource that cannot be resolved is `Refused` with a reason for programs and a
sentence for people; the sentence names Secrets and keys, never values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from s3o_crds.compiled import BackendConfig, CleanupConfig, CredentialConfig, DatabaseConfig, SecretRef, ServerConfig, TLSConfig
from s3o_crds.meta import CASecretRef
from s3o_crds.parse import Secret
from s3o_crds.providers import PRESETS
from s3o_crds.v1alpha1 import S3Orchestrator, StorageBackend
from s3o_crds.v1alpha1.backend import Timeouts
from s3o_crds.v1alpha1.bucket import Credential
from s3o_crds.v1alpha1.orchestrator import TLS
from s3o_crds.values import ByteSize


class Refused(Exception):
    """`reason`: one CamelCase word."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        self.message = message
        super().__init__(message)


class SecretBook:
    """All Secrets there are, by namespace and name."""

    def __init__(self, secrets: Iterable[Secret]) -> None:
        self._values: dict[tuple[str, str], dict[str, bytes]] = {}
        for secret in secrets:
            if (secret.namespace, secret.name) in self._values:
                raise ValueError(f"Secret {secret.namespace}/{secret.name} is given twice")
            self._values[secret.namespace, secret.name] = secret.values

    def find(self, namespace: str, name: str) -> dict[str, bytes] | None:
        return self._values.get((namespace, name))


class SecretReader:
    """Reads Secrets of one namespace for one resource, and keeps what it read in `values`."""

    def __init__(self, book: SecretBook, namespace: str, held: Mapping[SecretRef, str] | None = None) -> None:
        """`held`: values that stand for those of a Secret that is no more."""
        self.values: dict[SecretRef, str] = {}
        self._book = book
        self._namespace = namespace
        self._held = held or {}

    def text(self, field: str, name: str, key: str) -> SecretRef:
        """A key, password, token or URI. White space around it is never meant, and would fail much later, as a wrong signature."""
        ref, value = self._read(field, name, key)
        if value != value.strip() or any(ord(character) < 32 for character in value):
            raise Refused("SecretKeyInvalid", f"{self._where(field, name, key)} holds a line break or white space around the value")
        return self._keep(ref, value)

    def pem(self, field: str, name: str, key: str, label: str) -> SecretRef:
        """One or more PEM blocks of a kind whose label ends with `label`."""
        ref, value = self._read(field, name, key)
        if "-----BEGIN " not in value or f"{label}-----" not in value:
            raise Refused("SecretKeyInvalid", f"{self._where(field, name, key)} holds no {label} in PEM")
        return self._keep(ref, value)

    def _read(self, field: str, name: str, key: str) -> tuple[SecretRef, str]:
        secret = self._book.find(self._namespace, name)
        ref = f"{self._namespace}/{name}/{key}"
        if secret is None and ref in self._held:
            return ref, self._held[ref]
        if secret is None:
            raise Refused("SecretNotFound", f"{field}: Secret {self._namespace}/{name} does not exist (its key {key} is needed)")
        if key not in secret:
            there = ", ".join(sorted(secret)) or "none"
            raise Refused("SecretKeyNotFound", f"{field}: Secret {self._namespace}/{name} has no key {key} (there are: {there})")
        try:
            value = secret[key].decode()
        except UnicodeDecodeError:
            raise Refused("SecretKeyInvalid", f"{self._where(field, name, key)} is not text (UTF-8)") from None
        if not value:
            raise Refused("SecretKeyInvalid", f"{self._where(field, name, key)} is empty")
        return ref, value

    def _where(self, field: str, name: str, key: str) -> str:
        return f"{field}: key {key} of Secret {self._namespace}/{name}"

    def _keep(self, ref: SecretRef, value: str) -> SecretRef:
        self.values[ref] = value
        return ref


def resolve_server(orchestrator: S3Orchestrator, secrets: SecretReader) -> ServerConfig:
    server = orchestrator.spec.server
    return ServerConfig(
        region=server.region,
        log_level=server.log_level,
        max_object_size_bytes=server.max_object_size.bytes,
        max_concurrent_requests=server.max_concurrent_requests,
        header_timeout_ms=server.read_header_timeout.ms,
        stall_timeout_ms=server.stall_timeout.ms,
        idle_timeout_ms=server.idle_timeout.ms,
        shutdown_delay_ms=server.shutdown_delay.ms if server.shutdown_delay else 0,
        shutdown_grace_ms=server.shutdown_grace.ms,
        location_max_age_ms=server.location_cache.max_age.ms if server.location_cache else 0,
        max_locations=server.location_cache.max_entries if server.location_cache else 0,
        allow_presigned_sig_v2=server.presigned_sig_v2,
        virtual_host_domain=server.virtual_host_domain or "",
        tls=_tls(orchestrator.name, server.tls, secrets) if server.tls else None,
    )


def certificate_secret(name: str, tls: TLS) -> str:
    """The Secret with the certificate of the orchestrator `name`: the one that is named, or the one that cert-manager makes."""
    return tls.secret_name or f"{name}-tls"


def _tls(orchestrator: str, tls: TLS, secrets: SecretReader) -> TLSConfig:
    field, secret = "spec.server.tls." + ("certManager" if tls.cert_manager else "secretName"), certificate_secret(orchestrator, tls)
    try:
        return TLSConfig(
            certificate=secrets.pem(field, secret, "tls.crt", "CERTIFICATE"),
            private_key=secrets.pem(field, secret, "tls.key", "PRIVATE KEY"),
            min_version=tls.min_version,
        )
    except Refused as refused:
        # Not the user's mistake: the issuer needs its time, and the Secret comes by itself.
        raise Refused("CertificatePending", refused.message) if tls.cert_manager else refused from None


def resolve_database(orchestrator: S3Orchestrator, secrets: SecretReader) -> DatabaseConfig:
    database = orchestrator.spec.database
    if database is None:
        return DatabaseConfig()
    refs: dict[str, SecretRef] = {}
    if database.password_secret_ref:
        password = database.password_secret_ref
        refs["password"] = secrets.text("spec.database.passwordSecretRef", password.name, password.key)
    if database.uri_secret_ref:
        refs["uri"] = secrets.text("spec.database.uriSecretRef", database.uri_secret_ref.name, database.uri_secret_ref.key)
    refs["ca"] = _ca("spec.database.caSecretRef", database.ca_secret_ref, secrets)
    given = database.model_dump(include={"driver", "path", "host", "port", "database", "user", "ssl_mode"}, exclude_none=True)
    return DatabaseConfig(**given, **refs)


def resolve_cleanup(orchestrator: S3Orchestrator) -> CleanupConfig:
    cleanup = orchestrator.spec.cleanup
    return CleanupConfig(concurrency=cleanup.concurrency, multipart_stale_timeout_ms=cleanup.multipart_stale_timeout.ms)


def resolve_backend(backend: StorageBackend, secrets: SecretReader) -> BackendConfig:
    spec, preset = backend.spec, PRESETS[backend.spec.provider]
    keys, quota, timeouts = spec.credentials_secret_ref, spec.quota, spec.timeouts or Timeouts()
    return BackendConfig(
        name=backend.backend_name,
        order=spec.order,
        accepts_writes=spec.state == "Active",
        provider=spec.provider,
        endpoint=spec.endpoint,
        region=spec.region or preset.region or "",
        bucket=spec.bucket,
        access_key_id=secrets.text("spec.credentialsSecretRef", keys.name, keys.access_key_id_key),
        secret_access_key=secrets.text("spec.credentialsSecretRef", keys.name, keys.secret_access_key_key),
        ca=_ca("spec.caSecretRef", spec.ca_secret_ref, secrets),
        force_path_style=_chosen(spec.force_path_style, preset.force_path_style),
        unsigned_payload=_chosen(spec.unsigned_payload, preset.unsigned_payload),
        etag_is_md5=_chosen(spec.etag_is_md5, preset.etag_is_md5),
        verifies_content_md5=preset.verifies_content_md5,
        quota_bytes=_limit(quota.bytes) if quota else None,
        max_object_size_bytes=_limit(quota.max_object_size) if quota else None,
        request_timeout_ms=timeouts.request.ms,
        stall_timeout_ms=timeouts.stall.ms,
    )


def resolve_credential(credential: Credential, secrets: SecretReader) -> CredentialConfig:
    field, ref = f"spec.credentials[{credential.name}].secretRef", credential.secret_ref
    if ref is None:
        raise Refused("NoCredentials", f"spec.credentials[{credential.name}].generate: there is no operator to make it; use secretRef")
    if credential.type == "Token":
        return CredentialConfig(name=credential.name, type="Token", token=secrets.text(field, ref.name, ref.token_key))
    return CredentialConfig(
        name=credential.name,
        access_key_id=secrets.text(field, ref.name, ref.access_key_id_key),
        secret_access_key=secrets.text(field, ref.name, ref.secret_access_key_key),
    )


def physical_location(endpoint: str, bucket: str) -> tuple[str, str]:
    """What two backends must not share: the server (the scheme and a default port say nothing about it) and the bucket on it."""
    url = urlsplit(endpoint)
    host = (url.hostname or "").removesuffix(".")
    if host.endswith(".amazonaws.com"):
        # All of AWS is one name space of buckets, whichever regional endpoint asks.
        return "amazonaws.com", bucket
    port = url.port or {"http": 80, "https": 443}[url.scheme]
    return (host if port in (80, 443) else f"{host}:{port}"), bucket


def _ca(field: str, ref: CASecretRef | None, secrets: SecretReader) -> SecretRef:
    return secrets.pem(field, ref.name, ref.key, "CERTIFICATE") if ref else ""


def _chosen(own: bool | None, preset: bool) -> bool:
    return preset if own is None else own


def _limit(size: ByteSize | None) -> int | None:
    """Absent and 0 both mean unlimited."""
    return (size.bytes or None) if size is not None else None
