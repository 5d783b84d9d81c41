"""Secrets leave text before it is logged (I7)."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from s3o_proxy.telemetry.redaction import Redaction


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        (
            "Authorization: AWS4-HMAC-SHA256 Credential=AK/20261121/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0123abcd",
            "Authorization: [redacted]",
        ),
        (
            "GET /b/k?X-Amz-Date=20261121T000000Z&X-Amz-Signature=0123abcd&x=1",
            "GET /b/k?X-Amz-Date=20261121T000000Z&X-Amz-Signature=[redacted]&x=1",
        ),
        ("GET /b/k?AWSAccessKeyId=AK&Signature=abc%3D&Expires=1", "GET /b/k?AWSAccessKeyId=AK&Signature=[redacted]&Expires=1"),
        ("x-proxy-token: letmein", "x-proxy-token: [redacted]"),
        ("{'X-Proxy-Token': 'letmein', 'host': 'h'}", "{'X-Proxy-Token': '[redacted]', 'host': 'h'}"),
        ("[(b'authorization', b'AWS4-HMAC-SHA256 Credential=AK, Signature=0123')]", "[(b'authorization', b'[redacted]')]"),
        ("{b'x-proxy-token': b'letmein'}", "{b'x-proxy-token': b'[redacted]'}"),
        ("/b/k%3FX-Amz-Signature%3D0123abcd", "/b/k%3FX-Amz-Signature%3D[redacted]"),
        ("the header authorization, which is", "the header authorization, which is"),
        ("the signature does not match", "the signature does not match"),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_what_clients_send_as_proof_is_taken_out_by_its_name(text: str, cleaned: str) -> None:
    assert Redaction().clean(text) == cleaned


def test_of_a_secret_that_contains_another_nothing_stays() -> None:
    redaction = Redaction()
    redaction.learn(["abcd", "abcdefgh"])
    assert redaction.clean("-abcdefgh-abcd-") == "-[redacted]-[redacted]-"


def test_a_secret_is_known_as_python_and_as_a_url_write_it_too() -> None:
    secret, redaction = "wJalr/K7+\\x'q\"", Redaction()
    redaction.learn([secret])
    assert redaction.clean(f"{secret!r} https://user:{quote(secret, safe='')}@host") == "'[redacted]' https://user:[redacted]@host"


def test_what_is_learnt_replaces_what_was_learnt_before() -> None:
    redaction = Redaction()
    redaction.learn(["old-secret"])
    redaction.learn(["new-secret"])
    assert redaction.clean("old-secret new-secret") == "old-secret [redacted]"


def test_a_very_short_secret_does_not_blank_out_every_line() -> None:
    redaction = Redaction()
    redaction.learn(["", "a"])
    assert redaction.clean("a banana") == "a banana"


def test_fields_are_cleaned_by_name_and_by_value() -> None:
    redaction = Redaction()
    redaction.learn(["hunter22"])
    assert redaction.clean_field("x_proxy_token", "whatever") == "[redacted]"
    assert redaction.clean_field("Authorization", "whatever") == "[redacted]"
    assert redaction.clean_field("count", 3) == 3
    assert redaction.clean_field("note", ("x hunter22",)) == ["x [redacted]"]
    assert redaction.clean_field("headers", {"X-Amz-Security-Token": "t", "host": "h"}) == {
        "X-Amz-Security-Token": "[redacted]",
        "host": "h",
    }
