"""What we may do: asked of the API server, which decides it by every role that somebody bound."""

from __future__ import annotations

from s3o_operator.kube.client import Kube
from s3o_operator.kube.kinds import ACCESS_REVIEW, Kind


async def denied(kube: Kube, kind: Kind, verb: str, namespace: str, *, subresource: str = "", name: str = "") -> str:
    """What we may not do, in words; nothing when we may. `namespace` empty: in all. Raises KubeError."""
    wanted = {
        "group": kind.group,
        "resource": kind.plural,
        "subresource": subresource,
        "verb": verb,
        "namespace": namespace,
        "name": name,
    }
    spec = {"resourceAttributes": {name: value for name, value in wanted.items() if value}}
    answer = await kube.create({"apiVersion": ACCESS_REVIEW.api_version, "kind": ACCESS_REVIEW.name, "metadata": {}, "spec": spec})
    if answer["status"]["allowed"]:
        return ""
    what = f"{kind.plural}.{kind.group}" if kind.group else kind.plural
    return f"{verb} {what}{'/' + subresource if subresource else ''} in {f'namespace {namespace}' if namespace else 'all namespaces'}"
