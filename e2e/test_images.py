"""Each image holds what its member needs, and nothing of the other's."""

from __future__ import annotations

import pytest
from e2e.kubectl import Kubectl
from tests.support.manifests import Manifest

PRESENT = "import importlib.util as found, os; print(os.getuid(), [name for name in {names} if found.find_spec(name)])"


@pytest.mark.parametrize(
    ("image", "names", "present"),
    [
        ("proxy", ["s3o_proxy", "asyncpg", "kopf", "kubernetes", "pip"], ["s3o_proxy", "asyncpg"]),
        ("operator", ["s3o_operator", "kopf", "asyncpg", "aiobotocore", "pip"], ["s3o_operator", "kopf"]),
    ],
)
def test_an_image_holds_its_member_alone(kubectl: Kubectl, image: str, names: list[str], present: list[str]) -> None:
    container: Manifest = {"image": f"localhost/s3o-{image}:dev", "command": ["python", "-c", PRESENT.format(names=names)]}
    assert kubectl.run_to_end(f"{image}-image", container) == f"10001 {present}\n"
