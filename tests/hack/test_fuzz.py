"""What reads foreign bytes, by the targets of `hack.fuzz`: all of their corpus, inputs near it, and a moment of real fuzzing.

The hours are people's to spend: `python -m hack.fuzz TARGET --seconds 3600`.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hack.fuzz import wire, words
from hack.fuzz.names import NAMES
from hack.fuzz.targets import CORPUS, TARGETS, corpus
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.repository import ROOT

from s3o_proxy.auth.authenticate import Authenticator
from s3o_proxy.domain.ranges import RangeSpec
from s3o_proxy.domain.read_conditions import ReadConditions
from s3o_proxy.http.chunked import ChunkedDecoder
from s3o_proxy.http.protocol import S3Protocol


@pytest.mark.parametrize("target", TARGETS)
def test_what_was_reached_once_still_holds(target: str) -> None:
    inputs = corpus(target)
    assert inputs
    for path in inputs:
        try:
            TARGETS[target](path.read_bytes())
        except Exception as error:
            raise AssertionError(f"{path} breaks {target}: {error!r}") from error


def edited(content: bytes, edits: list[tuple[str, int, bytes]], other: bytes) -> bytes:
    for kind, place, piece in edits:
        at = place % (len(content) + 1)
        end = {"insert": at, "cut": at + 1 + place % 7, "replace": at + len(piece), "splice": at}[kind]
        content = (
            content[:at] + (other[place % (len(other) + 1) :] if kind == "splice" else b"" if kind == "cut" else piece) + content[end:]
        )
    return content[:2000]


KINDS = st.sampled_from(["insert", "cut", "replace", "splice"])
EDITS = st.lists(st.tuples(KINDS, st.integers(0, 5000), st.binary(min_size=1, max_size=6)), min_size=1, max_size=4)


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=60)
@given(data=st.data())
def test_what_is_near_it_holds(target: str, data: st.DataObject) -> None:
    paths = st.sampled_from(corpus(target))
    TARGETS[target](edited(data.draw(paths).read_bytes(), data.draw(EDITS), data.draw(paths).read_bytes()))


def test_the_fuzzer_knows_every_target_that_there_is() -> None:
    """`__main__` names them before it may import them; each has a corpus, and no corpus is without its target."""
    assert tuple(TARGETS) == NAMES
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="there is no atheris for it")
def test_the_fuzzer_runs() -> None:
    fuzzed = subprocess.run(
        [sys.executable, "-m", "hack.fuzz", "conditions", "--seconds=1"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert "Done " in fuzzed.stderr


def raises(target: str, path: Path) -> bool:
    """Whatever it raises, the fuzzer would stop at it."""
    try:
        TARGETS[target](path.read_bytes())
    except Exception:  # noqa: BLE001 - whatever it is, the fuzzer would stop at it
        return True
    return False


def with_everything_taken(*_: object, **__: object) -> None:
    return None


Broken = Callable[..., Any]
BREAKS: list[tuple[str, object, str, Broken]] = [
    ("request", wire, "route", lambda facts: None),
    ("request", S3Protocol, "on_url", lambda self, url: setattr(self, "_url", url + b"x")),
    ("answer", wire, "final_answers", lambda data: 2),
    ("signature", Authenticator, "authenticate", with_everything_taken),
    ("proof", Authenticator, "authenticate", with_everything_taken),
    ("chunks", ChunkedDecoder, "finish", with_everything_taken),
    ("chunks", ChunkedDecoder, "_take", lambda self, piece: setattr(self, "_chunk_left_bytes", self._chunk_left_bytes - len(piece))),
    ("document", words, "parse_create_bucket", lambda body: str(len(body))),
    ("conditions", words, "parse_range", lambda value: RangeSpec(1, 0)),
    ("conditions", words, "write_conditions", lambda headers: ReadConditions()),
]


@pytest.mark.parametrize(("target", "owner", "name", "broken"), BREAKS, ids=[f"{target}-{name}" for target, _, name, _ in BREAKS])
def test_a_target_sees_a_parser_that_is_broken(
    target: str, owner: object, name: str, broken: Broken, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, name, broken)
    assert any(raises(target, path) for path in corpus(target))
