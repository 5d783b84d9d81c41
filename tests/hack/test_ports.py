"""Ports that are found free stay free until their server binds them, as far as anybody can see to that."""

from __future__ import annotations

import socket

from hack.ports import free_port, free_ports


def test_they_are_different_and_can_be_bound() -> None:
    ports = free_ports(50)

    assert len(set(ports)) == 50
    for port in ports:
        socket.create_server(("127.0.0.1", port)).close()


def test_they_are_none_that_an_outgoing_connection_gets() -> None:
    """The reason for all this: with such a port a test's client now and then took the place of another test's server."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        for _ in range(20):
            with socket.create_connection(address) as client:
                assert client.getsockname()[1] >= 30_000 > free_port()
