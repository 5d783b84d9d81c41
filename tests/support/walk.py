"""A seeded random walk of users, clusters and networks around an operator: what may happen to it in a year, in minutes.

Every step (`walk_steps`) is one thing that one of them does. The walk itself decides nothing about what is right: it knows what it has
made and broken, and `calm()` ends all trouble, so that what must be true afterwards can be asked of the API server.
"""

from __future__ import annotations

import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import httpx
from tests.support import resources
from tests.support.fault_proxy import FaultProxy
from tests.support.operators import Namespace, Object, Operator, Operators
from tests.support.pictures import key_pairs

from s3o_operator.leadership import LEASE_NAME

POSTGRES = {"driver": "Postgres", "host": "db", "database": "s3o", "user": "s3o"}
RESYNC_S = 4
Step = Callable[["Walk"], None]


@dataclass
class Walk:
    """`done`: how often each thing happened. `keys`: all that each bucket's application was ever seen to have. `rotations`: how many new
    ones were asked for. `foreign`: what is not the operator's."""

    namespace: Namespace
    proxy: FaultProxy
    starting: Operators
    chance: random.Random
    steps: Sequence[tuple[float, Step]]
    """With how often each happens."""
    operator: Operator | None = None
    done: Counter[str] = field(default_factory=Counter)
    keys: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    rotations: Counter[str] = field(default_factory=Counter)
    foreign: dict[str, Object] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    def begin(self) -> None:
        self.post(resources.key_pair("backend-keys"))
        self.post(resources.orchestrator(database=POSTGRES, proxy={"replicas": 2}))
        self.start_operator()

    def step(self) -> None:
        weights = [weight for weight, _ in self.steps]
        act = self.chance.choices([act for _, act in self.steps], weights)[0]
        name = act.__name__.lstrip("_")
        self.done[name] += 1
        self.log.append(name)
        act(self)
        time.sleep(self.chance.choice((0.0, 0.0, 0.02, 0.1, 0.2)))  # how far the operator gets in between is part of the walk

    def calm(self) -> None:
        """No more trouble: no faults, an operator that runs, proxies that are available, garbage collected."""
        self.proxy.rules = []
        self.proxy.up()
        self.proxy.break_connections()  # a watch that had lost events goes on to lose none; what is lost is found by the next listing
        if self.namespace.get("S3Orchestrator", "main") is None:
            self.post(resources.orchestrator(database=POSTGRES, proxy={"replicas": 2}))
        self.start_operator()

    def look(self) -> None:
        """An application has one key for good, and one more for every new one that was asked for."""
        for name, key in key_pairs(self.namespace).items():
            self.keys[name].add(key)
            if len(self.keys[name]) > 1 + self.rotations[name]:
                self.problems.append(f"{name} had the keys {self.keys[name]} by {self.rotations[name]} rotations, after {self.log[-5:]}")
        for path, document in self.foreign.items():
            if self.api("GET", path).json() != document:
                self.problems.append(f"{path} is not ours, and was changed")

    def start_operator(self) -> None:
        if self.operator is None or self.operator.process.poll() is not None:
            # Whoever held the Lease is dead: nobody need wait until it has ended.
            self.api("DELETE", f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace.name}/leases/{LEASE_NAME}")
            self.operator = self.starting.start(S3O_RESYNC_SECONDS=str(RESYNC_S))

    # --- what the steps are made of ---------------------------------------------------------------------------------

    def exists(self, kind: str, name: str) -> bool:
        return self.namespace.get(kind, name) is not None

    def some(self, kind: str) -> str:
        names = [one["metadata"]["name"] for one in self.namespace.list(kind)]
        return self.chance.choice(names) if names else ""

    def ours(self, kind: str) -> list[str]:
        labelled = [one["metadata"] for one in self.namespace.list(kind)]
        return [
            one["name"] for one in labelled if (one.get("labels") or {}).get("app.kubernetes.io/managed-by") == "s3orchestrator-operator"
        ]

    def patch(self, kind: str, name: str, change: Object) -> None:
        """Whoever was to be changed may be gone by now, or may not be changed so."""
        response = self.api("PATCH", self.namespace.path(kind, name), change, "application/merge-patch+json")
        if response.status_code not in (404, 422):
            response.raise_for_status()

    def delete(self, kind: str, name: str) -> None:
        self.api("DELETE", self.namespace.path(kind, name))

    def post(self, document: Object) -> httpx.Response:
        return self.api("POST", self.namespace.path(document["kind"]), document)

    def api(self, method: str, path: str, body: Object | None = None, kind: str = "application/json") -> httpx.Response:
        return self.namespace.cluster.api.request(method, path, json=body, headers={"Content-Type": kind} if body else {})
