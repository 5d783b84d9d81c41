"""Ports for servers that are about to start.

Not those that the kernel hands out to whoever asks for any: every outgoing connection takes one of them, and now and then the very one that
was found free a moment before its server binds it.
"""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack

_BELOW_THE_KERNELS = range(10_000, 30_000)
"""Linux hands out 32768 and up, macOS 49152 and up (RFC 6335 §6); from 30000 on are Kubernetes' NodePorts."""


def free_ports(count: int) -> list[int]:
    """So many, each of which nobody on 127.0.0.1 listens on now."""
    with ExitStack() as held:
        found: list[int] = []
        while len(found) < count:
            probe = held.enter_context(socket.socket())
            port = random.choice(_BELOW_THE_KERNELS)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found.append(port)
        return found


def free_port() -> int:
    return free_ports(1)[0]
