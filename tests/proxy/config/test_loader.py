"""A directory is taken whole, or refused with every reason: file, document, resource and field, and no secret."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.config_files import BUCKET, ORCHESTRATOR, backend, bucket, secret, write, write_sample

from s3o_proxy.config.documents import Document, read_documents
from s3o_proxy.config.errors import ConfigError
from s3o_proxy.config.loader import load


def reasons(directory: Path, environment: dict[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load(directory, environment or {})
    return caught.value.reasons


def test_a_directory_becomes_one_snapshot(tmp_path: Path) -> None:
    write_sample(tmp_path)
    snapshot = load(tmp_path, {}).snapshot
    assert [one.name for one in snapshot.backends] == ["b", "a"], "in the order in which Pack fills them"
    assert snapshot.region == "eu-central-1"
    assert snapshot.generation == 1
    found = snapshot.bucket("photos")
    assert found is not None
    assert snapshot.secret(found.credentials[0].secret_access_key) == "photos-value"


def test_values_of_secrets_come_from_the_environment_and_nothing_else_does(tmp_path: Path) -> None:
    write_sample(tmp_path)
    write(tmp_path, "secrets.yml", secret("backend-keys", "i", "v"), secret("photos-keys", "photos-id", '"${PHOTOS}-$$"'))
    snapshot = load(tmp_path, {"PHOTOS": "from-outside"}).snapshot
    found = snapshot.find_access_key("photos-id")
    assert found is not None
    assert found.secret_access_key == "from-outside-$"
    write(tmp_path, "orchestrator.yaml", ORCHESTRATOR.replace("eu-central-1", '"${PHOTOS}"'))
    assert "spec.server.region" in reasons(tmp_path, {"PHOTOS": "eu-west-1"})[0]


def test_data_of_a_secret_is_taken_as_it_is(tmp_path: Path) -> None:
    write_sample(tmp_path)
    data = "apiVersion: v1\nkind: Secret\nmetadata: {name: photos-keys}\ndata: {AWS_ACCESS_KEY_ID: aWQ=, AWS_SECRET_ACCESS_KEY: JHtYfQ==}\n"
    write(tmp_path, "secrets.yml", secret("backend-keys", "i", "v"), data)
    found = load(tmp_path, {}).snapshot.find_access_key("id")
    assert found is not None
    assert found.secret_access_key == "${X}"


def test_an_unset_variable_is_named_with_its_place(tmp_path: Path) -> None:
    write_sample(tmp_path)
    write(tmp_path, "secrets.yml", secret("backend-keys", "i", "v"), secret("photos-keys", "photos-id", '"${PHOTOS}"'))
    assert reasons(tmp_path) == (
        "secrets.yml, document 2: Secret photos-keys: stringData.AWS_SECRET_ACCESS_KEY: the environment variable PHOTOS is not set",
    )


def test_every_reason_is_given_at_once(tmp_path: Path) -> None:
    write_sample(tmp_path)
    write(tmp_path, "backends.yaml", backend("a").replace("http://127.0.0.1:8333", "nowhere"), backend("b").replace("order", "ordre"))
    write(tmp_path, "buckets.yaml", "a: [")
    found = reasons(tmp_path)
    assert len(found) == 3
    assert found[0].startswith("backends.yaml, document 1: StorageBackend a: spec.endpoint: ")
    assert "backends.yaml, document 2: StorageBackend b: spec.ordre: is not a field of this kind" in found
    assert found[-1].startswith("buckets.yaml: line 2, column 1: ")


def test_a_rejection_of_the_compiler_names_the_document(tmp_path: Path) -> None:
    write_sample(tmp_path)
    write(tmp_path, "buckets.yaml", bucket("photos"), bucket("music"))
    assert reasons(tmp_path) == (
        (
            "buckets.yaml, document 2: VirtualBucket music: spec.credentials[writer].secretRef: "
            "Secret default/music-keys does not exist (its key AWS_ACCESS_KEY_ID is needed)"
        ),
    )


def test_a_secret_of_another_namespace_does_not_count(tmp_path: Path) -> None:
    write_sample(tmp_path)
    elsewhere = secret("photos-keys", "i", "v").replace("{name:", "{namespace: elsewhere, name:")
    write(tmp_path, "secrets.yml", secret("backend-keys", "i", "v"), elsewhere)
    assert "Secret default/photos-keys does not exist" in reasons(tmp_path)[0]


def test_an_empty_directory_holds_no_orchestrator(tmp_path: Path) -> None:
    assert "holds no S3Orchestrator" in reasons(tmp_path)[0]


def test_a_directory_that_is_not_there_says_so(tmp_path: Path) -> None:
    assert reasons(tmp_path / "gone") == (f"{tmp_path / 'gone'}: cannot be read: No such file or directory",)


def test_two_orchestrators_are_one_too_many(tmp_path: Path) -> None:
    write_sample(tmp_path)
    write(tmp_path, "second.yaml", ORCHESTRATOR.replace("main", "other"))
    assert "holds 2 S3Orchestrators" in reasons(tmp_path)[0]
    assert "second.yaml, document 1" in reasons(tmp_path)[0]


def test_one_resource_in_two_places_is_refused_with_both(tmp_path: Path) -> None:
    write_sample(tmp_path)
    write(tmp_path, "again.yaml", BUCKET.replace("NAME", "photos"))
    assert reasons(tmp_path) == (
        "buckets.yaml, document 1: VirtualBucket photos: stands a second time; the first is in again.yaml, document 1",
    )


def test_a_resource_of_another_orchestrator_is_a_typing_error_here(tmp_path: Path) -> None:
    write_sample(tmp_path)
    write(tmp_path, "buckets.yaml", bucket("photos").replace("{name: main}", "{name: mian}"))
    assert reasons(tmp_path) == (
        "buckets.yaml, document 1: VirtualBucket photos: spec.orchestratorRef names S3Orchestrator mian, and here is S3Orchestrator main",
    )


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ("apiVersion: s3orchestrator.io/v1alpha1\nkind: StorageBackends\nmetadata: {name: x}\n", "kind: must be one of"),
        ("apiVersion: s3orchestrator.io/v9\nkind: StorageBackend\nmetadata: {name: x}\n", "apiVersion: must be"),
        ("apiVersion: s3orchestrator/v1alpha1\nkind: StorageBackend\nmetadata: {name: x}\n", "apiVersion: must be"),
        ("apiVersion: v1\nmetadata: {name: x}\n", "kind: is missing"),
        ("apiVersion: v1\nkind: {Secret: 1}\nmetadata: {name: x}\n", "kind: must be one of"),
        ("just text\n", "is not a mapping"),
    ],
)
def test_what_was_meant_for_us_and_is_not_ours_is_an_error(tmp_path: Path, document: str, reason: str) -> None:
    write_sample(tmp_path)
    write(tmp_path, "wrong.yaml", document)
    (found,) = reasons(tmp_path)
    assert found.startswith("wrong.yaml, document 1")
    assert reason in found


def test_other_kinds_may_lie_beside_ours_and_are_reported(tmp_path: Path) -> None:
    write_sample(tmp_path)
    write(tmp_path, "kustomization.yaml", "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: []\n")
    write(tmp_path, "namespace.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: storage}\n")
    assert load(tmp_path, {}).ignored == ("kustomization.yaml, document 1: Kustomization", "namespace.yaml, document 1: Namespace storage")


def test_no_reason_repeats_a_secret(tmp_path: Path) -> None:
    write_sample(tmp_path)
    for wrong in ("[hunter22]", "{hunter22: x}", "'hunter22 '", "*hunter22", "!hunter22 a", "'${hunter22'", "12345678"):
        write(tmp_path, "secrets.yml", secret("backend-keys", "i", "v"), secret("photos-keys", "photos-id", wrong))
        text = " ".join(reasons(tmp_path))
        assert "hunter22" not in text
        assert "12345678" not in text


def test_an_unchanged_directory_keeps_its_generation_and_a_changed_one_has_the_next(tmp_path: Path) -> None:
    write_sample(tmp_path)
    first = load(tmp_path, {}).snapshot
    write(tmp_path, "buckets.yaml", "# a comment", bucket("photos"))
    same = load(tmp_path, {}, first.config).snapshot
    assert (same.generation, same.digest) == (first.generation, first.digest)
    write(tmp_path, "secrets.yml", secret("backend-keys", "backend-id", "rotated"), secret("photos-keys", "photos-id", "photos-value"))
    rotated = load(tmp_path, {}, first.config).snapshot
    assert rotated.generation == 2
    assert rotated.digest != first.digest


def test_a_mounted_volume_that_changes_while_it_is_read_is_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kubelet turns its link between two files: of a backend that goes from the one to the other, neither half would tell."""
    for version in ("..1", "..2"):
        (tmp_path / version).mkdir()
        write_sample(tmp_path / version)
    write(tmp_path / "..1", "a.yaml", backend("c").replace("8333", "8334"))
    write(tmp_path / "..1", "z.yaml", "")
    write(tmp_path / "..2", "a.yaml", "")
    write(tmp_path / "..2", "z.yaml", backend("c").replace("8333", "8334"))
    (tmp_path / "..data").symlink_to("..2")
    for file in (tmp_path / "..1").iterdir():
        (tmp_path / file.name).symlink_to(f"..data/{file.name}")

    def turn(path: Path) -> Iterator[Document]:
        yield from read_documents(path)
        (tmp_path / "..new").symlink_to("..1")
        (tmp_path / "..new").rename(tmp_path / "..data")

    monkeypatch.setattr("s3o_proxy.config.loader.read_documents", turn)
    assert {one.name for one in load(tmp_path, {}).snapshot.backends} == {"a", "b", "c"}
