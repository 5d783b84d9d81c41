"""The S3 servers that `make run` and the tests stand on: they keep what they are given, and end when they are told to."""

from __future__ import annotations

import socket
from pathlib import Path

import psutil
import pytest
from hack.seaweedfs import SeaweedFSFailed, Server
from tests.support.s3_client import body
from tests.support.seaweedfs import Endpoint


async def test_what_was_stored_is_there_when_a_server_starts_again(tmp_path: Path) -> None:
    content = bytes(range(256)) * 4096
    server = Server.start(tmp_path)
    try:
        server.create_bucket("bucket")
        server.create_bucket("bucket")
        backend = await Endpoint(server.endpoint, "bucket").open()
        await backend.put("key", body(content), len(content))
        await backend.close()
    finally:
        server.kill()
    assert server.process.poll() is not None
    again = Server.start(tmp_path)
    try:
        backend = await Endpoint(again.endpoint, "bucket").open()
        async with backend.get("key") as found:
            assert b"".join([piece async for piece in found.body]) == content
        await backend.close()
    finally:
        again.stop()
    assert again.process.poll() is not None


def test_it_listens_on_loopback_alone_and_leaves_nothing_behind(tmp_path: Path) -> None:
    server = Server.start(tmp_path)
    try:
        listening = [each.laddr for each in psutil.Process(server.process.pid).net_connections("tcp") if each.status == psutil.CONN_LISTEN]
    finally:
        server.kill()
    assert {address.port for address in listening} == set(server.listeners.values())
    assert {address.ip for address in listening} == {"127.0.0.1"}
    ports = {str(port) for port in server.listeners.values()}
    assert not [path for path in Path("/tmp").glob("seaweedfs-*.sock") if path.stem.rpartition("-")[2] in ports]
    assert not server.sockets.exists()


def test_a_taken_port_is_said_with_the_end_of_the_log(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SeaweedFSFailed, match="address already in use"):
        Server.start(tmp_path, port=taken.getsockname()[1])
