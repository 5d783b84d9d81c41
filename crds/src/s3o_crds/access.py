"""Who may attach to an orchestrator: the decision about `spec.access`.

It decides about *attaching*. What is attached stays, whatever is changed later (a label of its namespace, a limit): a bucket that is in use
is never torn down by an edit elsewhere; it is detached by deleting it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from s3o_crds.claims import Claimant, Identity, Unreadable, identity_of
from s3o_crds.resolve import Refused
from s3o_crds.v1alpha1 import S3Orchestrator, VirtualBucket
from s3o_crds.v1alpha1.access import BucketLimits, Namespaces


@dataclass(frozen=True)
class Standing:
    """What the resources themselves do not say. Of files, nothing is known.

    `namespaces`: labels of each namespace, by its name; None where they cannot be listed. `attached`: who was served before. Of those,
    `unchanged` have a spec that was accepted as it stands.
    """

    namespaces: Mapping[str, Mapping[str, str]] | None = None
    attached: frozenset[Identity] = frozenset()
    unchanged: frozenset[Identity] = frozenset()
    unreadable: tuple[Unreadable, ...] = ()


NOBODY = Standing()


class Admission:
    """Asked once for each resource, in the order of their standing."""

    def __init__(self, orchestrator: S3Orchestrator, standing: Standing) -> None:
        self._orchestrator = orchestrator
        self._standing = standing
        self._buckets = 0

    def refuse_foreign_namespace(self, resource: Claimant) -> None:
        """Raises Refused with reason NotAllowed."""
        if resource.namespace == self._orchestrator.namespace or identity_of(resource) in self._standing.attached:
            return
        access = self._orchestrator.spec.access
        field, allowed = (
            ("backends", access.backends.namespaces) if resource.kind == "StorageBackend" else ("buckets", access.buckets.namespaces)
        )
        if problem := self._problem(allowed, resource.namespace):
            whose = f"S3Orchestrator {self._orchestrator.namespace}/{self._orchestrator.name}"
            raise Refused("NotAllowed", f"{whose} {problem} (its spec.access.{field}.namespaces decides)")

    def _problem(self, allowed: Namespaces, namespace: str) -> str:
        match allowed.origin, allowed.selector:
            case "All", _:
                return ""
            case "Selector", selector if selector is not None:
                if self._standing.namespaces is None:
                    return (
                        "chooses namespaces by their labels, which cannot be seen here:"
                        " that needs an operator that watches all namespaces; use from: All instead"
                    )
                if selector.selects(dict(self._standing.namespaces.get(namespace, {}))):
                    return ""
                return f"takes objects of namespaces with certain labels, which namespace {namespace} does not have"
        return f"takes only objects of its own namespace, not of {namespace}"

    def refuse_beyond_limits(self, bucket: VirtualBucket) -> None:
        """Raises Refused with reason LimitExceeded. Call it for a bucket that has its name: what it counts are those."""
        limits = self._orchestrator.spec.access.buckets.limits or BucketLimits()
        most, most_credentials = limits.max_buckets, limits.max_credentials_per_bucket
        if most is not None and self._buckets >= most and identity_of(bucket) not in self._standing.attached:
            raise Refused("LimitExceeded", f"there are {most} VirtualBuckets already, the most that {self._who()}.maxBuckets allows")
        self.count_bucket()
        count = len(bucket.spec.credentials)
        if most_credentials is not None and count > most_credentials and identity_of(bucket) not in self._standing.unchanged:
            raise Refused(
                "LimitExceeded",
                f"spec.credentials has {count} members, and {self._who()}.maxCredentialsPerBucket allows {most_credentials}",
            )

    def count_bucket(self) -> None:
        """One more that has its name."""
        self._buckets += 1

    def _who(self) -> str:
        return f"spec.access.buckets.limits of S3Orchestrator {self._orchestrator.namespace}/{self._orchestrator.name}"
