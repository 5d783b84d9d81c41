"""The README's table of dependencies is exactly what the members ask for, and all of it is used and pinned."""

from __future__ import annotations

import re
import tomllib

import pytest
from tests.support.repository import ROOT, python_files, read, table_rows

MEMBERS = ("crds", "operator", "proxy")
IMPORTED_AS = {
    "prometheus-client": "prometheus_client",
    "python-ulid": "ulid",
    "pyyaml": "yaml",
    "s3o-crds": "s3o_crds",
}


def wanted_by(member: str) -> set[str]:
    project = tomllib.loads(read(f"{member}/pyproject.toml"))["project"]
    extras = [requirement for extra in project.get("optional-dependencies", {}).values() for requirement in extra]
    return {re.split(r"[^\w-]", requirement)[0].lower() for requirement in [*project["dependencies"], *extras]}


def test_the_table_lists_every_dependency_of_every_member_with_a_reason() -> None:
    described = {
        row[0].strip("`"): {member for member in MEMBERS if re.search(rf"\b{member}\b", row[1])}
        for row in table_rows("README.md")
        if len(row) == 3
    }
    wanted: dict[str, set[str]] = {}
    for member in MEMBERS:
        for package in wanted_by(member):
            wanted.setdefault(package, set()).add(member)
    assert described == wanted, "the table of dependencies in README.md must say what the pyproject.toml of the members say"
    assert all(row[2] for row in table_rows("README.md") if len(row) == 3)


@pytest.mark.parametrize(("member", "package"), [(member, package) for member in MEMBERS for package in sorted(wanted_by(member))])
def test_every_dependency_is_imported(member: str, package: str) -> None:
    module = IMPORTED_AS.get(package, package.replace("-", "_"))
    sources = [name for name in python_files() if name.startswith(f"{member}/src/")]
    imported = re.compile(rf"^\s*(import|from) {module}\b", re.MULTILINE)
    assert any(imported.search(read(name)) for name in sources), f"nobody in {member}/ imports {module}: drop {package}"


@pytest.mark.parametrize("member", MEMBERS)
def test_every_dependency_is_pinned_by_hash(member: str) -> None:
    pinned = dict(re.findall(r"^([\w.-]+)==\S+.*\\\n\s+--hash=(sha256):", read("constraints.txt"), re.MULTILINE))
    missing = wanted_by(member) - pinned.keys() - {"s3o-crds"}
    assert not missing, f"make lock: {missing} are not in constraints.txt"


def test_every_pin_has_a_hash_and_no_address() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith((" ", "#"))]
    assert pins
    assert not [line for line in pins if not line.endswith("\\")]
    assert not [line for line in lines if "://" in line]
