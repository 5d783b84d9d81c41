"""Every event of every watched kind → the intake."""

from __future__ import annotations

from typing import Any

import kopf

from s3o_operator.kube.kinds import Kind, watched
from s3o_operator.observe.intake import Intake


def make_registry(intake: Intake, namespace: str) -> kopf.OperatorRegistry:
    """Only `on.event`: other handlers make kopf write to the objects, the whole of a Secret into an annotation among them."""
    registry = kopf.OperatorRegistry()
    # A registry of one's own has no way to log in but the one it is given.
    kopf.on.login(registry=registry)(_login)
    for kind in watched(namespace):
        _watch(kind, intake, registry)
    return registry


def _login(**details: Any) -> kopf.ConnectionInfo | None:
    """As the rest of the operator does: by the pod's ServiceAccount, else by KUBECONFIG."""
    return kopf.login_via_client(**details)


def _watch(kind: Kind, intake: Intake, registry: kopf.OperatorRegistry) -> None:
    @kopf.on.event(kind.group, kind.version, kind.plural, registry=registry, id=f"{kind.plural}-seen")
    async def seen(event: Any, **_: Any) -> None:
        document = {"apiVersion": kind.api_version, "kind": kind.name, **event["object"]}
        intake.seen(document, deleted=event["type"] == "DELETED")
