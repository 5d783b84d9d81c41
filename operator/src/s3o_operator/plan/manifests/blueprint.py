"""What all children of one orchestrator are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from s3o_crds.compiled import FleetConfig, SecretRef
from s3o_crds.v1alpha1 import S3Orchestrator
from s3o_operator.plan.observed import Key, Object


@dataclass(frozen=True)
class Blueprint:
    """`owner`: the orchestrator as the API server gave it. `token`: of the admin API. `image`: of the operator's choice.

    `restart`: a stamp in the pods' template; another one makes Kubernetes replace them.
    """

    key: Key
    owner: Object = field(repr=False)
    orchestrator: S3Orchestrator
    config: FleetConfig
    values: Mapping[SecretRef, str] = field(repr=False)
    token: str = field(repr=False)
    image: str
    restart: str = ""

    @property
    def is_embedded(self) -> bool:
        """Whether the metadata lie in a file of the one proxy."""
        return self.config.database.driver == "SQLite"

    @property
    def is_split(self) -> bool:
        return self.orchestrator.spec.topology == "Split"


def as_written(section: BaseModel) -> Any:
    """A section that Kubernetes understands as it stands. What was not written is not sent; `{}` is, for it may mean everything."""
    return _without_empty_lists(section.model_dump(mode="json", by_alias=True, exclude_none=True))


def _without_empty_lists(value: Any) -> Any:
    match value:
        case dict():
            return {name: _without_empty_lists(member) for name, member in value.items() if member != []}
        case list():
            return [_without_empty_lists(member) for member in value]
    return value
