"""Whether trying again can help is told by the status; where the API server's own is wrong, by what it says."""

from __future__ import annotations

import pytest

from s3o_operator.kube.errors import Conflict, Invalid, KubeError, Unreachable, error_of

UNTYPED = 'failed to create typed patch object (ns/main-proxy; apps/v1, Kind=Deployment): .spec.x: duplicate entries for key [name="a"]'
WEBHOOK_AWAY = (
    'Internal error occurred: failed calling webhook "policy.example.com": failed to call webhook: Post "https://policy": dial tcp'
)


@pytest.mark.parametrize(
    ("status", "message", "expected"),
    [
        (409, "exists", Conflict),
        (422, "no", Invalid),
        (500, "etcd is away", Unreachable),
        (503, "", Unreachable),
        (500, UNTYPED, Invalid),
        (500, WEBHOOK_AWAY, Invalid),
    ],
)
def test_each_refusal_says_whether_the_same_may_be_sent_again(status: int, message: str, expected: type[KubeError]) -> None:
    assert type(error_of(status, message)) is expected
