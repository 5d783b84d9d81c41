"""Lines of several processes in one pipe stay whole."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

WRITER = """
import sys
from s3o_proxy.telemetry.stream import SharedStream
stream = SharedStream(int(sys.argv[1]), 1)
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
