"""A namespace of its own for every test file, on the cluster that KUBECONFIG names; `make cluster` has brought up what they stand on."""

from __future__ import annotations

import secrets
from collections.abc import Generator, Iterator

import pytest
from e2e.kubectl import Kubectl, KubectlFailed


@pytest.fixture(scope="module")
def kubectl() -> Iterator[Kubectl]:
    """In a namespace that enforces restricted Pod Security."""
    mine = Kubectl(f"e2e-{secrets.token_hex(3)}")
    try:
        mine.run("get", "--raw", "/readyz", timeout_s=20)
    except (KubectlFailed, FileNotFoundError) as error:
        pytest.fail(f"no cluster answers ({error}): make cluster, or set KUBECONFIG")
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    mine.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": mine.namespace, "labels": labels}})
    yield mine
    mine.run("delete", "namespace", mine.namespace, "--wait=false", "--ignore-not-found")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that failed tells what the cluster knows of it, while that is still there."""
    report = yield
    used: object = getattr(item, "funcargs", {}).get("kubectl")
    if report.failed and isinstance(used, Kubectl):
        used.tell()
    return report
