"""An application under way: a pod that writes and reads until it is told to stop, and then reads again all that was acknowledged.

It knows nothing but the Secret and the ConfigMap of its bucket, and retries as the SDK does by default; what fails all the same is told.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from e2e.kubectl import Kubectl, KubectlFailed

_PROGRAM = """
import hashlib, json, os, random, threading, time, boto3, botocore.config
bucket, writers, readers, most, keys = os.environ["BUCKET_NAME"], *json.loads(os.environ["LOAD"])
s3 = boto3.client("s3", config=botocore.config.Config(max_pool_connections=64))
known, counts, failed, lock = {}, {"puts": 0, "gets": 0, "deletes": 0}, [], threading.Lock()
stop = threading.Event()
owned = [[f"load/{writer}/{number}" for number in range(keys)] for writer in range(writers)]

def attempt(what, key, act):
    try:
        result = act()
        with lock: counts[what] += 1
        return result
    except Exception as error:
        with lock: failed.append(f"{time.strftime('%H:%M:%S')} {what} {key}: {error!r}"[:300])

def body_of(key):
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read()

def write(mine):
    while not stop.is_set():
        key, data = random.choice(mine), os.urandom(random.randrange(1, most))
        with lock: known.pop(key, None)  # Until it is acknowledged, nobody knows which of the two is there.
        if random.random() < 0.05:
            attempt("deletes", key, lambda: s3.delete_object(Bucket=bucket, Key=key))
        elif attempt("puts", key, lambda: s3.put_object(Bucket=bucket, Key=key, Body=data)):
            with lock: known[key] = hashlib.sha256(data).hexdigest()

def read():
    while not stop.is_set():
        with lock: key, digest = random.choice(list(known.items())) if known else (None, None)
        if key is None:
            time.sleep(0.1)
            continue
        try:
            data = body_of(key)
            with lock: counts["gets"] += 1
            with lock: changed = known.get(key) != digest
            if hashlib.sha256(data).hexdigest() != digest and not changed:
                with lock: failed.append(f"get {key}: other bytes than were acknowledged")
        except Exception as error:
            with lock:
                if known.get(key) == digest: failed.append(f"{time.strftime('%H:%M:%S')} get {key}: {error!r}"[:300])

threads = [threading.Thread(target=write, args=(mine,)) for mine in owned] + [threading.Thread(target=read) for _ in range(readers)]
for thread in threads: thread.start()
while not os.path.exists("/tmp/stop"):
    time.sleep(1)
    with lock: print(json.dumps({**counts, "failed": len(failed)}), flush=True)
stop.set()
for thread in threads: thread.join()
lost = []
for key, digest in known.items():
    try:
        if hashlib.sha256(body_of(key)).hexdigest() != digest: lost.append(f"{key}: other bytes")
    except Exception as error:
        lost.append(f"{key}: {error!r}"[:300])
print(json.dumps({**counts, "known": len(known), "failed": failed[:50], "lost": lost[:50]}), flush=True)
"""


@dataclass(frozen=True)
class Outcome:
    """`failed`: requests that failed though they were retried. `lost`: acknowledged objects that are gone, or have other bytes."""

    puts: int
    gets: int
    deletes: int
    known: int
    failed: list[str]
    lost: list[str]


@dataclass(frozen=True)
class Clients:
    kubectl: Kubectl
    pod: str

    def counts(self) -> dict[str, int]:
        """How far they are: puts, gets, deletes, failed. Empty in the first second."""
        lines = self.kubectl.run("logs", self.pod, "--tail=1").splitlines()
        found: dict[str, int] = json.loads(lines[-1]) if lines else {}
        return found

    def wait_for_puts(self, count: int, timeout_s: float = 60) -> None:
        """Until so many have been acknowledged since the start."""
        deadline_s = time.monotonic() + timeout_s
        while self.counts().get("puts", 0) < count:
            if time.monotonic() > deadline_s:
                raise KubectlFailed(f"{self.pod} has not stored {count} objects in {timeout_s:.0f} s: {self.counts()}")
            time.sleep(0.3)  # It prints a line a second.

    def stop(self) -> Outcome:
        """When all that was acknowledged has been read again."""
        self.kubectl.run("exec", self.pod, "--", "touch", "/tmp/stop")
        self.kubectl.wait_for("jsonpath={.status.containerStatuses[0].state.terminated.reason}", f"pod/{self.pod}", timeout_s=300)
        told: dict[str, Any] = json.loads(self.kubectl.run("logs", self.pod, "--tail=1"))
        return Outcome(**told)


@contextmanager
def clients(
    kubectl: Kubectl, bucket: str, *, writers: int = 2, readers: int = 2, most_bytes: int = 65536, keys_per_writer: int = 200
) -> Iterator[Clients]:
    """Started, and at work: something has been stored. Call `stop` for the outcome; whatever happens, the pod is removed."""
    made = Clients(kubectl, f"load-{bucket}")
    load = json.dumps([writers, readers, most_bytes, keys_per_writer])
    environment = [{"name": "HOME", "value": "/tmp"}, {"name": "LOAD", "value": load}]
    mounted = [{"secretRef": {"name": bucket}}, {"configMapRef": {"name": bucket}}]
    kubectl.start(made.pod, {"command": ["python3", "-c", _PROGRAM], "env": environment, "envFrom": mounted})
    try:
        kubectl.wait_until_ready(f"pod/{made.pod}")
        made.wait_for_puts(1)
        yield made
    finally:
        # Waited for: the next one has its name.
        kubectl.run("delete", "pod", made.pod, "--grace-period=1")
