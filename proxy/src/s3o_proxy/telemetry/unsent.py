"""How much of what was written has not reached the other side: the only honest measure of one that reads slowly."""

from __future__ import annotations

import asyncio
import fcntl
import struct
import termios


def unsent_bytes(transport: asyncio.Transport) -> int:
    """What waits in the transport and in the kernel.

    The kernel's share (SIOCOUTQ, tcp(7)) may be megabytes, and it asks for more only when a third of them is gone: by the transport's
    buffer alone, somebody who steadily takes 50 KiB/s would seem to stand still for half a minute.
    """
    waiting = transport.get_write_buffer_size()
    socket = transport.get_extra_info("socket")
    if socket is None:
        return waiting
    try:
        (unacknowledged,) = struct.unpack("i", fcntl.ioctl(socket.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"))
    except (OSError, ValueError):
        return waiting  # Closed already.
    return waiting + int(unacknowledged)
