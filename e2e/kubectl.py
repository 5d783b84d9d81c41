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


SYSTEM = "s3-orchestrator-system"
_SHORT = "jsonpath={.kind}/{.metadata.name}: {.status}"


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
        self.wait_for("condition=Ready", *names, timeout_s=timeout_s)

    def wait_for(self, what: str, *names: str, timeout_s: int = 120) -> None:
        """`what`: as `kubectl wait --for` takes it. Raises KubectlFailed with what each of `names` says of itself."""
        try:
            self.run("wait", f"--for={what}", f"--timeout={timeout_s}s", *names, timeout_s=timeout_s + 30)
        except KubectlFailed as error:
            told = [self.run("get", name, "--ignore-not-found", "--output", _SHORT) for name in names]
            raise KubectlFailed("\n".join([str(error), *told, self.run("get", "pods")])) from None

    def annotate(self, name: str, **annotations: str) -> None:
        """`name`: KIND/NAME; `annotations`: of s3orchestrator.io, with _ for -, as in `annotate(name, drain="1")`."""
        pairs = [f"s3orchestrator.io/{key.replace('_', '-')}={value}" for key, value in annotations.items()]
        self.run("annotate", "--overwrite", name, *pairs)

    def operator(self) -> Kubectl:
        """The same in the namespace of the operator."""
        return Kubectl(SYSTEM)

    def tell(self) -> None:
        """Print what explains a failure: the resources, the pods, and the last lines of every log, the operator's too."""
        for title, arguments in {
            "resources": ("get", "s3o,sb,vb,deploy,pods,events", "--output=wide"),
            "statuses": ("get", "s3o,sb,vb", "--output", 'jsonpath={range .items[*]}{.kind}/{.metadata.name}: {.status}{"\\n"}{end}'),
            "proxies": ("logs", "--selector=app.kubernetes.io/name=s3-orchestrator", "--tail=40", "--prefix"),
        }.items():
            print(f"--- {title} of {self.namespace}\n{self.printed_by(*arguments)}")
        logs = ("logs", "--selector=app.kubernetes.io/name=s3orchestrator-operator", "--tail=80", "--prefix")
        print(f"--- operator\n{self.operator().printed_by(*logs)}")

    def printed_by(self, *arguments: str) -> str:
        """What it prints, or why it failed."""
        try:
            return self.run(*arguments)
        except KubectlFailed as error:
            return str(error)

    def start(self, name: str, container: Manifest, *, volumes: Sequence[Manifest] = ()) -> None:
        """Start one container as a pod that has nothing but what is given here."""
        safe = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
        spec = {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 1,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {"name": "main", "image": IMAGE_OF_CLIENTS, "imagePullPolicy": "IfNotPresent", "securityContext": safe} | container
            ],
            "volumes": list(volumes),
        }
        self.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})

    def run_to_end(self, name: str, container: Manifest, *, volumes: Sequence[Manifest] = (), timeout_s: int = 120) -> str:
        """`start`, and wait for its end. Returns what it printed; raises when it failed."""
        self.start(name, container, volumes=volumes)
        # Of the container, not of the pod: its phase follows later.
        path = "jsonpath={.status.containerStatuses[0].state.terminated.reason}"
        self.run("wait", f"--for={path}", f"--timeout={timeout_s}s", f"pod/{name}", timeout_s=timeout_s + 30)
        printed = self.run("logs", name)
        if self.get("pod", name)["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] != 0:
            raise KubectlFailed(f"the pod {name} failed:\n{printed}")
        return printed
