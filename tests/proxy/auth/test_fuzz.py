"""Proofs that are nearly right: one that was changed anywhere is refused by an error of S3, and never taken."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.wire import KEY_ID, Keys, credential, facts, signed_by_botocore, signed_by_botocore_v2

from s3o_proxy.auth.authenticate import Authenticator
from s3o_proxy.s3.errors import S3Error
from s3o_proxy.s3.query import parse_query
from s3o_proxy.s3.request import RequestFacts

NOW_MS = 1_774_026_585_000
URL = "http://s3.example.com:9000/photos/key"
V4 = signed_by_botocore("GET", URL, at_ms=NOW_MS, presigned=True)
V2 = signed_by_botocore_v2("GET", URL, at_ms=NOW_MS)
SIGNED = signed_by_botocore("GET", URL, at_ms=NOW_MS)

TELLING = f"""
    0 -1 1 \u0661 AWS4-HMAC-SHA256 20260320T170945Z 99999999T999999Z host HOST ; host;;date //// a/b/c/d/e \u00e9
    AAAAAAAAAAAAAAAAAAAAAAAAAAA= {KEY_ID}/20260320/us-east-1/s3/aws4_request
""".split()
VALUES = st.text(max_size=20) | st.sampled_from(["", "\x00", "9" * 400, *TELLING])


def authenticate(request: RequestFacts) -> None:
    Authenticator().authenticate(request, Keys(credential()), NOW_MS, allow_sig_v2=True)


@pytest.mark.parametrize("request_", [V4, V2, SIGNED], ids=["V4", "V2", "header"])
def test_unchanged_they_are_taken(request_: RequestFacts) -> None:
    authenticate(request_)


@pytest.mark.parametrize("original", [V4, V2], ids=["V4", "V2"])
@given(data=st.data())
def test_a_changed_query_is_refused(original: RequestFacts, data: st.DataObject) -> None:
    parameters = parse_query(original.raw_query)
    name = data.draw(st.sampled_from(sorted(parameters)))
    value = data.draw(st.none() | VALUES)
    if value == parameters[name] or (name == "X-Amz-SignedHeaders" and value is not None and value.lower() == parameters[name]):
        return
    changed = {key: text for key, text in (parameters | {name: value}).items() if text is not None}
    query = "&".join(f"{quote(key, safe='')}={quote(text, safe='')}" for key, text in changed.items())
    with pytest.raises(S3Error):
        authenticate(replace(original, raw_query=query.encode()))


@given(st.binary(max_size=80), st.sampled_from([b"X-Amz-Signature=", b"X-Amz-Algorithm=AWS4-HMAC-SHA256", b"AWSAccessKeyId=a&Signature="]))
def test_any_query_that_claims_to_be_signed_is_refused(query: bytes, claim: bytes) -> None:
    with pytest.raises(S3Error):
        authenticate(replace(V4, raw_query=query + b"&" + claim))


FIELDS = st.dictionaries(st.sampled_from(["Credential", "SignedHeaders", "Signature", "Other"]), VALUES, max_size=4)


@given(
    FIELDS, st.sampled_from([", ", ",", ";", " "]), st.dictionaries(st.sampled_from(["x-amz-date", "date", "x-amz-content-sha256"]), VALUES)
)
def test_any_fields_of_an_authorization_are_refused(fields: dict[str, str], separator: str, headers: dict[str, str]) -> None:
    text = "AWS4-HMAC-SHA256 " + separator.join(f"{name}={value}" for name, value in fields.items())
    on_wire = facts(
        "GET",
        "/photos/key",
        {"x-amz-date": "20260320T170945Z", "x-amz-content-sha256": "UNSIGNED-PAYLOAD"} | headers | {"authorization": text},
    )
    with pytest.raises(S3Error):
        authenticate(on_wire)
