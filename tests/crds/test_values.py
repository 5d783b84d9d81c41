"""Sizes, durations and names: what is accepted, what it means, what is refused."""

from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from s3o_crds.values import ByteSize, Duration, EndpointURL, PositiveByteSize, PositiveDuration, bucket_name_problem

SUFFIXES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50}
UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


class Model(BaseModel):
    size: ByteSize = ByteSize("1Gi")
    wait: Duration = Duration("1m")
    endpoint: EndpointURL = "http://localhost"


@pytest.mark.parametrize(
    ("written", "size_bytes"),
    [
        ("0", 0),
        (0, 0),
        (1048576, 1048576),
        ("20Gi", 20 * 2**30),
        ("500M", 500_000_000),
        ("1.5Ki", 1536),
        ("1k", 1000),
        ("0.1", 1),
        ("1Ei", 2**60),
        ("007", 7),
    ],
)
def test_a_size_is_a_number_of_bytes_rounded_up(written: str | int, size_bytes: int) -> None:
    assert ByteSize(written).bytes == size_bytes


@given(whole=st.integers(0, 1023), decimals=st.text("0123456789", max_size=9), suffix=st.sampled_from(sorted(SUFFIXES)))
def test_any_size_is_exact(whole: int, decimals: str, suffix: str) -> None:
    number = f"{whole}.{decimals}" if decimals else str(whole)
    whole_bytes, tenths = whole * SUFFIXES[suffix], int(decimals or 0) * SUFFIXES[suffix]
    assert ByteSize(number + suffix).bytes == whole_bytes - (-tenths // 10 ** len(decimals))


@pytest.mark.parametrize(
    "written", ["", "Gi", "-1", "+1", "1 Gi", " 1Gi", "1gi", "1K", "1m", "1e3", "1.", ".5", "1_000", "\u0663Gi", "1Gi\n", "9" * 33]
)
def test_what_is_no_size_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="is not a size such as 20Gi"):
        ByteSize(written)


@pytest.mark.parametrize("written", ["2Ei", "1153.0E", 2**60 + 1])
def test_a_size_has_an_upper_bound(written: str | int) -> None:
    with pytest.raises(ValueError, match="must be at most 1Ei"):
        ByteSize(written)


@pytest.mark.parametrize("written", [True, 1.5, None, [1], float("nan")])
def test_a_size_is_a_whole_number_or_text(written: object) -> None:
    with pytest.raises(ValidationError, match="is not a size such as 20Gi"):
        Model.model_validate({"size": written})


@given(st.lists(st.tuples(st.integers(0, 999), st.sampled_from(sorted(UNITS_MS))), min_size=1, max_size=5))
def test_a_duration_is_the_sum_of_its_parts(parts: list[tuple[int, str]]) -> None:
    text = "".join(f"{number}{unit}" for number, unit in parts)
    assert Duration(text).ms == sum(number * UNITS_MS[unit] for number, unit in parts)


@pytest.mark.parametrize("text", ["", "5", "m", "-5m", "5 m", "5M", "1.5h", "5m ", "5m\n", "5us", "\u0663s", "1234567890s", "1s" * 17])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration such as 500ms"):
        Duration(text)


def test_zero_is_refused_where_it_would_let_nothing_pass() -> None:
    with pytest.raises(ValueError, match="must be more than 0"):
        PositiveDuration("0h0m0s")
    with pytest.raises(ValueError, match="must be more than 0"):
        PositiveByteSize("0.0Gi")
    assert PositiveDuration("1ms").ms == 1
    assert PositiveByteSize("0.1").bytes == 1


def test_what_the_user_wrote_is_kept() -> None:
    model = Model.model_validate({"size": "1024Mi", "wait": "60s"})
    assert model.model_dump(mode="json") == {"size": "1024Mi", "wait": "60s", "endpoint": "http://localhost"}
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert (again.size.bytes, again.wait.ms) == (2**30, 60_000)


@pytest.mark.parametrize(
    "endpoint",
    ["http://localhost", "https://s3.eu-central-1.amazonaws.com", "http://minio_1:9000", "http://[::1]:9000", "http://10.0.0.1:65535"],
)
def test_an_endpoint_is_scheme_host_and_port(endpoint: str) -> None:
    assert Model.model_validate({"endpoint": endpoint}).endpoint == endpoint


@pytest.mark.parametrize(
    "endpoint",
    [
        *("", "localhost:9000", "ftp://localhost", "http://", "http://localhost/", "http://localhost/path", "http://localhost?x=1"),
        *("http://user:password@localhost", "http://local host", "http://localhost:", "http://localhost:0", "http://localhost:65536"),
        *("http://localhost:99999", "http://-x", "http://x.", "HTTP://localhost", "http://localhost#x", "http://[:::]]"),
    ],
)
def test_anything_else_is_no_endpoint(endpoint: str) -> None:
    with pytest.raises(ValidationError):
        Model.model_validate({"endpoint": endpoint})


@pytest.mark.parametrize("name", ["abc", "a" * 63, "my.bucket-1", "1st", "999", "1.2.3", "1.2.3.4a", "healthy", "xn-y"])
def test_bucket_names_that_s3_allows(name: str) -> None:
    assert bucket_name_problem(name) == ""


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("ab", "must be 3 to 63"),
        ("a" * 64, "must be 3 to 63"),
        ("Photos", "must be 3 to 63 lower-case"),
        ("my_bucket", "must be 3 to 63 lower-case"),
        ("-abc", "at both ends"),
        ("abc.", "at both ends"),
        ("abc\n", "at both ends"),
        ("a..b", "two dots in a row"),
        ("192.168.5.4", "look like an IP address"),
        ("xn--bucket", "S3 reserves"),
        ("sthree-x", "S3 reserves"),
        ("amzn-s3-demo-bucket", "S3 reserves"),
        ("photos-s3alias", "S3 reserves"),
        ("photos--ol-s3", "S3 reserves"),
        ("photos.mrap", "S3 reserves"),
        ("photos--x-s3", "S3 reserves"),
        ("photos--table-s3", "S3 reserves"),
        ("metrics", "own pages"),
    ],
)
def test_bucket_names_that_are_refused_say_why(name: str, problem: str) -> None:
    assert problem in bucket_name_problem(name)
