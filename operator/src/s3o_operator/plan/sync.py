"""Who serves what: whether all proxies are at the configuration that was written, and since which generation a resource is as it is.

A backend or a bucket is served when every ready proxy is at the generation that first contains it as it is written, or at a later one; so a
change of one resource says nothing about the others. That generation is kept in the status of the resource, beside a digest of what the
proxies are given of it. The digest is keyed by the admin token: a status is read by more people than a Secret, and some secrets are weak.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from s3o_crds.compile import Compilation
from s3o_crds.compiled import Compiled, FleetConfig
from s3o_crds.digest import canonical_json
from s3o_crds.v1alpha1 import StorageBackend, VirtualBucket
from s3o_operator.plan.conditions import Fact, Verdict, waiting
from s3o_operator.plan.contacts import Member, proxies
from s3o_operator.plan.manifests.admin import admin_token_in
from s3o_operator.plan.manifests.labels import admin_name
from s3o_operator.plan.observed import Object, Observed, Ref

_MOST_NAMED = 3
_DIGEST_CHARACTERS = 16


@dataclass(frozen=True)
class Since:
    """What a resource's status keeps: the generation that first contained it as it is, and the digest that tells whether it still is so."""

    generation: int
    digest: str

    def as_status(self) -> Object:
        return {"generation": self.generation, "digest": self.digest}


class Sync:
    """Of one plan: the ready proxies, and what all of them should serve."""

    def __init__(self, observed: Observed, compilation: Compilation | None) -> None:
        self.config: FleetConfig | None = compilation.config if compilation else None
        self._values: Mapping[str, str] = compilation.secret_values if compilation else {}
        self._held = compilation.held if compilation else frozenset()
        self._ready = proxies(observed.pods, observed.contacts)
        token = admin_token_in(observed.live.get(Ref("Secret", observed.key.namespace, admin_name(observed.key))))
        self._digest_key = token.encode()
        config = self.config or FleetConfig(name="")
        self._given: dict[tuple[type, str], Compiled] = {(StorageBackend, one.name): one for one in config.backends}
        self._given |= {(VirtualBucket, one.name): one for one in config.buckets}

    # --- the fleet -------------------------------------------------------------------------------------------------------------------

    def condition(self) -> Fact:
        """ConfigInSync."""
        if self.config is None:
            return Fact("ConfigInSync", None, "NoConfiguration", "there is no configuration to be given to the proxies")
        if not self._ready:
            return Fact("ConfigInSync", None, "NoReplicas", "no proxy is ready to be asked")
        behind, summary = self._behind(), f"{self.up_to_date()}/{len(self._ready)} proxies serve generation {self.config.generation}"
        if not behind:
            return Fact("ConfigInSync", True, "AllReplicasCurrent", summary)
        if said := _refusals(behind):
            return Fact("ConfigInSync", False, "Refused", f"{summary}; {said}")
        if unreached := [one.contact.error for one in behind if one.contact.error]:
            return Fact("ConfigInSync", False, "Unreachable", f"{summary}; {_some(unreached)}")
        return Fact("ConfigInSync", False, "Propagating", summary)

    def up_to_date(self) -> int:
        """How many ready proxies serve what was written last."""
        return len(self._ready) - len(self._behind())

    def refusal(self) -> str:
        """Why proxies do not serve what they were given, in their own words; empty when none refuses."""
        return _refusals(self._behind())

    def _behind(self) -> list[Member]:
        wanted = (self.config.generation, self.config.digest) if self.config else None
        return [
            one for one in self._ready if one.contact.report is None or (one.contact.report.generation, one.contact.report.digest) != wanted
        ]

    # --- one resource ----------------------------------------------------------------------------------------------------------------

    def since(self, resource: Object, model: StorageBackend | VirtualBucket | None) -> Since | None:
        """None when proxies are given nothing of it."""
        if self.config is None or (given := self._given_of(model)) is None:
            return None
        part = given.model_dump(mode="json")
        whole = {"part": part, "secrets": {text: self._values[text] for text in _texts(part) if text in self._values}}
        digest = hmac.digest(self._digest_key, canonical_json(whole), "sha256").hex()[:_DIGEST_CHARACTERS]
        before = (resource.get("status") or {}).get("config") or {}
        if before.get("digest") == digest and isinstance(before.get("generation"), int):
            return Since(min(before["generation"], self.config.generation), digest)
        return Since(self.config.generation, digest)

    def served(self, resource: Object, since: Since) -> Verdict:
        """Whether all ready proxies are there. What was served stays so while a new proxy was not asked yet: it starts with the newest."""
        behind = [one for one in self._ready if not one.serves(since.generation)]
        summary = f"served by {len(self._ready) - len(behind)}/{len(self._ready)} proxies"
        if not self._ready:
            return waiting("Propagating", "no proxy is ready to be asked")
        if not behind:
            return Verdict(ready=True, reason="Served", message=summary)
        if (said_before := _said_when_served(resource, since)) and all(one.contact.report is None for one in behind):
            return Verdict(ready=True, reason="Served", message=said_before)
        if said := _refusals(behind):
            return waiting("ConfigRefused", f"{summary}; {said}")
        return waiting("Propagating", summary)

    def secrets_gone(self, model: StorageBackend | VirtualBucket | None) -> list[Ref]:
        """Secrets that are no more, though proxies are given what was read of them."""
        given = self._given_of(model)
        named = {text for text in _texts(given.model_dump(mode="json")) if text in self._held} if given is not None else set()
        return sorted({Ref("Secret", *ref.split("/")[:2]) for ref in named})

    def is_behind(self, resource: Object, model: StorageBackend | VirtualBucket) -> bool:
        """Whether a ready proxy may not know the resource as it is now. Without any, nobody is."""
        since = self.since(resource, model)
        return since is not None and any(not one.serves(since.generation) for one in self._ready)

    def _given_of(self, model: StorageBackend | VirtualBucket | None) -> Compiled | None:
        match model:
            case StorageBackend():
                return self._given.get((StorageBackend, model.backend_name))
            case VirtualBucket():
                return self._given.get((VirtualBucket, model.bucket_name))
        return None


def _refusals(members: list[Member]) -> str:
    said = [(one.name, one.contact.report.refusal) for one in members if one.contact.report and one.contact.report.refusal]
    return _some([f"pod {name} refuses the configuration: {'; '.join(reasons)}" for name, reasons in said])


def _said_when_served(resource: Object, since: Since) -> str:
    """The message of a Ready that was true of the very same; else nothing."""
    status = resource.get("status") or {}
    ready = [one for one in status.get("conditions") or [] if one.get("type") == "Ready" and one.get("status") == "True"]
    return str(ready[0].get("message", "")) if ready and status.get("config") == since.as_status() else ""


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)


def _some(sentences: list[str]) -> str:
    more = len(sentences) - _MOST_NAMED
    return "; ".join(sentences[:_MOST_NAMED]) + (f"; and {more} more" if more > 0 else "")
