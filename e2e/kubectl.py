"""The cluster as its user sees it: through kubectl, on whatever KUBECONFIG names."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from tests.support.manifests import Manifest

IMAGE_OF_CLIENTS = "localhost/s3o-backing:dev"
"""Has boto3 and the aws program; `make cluster` puts it on the node."""


class KubectlFailed(Exception):
    """With what it said."""


@dataclass(frozen=True)
class Kubectl:
    """kubectl in one namespace."""

    namespace: str

    def run(self, *arguments: str, input_text: str | None = None, timeout_s: float = 120) -> str:
        """What it prints. Raises KubectlFailed."""
        command = ["kubectl", "--namespace", self.namespace, *arguments]
        done = subprocess.run(command, input=input_text, capture_output=True, text=True, check=False, timeout=timeout_s)
        if done.returncode != 0:
            raise KubectlFailed(f"{' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def apply(self, *manifests: Manifest) -> None:
        self.run("apply", "--server-side", "--filename", "-", input_text=yaml.safe_dump_all(manifests, sort_keys=False))

    def get(self, kind: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run("get", kind, name, "--output", "json"))
        return found

    def wait_until_ready(self, *names: str, timeout_s: int = 120) -> None:
        """`names`: KIND/NAME. Raises KubectlFailed with what each of them says of itself."""
        try:
            self.run("wait", "--for=condition=Ready", f"--timeout={timeout_s}s", *names, timeout_s=timeout_s + 30)
        except KubectlFailed as error:
            told = [self.run("get", name, "--output", "jsonpath={.kind}/{.metadata.name}: {.status}") for name in names]
            raise KubectlFailed("\n".join([str(error), *told, self.run("get", "pods")])) from None

    def run_to_end(self, name: str, container: Manifest, *, volumes: Sequence[Manifest] = (), timeout_s: int = 120) -> str:
        """Run one container as a pod that has nothing but what is given here. Returns what it printed; raises when it failed."""
        safe = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
        spec = {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {"name": "main", "image": IMAGE_OF_CLIENTS, "imagePullPolicy": "IfNotPresent", "securityContext": safe} | container
            ],
            "volumes": list(volumes),
        }
        self.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})
        # Of the container, not of the pod: its phase follows later.
        path = "jsonpath={.status.containerStatuses[0].state.terminated.reason}"
        self.run("wait", f"--for={path}", f"--timeout={timeout_s}s", f"pod/{name}", timeout_s=timeout_s + 30)
        printed = self.run("logs", name)
        if self.get("pod", name)["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] != 0:
            raise KubectlFailed(f"the pod {name} failed:\n{printed}")
        return printed
