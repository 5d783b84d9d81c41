"""Signatures are those of botocore, whatever is asked for."""

from __future__ import annotations

from datetime import UTC, datetime
from unittest import mock
from urllib.parse import quote

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from s3o_proxy.backends.wire.signer import EMPTY_PAYLOAD, UNSIGNED_PAYLOAD, Signer

AT_S = 1_774_001_740
KEY_ID, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126) | st.just("\t") | st.just("ü"), max_size=30)
NAMES = st.sampled_from(["content-md5", "content-type", "range", "x-amz-meta-s3o-key", "x-amz-meta-a", "x-amz-meta-b.c", "x-amz-zz"])


class Clock:
    def __init__(self, at_s: float) -> None:
        self.at_s = at_s

    def __call__(self) -> float:
        return self.at_s


def signed(signer: Signer, *asked: str, headers: dict[str, str] | None = None) -> dict[str, str]:
    method, path, query, payload_hash = asked
    lines = signer.sign(method, path, query, payload_hash, tuple((headers or {}).items()))
    assert lines.endswith("\r\n")
    return dict(line.split(": ", 1) for line in lines.removesuffix("\r\n").split("\r\n"))


def signed_by_botocore(
    at_s: float, host: str, region: str, method: str, path: str, query: str, payload_hash: str, headers: dict[str, str]
) -> str:
    url = f"http://{host}{path}" + (f"?{query}" if query else "")
    request = AWSRequest(method, url, headers={**headers, "X-Amz-Content-SHA256": payload_hash})
    at = datetime.fromtimestamp(at_s, UTC)
    now = mock.patch("botocore.auth.get_current_datetime", lambda remove_tzinfo=True: at.replace(tzinfo=None) if remove_tzinfo else at)
    signer = S3SigV4Auth(Credentials(KEY_ID, SECRET), "s3", region)
    with now, mock.patch.object(signer, "payload", return_value=payload_hash):
        signer.add_auth(request)
    return str(request.headers["Authorization"])


@given(
    key=TEXT,
    upload_id=st.none() | TEXT,
    headers=st.dictionaries(NAMES, VALUES, max_size=5),
    method=st.sampled_from(["GET", "PUT", "HEAD", "DELETE"]),
    host=st.sampled_from(["s3.example.com", "127.0.0.1:9000", "bucket.s3.example.com:8443", "[::1]:9000"]),
    region=st.sampled_from(["us-east-1", "garage", "eu-west-1"]),
    payload_hash=st.sampled_from([UNSIGNED_PAYLOAD, EMPTY_PAYLOAD]),
    at_s=st.integers(0, 4_000_000_000),
)
def test_a_signature_is_that_of_botocore(
    key: str, upload_id: str | None, headers: dict[str, str], method: str, host: str, region: str, payload_hash: str, at_s: int
) -> None:
    path = "/bucket/" + quote(key)
    query = "" if upload_id is None else f"partNumber=7&uploadId={quote(upload_id, safe='')}"
    ours = signed(Signer(KEY_ID, SECRET, region, host, Clock(at_s)), method, path, query, payload_hash, headers=headers)
    assert ours["authorization"] == signed_by_botocore(at_s, host, region, method, path, query, payload_hash, headers)


def test_a_signer_goes_with_its_clock_over_seconds_and_days_and_back() -> None:
    clock = Clock(AT_S)
    signer = Signer(KEY_ID, SECRET, "us-east-1", "h", clock)
    for at_s in (AT_S, AT_S + 0.9, AT_S + 1, AT_S + 86_400, AT_S + 86_401, AT_S, AT_S - 86_400):
        clock.at_s = at_s
        ours = signed(signer, "GET", "/b/k", "", UNSIGNED_PAYLOAD)
        assert ours["x-amz-date"] == datetime.fromtimestamp(at_s, UTC).strftime("%Y%m%dT%H%M%SZ")
        assert ours["authorization"] == signed_by_botocore(at_s, "h", "us-east-1", "GET", "/b/k", "", UNSIGNED_PAYLOAD, {})
