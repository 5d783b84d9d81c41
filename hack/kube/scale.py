"""`make scale`: what 1,000 buckets and 20 backends cost the operator, on a kube-apiserver and an etcd of its own.

Printed: seconds from the first object applied until every one is Ready, seconds a restarted operator needs until it has looked at
everything, seconds until one change has reached the configuration, writes at rest as the API server counts them, and memory. No node
runs: the script itself says that the proxies are available, as soon as their Deployment is there. Exit codes: 0; 1 when a bound is missed.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # so that a script in a folder finds the packages beside it

from tests.support import resources
from tests.support.kube import cluster
from tests.support.operators import Namespace, Object, Operator, Operators, condition, install, operators

_REQUESTS = re.compile(r'^apiserver_request_total\{.*resource="([a-z]+)".*subresource="([a-z]*)".*verb="([A-Z]+)".*\} (\S+)$', re.MULTILINE)
_WRITING = ("APPLY", "PATCH", "POST", "PUT", "DELETE")
_MOST_S = 300.0
_QUIET_S = 3.0


@dataclass
class Figure:
    name: str
    value: float
    bound: float
    unit: str

    def __str__(self) -> str:
        verdict = "" if self.value < self.bound or not self.value else "   MISSED"
        return f"{self.name:<58}{self.value:>8.1f} {self.unit:<4} (below {self.bound:g}){verdict}"


def main(buckets: int, backends: int, rest_s: float) -> int:
    figures: list[Figure] = []

    def report(name: str, value: float, bound: float, unit: str) -> None:
        figures.append(Figure(name, value, bound, unit))
        print(figures[-1], flush=True)

    with cluster() as running, tempfile.TemporaryDirectory() as folder:
        install(running)
        namespace = Namespace(running, running.new_namespace())
        with operators(running, namespace.name, Path(folder)) as starting:
            first = starting.start()
            _eventually("an operator leads", lambda: " leads" in first.said())
            fleet = threading.Thread(target=_make_proxies_ready, args=(namespace,), daemon=True)
            before, began = _requests(namespace), time.monotonic()
            fleet.start()
            _create_all(namespace, buckets, backends)
            print(f"{'(all objects are there after':<58}{time.monotonic() - began:>8.1f} s)", flush=True)
            report(f"{buckets} buckets, {backends} backends: from nothing to Ready", _settled(first) - began, 20, "s")
            _check(namespace, buckets)
            print(f"{'(CPU of the operator until then':<58}{_cpu_s(first):>8.1f} s)", flush=True)
            _print_requests(namespace, before, buckets)
            print(
                f"{'(Events are told beside the work, and all are told after':<58}{_told_everything(namespace) - began:>8.1f} s)",
                flush=True,
            )
            report("memory, resident", _memory_mib(first, "VmRSS"), 200, "MiB")
            report("memory, highest", _memory_mib(first, "VmHWM"), 200, "MiB")
            report(f"writes at rest, {rest_s:g} s", _writes_during(namespace, rest_s), 1, "")
            first.stop()
            report("after a restart: everything looked at", _restarted(starting), 3, "s")
            report("writes of the restart", _writes_during(namespace, 5), 1, "")
            report("one changed backend until the proxies' configuration has it", _one_change(namespace), 3, "s")
            print(f"{'(CPU of the restarted operator until then':<58}{_cpu_s(starting.started[-1]):>8.1f} s)")
    return 1 if any(one.value >= one.bound for one in figures) else 0


def _make_proxies_ready(namespace: Namespace) -> None:
    _eventually("the proxies' Deployment is there", lambda: namespace.get("Deployment", "main-proxy") is not None)
    namespace.make_proxies_ready()


def _create_all(namespace: Namespace, buckets: int, backends: int) -> None:
    namespace.cluster.apply([resources.key_pair("backend-keys")], namespace.name)
    database = {"driver": "Postgres", "host": "db", "database": "s3o", "user": "s3o"}
    documents = [("S3Orchestrator", resources.orchestrator(database=database, proxy={"replicas": 3}))]
    documents += [("StorageBackend", resources.backend(f"backend-{number:02}")) for number in range(backends)]
    documents += [("VirtualBucket", resources.bucket(f"bucket-{number:04}", credentials=resources.REMOVED)) for number in range(buckets)]
    with ThreadPoolExecutor(16) as pool:
        for response in pool.map(lambda one: namespace.cluster.api.post(namespace.path(one[0]), json=one[1]), documents):
            response.raise_for_status()


def _settled(operator: Operator) -> float:
    """When it wrote last (monotonic clock), said when it has not written for a while."""
    last, since, deadline = -1.0, 0.0, time.monotonic() + _MOST_S
    while time.monotonic() < deadline:
        writes = sum(_metric(operator, "s3o_operator_writes_total"))
        if writes != last:
            last, since = writes, time.monotonic()
        elif last > 0 and time.monotonic() - since > _QUIET_S:
            return since
        time.sleep(0.1)  # metrics are asked, not waited for
    raise SystemExit(f"not settled within {_MOST_S:g} s:\n{operator.said()[-3000:]}")


def _told_everything(namespace: Namespace) -> float:
    """When the API server had counted the last write for a while (monotonic clock)."""
    deadline = time.monotonic() + _MOST_S
    while time.monotonic() < deadline:
        since = time.monotonic()
        if not _writes_during(namespace, _QUIET_S):
            return since
    raise SystemExit(f"the API server is written to for {_MOST_S:g} s and more")


def _check(namespace: Namespace, buckets: int) -> None:
    def names(kind: str, holds: Callable[[Object], bool]) -> int:
        return sum(map(holds, namespace.cluster.api.get(namespace.path(kind)).raise_for_status().json()["items"]))

    ready = names("VirtualBucket", lambda one: condition(one, "Ready")[0] == "True")
    secrets = names("Secret", lambda one: "AWS_ACCESS_KEY_ID" in one["data"] and one["metadata"]["name"].startswith("bucket-"))
    where = names("ConfigMap", lambda one: one["metadata"]["name"].startswith("bucket-"))
    if (ready, secrets, where) != (buckets,) * 3:
        raise SystemExit(f"of {buckets} buckets {ready} are Ready, {secrets} have a Secret and {where} a ConfigMap")


def _restarted(starting: Operators) -> float:
    began = time.monotonic()
    operator = starting.start()
    _eventually("it has worked", lambda: sum(_metric(operator, "s3o_operator_reconciles_total")) > 0)
    return time.monotonic() - began


def _one_change(namespace: Namespace) -> float:
    def generation() -> str:
        annotations: dict[str, str] = (namespace.get("Secret", "main-config") or {})["metadata"]["annotations"]
        return annotations["s3orchestrator.io/config-generation"]

    before, began = generation(), time.monotonic()
    namespace.patch("StorageBackend", "backend-00", {"spec": {"state": "Cordoned"}})
    _eventually("the change is served", lambda: generation() != before)
    return time.monotonic() - began


def _writes_during(namespace: Namespace, seconds: float) -> float:
    before = _writes(namespace)
    time.sleep(seconds)  # what is counted is what happens meanwhile
    return _writes(namespace) - before


def _writes(namespace: Namespace) -> float:
    """Of whatever kind but Leases, which are renewed for ever."""
    return sum(count for (verb, resource), count in _requests(namespace).items() if verb in _WRITING and resource != "leases")


def _requests(namespace: Namespace) -> Counter[tuple[str, str]]:
    """By verb and resource, as the API server counts them."""
    text, found = namespace.cluster.api.get("/metrics").raise_for_status().text, Counter[tuple[str, str]]()
    for resource, subresource, verb, count in _REQUESTS.findall(text):
        found[verb, f"{resource}/{subresource}" if subresource else resource] += int(float(count))
    return found


def _print_requests(namespace: Namespace, before: Counter[tuple[str, str]], buckets: int) -> None:
    """The operator's and, one POST for each, ours."""
    asked = _requests(namespace) - before
    often = [f"{count / buckets:.2f} {verb} {resource}" for (verb, resource), count in asked.most_common() if count > buckets / 20]
    print(f"{'(requests for each bucket, at the API server':<58}{asked.total() / buckets:>8.2f}  : {', '.join(often)})", flush=True)


def _metric(operator: Operator, name: str) -> list[float]:
    try:
        text = httpx.get(f"http://127.0.0.1:{operator.port}/metrics", trust_env=False, timeout=5).text
    except httpx.HTTPError:
        return []
    return [float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith((f"{name}{{", f"{name} "))]


def _memory_mib(operator: Operator, field: str) -> float:
    lines = Path(f"/proc/{operator.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:"))


def _cpu_s(operator: Operator) -> float:
    fields = Path(f"/proc/{operator.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def _eventually(what: str, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _MOST_S
    while not holds():
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {_MOST_S:g} s: {what}")
        time.sleep(0.05)  # an API server is asked, not waited for


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What many buckets cost the operator.")
    parser.add_argument("--buckets", type=int, default=1000)
    parser.add_argument("--backends", type=int, default=20)
    parser.add_argument("--rest", type=float, default=30, help="seconds for which writes at rest are counted")
    given = parser.parse_args()
    sys.exit(main(given.buckets, given.backends, given.rest))
