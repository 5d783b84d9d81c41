"""The key of SigV4, held against the example that AWS publishes and against the standard library's HMAC."""

from __future__ import annotations

import hmac

from hypothesis import given
from hypothesis import strategies as st

from s3o_proxy.domain.signing_key import Scope, SigningKey, derive_signing_key


def test_the_published_example() -> None:
    """AWS, "Authenticating Requests (AWS Signature Version 4)", example: GET Object."""
    key = derive_signing_key("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", Scope("20130524", "us-east-1"))
    request = b"7344ae5b7ee6c3e7e6b0fe0640412a37625d1fbfff95c48bbb2dc43964946972"
    to_sign = b"AWS4-HMAC-SHA256\n20130524T000000Z\n20130524/us-east-1/s3/aws4_request\n" + request
    assert key.sign(to_sign) == "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"


@given(st.binary(max_size=64), st.lists(st.binary(), min_size=1))
def test_a_key_signs_as_hmac_does_however_often(key: bytes, messages: list[bytes]) -> None:
    ours = SigningKey(key)
    for message in messages:
        assert ours.sign(message) == hmac.digest(key, message, "sha256").hex()
