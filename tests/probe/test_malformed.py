"""Some hundreds of malformed requests: each gets the S3 error that it deserves, never a 500, and none changes a row or a byte."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from xml.etree import ElementTree

import pytest
from tests.probe.malformed import authorization, connection, documents, framing, headers, payload, targets
from tests.probe.malformed.case import Case
from tests.probe.malformed.framing import CRC32, DATA, SIGNED_TRAILER, chunked
from tests.probe.malformed.rows import Rows, read_rows
from tests.probe.malformed.scene import CONTENT, LAST_PART, MAX_OBJECT_BYTES, PART, build
from tests.probe.malformed.talk import ask, trouble
from tests.support.chunks import ChunkSigner, frame
from tests.support.fleet import Fleet, KeyPair, Launch

_SEED = 20261121
_SETTLE_S = 30
_METHODS = ("GET", "PUT", "HEAD", "POST", "DELETE", "OPTIONS", "other")

CASES: list[Case] = [
    case for family in (connection, authorization, payload, framing, documents, targets, headers) for case in family.cases()
]


@dataclass
class State:
    """All that a malformed request must leave as it was."""

    rows: Rows
    sizes: dict[str, dict[str, int]]
    listed: list[str]
    contents: dict[str, bytes]


class Stage:
    """A fleet on one engine, with the scene set."""

    def __init__(self, launch: Launch, uri: str | None) -> None:
        self.fleet = launch(database_uri=uri, buckets=("photos", "films"), server={"maxObjectSize": str(MAX_OBJECT_BYTES)})
        self._uri = uri
        strangers = KeyPair()
        with _next_generation(self.fleet):
            self.fleet.write_bucket("vault", strangers)
        self.scene = build(self.fleet, strangers)

    def state(self) -> State:
        """Once no write is pending and no bytes wait to be deleted."""
        deadline = time.monotonic() + _SETTLE_S
        while (rows := self._rows())["intents"] or rows["cleanup_queue"]:
            assert time.monotonic() < deadline, (rows["intents"], rows["cleanup_queue"])
            time.sleep(0.1)
        client, bucket = self.fleet.client(), self.fleet.bucket
        listed = client.list_objects_v2(Bucket=bucket)["Contents"]
        return State(
            rows,
            {name: self.fleet.stored(name) for name in ("first", "second", "third")},
            [f"{entry['Key']} {entry['Size']} {entry['ETag']} {entry['LastModified']}" for entry in listed],
            {entry["Key"]: client.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read() for entry in listed},
        )

    def _rows(self) -> Rows:
        return read_rows(self.fleet.directory / "s3o.db", self._uri)

    def in_flight(self) -> dict[str, float]:
        counts = {method: self.fleet.proxies[0].metric("s3o_inflight_requests", method=method) for method in _METHODS}
        return {method: count for method, count in counts.items() if count}


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def stage(request: pytest.FixtureRequest, launch: Launch) -> Stage:
    if request.param == "sqlite":
        return Stage(launch, None)
    postgres = request.getfixturevalue("postgres")
    return Stage(launch, postgres.uri(postgres.create_database()))


@contextmanager
def _next_generation(fleet: Fleet) -> Iterator[None]:
    before, deadline = fleet.proxies[0].generation, time.monotonic() + 30
    yield
    while fleet.proxies[0].generation == before:
        assert time.monotonic() < deadline, f"generation {before} is still served"
        time.sleep(0.05)


def test_there_are_enough_of_them_and_each_is_another() -> None:
    assert len(CASES) >= 200
    repeated = [name for name, count in Counter(case.name for case in CASES).items() if count > 1]
    assert not repeated, repeated


def test_each_gets_its_error_and_nothing_changes(stage: Stage) -> None:
    before = stage.state()
    assert before.contents == {stage.scene.key: CONTENT, stage.scene.joined: PART + LAST_PART}
    found = [wrong for case in CASES for wrong in trouble(stage.scene, case)]
    assert not found, "\n" + "\n".join(found)
    assert stage.state() == before
    assert stage.in_flight() == {}
    assert stage.fleet.audit() == []
    log = stage.fleet.proxies[0].log.read_text()
    assert "Traceback" not in log
    assert "InternalError" not in log


def test_any_changed_byte_of_a_signed_body_is_refused(stage: Stage) -> None:
    """Where it hits decides which error it is; a 200 would mean that some byte is under no signature."""
    before, chance = stage.state(), random.Random(_SEED)
    allowed = {(403, "SignatureDoesNotMatch"), (400, "IncompleteBody"), (400, "MalformedTrailerError"), (400, "InvalidRequest")}
    for _ in range(60):
        request = chunked(lambda signer: _one_byte_changed(signer, chance), SIGNED_TRAILER, trailer=CRC32[0])(stage.scene)
        answer = ask(stage.scene, request)
        code = ElementTree.fromstring(answer.body).findtext("Code") if answer.body else ""
        assert (answer.status, code) in allowed, request
    assert stage.state() == before


def _one_byte_changed(signer: ChunkSigner, chance: random.Random) -> bytes:
    wire = bytearray(frame([DATA[:4], DATA[4:]], [CRC32], signer, sign_trailer=True))
    at = chance.randrange(len(wire))
    wire[at] ^= chance.choice([1, 2, 4, 8, 16, 64, 128])  # 32 would change the case of a letter, which no hex size and no name minds.
    return bytes(wire)
