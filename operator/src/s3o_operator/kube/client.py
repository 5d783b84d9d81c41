"""The few verbs that we use, on plain JSON objects."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
from kubernetes.aio import client, config

from s3o_operator.kube.errors import KubeError, Unreachable, error_of
from s3o_operator.kube.kinds import BY_NAME, Kind
from s3o_operator.plan.manifests.labels import MANAGER
from s3o_operator.plan.observed import Object, Ref, ref_of

_TIMEOUT_S = 10.0
_PAGE = 500
_APPLY = "application/apply-patch+yaml"
_MERGE = "application/merge-patch+json"
_NOBODYS_VERSION = str(2**63 - 1)


async def connect() -> Kube:
    """By the ServiceAccount of the pod; outside of a cluster by KUBECONFIG, or ~/.kube/config. Raises KubeError."""
    settings = client.Configuration()
    try:
        if os.environ.get("KUBERNETES_SERVICE_HOST") and not os.environ.get("KUBECONFIG"):
            config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]  # the client has no types here
        else:
            await config.load_kube_config(client_configuration=settings)  # type: ignore[no-untyped-call]  # as above
    except config.ConfigException as error:
        raise KubeError(f"no way to reach the API server: {error}") from None
    # Otherwise a thread reads ~/.netrc, and another the environment's proxies, for every single request.
    settings.client_session_kwargs = {"trust_env": False}
    return Kube(client.ApiClient(settings))


class Kube:
    """Every method raises KubeError. A write that ends in Unreachable may have taken effect."""

    def __init__(self, api: client.ApiClient) -> None:
        self._api = api

    async def close(self) -> None:
        await self._api.close()  # type: ignore[no-untyped-call]  # as above

    async def get(self, ref: Ref, *, timeout_s: float = _TIMEOUT_S) -> Object:
        return await self._call("GET", _path(ref), timeout_s=timeout_s)

    async def list(self, kind: Kind, namespace: str = "") -> tuple[list[Object], str]:
        """All of them in `namespace`, or everywhere, and the resourceVersion of the listing."""
        path = f"{kind.base}/namespaces/{namespace}/{kind.plural}" if namespace else f"{kind.base}/{kind.plural}"
        query = {"limit": str(_PAGE), "labelSelector": kind.labels, "fieldSelector": kind.fields}
        found: list[Object] = []
        while True:
            page = await self._call("GET", path, query=query)
            # Members of a list do not say what they are.
            found += [{"apiVersion": kind.api_version, "kind": kind.name, **item} for item in page["items"]]
            if not (token := page["metadata"].get("continue")):
                return found, page["metadata"]["resourceVersion"]
            query = {**query, "continue": token}

    async def apply(self, manifest: Object) -> Object:
        """Server-side apply: exactly the fields of `manifest` are ours afterwards."""
        return await self._call(
            "PATCH", _path(ref_of(manifest)), manifest, query={"fieldManager": MANAGER, "force": "true"}, content=_APPLY
        )

    async def apply_new(self, manifest: Object) -> Object:
        """The same where nothing has this name yet. Raises Conflict when something has, whoever made it."""
        # A version is asked of what is there, and of nothing else: no object has this one.
        # https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions
        return await self.apply({**manifest, "metadata": {**manifest["metadata"], "resourceVersion": _NOBODYS_VERSION}})

    async def hand_over_replicas(self, ref: Ref, replicas: int) -> Object:
        """By another field manager, which keeps them at what they are. Raises Conflict when they have become others meanwhile."""
        metadata = {"name": ref.name, "namespace": ref.namespace}
        document = {"apiVersion": BY_NAME[ref.kind].api_version, "kind": ref.kind, "metadata": metadata, "spec": {"replicas": replicas}}
        return await self._call("PATCH", _path(ref), document, query={"fieldManager": f"{MANAGER}-handover"}, content=_APPLY)

    async def apply_status(self, read: Object, status: Object) -> Object:
        """Of exactly the version that was read. Raises Conflict when there is another by now, of the same object or of a namesake; Gone."""
        known = {name: read["metadata"][name] for name in ("name", "namespace", "uid", "resourceVersion")}
        document = {"apiVersion": read["apiVersion"], "kind": read["kind"], "metadata": known, "status": status}
        query = {"fieldManager": MANAGER, "force": "true"}
        return await self._call("PATCH", f"{_path(ref_of(read))}/status", document, query=query, content=_APPLY)

    async def set_finalizers(self, live: Object, finalizers: Sequence[str]) -> Object:
        """Of exactly the version that was read. Raises Conflict when it has changed since."""
        known = {name: live["metadata"][name] for name in ("name", "namespace", "uid", "resourceVersion")}
        change = {"apiVersion": live["apiVersion"], "kind": live["kind"], "metadata": {**known, "finalizers": [*finalizers]}}
        return await self._call("PATCH", _path(ref_of(live)), change, query={"fieldManager": MANAGER}, content=_MERGE)

    async def create(self, document: Object, *, timeout_s: float = _TIMEOUT_S) -> Object:
        """Raises Conflict when one of this name exists."""
        ref = ref_of(document | {"metadata": {"name": "", **document["metadata"]}})
        return await self._call("POST", _folder(ref), document, query={"fieldManager": MANAGER}, timeout_s=timeout_s)

    async def replace(self, document: Object, *, timeout_s: float = _TIMEOUT_S) -> Object:
        """Raises Conflict unless `metadata.resourceVersion` is that of what is there."""
        return await self._call("PUT", _path(ref_of(document)), document, query={"fieldManager": MANAGER}, timeout_s=timeout_s)

    async def delete(self, ref: Ref, uid: str) -> None:
        """Raises Conflict when the object has another uid."""
        await self._call("DELETE", _path(ref), {"preconditions": {"uid": uid}, "propagationPolicy": "Background"})

    async def is_served(self, kind: Kind) -> bool:
        """Whether the API server knows the kind."""
        served = await self._call("GET", kind.base)
        return any(resource["name"] == kind.plural for resource in served["resources"])

    async def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        content: str = "application/json",
        timeout_s: float = _TIMEOUT_S,
    ) -> Object:
        """Who is told that the API server has too much to do asks again when it was told to, as long as there is time."""
        headers = {"Accept": "application/json", "Content-Type": content}
        asked = [(name, value) for name, value in (query or {}).items() if value]
        clock = asyncio.get_running_loop().time
        until = clock() + timeout_s
        try:
            async with asyncio.timeout_at(until):
                while True:
                    prepared = await self._api.param_serialize(
                        method, path, query_params=asked, header_params=headers, auth_settings=["BearerToken"]
                    )
                    answer = await self._api.call_api(*prepared[:3], None if body is None else dict(body), _request_timeout=timeout_s)
                    raw: bytes = await answer.read()  # type: ignore[no-untyped-call]  # as above
                    if answer.status != 429 or clock() + (pause_s := _retry_after_s(answer.headers)) >= until:
                        break
                    await asyncio.sleep(pause_s)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise Unreachable(f"{method} {path}: {type(error).__name__} {error}".strip()) from error
        return _result(answer.status, raw, f"{method} {path}")


def _retry_after_s(headers: Mapping[str, str]) -> float:
    """Of a 429, which was not carried out. https://kubernetes.io/docs/concepts/cluster-administration/flow-control/"""
    told = headers.get("Retry-After", "")
    return max(1.0, float(told)) if told.isdecimal() else 1.0


def _result(status: int, raw: bytes, what: str) -> Object:
    try:
        answer = json.loads(raw)
    except ValueError:
        answer = {}
    if status >= 300:
        raise error_of(status, f"{what}: {answer.get('message') or f'status {status}'}")
    if not isinstance(answer, dict):
        raise Unreachable(f"{what}: the answer is no object")
    return answer


def _folder(ref: Ref) -> str:
    kind = BY_NAME[ref.kind]
    return f"{kind.base}/namespaces/{ref.namespace}/{kind.plural}" if ref.namespace else f"{kind.base}/{kind.plural}"


def _path(ref: Ref) -> str:
    return f"{_folder(ref)}/{ref.name}"
