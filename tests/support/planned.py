"""A cluster and its proxies in memory, on which plans are carried out as they say: what a sequence of events leads to, without a server.

It knows only what plans rely on: statuses, finalizers, children, and operations that are known by (subject, kind, token).
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.support import resources

from s3o_crds.compiled import FleetConfig
from s3o_operator.plan.actions import (
    Action,
    CancelOperation,
    Delete,
    DropKeys,
    Ensure,
    ForgetBackend,
    Latch,
    MintToken,
    Plan,
    Protect,
    Release,
    SetStatus,
    StartOperation,
    WriteKeys,
)
from s3o_operator.plan.contacts import BackendReport, Contact, Report
from s3o_operator.plan.manifests.admin import build_admin_secret
from s3o_operator.plan.manifests.config import DIGEST, GENERATION
from s3o_operator.plan.manifests.labels import controller_of
from s3o_operator.plan.observed import Key, Object, Observed, Ref, ref_of
from s3o_operator.plan.planner import plan
from s3o_operator.plan.registry import Entry, KeyPair, read_registry, registry_of, shards_of, written
from s3o_operator.plan.removal import FINALIZERS

KEY = Key("default", "main")
MOST_ROUNDS = 30
_HOLDING = ("Pending", "Running", "Stalled", "Succeeded")


class Crash(Exception):
    """The operator ends here."""


@dataclass
class World:
    """`serving`: whether pods take a new configuration. `reachable`: whether they answer. `asked`: every operation that was ever begun."""

    resources: dict[Ref, Object] = field(default_factory=dict)
    live: dict[Ref, Object] = field(default_factory=dict)
    operations: list[Object] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    serving: bool = True
    reachable: bool = True
    served: tuple[int, str] = (0, "")
    made: int = 0
    now: str = "2026-11-21T11:00:00Z"

    # --- what people do --------------------------------------------------------------------------------------------------------------

    def create(self, document: Object) -> Ref:
        self.made += 1
        metadata = {"namespace": "default", "uid": f"u{self.made}", "generation": 1, "resourceVersion": "1"}
        created = {**metadata, "creationTimestamp": f"2026-11-21T10:00:{self.made:02}Z", **document["metadata"]}
        made = {**document, "metadata": created}
        if made["kind"] == "Secret":
            made["data"] = {name: base64.b64encode(text.encode()).decode() for name, text in made.pop("stringData").items()}
        ref = ref_of(made)
        (self.live if made["kind"] == "Secret" else self.resources)[ref] = made
        return ref

    def edit(self, ref: Ref, **spec: Any) -> None:
        before = self.resources[ref]
        metadata = before["metadata"] | {"generation": before["metadata"]["generation"] + 1}
        self.resources[ref] = before | {"spec": before["spec"] | spec, "metadata": metadata}

    def annotate(self, ref: Ref, **annotations: str | None) -> None:
        """`None` takes one away."""
        before = self.resources[ref]
        known = before["metadata"].get("annotations") or {}
        wanted = known | {f"s3orchestrator.io/{name.replace('_', '-')}": value for name, value in annotations.items()}
        kept = {name: value for name, value in wanted.items() if value is not None}
        self.resources[ref] = before | {"metadata": before["metadata"] | {"annotations": kept}}

    def delete(self, ref: Ref) -> None:
        if ref in self.live:
            del self.live[ref]
            return
        before = self.resources[ref]
        if not before["metadata"].get("finalizers"):
            self._remove(ref)
        else:
            self.resources[ref] = before | {"metadata": before["metadata"] | {"deletionTimestamp": "2026-11-21T10:30:00Z"}}

    def vanish(self, ref: Ref) -> None:
        """Somebody took its finalizers off by hand."""
        self._remove(ref)

    def tell(self, state: str, *, kind: str = "Drain", **fields: Any) -> None:
        """The proxies say this of every operation of the kind that is active."""
        for one in self.operations:
            if one["kind"] == kind and one["state"] in ("Pending", "Running", "Stalled"):
                one.update(state=state, **fields)

    # --- what is there ---------------------------------------------------------------------------------------------------------------

    def status(self, ref: Ref) -> Object:
        return dict(self.resources[ref].get("status") or {})

    def condition(self, ref: Ref, kind: str) -> tuple[str, str]:
        known = self.status(ref).get("conditions") or []
        return next(((one["status"], one["reason"]) for one in known if one["type"] == kind), ("", ""))

    def is_there(self, ref: Ref) -> bool:
        return ref in self.resources

    def observed(self) -> Observed:
        pod = {"metadata": {"name": "pod", "uid": "p1", "labels": {"app.kubernetes.io/component": "proxy"}}, "spec": {"nodeName": "n"}}
        pod["status"] = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        if self.serving and self.written() is not None:
            self.served = self.written() or self.served
        deployment = self.live.get(Ref("Deployment", "default", "main-proxy"))
        if deployment is not None:
            counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 1)
            self.live[ref_of(deployment)] = deployment | {"status": {"observedGeneration": 1, **counts}}
        of = sorted(self.resources.items())
        return Observed(
            key=KEY,
            now=self.now,
            image="proxy:1",
            orchestrator=self.resources.get(Ref("S3Orchestrator", *KEY)),
            backends=tuple(one for ref, one in of if ref.kind == "StorageBackend"),
            buckets=tuple(one for ref, one in of if ref.kind == "VirtualBucket"),
            secrets=tuple(one for ref, one in sorted(self.live.items()) if ref.kind == "Secret"),
            live=dict(self.live),
            pods=(pod,) if deployment is not None else (),
            contacts={"p1": self._contact()},
            operations=tuple(dict(one) for one in self.operations) if self.reachable and deployment is not None else None,
        )

    def _contact(self) -> Contact:
        """It has tried every backend, and all is well."""
        if not self.reachable:
            return Contact(error="no answer")
        tried = {ref.name: BackendReport(checked=True) for ref in self.resources if ref.kind == "StorageBackend"}
        return Contact(Report(*self.served, backends=tried))

    def config(self) -> FleetConfig:
        secret = self.live[Ref("Secret", "default", "main-config")]
        return FleetConfig.model_validate_json(base64.b64decode(secret["data"]["config.json"]))

    def outline(self) -> dict[str, object]:
        """What is left in the end, less what tells when and how often something was written."""
        told = {str(ref): (self.status(ref).get("phase"), self.status(ref).get("drain")) for ref in self.resources}
        served = self.config()
        return {
            "told": told,
            "backends": [(one.name, one.accepts_writes) for one in served.backends],
            "buckets": [one.name for one in served.buckets],
            "forgotten": set(self.forgotten),
        }

    def written(self) -> tuple[int, str] | None:
        secret = self.live.get(Ref("Secret", "default", "main-config"))
        annotations = (secret or {"metadata": {}})["metadata"].get("annotations") or {}
        return (int(annotations[GENERATION]), annotations[DIGEST]) if annotations else None

    # --- what is done about it -------------------------------------------------------------------------------------------------------

    def settle(self, before_each: Callable[[Action], None] = lambda action: None) -> list[Action]:
        """Plan and carry out until there is nothing to do; everything that was done. `before_each` may raise Crash."""
        done: list[Action] = []
        for _ in range(MOST_ROUNDS):
            planned = self.planned(self.observed())
            if not planned.actions:
                return done
            done += self.carry_out(planned, before_each)
        raise AssertionError(f"no end after {MOST_ROUNDS} plans: {planned.actions}")

    def planned(self, observed: Observed) -> Plan:
        return plan(observed)

    def carry_out(self, planned: Plan, before_each: Callable[[Action], None]) -> list[Action]:
        again, done = False, []
        for action in planned.actions:
            if isinstance(action, SetStatus) and again:
                break
            before_each(action)
            self.do(action)
            done.append(action)
            again |= isinstance(action, WriteKeys | MintToken | Latch | Protect | StartOperation | CancelOperation)
        return done

    def do(self, action: Action) -> None:
        match action:
            case MintToken(owner, secret):
                self.live[secret] = _served(build_admin_secret(KEY, owner, "a-token-of-many-letters"))
            case WriteKeys(_, _, changes):
                entries = read_registry(shards_of(KEY, self.live.values()))
                made = {one.credential: Entry(KeyPair(f"S3O{one.credential.bucket.upper():A<17}", "secret")) for one in changes}
                self.live |= {ref_of(shard): _served(shard) for shard in registry_of(KEY, made | entries)}
            case DropKeys(_, ref, uid) if self._is(ref, uid):
                entries = read_registry(shards_of(KEY, self.live.values()))
                own = dict.fromkeys(one for one in entries if (one.namespace, one.bucket) == (ref.namespace, ref.name))
                self.live |= {ref_of(shard): shard for shard in written(KEY, shards_of(KEY, self.live.values()), own, ())}
            case Ensure(manifest):
                self.live[ref_of(manifest)] = _served(manifest)
            case Delete(ref):
                self.live.pop(ref, None)
            case StartOperation() | CancelOperation() | ForgetBackend():
                self._at_the_proxies(action)
            case Latch(ref, uid) | SetStatus(ref, uid) | Protect(ref, uid) | Release(ref, uid) if self._is(ref, uid):
                self._to_the_resource(action)

    def _to_the_resource(self, action: Latch | SetStatus | Protect | Release) -> None:
        ref, before = action.ref, self.resources[action.ref]
        known = before["metadata"].get("finalizers") or []
        match action:
            case Latch() | SetStatus():
                self.resources[ref] = before | {"status": action.status}
            case Protect():
                self._set_finalizers(ref, [*known, FINALIZERS[ref.kind]])
            case Release() if known == [FINALIZERS[ref.kind]]:
                self._remove(ref)
            case Release():
                self._set_finalizers(ref, [name for name in known if name != FINALIZERS[ref.kind]])

    def _at_the_proxies(self, action: StartOperation | CancelOperation | ForgetBackend) -> None:
        if not self.reachable:
            return
        match action:
            case StartOperation():
                asked = (action.uid, action.kind, action.token)
                if asked not in [(one["subject"], one["kind"], one["token"]) for one in self.operations]:
                    made = {"id": f"op{len(self.operations)}", "subject": action.uid, "kind": action.kind, "token": action.token}
                    self.operations.insert(0, made | {"backend": action.backend, "bucket": action.bucket, "state": "Pending"})
            case CancelOperation():
                for one in self.operations:
                    if one["id"] == action.id and one["state"] in _HOLDING:
                        one["state"] = "Cancelled"
            case ForgetBackend():
                self.forgotten.append(action.backend)

    def _remove(self, ref: Ref) -> None:
        """With its children, as the garbage collector does."""
        uid = self.resources.pop(ref)["metadata"]["uid"]
        self.live = {name: child for name, child in self.live.items() if controller_of(child) != uid}

    def _is(self, ref: Ref, uid: str) -> bool:
        return ref in self.resources and self.resources[ref]["metadata"]["uid"] == uid

    def _set_finalizers(self, ref: Ref, finalizers: list[str]) -> None:
        before = self.resources[ref]
        self.resources[ref] = before | {"metadata": before["metadata"] | {"finalizers": finalizers}}


def _served(manifest: Object) -> Object:
    own = {"uid": f"uid-{manifest['metadata']['name']}", "generation": 1, "resourceVersion": "1"}
    return {**manifest, "metadata": {**manifest["metadata"], **own}}


def fleet(*backends: str, buckets: tuple[str, ...] = ("photos",)) -> World:
    """An orchestrator that serves these, settled."""
    world = World()
    world.create(resources.key_pair("backend-keys"))
    world.create(resources.orchestrator())
    for name in backends or ("one", "two"):
        world.create(resources.backend(name))
    for name in buckets:
        world.create(resources.bucket(name, credentials=resources.REMOVED))
    world.settle()
    return world


def sb(name: str) -> Ref:
    return Ref("StorageBackend", "default", name)


def vb(name: str) -> Ref:
    return Ref("VirtualBucket", "default", name)


MAIN = Ref("S3Orchestrator", *KEY)
