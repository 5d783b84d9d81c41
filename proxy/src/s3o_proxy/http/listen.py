"""The listening socket. Apart from the server, for whoever listens and serves nothing: the parent of several processes."""

from __future__ import annotations

import socket


def listen(address: str) -> socket.socket:
    """A listening socket at `host:port`, an IPv6 address in brackets. Raises OSError where the address is taken or not ours."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, int(port)), family=family, backlog=2048)
