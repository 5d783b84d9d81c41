"""Lines of several processes in one pipe stay whole."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from s3o_proxy.telemetry.stream import StandardError

WRITER = """
import sys
from s3o_proxy.telemetry.stream import StandardError
stream = StandardError(int(sys.argv[1]), 1)
for _ in range(20):
    stream.write(((sys.argv[2] * 99) + "\\n").encode() * 500)
    stream.flush()
"""


def test_a_batch_that_is_longer_than_a_pipe_holds_stays_in_one_piece() -> None:
    reading, writing = os.pipe()
    with tempfile.TemporaryFile() as lock, os.fdopen(reading, "rb") as pipe:
        writers = [
            subprocess.Popen([sys.executable, "-c", WRITER, str(lock.fileno()), letter], stdout=writing, pass_fds=[lock.fileno()])
            for letter in "ab"
        ]
        os.close(writing)
        lines = pipe.read().splitlines()
        assert [writer.wait() for writer in writers] == [0, 0]
    assert len(lines) == 20_000
    batches = [set(lines[at : at + 500]) for at in range(0, 20_000, 500)]
    assert sorted(batch.pop() for batch in batches if len(batch) == 1) == [b"a" * 99] * 20 + [b"b" * 99] * 20


def test_what_follows_half_a_line_begins_a_line_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full may take a part of what is written."""
    reading, writing = os.pipe()
    stream, really = StandardError(target=writing), os.write
    taken = iter([5, None])

    def write(target: int, content: bytes) -> int:
        most = next(taken)
        if most is None:
            raise OSError(errno.ENOSPC, "No space left on device")
        return really(target, content[:most])

    with os.fdopen(reading, "rb") as pipe:
        monkeypatch.setattr(os, "write", write)
        with pytest.raises(OSError, match="No space"):
            stream.write(b"the first\n")
        monkeypatch.undo()
        stream.write(b"the second\n")
        os.close(writing)
        assert pipe.read() == b"the f\nthe second\n"


def test_a_pipe_that_others_made_non_blocking_is_waited_for() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    content = b"x" * 2**20 + b"\n"
    with os.fdopen(reading, "rb") as pipe, ThreadPoolExecutor(1) as threads:
        written = threads.submit(StandardError(target=writing).write, content)
        assert pipe.read(len(content)) == content
        written.result(10)
    os.close(writing)
