"""What the pods of an orchestrator are, and what each of them said last: a part of what is observed.

*Report*: the answer of a pod to `/admin/api/status`. *Contact*: the last report of a pod, and why it could not be asked since. *Member*: a
pod together with its contact. A generation that a pod reported stays true of it while it cannot be asked: what it serves only grows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Pod = Mapping[str, Any]
"""As the API server gives it."""
COMPONENT = "app.kubernetes.io/component"


@dataclass(frozen=True)
class BackendReport:
    """In bytes. `checked`: whether the pod tried to use it; then `reason` (CamelCase) and `problem` say why it cannot, or are empty.
    `registered_at`: since when the database knows it, empty when it does not; None when the pod does not say."""

    used: int = 0
    orphan: int = 0
    objects: int = 0
    quota: int | None = None
    checked: bool = False
    reason: str = ""
    problem: str = ""
    registered_at: str | None = None


@dataclass(frozen=True)
class BucketReport:
    objects: int = 0
    bytes: int = 0


@dataclass(frozen=True)
class Report:
    """`refusal`: why the configuration that the pod saw last is not the one that it serves. `troubles`: why it cannot serve now."""

    generation: int
    digest: str
    refusal: tuple[str, ...] = ()
    troubles: tuple[str, ...] = ()
    backends: Mapping[str, BackendReport] = field(default_factory=dict)
    buckets: Mapping[str, BucketReport] = field(default_factory=dict)
    database_id: str = ""
    """Of the metadata database that the pod reached last, whichever it should be; empty when none."""

    def without_figures(self) -> Report:
        """What decides something; what is merely counted left out."""
        backends = {name: replace(one, used=0, orphan=0, objects=0, quota=None) for name, one in self.backends.items()}
        return replace(self, backends=backends, buckets={})


@dataclass(frozen=True)
class Contact:
    """`error`: which pod could not be asked last, and why; empty when it answered."""

    report: Report | None = None
    error: str = ""


@dataclass(frozen=True)
class Member:
    name: str
    ready: bool
    contact: Contact

    def serves(self, generation: int) -> bool:
        return self.contact.report is not None and self.contact.report.generation >= generation


def members(pods: Iterable[Pod], contacts: Mapping[str, Contact]) -> list[Member]:
    """Of every pod that may be at work, workers and leaving ones included, by name."""
    there = [pod for pod in pods if may_work(pod)]
    made = [Member(pod["metadata"]["name"], is_ready(pod), contacts.get(pod["metadata"]["uid"], Contact())) for pod in there]
    return sorted(made, key=lambda member: member.name)


def proxies(pods: Iterable[Pod], contacts: Mapping[str, Contact]) -> list[Member]:
    """Those that are sent requests of S3."""
    serving = [pod for pod in pods if (pod["metadata"].get("labels") or {}).get(COMPONENT) == "proxy"]
    return [member for member in members(serving, contacts) if member.ready]


def not_yet_at(generation: int, pods: Iterable[Pod], contacts: Mapping[str, Contact]) -> list[str]:
    """Names of pods that may still act by an older configuration than this. Empty: whatever it no longer has, everybody has dropped."""
    return [member.name for member in members(pods, contacts) if not member.serves(generation)]


def is_ready(pod: Pod) -> bool:
    """And not about to leave."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    return "deletionTimestamp" not in pod["metadata"] and any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def may_work(pod: Pod) -> bool:
    """It has a node, and has not ended. One that waits for a node for ever does nothing, and must hold up nobody."""
    phase = (pod.get("status") or {}).get("phase", "Pending")
    return phase not in ("Succeeded", "Failed") and bool((pod.get("spec") or {}).get("nodeName"))


def url_of(pod: Pod) -> str:
    """Where its process is called: scheme, address and port; empty as long as there is nothing to call."""
    status, spec = pod.get("status") or {}, pod.get("spec") or {}
    address = status.get("podIP") or ""
    if status.get("phase") != "Running" or not address:
        return ""
    for container in spec.get("containers") or []:
        for port in container.get("ports") or []:
            if port.get("name") == "s3":
                # By its own probe: while https is switched on or off, there are pods of either kind.
                probe = (container.get("readinessProbe") or {}).get("httpGet") or {}
                host = f"[{address}]" if ":" in address else address
                return f"{probe.get('scheme', 'HTTP').lower()}://{host}:{port['containerPort']}"
    return ""


def read_report(answer: Mapping[str, Any]) -> Report:
    """Raises ValueError for what is no status. What a pod of an older version does not say is not known."""
    generation, digest = answer.get("generation"), answer.get("digest")
    if not isinstance(generation, int) or not isinstance(digest, str):
        raise ValueError("a status without generation and digest")
    try:
        return Report(
            generation=generation,
            digest=digest,
            database_id=str(answer.get("databaseId") or ""),
            refusal=tuple(str(one) for one in answer.get("configRefusal") or ()),
            troubles=tuple(str(one) for one in answer.get("troubles") or ()),
            backends={name: _backend(one) for name, one in sorted((answer.get("backends") or {}).items())},
            buckets={name: BucketReport(int(one["objects"]), int(one["bytes"])) for name, one in (answer.get("buckets") or {}).items()},
        )
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"a status that makes no sense: {type(error).__name__} {error}") from None


def _backend(said: Mapping[str, Any]) -> BackendReport:
    quota, check = said.get("quota"), said.get("check") or {}
    figures = {name: int(said[name]) for name in ("used", "orphan", "objects")}
    return BackendReport(
        **figures,
        quota=None if quota is None else int(quota),
        checked=bool(check),
        reason=str(check.get("reason") or ""),
        problem=str(check.get("message") or ""),
        registered_at=str(said["registeredAt"] or "") if "registeredAt" in said else None,
    )
