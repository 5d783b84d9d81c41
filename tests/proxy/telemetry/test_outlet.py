"""Lines are passed on by a thread: whoever reads them slowly, or not at all, holds nobody up."""

from __future__ import annotations

import errno
import json
import logging
import os
import threading
import time

from s3o_proxy.telemetry.logs import start_logs
from s3o_proxy.telemetry.outlet import Outlet
from s3o_proxy.telemetry.stream import StandardError


class Reader:
    """Takes what is written while `open` is set, and fails while `fault` is."""

    def __init__(self) -> None:
        self.taken = b""
        self.open, self.writing = threading.Event(), threading.Event()
        self.open.set()
        self.fault: OSError | None = None

    def write(self, content: bytes, /) -> None:
        self.writing.set()
        assert self.open.wait(10)
        if self.fault is not None:
            raise self.fault
        self.taken += content

    def flush(self) -> None:
        """Nothing is held."""


def test_what_was_written_before_the_end_is_passed_on_in_order() -> None:
    reader = Reader()
    outlet = Outlet(reader)
    for number in range(1000):
        outlet.write(b"%d\n" % number)
    outlet.close()
    assert reader.taken.splitlines() == [b"%d" % number for number in range(1000)]
    assert outlet.lost_lines == 0


def test_a_reader_that_stands_still_holds_nobody_up_and_what_is_lost_is_counted_and_told() -> None:
    reader = Reader()
    reader.open.clear()
    outlet = Outlet(reader, held_bytes=100)
    outlet.write(b"first\n")
    assert reader.writing.wait(10)
    for _ in range(30):
        outlet.write(b"123456789\n")
    assert outlet.lost_lines == 20
    reader.open.set()
    outlet.close()
    lines = reader.taken.splitlines()
    assert [lines[0], *lines[2:]] == [b"first", *[b"123456789"] * 10]
    notice = json.loads(lines[1])
    assert (notice["level"], notice["lost_lines"]) == ("error", 20)
    assert notice["message"] == "20 log lines are lost: nobody read them in time"


def test_a_batch_that_is_longer_than_what_is_held_is_written_where_nothing_else_waits() -> None:
    reader = Reader()
    outlet = Outlet(reader, held_bytes=100)
    outlet.write(b"x" * 999 + b"\n")
    outlet.close()
    assert len(reader.taken) == 1000


def test_a_full_disk_raises_nothing_and_is_told_once_there_is_room() -> None:
    reader = Reader()
    reader.fault = OSError(errno.ENOSPC, "No space left on device")
    outlet = Outlet(reader)
    outlet.write(b"one\ntwo\n")
    deadline = time.monotonic() + 10
    while not outlet.lost_lines and time.monotonic() < deadline:
        time.sleep(0.001)
    reader.fault = None
    outlet.write(b"three\n")
    outlet.close()
    notice, line = reader.taken.splitlines()
    assert json.loads(notice)["message"] == "2 log lines are lost: No space left on device"
    assert line == b"three"


def test_its_end_waits_for_no_reader_that_never_comes() -> None:
    reading, writing = os.pipe()
    outlet = Outlet(StandardError(target=writing))
    outlet.write(b"x" * 2**20 + b"\n")
    began = time.monotonic()
    outlet.close(0.1)
    assert time.monotonic() - began < 5
    os.close(reading)  # Now the thread ends, too.
    outlet.close(10)
    assert outlet.lost_lines == 1
    os.close(writing)


def test_what_a_finalizer_logs_in_the_midst_of_it_and_what_another_thread_does_wait_for_one_lock_alone() -> None:
    reader = Reader()
    outlet = Outlet(reader)
    logs = start_logs(outlet)
    logger = logging.getLogger("s3o_proxy.some.part")
    handled, finalized = threading.Event(), threading.Event()

    class Slow:
        def __str__(self) -> str:
            handled.set()  # The other thread is in the midst of a line, and comes to the outlet only when the finalizer logs.
            finalized.wait(1)
            return "slow"

    def finalize() -> None:
        assert handled.wait(10)
        with outlet._changed:
            logger.warning("from a finalizer")
            finalized.set()

    threads = [threading.Thread(target=logger.warning, args=("%s", Slow()), daemon=True), threading.Thread(target=finalize, daemon=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    logs.stop()
    assert not any(thread.is_alive() for thread in threads)
    outlet.close()
    assert [json.loads(line)["message"] for line in reader.taken.splitlines()] == ["from a finalizer", "slow"]
