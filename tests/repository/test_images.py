"""What an image installs is what its member asks for, in the very versions that the tests ran with."""

from __future__ import annotations

import re
import tomllib

import pytest
from tests.support.repository import read

IMAGES = ("operator", "proxy")


def pins(name: str) -> dict[str, tuple[str, frozenset[str]]]:
    """Version and hashes by package."""
    found = {}
    for block in re.split(r"\n(?=\S)", read(name)):
        if pin := re.match(r"([\w.-]+)==(\S+)", block):
            found[pin[1]] = (pin[2], frozenset(re.findall(r"--hash=(sha256:[0-9a-f]+)", block)))
    return found


@pytest.mark.parametrize("image", IMAGES)
def test_it_is_pinned_as_it_was_tested(image: str) -> None:
    tested, installed = pins("constraints.txt"), pins(f"requirements-{image}.txt")
    assert installed
    stale = [package for package, pin in installed.items() if tested.get(package) != pin]
    assert not stale, f"make lock: {stale} of requirements-{image}.txt are not as in constraints.txt"


@pytest.mark.parametrize("image", IMAGES)
def test_it_has_all_that_its_member_asks_for(image: str) -> None:
    installed = pins(f"requirements-{image}.txt").keys() | {"s3o-crds"}
    for member in (image, "crds"):
        asked = {
            re.split(r"[^\w-]", each)[0].lower() for each in tomllib.loads(read(f"{member}/pyproject.toml"))["project"]["dependencies"]
        }
        assert asked <= installed, f"make lock: {asked - installed} are missing in requirements-{image}.txt"


@pytest.mark.parametrize("image", IMAGES)
def test_nobody_runs_it_as_root_and_its_base_can_be_chosen(image: str) -> None:
    lines = read(f"Dockerfile.{image}").splitlines()
    assert "ARG BASE=docker.io/library/python:3.13-slim" in lines
    assert [line for line in lines if line.startswith("USER ")] == ["USER 10001:10001"]


@pytest.mark.parametrize("image", IMAGES)
def test_it_says_what_it_is(image: str) -> None:
    labels = set(re.findall(r'org\.opencontainers\.image\.(\w+)="[^"]+"', read(f"Dockerfile.{image}")))
    assert labels == {"title", "description", "licenses", "version", "revision"}


def test_versions_agree() -> None:
    """Of the members, the charts, and what the charts install."""
    said = {tomllib.loads(read(f"{member}/pyproject.toml"))["project"]["version"] for member in ("crds", "operator", "proxy")}
    for chart in ("s3-orchestrator", "s3-orchestrator-operator"):
        said |= set(re.findall(r"^(?:version|appVersion): (\S+)$", read(f"charts/{chart}/Chart.yaml"), re.MULTILINE))
    assert len(said) == 1, said
