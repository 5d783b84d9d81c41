"""One JSON line for each event, at the level asked for, with no secret in it (I7)."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator

import orjson
import pytest

from s3o_proxy.telemetry.logs import Logs, start_logs, timestamp

logger = logging.getLogger("s3o_proxy.some.part")


class Written:
    def __init__(self) -> None:
        self.stream = io.BytesIO()
        self.logs: Logs = start_logs(self.stream)

    def lines(self) -> list[dict[str, object]]:
        return [orjson.loads(line) for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def written() -> Iterator[Written]:
    written = Written()
    yield written
    written.logs.stop()


def test_a_line_holds_time_level_logger_message_and_what_the_caller_adds(written: Written) -> None:
    logger.warning("backend %s is slow", "oci", extra={"backend": "oci", "duration_ms": 12})
    (line,) = written.lines()
    assert line["level"] == "warning"
    assert line["logger"] == "s3o_proxy.some.part"
    assert line["message"] == "backend oci is slow"
    assert (line["backend"], line["duration_ms"]) == ("oci", 12)
    assert str(line["time"]).endswith("Z")
    assert set(line) == {"time", "level", "logger", "message", "backend", "duration_ms"}


def test_an_exception_brings_its_name_and_its_traceback(written: Written) -> None:
    try:
        raise LookupError("no such thing")
    except LookupError:
        logger.exception("it failed")
    (line,) = written.lines()
    assert line["error"] == "LookupError: no such thing"
    assert "test_logs.py" in str(line["traceback"])


def test_the_level_changes_while_the_process_runs(written: Written) -> None:
    logger.debug("not yet")
    written.logs.set_level("debug")
    logger.debug("now")
    written.logs.set_level("error")
    logger.warning("not any more")
    assert [line["message"] for line in written.lines()] == ["now"]


def test_the_clients_of_backends_stay_silent_below_warning(written: Written) -> None:
    written.logs.set_level("debug")
    logging.getLogger("botocore").debug("request body: ...")
    logging.getLogger("botocore").warning("slow down")
    assert [line["message"] for line in written.lines()] == ["slow down"]


def test_python_warnings_become_lines(written: Written) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("old ways", UserWarning, stacklevel=1)
    assert "old ways" in str(written.lines()[0]["message"])


def test_a_secret_value_never_reaches_a_line_by_any_way(written: Written) -> None:
    secret = 'sec"ret\\value/é+='
    written.logs.set_secrets([secret])
    try:
        raise ValueError(f"cannot use {secret}")
    except ValueError:
        logger.exception(
            "failed with %s", secret, extra={"plain": secret, "deep": {"list": [secret, {"k": f"x{secret}y"}]}, "object": Exception(secret)}
        )
    text = written.stream.getvalue().decode()
    assert secret not in text
    assert orjson.dumps(secret)[1:-1].decode() not in text
    assert written.lines()[0]["deep"] == {"list": ["[redacted]", {"k": "x[redacted]y"}]}


def test_a_line_that_cannot_be_formatted_says_so_and_leaks_nothing(written: Written) -> None:
    class Unprintable:
        def __str__(self) -> str:
            raise ValueError("hunter22")

    logger.info("things", extra={"thing": Unprintable()})
    (line,) = written.lines()
    assert "could not be written (ValueError)" in str(line["message"])
    assert "test_logs.py" in str(line["message"])
    assert b"hunter22" not in written.stream.getvalue()


def test_text_that_is_no_unicode_is_written_all_the_same(written: Written) -> None:
    logger.info("path %s", "a\udcffb")
    assert written.lines()[0]["message"] == "path a\\udcffb"


def test_times_are_utc_to_the_millisecond() -> None:
    assert timestamp(0) == "1970-01-01T00:00:00.000Z"
    assert timestamp(1_700_000_000.1239) == "2023-11-14T22:13:20.123Z"
