"""Settings of the operator and of kopf, and the check that it can work at all: the kinds are served, the rights are granted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kopf

from s3o_crds.meta import GROUP
from s3o_operator.kube.client import Kube
from s3o_operator.kube.errors import Gone, KubeError
from s3o_operator.kube.kinds import BY_NAME, LEASE, WATCHED, Kind, watched
from s3o_operator.kube.rights import denied
from s3o_operator.kube.together import together
from s3o_operator.leadership import LEASE_NAME

_OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_DELETED = ("Secret", "ConfigMap", "PodDisruptionBudget", "Deployment", "ServiceAccount")


class _NoDifferences(kopf.DiffBaseStorage):
    """Handlers of events are not told what has changed. By itself kopf finds that out nevertheless, from copies of the whole object."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        return None

    def store(self, **_: Any) -> None:
        """Never called: nothing is kept in objects."""


class CannotStart(Exception):
    """One sentence that says what to do."""


@dataclass(frozen=True)
class Settings:
    """`namespace`: of the Lease. `watched_namespace`: empty for all. `listen`: host and port of health and metrics."""

    image: str
    namespace: str
    watched_namespace: str
    listen: tuple[str, int]
    resync_s: float
    optional_s: float


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Raises CannotStart."""
    image = environment.get("S3O_PROXY_IMAGE", "")
    if not image:
        raise CannotStart("S3O_PROXY_IMAGE must name the image of the proxies")
    own = _OWN_NAMESPACE.read_text(encoding="utf-8").strip() if _OWN_NAMESPACE.exists() else "default"
    host, _, port = environment.get("S3O_LISTEN", "0.0.0.0:8080").rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise CannotStart("S3O_LISTEN must be HOST:PORT")
    seconds = environment.get("S3O_RESYNC_SECONDS", "300")
    if not seconds.isdecimal() or not int(seconds):
        raise CannotStart("S3O_RESYNC_SECONDS must be a number of seconds")
    optional = environment.get("S3O_OPTIONAL_KINDS_SECONDS", "30")
    if not optional.isdecimal() or not int(optional):
        raise CannotStart("S3O_OPTIONAL_KINDS_SECONDS must be a number of seconds")
    namespace = environment.get("S3O_NAMESPACE") or own
    return Settings(image, namespace, environment.get("S3O_WATCH_NAMESPACE", ""), (host, int(port)), float(seconds), float(optional))


def kopf_settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.scanning.disabled = True
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.persistence.diffbase_storage = _NoDifferences()
    # Nothing is ever written under it, since handlers are for events only. But never may it be the prefix of our triggers.
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=f"kopf.{GROUP}")
    settings.networking.request_timeout = 30
    settings.watching.connect_timeout = 10
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    settings.watching.chunk_size = 500
    for kind in WATCHED:
        if kind.labels:
            settings.watching.label_selectors[kind.group, kind.version, kind.plural] = kind.labels
        if kind.fields:
            settings.watching.field_selectors[kind.group, kind.version, kind.plural] = kind.fields
    return settings


async def check(kube: Kube, settings: Settings) -> None:
    """Raises CannotStart: an operator without its kinds watches nothing for ever, and one without its rights fails bit by bit."""
    try:
        ours = [kind for kind in WATCHED if kind.group == GROUP]
        served = await together(_is_served(kube, kind) for kind in ours)
        unserved = [kind.name for kind, is_served in zip(ours, served, strict=True) if not is_served]
        if unserved:
            raise CannotStart(f"the API server does not serve {', '.join(unserved)}: kubectl apply --server-side -k config/crd")
        missing = await _missing_rights(kube, settings)
    except KubeError as error:
        raise CannotStart(f"the API server cannot be asked: {error}") from None
    if missing:
        raise CannotStart(f"rights are missing: {'; '.join(missing)} (kubectl apply -k config/rbac)")


async def _is_served(kube: Kube, kind: Kind) -> bool:
    try:
        return await kube.is_served(kind)
    except Gone:
        return False


async def _missing_rights(kube: Kube, settings: Settings) -> list[str]:
    everywhere = settings.watched_namespace
    asked = [denied(kube, kind, verb, everywhere) for kind in watched(everywhere) for verb in kind.verbs]
    asked += [denied(kube, kind, "patch", everywhere, subresource="status") for kind in WATCHED if kind.group == GROUP]
    asked += [denied(kube, BY_NAME["Secret"], "update", everywhere)]
    asked += [denied(kube, BY_NAME[name], "delete", everywhere) for name in _DELETED]
    asked += [denied(kube, LEASE, "create", settings.namespace)]
    # A role may name the one Lease; what is created has no name yet.
    asked += [denied(kube, LEASE, verb, settings.namespace, name=LEASE_NAME) for verb in ("get", "update")]
    return [text for text in await together(asked) if text]
