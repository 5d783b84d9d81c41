"""The benchmark can be believed: it signs as S3 wants it, sees every wrong answer, counts the kernel's time, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psutil
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hack.bench import accounting, flatness, scaling, stub
from hack.bench.cases import CASES, SMALL_BYTES, Case, case_named
from hack.bench.load import Job, Window, run
from hack.bench.payload import payload
from hack.bench.report import figures, row, table
from hack.bench.signing import EMPTY, UNSIGNED, Signer, canonical_query

ROOT = Path(__file__).resolve().parents[2]

# --- requests ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "query", "digest"),
    [
        ("GET", "/bench/seed/4096/0001", {}, EMPTY),
        ("GET", "/bench", {"prefix": "seed/4096/", "list-type": "2", "encoding-type": "url"}, EMPTY),
        ("PUT", "/bench/new/a", {}, hashlib.sha256(b"body").hexdigest()),
        ("PUT", "/bench/new/b", {}, UNSIGNED),
    ],
)
def test_requests_are_signed_as_botocore_signs_them(method: str, path: str, query: dict[str, str], digest: str) -> None:
    now = datetime.now(UTC)
    headers = Signer("key", "secret", "eu-west-1", "127.0.0.1:9000", now).headers(method, path, query, digest)

    url = f"http://127.0.0.1:9000{path}" + (f"?{canonical_query(query)}" if query else "")
    request = AWSRequest(method=method, url=url, headers={name: headers[name] for name in ("X-Amz-Date", "X-Amz-Content-SHA256")})
    request.context["timestamp"] = headers["X-Amz-Date"]
    botocore = S3SigV4Auth(Credentials("key", "secret"), "s3", "eu-west-1")
    signature = botocore.signature(botocore.string_to_sign(request, botocore.canonical_request(request)), request)
    assert headers["Authorization"].endswith(f"Signature={signature}")


# --- answers ----------------------------------------------------------------------------------------------------------

RIGHT = payload(SMALL_BYTES)
LISTING = b"<ListBucketResult><IsTruncated>false</IsTruncated>" + b"<Key>k</Key>" * 1000 + b"</ListBucketResult>"


def answer(body: bytes, status: str = "200 OK", length: int | None = None) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body) if length is None else length}\r\n\r\n".encode() + body


async def window_of(case: str, reply: bytes) -> Window:
    """One short window against a server that gives everybody the same reply, and closes when it has none."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if length := re.search(rb"Content-Length: (\d+)", head):
                    await reader.readexactly(int(length[1]))
                if not reply:
                    break
                writer.write(reply)
        except asyncio.IncompleteReadError:
            pass  # the client has gone
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        return await run(_job(case, port))


def _job(case: str, port: int, **changes: object) -> Job:
    fields: dict[str, object] = {
        "connections": 2,
        "seconds": 0.05,
        "warm_up_seconds": 0.0,
        "watch": {"server": os.getpid()},
        "tag": "t",
        "count": 1000,
    }
    return Job(case=case, port=port, bucket="b", access_key_id="k", secret_access_key="s", region="r", **(fields | changes))  # type: ignore[arg-type]  # all fields above


@pytest.mark.parametrize(
    ("case", "reply"),
    [
        ("get4k", answer(RIGHT)),
        ("head", answer(b"", length=SMALL_BYTES)),
        ("put4k", answer(b"")),
        ("list1000", answer(LISTING)),
        ("delete", b"HTTP/1.1 204 No Content\r\n\r\n"),
    ],
)
async def test_right_answers_are_counted(case: str, reply: bytes) -> None:
    window = await window_of(case, reply)

    assert (window.failed, window.failures) == (0, [])
    assert window.operations > 2
    assert 0 < window.p50_seconds <= window.p99_seconds
    assert window.cpu_ns["server"] > 0
    assert window.resident_bytes > 0


@pytest.mark.parametrize(
    ("case", "reply", "problem"),
    [
        ("get4k", answer(b"<Error/>", "503 Slow Down"), "status 503: b'<Error/>'"),
        ("get4k", answer(RIGHT[:-1]), "4095 bytes instead of 4096"),
        ("get4k", answer(RIGHT[:-1] + b"\x00"), "the bytes are not those that were stored"),
        ("get4k", answer(RIGHT[1:] + RIGHT[:1]), "the bytes are not those that were stored"),
        ("get4k", b"nonsense\r\n\r\n", "the answer is no HTTP"),
        ("get4k", b"", "the connection ended within a request"),
        ("head", answer(b"", length=SMALL_BYTES - 1), "4095 bytes instead of 4096"),
        ("head", answer(b"", "404 Not Found", length=300), "status 404"),
        ("put4k", answer(b"<Error/>", "507 Insufficient Storage"), "status 507: b'<Error/>'"),
        ("delete", answer(b""), "status 200"),
        ("list1000", answer(LISTING.replace(b"<Key>k</Key>", b"", 1)), "not one page of 1000 keys"),
        ("list1000", answer(LISTING.replace(b"false", b"true")), "not one page of 1000 keys"),
    ],
)
async def test_a_wrong_answer_is_seen(case: str, reply: bytes, problem: str) -> None:
    window = await window_of(case, reply)

    assert window.failed
    assert window.failures[0].startswith(problem)


# --- the stub ---------------------------------------------------------------------------------------------------------


@pytest.fixture
async def backend() -> AsyncIterator[httpx.AsyncClient]:
    store = stub.Store()
    server = await asyncio.get_running_loop().create_server(lambda: stub.Connection(store), "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, httpx.AsyncClient(base_url=url, trust_env=False) as client:
        yield client


async def test_the_stub_gives_back_what_was_put(backend: httpx.AsyncClient) -> None:
    assert (await backend.put("/b/some%20key", content=payload(300_000))).status_code == 200

    assert (await backend.get("/b/some%20key")).content == payload(300_000)
    assert (await backend.head("/b/some%20key")).headers["content-length"] == "300000"
    part = await backend.get("/b/some%20key", headers={"Range": "bytes=1000-1999"})
    assert (part.status_code, part.headers["content-range"]) == (206, "bytes 1000-1999/300000")
    assert part.content == payload(2000)[1000:]
    assert (await backend.get("/b/another")).status_code == 404


async def test_the_stub_refuses_bytes_that_a_proxy_spoiled(backend: httpx.AsyncClient) -> None:
    assert (await backend.put("/b/k", content=payload(5000)[1:])).status_code == 400

    assert (await backend.head("/b/k")).status_code == 404


async def test_the_stub_lists_in_pages_and_deletes(backend: httpx.AsyncClient) -> None:
    for number in range(5):
        await backend.put(f"/b/k{number}", content=payload(number))

    first = (await backend.get("/b", params={"list-type": "2", "prefix": "k", "max-keys": "3"})).text
    assert re.findall("<Key>(.*?)</Key>", first) == ["k0", "k1", "k2"]
    assert "<IsTruncated>true</IsTruncated><NextContinuationToken>k2</NextContinuationToken>" in first

    await backend.post("/b", params={"delete": ""}, content=b"<Delete><Object><Key>k3</Key></Object></Delete>")
    second = (await backend.get("/b", params={"list-type": "2", "prefix": "k", "continuation-token": "k2"})).text
    assert re.findall("<Key>(.*?)</Key>", second) == ["k4"]
    assert "<IsTruncated>false</IsTruncated>" in second


# --- accounts and table -----------------------------------------------------------------------------------------------


def test_processor_time_is_the_kernels() -> None:
    below = time.process_time_ns()
    counted = accounting.cpu_ns(os.getpid())
    above = time.process_time_ns()

    assert below <= counted <= above


def test_a_tree_is_counted_with_its_children() -> None:
    program = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(sum(range(3_000_000)), flush=True); input()'])"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        parent.stdout.readline()
        counted = accounting.snapshot(parent.pid)
        resident = accounting.resident_bytes(list(counted))
        parent.stdin.close()

    assert len(counted) == 2
    assert accounting.spent_ns({parent.pid: counted[parent.pid]}, counted) == sum(counted.values()) - counted[parent.pid] > 10_000_000
    assert resident > 10_000_000


def _windows(case: Case, costs_us: list[float], **database: float) -> list[Window]:
    watched = {name: int(cost * 1e5) for name, cost in database.items()}
    cpu = [{"server": int(cost * 1e5)} | watched for cost in costs_us]
    return [Window(operations=100, seconds=2, p50_seconds=0.001, p99_seconds=0.002, cpu_ns=each, resident_bytes=2**20) for each in cpu]


def test_the_table_shows_medians_in_the_unit_of_each_case() -> None:
    small, large = case_named("get4k"), case_named("get64m")
    rows = [
        row(small, figures(small, _windows(small, [50.0, 60.0, 80.0], database=7.0)), figures(small, _windows(small, [20.0, 21.0, 19.0]))),
        row(large, figures(large, _windows(large, [62_500.0])), None),
    ]

    assert rows[0] == ("GET 4 KiB", "op, µs", "60.0", "25%", "7.0", "20.0", "3.0", "0%", "50/s", "50/s", "1.0, 2.0", "1.0, 2.0", "1", "1")
    assert rows[1] == ("GET 64 MiB", "GiB, s", "1.00", "0%", "-", "-", "-", "312%", "3,200 MiB/s", "-", "1.0, 2.0", "-", "1", "-")
    assert len({len(line) for line in table(rows).splitlines()}) == 1


def test_what_processes_carry_follows_from_the_time_of_an_operation_and_not_from_the_rate() -> None:
    case = case_named("put4k")
    parts = {"database": 80.0, "stub": 20.0, "clients": 30.0}
    one, two = figures(case, _windows(case, [100.0], **parts)), figures(case, _windows(case, [125.0], **parts))
    assert scaling.capacity(2, two.costs) / scaling.capacity(1, one.costs) == 1.6
    row = scaling.row(case, 2, two, one, 1)
    assert row[:7] == ("PUT 4 KiB", "2", "125.0", "0%", "80.0", "30.0", "20.0")
    assert row[-2:] == ("16,000", "1.60")


# --- the whole --------------------------------------------------------------------------------------------------------


def _bench(*options: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(ROOT / "hack/bench/bench.py"), "--without-nginx", *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def test_every_case_runs_and_every_answer_is_right() -> None:
    rows = _rows("--database", "sqlite", "--connections", "4")

    assert [row["operation"] for row in rows] == [case.title for case in CASES]
    assert {row["database"] for row in rows} == {"-"}


def test_the_time_of_postgresql_is_counted_beside_ours() -> None:
    (row,) = _rows("--database", "postgres", "--only", "put4k")

    assert float(row["database"]) > 0


def test_several_processes_are_compared_with_one() -> None:
    one, two = _rows("--processes", "1,2", "--only", "put4k")

    assert (one["processes"], two["processes"]) == ("1", "2")
    assert one["times"] == "1.00"
    assert 0 < float(two["stub"]) < float(two["CPU per op, µs"])


def _rows(*options: str) -> list[dict[str, str]]:
    """The table of a short run, by the first column of each name."""
    with _bench("--rounds", "1", "--seconds", "0.2", "--without-flatness", *options) as bench:
        printed, errors = bench.communicate(timeout=120)
    assert bench.returncode == 0, errors
    names, _, *lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in printed.splitlines()]
    return [dict(zip(reversed(names), reversed(line), strict=True)) for line in lines]


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_a_page_of_folders_costs_the_same_over_many_keys_as_over_few(database: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch).chmod(0o711)  # PostgreSQL may run as another user
        found = flatness.measure(Path(scratch), database, few=1_000, many=100_000)

    assert found.many_us < 2 * found.few_us, found.line


def test_a_profile_shows_our_functions(tmp_path: Path) -> None:
    graph = tmp_path / "graph.txt"
    command = [sys.executable, str(ROOT / "hack/bench/profile.py"), "head", "--database", "sqlite", "--seconds", "1", "--format", "raw"]
    subprocess.run([*command, "--output", str(graph)], check=True, timeout=120)

    assert "s3o_proxy/http/endpoint.py" in graph.read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_ends_every_process_that_it_started(number: signal.Signals) -> None:
    with _bench("--database", "sqlite", "--seconds", "60", "--only", "get4k") as bench:
        assert bench.stderr is not None
        assert any("measured on core" in line for line in bench.stderr), "it ended without having begun"
        children = psutil.Process(bench.pid).children(recursive=True)
        assert len(children) >= 2
        bench.send_signal(number)
        bench.communicate(timeout=60)

    assert bench.returncode == 130
    assert psutil.wait_procs(children, timeout=0)[1] == []
