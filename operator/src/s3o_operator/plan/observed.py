"""What is known about one S3Orchestrator at one moment, as plain objects of the API server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

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


@dataclass(frozen=True)
class Failure:
    """What the API server refused for good, in words. `owner`: uid of the resource whose child it is, or nothing."""

    message: str
    owner: str = ""

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True)
class Observed:
    """`secrets`: every Secret that a resource may name. `live`: what stands under the names of children, foreign objects included.

    `namespaces`: labels of each namespace, by its name; None where one namespace is all that is watched.
    `contacts`: what each pod said last, by its uid. `operations`: those that the pods know; None: they were not asked, or did not answer.
    `failures`: what the API server refused of the last plan, in words. `now`: RFC 3339, to the second.
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
