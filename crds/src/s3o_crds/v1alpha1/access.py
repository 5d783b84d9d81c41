"""Who may attach to an S3Orchestrator: from which namespaces, and how many."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from s3o_crds.meta import Rule, Section
from s3o_crds.values import LabelKey, Labels, LabelValue


class Requirement(Section):
    rules = (
        Rule(
            "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
            "values go with the operators In and NotIn, which need some",
            holds=lambda one: (one.operator in ("In", "NotIn")) == bool(one.values),
        ),
    )

    key: LabelKey
    """Key of the label."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    """How its value is compared. NotIn holds without the label, too."""
    values: Annotated[tuple[LabelValue, ...], Field(max_length=32, json_schema_extra={"x-kubernetes-list-type": "atomic"})] = ()
    """Values to compare with."""

    def holds(self, labels: dict[str, str]) -> bool:
        match self.operator:
            case "Exists":
                return self.key in labels
            case "DoesNotExist":
                return self.key not in labels
            case "In":
                return labels.get(self.key) in self.values
            case "NotIn":
                return labels.get(self.key) not in self.values


class LabelSelector(Section):
    match_labels: Labels | None = None
    """Labels that must all be there with exactly these values."""
    match_expressions: Annotated[tuple[Requirement, ...], Field(max_length=16, json_schema_extra={"x-kubernetes-list-type": "atomic"})] = ()
    """Requirements that must all hold."""

    def selects(self, labels: dict[str, str]) -> bool:
        """An empty selector selects everything, as everywhere in Kubernetes."""
        equal = all(labels.get(key) == value for key, value in (self.match_labels or {}).items())
        return equal and all(one.holds(labels) for one in self.match_expressions)


class Namespaces(Section):
    rules = (
        Rule(
            "has(self.selector) == (self.from == 'Selector')",
            "selector goes with from: Selector, which needs one",
            "selector",
            holds=lambda namespaces: (namespaces.selector is not None) == (namespaces.origin == "Selector"),
        ),
    )

    origin: Annotated[Literal["Same", "All", "Selector"], Field(alias="from")] = "Same"
    """Same is the namespace of this object, which is always allowed. All is every namespace. Selector chooses by labels of namespaces."""
    selector: LabelSelector | None = None
    """Labels of the namespaces that may attach. It needs an operator that watches all namespaces."""


class BackendAccess(Section):
    namespaces: Namespaces = Namespaces()
    """Namespaces whose StorageBackends may attach. One that is attached stays, whatever is changed here later."""


class BucketLimits(Section):
    max_buckets: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    """Most VirtualBuckets that may attach; absent means any number. Those that are attached stay."""
    max_credentials_per_bucket: Annotated[int, Field(ge=1, le=64)] | None = None
    """Most credentials of one VirtualBucket; absent means 64."""


class BucketAccess(Section):
    namespaces: Namespaces = Namespaces()
    """Namespaces whose VirtualBuckets may attach. One that is attached stays, whatever is changed here later."""
    limits: BucketLimits | None = None
    """How many there may be."""


class Access(Section):
    backends: BackendAccess = BackendAccess()
    """StorageBackends that may attach."""
    buckets: BucketAccess = BucketAccess()
    """VirtualBuckets that may attach."""
