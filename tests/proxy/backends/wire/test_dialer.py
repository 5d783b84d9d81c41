"""How a server is reached, and what is said when it is not."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Any, cast

import pytest
from tests.support.certificates import Certificate, self_signed
from tests.support.tcp import Peer, serving

from s3o_proxy.backends.wire import dialer
from s3o_proxy.backends.wire.address import Address
from s3o_proxy.backends.wire.dialer import Dialer
from s3o_proxy.backends.wire.failures import ConnectTimeoutError, NotConnectedError


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return self_signed(tmp_path_factory.mktemp("tls"), "DNS:s3.test", "IP:127.0.0.1")


def resolving(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[str, int]) -> list[str]:
    """Every name has these addresses. Returns the names that are asked for."""
    asked: list[str] = []

    async def look_up(host: str, _: int) -> list[tuple[Any, ...]]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]

    monkeypatch.setattr(dialer, "look_up", look_up)
    return asked


async def read(peer: Peer) -> None:
    await peer.read_to_end()


def port_of(url: str) -> int:
    return int(url.rsplit(":", 1)[1])


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def address(host: str, port: int, *, tls: bool = False) -> Address:
    return Address(host, port, tls, host, "/")


async def dial(where: Address, tls: ssl.SSLContext | None = None) -> asyncio.Transport:
    made: list[asyncio.Transport] = []

    class Kept(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            made.append(cast("asyncio.Transport", transport))  # uvloop's are no subclass

    await Dialer(where, tls).dial(Kept)
    return made[0]


async def test_a_name_is_looked_up_for_every_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(read) as server:
        asked = resolving(monkeypatch, ("127.0.0.1", port_of(server.url)))
        for _ in range(2):
            (await dial(address("s3.test", 80))).abort()
        assert asked == ["s3.test", "s3.test"]


async def test_an_address_that_refuses_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(read) as server:
        resolving(monkeypatch, ("127.0.0.1", closed_port()), ("127.0.0.1", port_of(server.url)))
        (await dial(address("s3.test", 80))).abort()
        assert server.connections == 1


async def test_nobody_listens() -> None:
    with pytest.raises(NotConnectedError, match=r"refused|failed"):
        await dial(address("127.0.0.1", closed_port()))


async def test_a_name_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    async def look_up(_: str, __: int) -> list[Any]:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(dialer, "look_up", look_up)
    with pytest.raises(NotConnectedError, match="not known"):
        await dial(address("s3.test", 80))


async def test_a_time_out_of_the_system_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    async def look_up(_: str, __: int) -> list[Any]:
        raise TimeoutError(110, "Connection timed out")

    monkeypatch.setattr(dialer, "look_up", look_up)
    with pytest.raises(ConnectTimeoutError):
        await dial(address("s3.test", 80))


async def test_tls_names_the_host_and_holds_the_certificate_against_it(monkeypatch: pytest.MonkeyPatch, certificate: Certificate) -> None:
    named: list[str | None] = []
    context = certificate.server_context()
    context.sni_callback = lambda _, name, __: named.append(name)
    trusting = ssl.create_default_context(cadata=certificate.pem)
    async with serving(read, tls=context) as server:
        resolving(monkeypatch, ("127.0.0.1", port_of(server.url)))
        (await dial(address("s3.test", 443, tls=True), trusting)).abort()
        with pytest.raises(NotConnectedError, match="certificate"):
            await dial(address("other.test", 443, tls=True), trusting)
        with pytest.raises(NotConnectedError, match="certificate"):
            await dial(address("s3.test", 443, tls=True), ssl.create_default_context())
    assert named == ["s3.test", "other.test", "s3.test"]


async def test_a_server_that_does_not_speak_tls(certificate: Certificate) -> None:
    async def speak_http(peer: Peer) -> None:
        peer.writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await peer.read_to_end()

    async with serving(speak_http) as server:
        with pytest.raises(NotConnectedError):
            await dial(address("127.0.0.1", port_of(server.url), tls=True), ssl.create_default_context(cadata=certificate.pem))
