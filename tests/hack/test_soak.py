"""The soak can be believed: it sees what is lost, wrong or too much, and a short one holds on real proxies, PostgreSQL and S3 servers."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest
from hack.seaweedfs import ACCESS_KEY_ID, SECRET_ACCESS_KEY
from hack.soak.__main__ import main
from hack.soak.client import S3, Access, Answer, NotSentError, UnansweredError
from hack.soak.model import GONE, Key
from hack.soak.report import table
from hack.soak.run import Plan, Result, soak
from hack.soak.site import Site
from hack.soak.tally import Finding, Outcome, Tally
from hack.soak.watch import Watch, stored
from hack.soak.writer import Writer
from tests.support.postgres import PostgresServer
from tests.support.seaweedfs import Endpoint, SeaweedFS

ROOT = Path(__file__).resolve().parents[2]


# --- the model --------------------------------------------------------------------------------------------------------


def test_a_key_is_what_was_acknowledged_or_what_was_asked_since_and_not_answered() -> None:
    key = Key()
    assert key.possible == {GONE}
    key.asked("a")
    key.answered("a")
    assert key.is_there
    assert key.possible == {"a"}
    key.asked("b")
    key.asked(GONE)
    assert not key.is_certain
    assert key.possible == {"a", "b", GONE}
    key.refused("b")
    assert key.possible == {"a", GONE}
    key.seen("a")
    assert key.possible == {"a"}


# --- the client -------------------------------------------------------------------------------------------------------


@pytest.fixture
async def store(seaweedfs: SeaweedFS) -> AsyncIterator[S3]:
    """An S3 server that forgets when it is told to: what a proxy must not be."""
    client = S3(_access(seaweedfs.endpoint()))
    yield client
    await client.close()


async def test_requests_are_understood_whatever_the_key(store: S3) -> None:
    key = "writer 1/ä+%~&=?"
    assert (await store.request("PUT", key, body=b"x" * 100_000)).status == 200
    assert (await store.request("GET", key)).body == b"x" * 100_000
    head = await store.request("HEAD", key)
    assert (head.status, head.headers["content-length"]) == (200, "100000")
    assert (await store.request("GET", key)).status == 200, "an answer without a body leaves the connection as it should be"
    assert (await store.request("GET", "nothing")).code == "NoSuchKey"


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhal", b"no HTTP\r\n\r\n"])
async def test_what_breaks_off_is_unanswered(sent: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(sent)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1")
    async with server:
        client = S3(Access(server.sockets[0].getsockname()[1], "b", "k", "s"))
        with pytest.raises(UnansweredError):
            await client.request("GET", "key")
    with pytest.raises(NotSentError):
        await client.request("GET", "key")
    await client.close()


# --- what it sees -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "tamper", "finding"),
    [
        ("lost", lambda store, name: store.request("DELETE", name), Finding.LOST),
        ("other bytes", lambda store, name: store.request("PUT", name, body=b"other"), Finding.WRONG),
    ],
)
async def test_a_writer_sees_what_became_of_its_keys(
    store: S3, what: str, tamper: Callable[[S3, str], Awaitable[Answer]], finding: Finding
) -> None:
    tally = Tally(60)
    writer = Writer(1, 7, [store], tally, keys=5)
    await writer.run()
    assert tally.findings == {}, tally.told
    there = [name for name, key in writer.keys.items() if key.is_there]
    assert await writer.check() == len(there) > 0
    await tamper(store, there[0])
    await writer.check()
    assert tally.findings == {finding: 1}, what
    assert there[0] in tally.told[0]


async def test_a_deleted_object_that_comes_back_is_wrong(store: S3) -> None:
    tally = Tally(0)
    writer = Writer(1, 7, [store], tally, keys=2)
    await store.request("PUT", next(iter(writer.keys)), body=b"back again")
    await writer.check()
    assert tally.findings == {Finding.WRONG: 1}


async def test_a_backend_above_its_quota_is_seen_from_outside(store: S3) -> None:
    tally = Tally(0)
    watch = Watch.over({"first": store.access}, 100, tally)
    await store.request("PUT", "a", body=b"x" * 60)
    before = await stored(store)
    watch.compare("first", {}, before)
    await store.request("PUT", "b", body=b"x" * 40)
    after = await stored(store)
    watch.compare("first", before, after)
    watch.compare("first", after, after)
    assert (tally.findings, watch.highest_bytes) == ({}, {"first": 100})
    await store.request("PUT", "c", body=b"x")
    whole = await stored(store)
    watch.compare("first", {"a": 60}, whole)
    assert tally.findings == {}, "what was not there before may have taken the place of something that went"
    watch.compare("first", whole, whole)
    assert tally.findings == {Finding.EXCESS: 1}


def test_a_broken_promise_is_told() -> None:
    tally = Tally(1)
    result = Result(Plan(1, 0, 7), tally, audits={"at once": []})
    assert result.holds
    assert "HOLDS" in table(result)
    broken = Result(Plan(1, 0, 7), tally, audits={"at once": ["a row without bytes"]})
    assert not broken.holds
    assert "a row without bytes" in table(broken)
    tally.find(Finding.LOST, "writer-1/3: found nothing")
    assert not result.holds
    assert "writer-1/3: found nothing" in table(result)


# --- the whole --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_a_short_soak_holds(tmp_path: Path, seaweedfs: SeaweedFS, postgres: PostgresServer) -> None:
    backends = {f"b{number}": _access(endpoint) for number, endpoint in enumerate(seaweedfs.endpoints(3), start=1)}
    site = Site(tmp_path, postgres.uri(postgres.create_database()), backends)
    # Tighter than in a long one, or so few operations would not fill them.
    plan = Plan(operations=600, kills=3, seed=7, writers=16, keys=12, quota_bytes=250_000, settles=False)
    result = await soak(plan, site, print)
    print(table(result))
    assert result.holds, table(result)
    assert result.tally.done >= 600
    assert result.kills >= 3
    assert result.objects > 0
    assert result.tally.total(Outcome.REFUSED) > 0, "else no quota was reached"
    # How full they were when somebody happened to look, a few times in these seconds, is chance.
    assert max(result.highest_bytes.values()) > 50_000


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A folder that PostgreSQL's user may enter; the folders of pytest are root's alone."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.slow
def test_an_interrupted_soak_leaves_nothing_running(scratch: Path) -> None:
    command = [sys.executable, "-m", "hack.soak", "--operations", "1000000", "--kills", "0", "--scratch", str(scratch)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as running:
        started = psutil.Process(running.pid)
        deadline = time.monotonic() + 90
        while not _serves(started):
            assert running.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        children = started.children(recursive=True)
        running.send_signal(signal.SIGINT)
        assert running.wait(60) == 130
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    assert list(scratch.iterdir()) == []


def test_nonsense_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--operations", "0"])
    assert ended.value.code == 2
    assert "must be at least 1" in capsys.readouterr().err


def _serves(soaking: psutil.Process) -> bool:
    """One of its proxies is ready."""
    for child in soaking.children():
        with suppress(psutil.NoSuchProcess, httpx.TransportError):
            words = child.cmdline()
            if "--listen" in words:
                url = f"http://{words[words.index('--listen') + 1]}/health/ready"
                return httpx.get(url, trust_env=False, verify=False).status_code == 200
    return False


def _access(endpoint: Endpoint) -> Access:
    return Access(int(endpoint.url.rpartition(":")[2]), endpoint.bucket, ACCESS_KEY_ID, SECRET_ACCESS_KEY)
