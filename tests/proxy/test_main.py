"""The `s3o` program as its user meets it: what it prints, where, and its exit code."""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
import sysconfig
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest
from hack.ports import free_port
from tests.support.config_files import backend, write, write_sample
from tests.support.proxy import wait_until

from s3o_crds.compiled import DatabaseConfig
from s3o_proxy.__main__ import main
from s3o_proxy.domain.errors import MetadataUnavailable
from s3o_proxy.metadata.open import open_ledger
from s3o_proxy.workers.audit import Difference

LOCAL = Path(__file__).parents[2] / "config" / "local"


def test_what_make_run_serves_is_valid(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(LOCAL)]) == 0
    assert capsys.readouterr().out.startswith("valid: S3Orchestrator main, 3 backends, 1 buckets, digest ")


def test_what_is_invalid_is_said_reason_by_reason_on_standard_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_sample(tmp_path)
    write(tmp_path, "backends.yaml", backend("a").replace("order", "ordre"), backend("b").replace("10Mi", "lots"))
    assert main(["validate", str(tmp_path)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split(": ")[:3] for line in err.splitlines()] == [
        ["backends.yaml, document 1", "StorageBackend a", "spec.ordre"],
        ["backends.yaml, document 2", "StorageBackend b", "spec.quota.bytes"],
    ]


def test_a_variable_of_the_environment_that_is_missing_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_sample(tmp_path)
    secrets = tmp_path / "secrets.yml"
    secrets.write_text(secrets.read_text().replace("photos-value", '"${S3O_TEST_PHOTOS}"'))
    monkeypatch.delenv("S3O_TEST_PHOTOS", raising=False)
    assert main(["validate", str(tmp_path)]) == 1
    assert "the environment variable S3O_TEST_PHOTOS is not set" in capsys.readouterr().err
    monkeypatch.setenv("S3O_TEST_PHOTOS", "now")
    assert main(["validate", str(tmp_path)]) == 0


def test_documents_of_other_kinds_are_mentioned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_sample(tmp_path)
    write(tmp_path, "kustomization.yaml", "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n")
    assert main(["validate", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("not read: kustomization.yaml, document 1: Kustomization\nvalid: ")


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    assert capsys.readouterr().out == version("s3o-proxy") + "\n"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["serve"],
        ["nothing", "x"],
        ["run"],
        ["run", "x", "--listen", "9000"],
        ["run", "x", "--listen", "localhost"],
        ["run", "x", "--listen", "::1:9000"],
        ["run", "x", "--listen", "localhost:65536"],
        ["validate"],
        ["serve", "x", "--role", "both"],
        ["run", "x", "--role", "api"],
        ["run", "x", "--processes", "0"],
        ["run", "x", "--processes", "65"],
        ["serve", "x", "--processes", "two"],
    ],
)
def test_wrong_usage_is_two(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: s3o" in capsys.readouterr().err


def test_the_program_is_installed_and_its_module_runs(tmp_path: Path) -> None:
    program = Path(sysconfig.get_path("scripts")) / "s3o"
    for command in ([str(program)], [sys.executable, "-m", "s3o_proxy"]):
        done = subprocess.run([*command, "run", str(tmp_path / "gone")], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == f"{tmp_path / 'gone'}: cannot be read: No such file or directory\n"


async def make_database(path: Path) -> None:
    await (await open_ledger(DatabaseConfig(path=str(path)), {})).close()


def test_an_audit_prints_what_it_found_before_it_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost(*_: object) -> AsyncIterator[Difference]:
        yield Difference("a", "missing", "photos/k")
        raise MetadataUnavailable("the database went away")

    write_sample(tmp_path)
    monkeypatch.chdir(tmp_path)
    asyncio.run(make_database(tmp_path / "s3o.db"))
    monkeypatch.setattr("s3o_proxy.app.audit", lost)
    assert main(["audit", str(tmp_path)]) == 1
    assert capsys.readouterr() == ("a: missing: photos/k\n", "the database went away\n")


def test_checking_needs_no_server_and_no_database() -> None:
    script = "import sys; from s3o_proxy.__main__ import main; main(['version']); print(sorted({'uvicorn', 'asyncpg'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[1] == "[]"


def _serves(process: subprocess.Popen[bytes], url: str) -> bool:
    assert process.poll() is None, f"it ended with {process.returncode}"
    try:
        return httpx.get(f"{url}/health", timeout=5, trust_env=False).status_code == 200
    except httpx.ConnectError:
        return False


def test_it_takes_as_many_descriptors_as_it_may_have(tmp_path: Path) -> None:
    """By default a process begins with 1024, which a few hundred large transfers take: it answered no health check any more."""
    write_sample(tmp_path)
    port = free_port()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    command = ["sh", "-c", 'ulimit -S -n 256; exec "$@"', "sh", sys.executable, "-P", "-m", "s3o_proxy", "run", str(tmp_path)]
    process = subprocess.Popen([*command, "--listen", f"127.0.0.1:{port}"], cwd=tmp_path, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: _serves(process, f"http://127.0.0.1:{port}"), "it does not serve", timeout_s=60)
        assert resource.prlimit(process.pid, resource.RLIMIT_NOFILE) == (min(hard, 1 << 20), hard)
    finally:
        process.terminate()
        process.wait(30)


def _full() -> int:
    return os.open("/dev/full", os.O_WRONLY)


def _gone() -> int:
    reading, writing = os.pipe()
    os.close(reading)
    return writing


def _unread() -> int:
    """Full already; its reading end stays open until the tests end."""
    _, writing = os.pipe()
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * 4096)
    os.set_blocking(writing, True)
    return writing


@pytest.mark.parametrize("make", [_full, _gone, _unread, None], ids=["a full disk", "a gone reader", "an idle reader", "closed"])
def test_whatever_becomes_of_standard_error_it_serves_and_ends_in_peace(tmp_path: Path, make: Callable[[], int] | None) -> None:
    write_sample(tmp_path)
    port = free_port()
    program = [sys.executable, "-P", "-m", "s3o_proxy", "run", str(tmp_path), "--listen", f"127.0.0.1:{port}"]
    command = ["sh", "-c", 'exec "$@" 2>&-', "sh", *program] if make is None else program
    target = subprocess.DEVNULL if make is None else make()
    process = subprocess.Popen(command, cwd=tmp_path, stderr=target, stdin=subprocess.DEVNULL)
    if target != subprocess.DEVNULL:
        os.close(target)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: _serves(process, url), "it does not serve", timeout_s=60)
        for _ in range(20):
            assert httpx.get(f"{url}/photos/key", timeout=5, trust_env=False).status_code == 403
        process.terminate()
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
