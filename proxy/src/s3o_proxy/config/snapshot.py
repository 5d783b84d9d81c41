"""One generation of the configuration, immutable, with the indexes that a request needs.

A request takes the current snapshot once, when it begins, and keeps it to its end: so it never sees half of a change.
Secret values live here and in nothing that can be printed (I7).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from hashlib import sha256
from types import MappingProxyType
from urllib.parse import unquote, urlsplit

from s3o_crds.compiled import BackendConfig, BucketConfig, CredentialConfig, FleetConfig, SecretRef, ServerConfig
from s3o_proxy.config.errors import ConfigError
from s3o_proxy.domain.frozen import frozen
from s3o_proxy.domain.patience import USUAL_REQUEST_TIMEOUT_MS, Making, settle_ms
from s3o_proxy.domain.placement import Candidate


@frozen
class Credential:
    """Who may ask, and for which buckets. A SigV4 credential has an access key; a token credential has a token and nothing else.

    `names`: the credential's name in each bucket that lists it, for logs (`bucket/name`).
    """

    names: tuple[str, ...]
    buckets: frozenset[str]
    access_key_id: str = ""
    secret_access_key: str = field(default="", repr=False)
    token: str = field(default="", repr=False)


@frozen
class Snapshot:
    """Build one with `take_snapshot`."""

    config: FleetConfig
    _buckets: Mapping[str, BucketConfig] = field(repr=False)
    _backends: Mapping[str, BackendConfig] = field(repr=False)
    candidates: tuple[Candidate, ...] = field(repr=False)
    """The backends in Pack order, as placement sees them."""
    _credentials: Mapping[str, Credential] = field(repr=False)
    _tokens: Mapping[bytes, Credential] = field(repr=False)
    _secrets: Mapping[SecretRef, str] = field(repr=False)

    @property
    def generation(self) -> int:
        return self.config.generation

    @property
    def digest(self) -> str:
        return self.config.digest

    @property
    def server(self) -> ServerConfig:
        return self.config.server

    @property
    def region(self) -> str:
        return self.config.server.region

    @property
    def backends(self) -> tuple[BackendConfig, ...]:
        """In the order in which Pack fills them."""
        return self.config.backends

    @property
    def buckets(self) -> tuple[BucketConfig, ...]:
        return self.config.buckets

    def bucket(self, name: str) -> BucketConfig | None:
        return self._buckets.get(name)

    def backend(self, name: str) -> BackendConfig | None:
        return self._backends.get(name)

    def settle_ms(self, backend: str, asked: Making) -> int:
        """How long what was asked of a backend may still come to be there, once nobody waits for the answer."""
        config = self._backends.get(backend)
        return settle_ms(asked, config.request_timeout_ms if config is not None else USUAL_REQUEST_TIMEOUT_MS)

    def find_access_key(self, access_key_id: str) -> Credential | None:
        return self._credentials.get(access_key_id)

    def find_token(self, token: str) -> Credential | None:
        """Whose X-Proxy-Token this is. Looked up by hash, so that the time taken says nothing about the tokens that exist."""
        return self._tokens.get(_fingerprint(token))

    @property
    def secrets(self) -> Mapping[SecretRef, str]:
        """The value of every secret that the config names."""
        return self._secrets

    def secret(self, ref: SecretRef) -> str:
        """The value of a secret that the config names; empty for an empty reference."""
        return self._secrets[ref] if ref else ""

    def secret_values(self) -> frozenset[str]:
        """What must never be printed. An access key id may be: it names who asks, and logs are read to learn that."""
        public = {backend.access_key_id for backend in self.backends}
        public |= {credential.access_key_id for bucket in self.buckets for credential in bucket.credentials}
        public |= {self.config.database.ca} | {backend.ca for backend in self.backends}
        public |= {self.server.tls.certificate} if self.server.tls else set()
        values = {value for ref, value in self._secrets.items() if ref not in public}
        # A driver that refuses a database URI may quote the password alone, decoded.
        password = urlsplit(self.secret(self.config.database.uri)).password
        return frozenset(values | ({password, unquote(password)} if password else set()))


@frozen
class Loaded:
    """`ignored`: documents of kinds that are not read here, one line each."""

    snapshot: Snapshot
    ignored: tuple[str, ...]


def take_snapshot(config: FleetConfig, secret_values: Mapping[SecretRef, str]) -> Snapshot:
    """Index a compiled config. Raises ConfigError where a secret is missing or two credentials cannot be told apart."""
    missing = [f"secret {ref} is referred to and has no value" for ref in _references(config) if ref not in secret_values]
    if missing:
        raise ConfigError(missing)
    credentials: dict[str, Credential] = {}
    tokens: dict[bytes, Credential] = {}
    for bucket in config.buckets:
        for given in bucket.credentials:
            found = _credential(bucket.name, given, secret_values)
            if found.token:
                mark = _fingerprint(found.token)
                tokens[mark] = _merge(tokens.get(mark), found)
            else:
                credentials[found.access_key_id] = _merge(credentials.get(found.access_key_id), found)
    return Snapshot(
        config=config,
        _buckets=MappingProxyType({bucket.name: bucket for bucket in config.buckets}),
        _backends=MappingProxyType({backend.name: backend for backend in config.backends}),
        candidates=tuple(
            Candidate(backend.name, backend.accepts_writes, backend.quota_bytes, backend.max_object_size_bytes)
            for backend in config.backends
        ),
        _credentials=MappingProxyType(credentials),
        _tokens=MappingProxyType(tokens),
        _secrets=MappingProxyType(dict(secret_values)),
    )


def what_needs_restart(old: Snapshot, new: Snapshot) -> list[str]:
    """What differs between the two and cannot change while the process runs, one sentence each."""
    reasons = []
    if old.config.name != new.config.name:
        reasons.append(f"the S3Orchestrator {old.config.name} became {new.config.name}: needs a restart")
    if old.config.database != new.config.database:
        reasons.append("spec.database changed: needs a restart")
    elif _database_secrets(old) != _database_secrets(new):
        reasons.append("a Secret that spec.database names changed: needs a restart")
    if (old.server.tls is None) != (new.server.tls is None):
        reasons.append("spec.server.tls was switched on or off: needs a restart")
    return reasons


def _references(config: FleetConfig) -> list[SecretRef]:
    database, tls = config.database, config.server.tls
    references = [database.uri, database.password, database.ca]
    if tls is not None:
        references += [tls.certificate, tls.private_key]
    for backend in config.backends:
        references += [backend.access_key_id, backend.secret_access_key, backend.ca]
    for bucket in config.buckets:
        for credential in bucket.credentials:
            references += [credential.access_key_id, credential.secret_access_key, credential.token]
    return [ref for ref in references if ref]


def _database_secrets(snapshot: Snapshot) -> tuple[str, str, str]:
    database = snapshot.config.database
    return snapshot.secret(database.uri), snapshot.secret(database.password), snapshot.secret(database.ca)


def _credential(bucket: str, given: CredentialConfig, secret_values: Mapping[SecretRef, str]) -> Credential:
    names, buckets = (f"{bucket}/{given.name}",), frozenset((bucket,))
    if given.type == "Token":
        return Credential(names, buckets, token=secret_values[given.token])
    return Credential(
        names,
        buckets,
        access_key_id=secret_values[given.access_key_id],
        secret_access_key=secret_values[given.secret_access_key],
    )


def _merge(known: Credential | None, found: Credential) -> Credential:
    # One Secret may open several buckets: then it is one credential. One access key with two secrets would make the answer depend on
    # the order of the files, so it is refused.
    if known is None:
        return found
    if known.secret_access_key != found.secret_access_key:
        raise ConfigError([f"{known.names[0]} and {found.names[0]} share an access key id and differ in the secret"])
    return replace(known, names=known.names + found.names, buckets=known.buckets | found.buckets)


def _fingerprint(token: str) -> bytes:
    return sha256(token.encode()).digest()
