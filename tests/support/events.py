"""What the operator has told in a namespace."""

from __future__ import annotations

import time

from tests.support.operators import Namespace, Object


def events(namespace: Namespace) -> list[Object]:
    url = f"/apis/events.k8s.io/v1/namespaces/{namespace.name}/events"
    found: list[Object] = namespace.cluster.api.get(url).raise_for_status().json()["items"]
    return found


def has_told(namespace: Namespace, kind: str, reason: str) -> Object:
    """The event, when it is there."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if found := [one for one in events(namespace) if (one["regarding"]["kind"], one["reason"]) == (kind, reason)]:
            return found[0]
        time.sleep(0.05)  # an API server is asked, not waited for
    raise AssertionError(f"nobody told {reason} of a {kind}: {[(one['regarding']['kind'], one['reason']) for one in events(namespace)]}")
