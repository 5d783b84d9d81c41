"""The generated files are what the models say, complete, the same on every run, and nothing else lies beside them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tests.support.kube import Cluster

from s3o_crds.crdgen.files import generated_files
from s3o_crds.kinds import KINDS, Kind
from s3o_crds.providers import PRESETS

ROOT = Path(__file__).parents[3]


def crdgen(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "s3o_crds.crdgen", *arguments], capture_output=True, text=True, check=False)


def test_what_lies_in_the_repository_is_what_the_models_say() -> None:
    done = crdgen("--check", str(ROOT))
    assert done.returncode == 0, f"run `make generate`:\n{done.stdout}{done.stderr}"


def test_a_difference_is_shown_and_written_away(tmp_path: Path) -> None:
    assert crdgen("--write", str(tmp_path)).returncode == 0
    assert crdgen("--check", str(tmp_path)).returncode == 0
    edited, stray = tmp_path / "crds/virtualbuckets.yaml", tmp_path / "crds/schemas/removed.json"
    edited.write_text(edited.read_text().replace("short", "long"))
    stray.write_text("{}\n")
    done = crdgen("--check", str(tmp_path))
    assert done.returncode == 1
    assert "+    shortNames:" in done.stdout
    assert "--- crds/schemas/removed.json" in done.stdout
    stray.unlink()
    assert crdgen("--write", str(tmp_path)).returncode == 0
    assert crdgen("--check", str(tmp_path)).stdout == ""


def test_every_run_makes_the_same_bytes() -> None:
    def bytes_with(seed: str) -> str:
        command = "from s3o_crds.crdgen.files import generated_files; print(generated_files())"
        done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed})
        return done.stdout

    assert bytes_with("1") == bytes_with("2")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_header_names_the_model(kind: Kind) -> None:
    header = generated_files()[f"crds/{kind.plural}.yaml"].splitlines()[0]
    assert header == f"# Generated from {kind.model.__module__}.{kind.name}; edit there, then `make generate`."


def test_the_base_lists_every_definition(cluster: Cluster) -> None:
    built = [document["metadata"]["name"] for document in yaml.safe_load_all(cluster.kubectl("kustomize", str(ROOT / "config/crd")))]
    assert sorted(built) == sorted(f"{kind.plural}.{kind.group}" for kind in KINDS)


def test_the_page_describes_every_field_rule_and_provider() -> None:
    page = generated_files()["docs/reference/api.md"]
    for expected in (
        "`spec.credentials[].secretRef.tokenKey`",
        "**`spec.endpoint`**",
        "maxObjectSize must not exceed bytes",
        "`status.phase`",
    ):
        assert expected in page
    for provider in PRESETS:
        assert f"\n| {provider} | " in page


class TestEditorSchemas:
    def test_close_every_section_so_that_typing_errors_show(self) -> None:
        schema = json.loads(generated_files()["crds/schemas/storagebackend.json"])
        quota = schema["properties"]["spec"]["properties"]["quota"]
        assert (schema["additionalProperties"], quota["additionalProperties"]) == (False, False)
        assert schema["required"] == ["apiVersion", "kind", "metadata", "spec"]
        assert schema["properties"]["kind"] == {"enum": ["StorageBackend"]}

    def test_hold_no_words_that_only_kubernetes_knows(self) -> None:
        assert "x-kubernetes" not in "".join(text for name, text in generated_files().items() if name.endswith(".json"))

    def test_know_every_field_of_the_samples(self) -> None:
        for path in sorted(ROOT.glob("config/samples/*.yaml")) + sorted(ROOT.glob("config/local/*.yaml")):
            for document in yaml.safe_load_all(path.read_text()):
                if document["kind"] != "Secret":
                    schema = json.loads(generated_files()[f"crds/schemas/{document['kind'].lower()}.json"])
                    assert_known(document["spec"], schema["properties"]["spec"])


def assert_known(value: object, schema: dict[str, object]) -> None:
    """Every field of `value` stands in `schema`, all the way down."""
    if isinstance(value, dict):
        members = schema["properties"]
        assert isinstance(members, dict)
        for name, member in value.items():
            assert_known(member, members[name])
    elif isinstance(value, list):
        items = schema["items"]
        assert isinstance(items, dict)
        for member in value:
            assert_known(member, items)
