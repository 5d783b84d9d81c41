"""Triggers: annotations that ask for one run of something, such as `s3orchestrator.io/rotate-credentials: "<token>[;name=writer]"`.

The value is a *token*: it means nothing but that it differs from the one before. It is *latched* (written to `status.lastHandled`) before
anything is done for it, and so it is done once, however often it is seen. Taking the annotation away does nothing: Flux does that.

On the *first sight* of a resource, which has no status, what stands there is latched and not run: it may come from a backup, or from Git.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pydantic.alias_generators import to_camel

from s3o_crds.meta import GROUP
from s3o_operator.plan.observed import Object

MOST_TOKEN = 253
_TOKEN = re.compile(r"[\x21-\x3a\x3c-\x7e]([\x20-\x3a\x3c-\x7e]*[\x21-\x3a\x3c-\x7e])?", re.ASCII)
_PARAMETER = re.compile(r"([a-z]+)=([A-Za-z0-9._-]+)", re.ASCII)


@dataclass(frozen=True)
class Trigger:
    """`name`: of the annotation, below our prefix. `parameters`: what may follow the token, as `;name=value`."""

    name: str
    parameters: frozenset[str] = frozenset()

    @property
    def annotation(self) -> str:
        return f"{GROUP}/{self.name}"

    @property
    def latch(self) -> str:
        """Its field in `status.lastHandled`."""
        return to_camel(self.name.replace("-", "_"))


RECONCILE = Trigger("reconcile")
"""Of every kind. Setting it is news, and so the resource is looked at at once, whatever back-off it is in."""


@dataclass(frozen=True)
class Request:
    """What an annotation says. `token`: its whole value, as it is latched.

    `is_new`: it is to be latched and then run. `problem`: why it makes no sense; it is neither latched nor run.
    """

    token: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    is_new: bool = False
    problem: str = ""


def request_of(resource: Object, trigger: Trigger) -> Request | None:
    """None without the annotation, and where it is empty."""
    value = (resource["metadata"].get("annotations") or {}).get(trigger.annotation, "")
    if not value:
        return None
    token, *written = value.split(";")
    if len(value) > MOST_TOKEN or not _TOKEN.fullmatch(token):
        return Request("", problem=f"{trigger.annotation}: must be a token of at most {MOST_TOKEN} printable characters, such as a time")
    parameters = {match[1]: match[2] for match in map(_PARAMETER.fullmatch, written) if match}
    if len(parameters) != len(written) or not parameters.keys() <= trigger.parameters:
        allowed = "".join(f"[;{name}=...]" for name in sorted(trigger.parameters))
        return Request("", problem=f"{trigger.annotation}: must be TOKEN{allowed}")
    is_new = not is_first_sight(resource) and last_handled(resource).get(trigger.latch) != value
    return Request(value, parameters, is_new)


def is_first_sight(resource: Object) -> bool:
    return "observedGeneration" not in (resource.get("status") or {})


def last_handled(resource: Object) -> dict[str, str]:
    """What has been latched, by `Trigger.latch`."""
    return dict((resource.get("status") or {}).get("lastHandled") or {})


def latched(resource: Object, triggers: Iterable[Trigger]) -> dict[str, str]:
    """`status.lastHandled` once the present tokens of `triggers` are in it: written before they are run, or, on first sight, instead."""
    requests = {trigger.latch: request_of(resource, trigger) for trigger in triggers}
    return last_handled(resource) | {latch: request.token for latch, request in requests.items() if request and request.token}


def to_report(resource: Object, triggers: Iterable[Trigger]) -> dict[str, str]:
    """`status.lastHandled` for a report: on first sight with all that stands there, later as it is (only a latch adds to it)."""
    return latched(resource, triggers) if is_first_sight(resource) else last_handled(resource)


def problems(resource: Object, triggers: Iterable[Trigger]) -> list[str]:
    """What annotations of these triggers say that makes no sense, as long as they say it."""
    requests = [request_of(resource, trigger) for trigger in triggers]
    return [request.problem for request in requests if request and request.problem]
