"""What is known about one S3Orchestrator at one moment, as plain objects of the API server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from s3o_operator.plan.contacts import Contact

Object = dict[str, Any]
"""A Kubernetes object as JSON. What lies in a cache or in an Observed is never changed in place."""


class Key(NamedTuple):
    """The S3Orchestrator that something is work for. It need not exist."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class Ref(NamedTuple):
    """One object."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


def ref_of(document: Mapping[str, Any]) -> Ref:
    return Ref(document["kind"], document["metadata"].get("namespace", ""), document["metadata"]["name"])


class Step(NamedTuple):
    """What one resource has to have before more is done with it: the note of it in its status, or our finalizer."""

    kind: Literal["Latch", "Protect"]
    ref: Ref


@dataclass(frozen=True)
class Failure:
    """What the API server refused for good, in words. `owner`: uid of the resource that it is told of, or nothing.

    `step`: what was refused holds up that one resource, and no other.
    """

    message: str
    owner: str = ""
    step: Step | None = None

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True)
class Observed:
    """`secrets`: every Secret that a resource may name. `live`: what stands under the names of children, foreign objects included.

    `namespaces`: labels of each namespace, by its name; None where one namespace is all that is watched.
    `contacts`: what each pod said last, by its uid. `operations`: those that the pods know; None: they were not asked, or did not answer.
    `failures`: what the API server refused of the plans before this one, in words. `now`: RFC 3339, to the second.
    """

    key: Key
    now: str
    image: str
    orchestrator: Object | None = field(default=None, repr=False)
    backends: tuple[Object, ...] = field(default=(), repr=False)
    buckets: tuple[Object, ...] = field(default=(), repr=False)
    secrets: tuple[Object, ...] = field(default=(), repr=False)
    live: Mapping[Ref, Object] = field(default_factory=dict, repr=False)
    pods: tuple[Object, ...] = field(default=(), repr=False)
    contacts: Mapping[str, Contact] = field(default_factory=dict, repr=False)
    operations: tuple[Object, ...] | None = field(default=None, repr=False)
    namespaces: Mapping[str, Mapping[str, str]] | None = None
    unusable: Mapping[str, str] = field(default_factory=dict)
    """Kinds of optional children that cannot be used now → why, in a sentence."""
    failures: tuple[Failure, ...] = ()

    @property
    def stuck(self) -> Mapping[Step, str]:
        """Why, in words."""
        return {one.step: one.message for one in self.failures if one.step}
