"""`s3o run --processes 2`: several processes behind one port are to their clients, their scraper and their operator as one."""

from __future__ import annotations

import asyncio
import json
import socket
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psutil
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from tests.clients.test_shutdown import nobody_listens, open_request
from tests.support import config_files, programs
from tests.support.fleet import BackendShape, Fleet, KeyPair, Launch
from tests.support.postgres import PostgresServer
from tests.support.proxy import ADMIN_TOKEN, Proxy, wait_until
from tests.support.trees import random_bytes

KIB, MIB = 1024, 1024**2
BEARER = {"Authorization": f"Bearer {ADMIN_TOKEN}"}


@pytest.fixture(scope="module")
def uri(postgres: PostgresServer) -> str:
    return postgres.uri(postgres.create_database())


@pytest.fixture(scope="module")
def fleet(launch: Launch, uri: str) -> Fleet:
    return launch(processes=2, database_uri=uri, backends=[BackendShape("first")])


def members(proxy: Proxy) -> dict[int, psutil.Process]:
    """The processes that serve, by their number."""
    found = {}
    for child in psutil.Process(proxy.pid).children():
        command = child.cmdline()
        found[int(command[command.index("--member") + 1].split("/")[0])] = child
    return found


def ask(proxy: Proxy, path: str, method: str = "GET") -> dict[str, Any]:
    answer = httpx.request(method, f"{proxy.endpoint}{path}", headers=BEARER, timeout=10, trust_env=False)
    assert answer.status_code == 200, answer.text
    answered: dict[str, Any] = answer.json()
    return answered


@contextmanager
def connections(proxy: Proxy, count: int) -> Iterator[list[socket.socket]]:
    """Opened one after the other, and kept."""
    opened = [socket.create_connection(("127.0.0.1", proxy.port), timeout=10) for _ in range(count)]
    try:
        yield opened
    finally:
        for each in opened:
            each.close()


def served_by(proxy: Proxy, count: int) -> Counter[int]:
    """How many of so many new connections each member has."""
    pids = {number: member.pid for number, member in members(proxy).items()}
    before = {number: established(pid, proxy.port) for number, pid in pids.items()}
    with connections(proxy, count) as opened:
        for each in opened:
            each.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        for each in opened:
            assert each.recv(4096).startswith(b"HTTP/1.1 200")
        return Counter({number: established(pid, proxy.port) - before[number] for number, pid in pids.items()})


def established(pid: int, port: int) -> int:
    return sum(1 for one in psutil.Process(pid).net_connections("tcp") if one.status == "ESTABLISHED" and one.laddr.port == port)


TRIES = 5
"""One that the machine keeps waiting takes less than its share; but not time after time."""


@pytest.mark.parametrize("count", [4, 32])
def test_connections_spread_evenly(fleet: Fleet, count: int) -> None:
    for _ in range(TRIES):
        took = served_by(fleet.proxies[0], count)
        assert sum(took.values()) == count
        if max(took.values()) - min(took.values()) <= max(2, count // 8):
            return
    pytest.fail(f"unevenly, each time; at last {took}")


async def test_a_burst_of_connections_spreads_too(fleet: Fleet) -> None:
    proxy = fleet.proxies[0]
    pids = [member.pid for member in members(proxy).values()]
    for _ in range(TRIES):
        streams = await asyncio.wait_for(_burst(proxy, 32), 10)
        took = [established(pid, proxy.port) for pid in pids]
        for _, writer in streams:
            writer.close()
        if min(took) >= 12:
            return
    pytest.fail(f"unevenly, each time; at last {took}")


async def _burst(proxy: Proxy, count: int) -> list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async with asyncio.TaskGroup() as group:
        opening = [group.create_task(asyncio.open_connection("127.0.0.1", proxy.port)) for _ in range(count)]
    streams = [each.result() for each in opening]
    for reader, writer in streams:
        writer.write(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    return streams


def test_whoever_is_scraped_counts_for_all(fleet: Fleet) -> None:
    proxy, s3 = fleet.proxies[0], fleet.client()
    before = proxy.metric("s3o_requests_total", method="PUT", status_code="200") or 0
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: s3.put_object(Bucket="photos", Key=f"n{number}", Body=b"1" * 1000), range(40)))
    for _ in range(6):  # whichever of them answers
        assert proxy.metric("s3o_requests_total", method="PUT", status_code="200") == before + 40
        assert proxy.metric("s3o_request_duration_seconds_count", method="PUT") == before + 40
        assert (proxy.metric("s3o_processes"), proxy.metric("s3o_processes_wanted")) == (2, 2)
    used = sum(entry["Size"] for entry in s3.list_objects_v2(Bucket="photos")["Contents"])
    wait_until(lambda: proxy.metric("s3o_quota_bytes_used", backend="first") == used, "the bytes of one ledger were added up")


def test_the_log_holds_the_requests_of_all_each_on_a_line_of_its_own(fleet: Fleet) -> None:
    s3 = fleet.client()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: s3.put_object(Bucket="photos", Key=f"logged-{number}", Body=b"1"), range(60)))
    log = fleet.proxies[0].log

    def logged() -> set[str]:
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        return {line["message"].split()[1] for line in lines if line["logger"] == "s3o_proxy.access" and "logged-" in line["message"]}

    wait_until(lambda: logged() == {f"/photos/logged-{number}" for number in range(60)}, "a line is missing")


def test_both_take_a_new_configuration_and_one_status_tells_of_both(fleet: Fleet) -> None:
    proxy, keys = fleet.proxies[0], KeyPair()
    before = ask(proxy, "/admin/api/status")
    assert len({one["instance"] for one in before["processes"]}) == 2
    fleet.write_bucket("letters", keys)
    after = ask(proxy, "/admin/api/reload", "POST")
    assert after["generation"] > before["generation"]
    assert [one["digest"] for one in after["processes"]] == [after["digest"]] * 2
    theirs = fleet.client(keys=keys)
    with ThreadPoolExecutor(8) as pool:  # on connections of their own, so on both
        list(pool.map(lambda number: theirs.put_object(Bucket="letters", Key=f"k{number}", Body=b"1"), range(16)))
    assert proxy.generation == after["generation"]


def test_a_change_that_both_refuse_is_told_once(fleet: Fleet) -> None:
    proxy, broken = fleet.proxies[0], fleet.config / "broken.yaml"
    before = ask(proxy, "/admin/api/status")
    broken.write_text("kind: [")
    refused = ask(proxy, "/admin/api/reload", "POST")
    assert len(refused["configRefusal"]) == 1
    assert refused["digest"] == before["digest"]
    broken.unlink()
    assert ask(proxy, "/admin/api/reload", "POST")["configRefusal"] == []


def test_a_quota_holds_to_the_byte_whoever_writes(fleet: Fleet) -> None:
    proxy, size = fleet.proxies[0], 50_000
    used = held(fleet)
    fleet.write_backend(BackendShape("first", spec={"quota": {"bytes": used + 20 * size}}))
    ask(proxy, "/admin/api/reload", "POST")
    impatient = fleet.client(config=Config(retries={"max_attempts": 0}, max_pool_connections=16))

    def put(number: int) -> str:
        try:
            impatient.put_object(Bucket="photos", Key=f"full-{number}", Body=random_bytes(size))
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return "stored"

    with ThreadPoolExecutor(16) as pool:
        outcomes = Counter(pool.map(put, range(48)))
    assert outcomes == {"stored": 20, "InsufficientStorage": 28}
    assert held(fleet) == used + 20 * size
    fleet.write_backend(BackendShape("first"))
    ask(proxy, "/admin/api/reload", "POST")


def held(fleet: Fleet) -> int:
    """The bytes on the backend, of all buckets."""
    return sum(fleet.stored("first").values()) + sum(fleet.stored("first", bucket="letters").values())


def test_a_dead_process_is_started_again_and_what_it_counted_stays(fleet: Fleet) -> None:
    proxy = fleet.proxies[0]
    before = ask(proxy, "/admin/api/status")
    puts = proxy.metric("s3o_requests_total", method="PUT", status_code="200") or 0
    restarts = proxy.metric("s3o_process_restarts_total") or 0
    dead = members(proxy)[1]
    with begun_at(fleet, dead):
        dead.kill()
        wait_until(lambda: health(proxy) == 503, "a process is missing, and nobody says so")
    fleet.client().put_object(Bucket="photos", Key="meanwhile", Body=b"1")
    assert proxy.metric("s3o_requests_total", method="PUT", status_code="200") == puts + 1
    wait_until(lambda: health(proxy) == 200, "the dead process is not back")
    assert members(proxy)[1].pid != dead.pid
    assert proxy.metric("s3o_process_restarts_total") == restarts + 1
    assert proxy.metric("s3o_requests_total", method="PUT", status_code="200") == puts + 1
    after = ask(proxy, "/admin/api/status")
    assert (after["generation"], after["digest"]) == (before["generation"], before["digest"]), "generations are counted anew"


@contextmanager
def begun_at(fleet: Fleet, member: psutil.Process) -> Iterator[None]:
    """While an upload through this member has sent half of its bytes."""
    with ExitStack() as uploads:
        begun = 0
        while begun < 4 or not established(member.pid, fleet.proxies[0].port):  # The kernel chooses who takes a connection.
            assert begun < 40, "no connection of so many reached it"
            upload = uploads.enter_context(open_request(fleet.presigned_url("put_object", f"begun-{begun}"), "PUT", 2 * KIB))
            upload.send(b"1" * KIB)
            begun += 1
        wait_until(lambda: intents(fleet) >= begun, "the uploads did not begin")
        yield


def intents(fleet: Fleet) -> int:
    return int(fleet.proxies[0].metric("s3o_pending_intents") or 0)


def health(proxy: Proxy) -> int:
    try:
        return proxy.health()
    except httpx.TransportError:
        return 0  # The connection of one that has just died.


def test_while_one_does_not_answer_nobody_says_that_all_serve_the_configuration(fleet: Fleet) -> None:
    proxy = fleet.proxies[0]
    wait_until(lambda: health(proxy) == 200, "not ready")
    puts = proxy.metric("s3o_requests_total", method="PUT", status_code="200")
    stuck = members(proxy)[1]
    stuck.suspend()
    try:
        with ThreadPoolExecutor(4) as pool:  # Each waits for a while.
            status = pool.submit(ask, proxy, "/admin/api/status")
            counted = pool.submit(proxy.metric, "s3o_requests_total", method="PUT", status_code="200")
            answering = pool.submit(proxy.metric, "s3o_processes")
        assert (status.result()["generation"], status.result()["processes"][1]) == (0, None)
        assert status.result()["troubles"] == ["process 1 does not answer"]
        assert (counted.result(), answering.result()) == (puts, 1)
    finally:
        stuck.resume()


# --- the end of all --------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ending(launch: Launch, postgres: PostgresServer) -> Fleet:
    return launch(processes=2, database_uri=postgres.uri(postgres.create_database()))


def test_the_one_that_repairs_is_started_again_as_that(ending: Fleet) -> None:
    proxy, s3 = ending.proxies[0], ending.client()
    s3.put_object(Bucket="photos", Key="deleted", Body=b"1")
    assert len(ending.stored("first", "deleted")) == 1
    dead = members(proxy)[0]
    dead.kill()
    dead.wait(5)
    s3.delete_object(Bucket="photos", Key="deleted")
    wait_until(lambda: not ending.stored("first", "deleted"), "nobody cleans up")
    assert members(proxy)[0].pid != dead.pid


@contextmanager
def half_sent(fleet: Fleet, content: bytes) -> Iterator[list[HTTPConnection]]:
    """Uploads that wait for more, some in each process. On a busy machine one may take many before another wakes up."""
    proxy, pids = fleet.proxies[0], [member.pid for member in members(fleet.proxies[0]).values()]

    def serving() -> list[int]:
        return [established(pid, proxy.port) for pid in pids]

    with ExitStack() as stack:
        uploads: list[HTTPConnection] = []
        while len(uploads) < 6 or min(serving()) == 0:
            assert len(uploads) < 64, serving()
            url = fleet.presigned_url("put_object", f"slow-{len(uploads)}")
            uploads.append(stack.enter_context(open_request(url, "PUT", len(content))))
            uploads[-1].send(content[:MIB])
            wait_until(lambda: sum(serving()) >= len(uploads), "nobody takes the connection")
        yield uploads


def test_requests_in_flight_finish_in_all_of_them(ending: Fleet) -> None:
    proxy, content = ending.proxies[0], random_bytes(3 * MIB)
    with half_sent(ending, content) as uploads:
        proxy.terminate()
        wait_until(lambda: nobody_listens(ending), "new connections are still accepted")
        for upload in uploads:
            upload.send(content[MIB:])
            with upload.getresponse() as answer:
                assert answer.status == 200
    assert proxy.wait() == 0


def test_a_second_signal_waits_for_nobody(ending: Fleet) -> None:
    proxy = ending.proxies[0]
    ending.restart()
    pids = [member.pid for member in members(proxy).values()]
    with half_sent(ending, bytes(2 * MIB)):
        proxy.terminate()
        wait_until(lambda: nobody_listens(ending), "new connections are still accepted")
        proxy.terminate()
        proxy.wait()
    assert not [pid for pid in pids if psutil.pid_exists(pid)]


def test_nobody_survives_the_parent(ending: Fleet) -> None:
    ending.restart()
    proxy = ending.proxies[0]
    orphans = list(members(proxy).values())
    ending.kill()
    _, alive = psutil.wait_procs(orphans, timeout=15)
    assert not alive
    assert nobody_listens(ending)


async def test_what_a_dead_process_had_begun_is_settled(fleet: Fleet, uri: str) -> None:
    """Told at the end of all, for half a minute must pass before anybody is taken for dead."""
    alive = [f"instance/{one['instance']}" for one in ask(fleet.proxies[0], "/admin/api/status")["processes"]]
    connection = await asyncpg.connect(uri)
    try:  # As if the half minute were over for which others take the dead for alive.
        await connection.execute("UPDATE leases SET expires_ms = 0 WHERE name LIKE 'instance/%' AND name <> ALL($1)", alive)
    finally:
        await connection.close()
    await asyncio.to_thread(wait_until, lambda: intents(fleet) == 0, "what was begun stays for ever", timeout_s=90)
    assert await asyncio.to_thread(fleet.audit) == []


# --- what cannot be ------------------------------------------------------------------------------------------------------------------


def test_sqlite_has_one_process(tmp_path: Path) -> None:
    config_files.write_sample(tmp_path)
    done = programs.run(["s3o", "run", tmp_path, "--processes", "2", "--listen", "127.0.0.1:0"], exit_code=1)
    assert done.errors == (
        "--processes: an SQLite database has one process; take PostgreSQL (spec.database.driver: Postgres), or one process\n"
    )
