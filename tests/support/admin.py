"""The admin API of a real proxy, as the operator uses it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import httpx
from tests.support.proxy import ADMIN_TOKEN, Proxy, wait_until

ENDED = ("Succeeded", "Cancelled")
_tokens = itertools.count(1)


def ask(proxy: Proxy, method: str, path: str, body: object = None) -> httpx.Response:
    return httpx.request(
        method,
        f"{proxy.endpoint}/admin/api/{path}",
        json=body,
        headers={"Authorization": f"Bearer {ADMIN_TOKEN}"},
        timeout=10,
        trust_env=False,
        verify=False,
    )


def begin(proxy: Proxy, kind: str, **target: str) -> str:
    """Ask for a new operation; returns its id."""
    answer = ask(proxy, "POST", "operations", {"kind": kind, "subject": "tests", "token": f"token-{next(_tokens)}"} | target)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def operation(proxy: Proxy, operation_id: str) -> dict[str, Any]:
    answer = ask(proxy, "GET", f"operations/{operation_id}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def cancel(proxy: Proxy, operation_id: str) -> None:
    assert ask(proxy, "POST", f"operations/{operation_id}/cancel").status_code == 200


def wait_for(proxy: Proxy, operation_id: str, holds: Callable[[dict[str, Any]], bool], *, timeout_s: float = 60) -> dict[str, Any]:
    """The operation, once `holds` is true of it."""
    seen: dict[str, Any] = {}

    def look() -> bool:
        nonlocal seen
        seen = operation(proxy, operation_id)
        return holds(seen)

    try:
        wait_until(look, "it did not come to that", timeout_s=timeout_s)
    except AssertionError:
        raise AssertionError(f"after {timeout_s} s the operation is still {seen}") from None
    return seen


def wait_for_end(proxy: Proxy, operation_id: str, *, timeout_s: float = 120) -> dict[str, Any]:
    return wait_for(proxy, operation_id, lambda found: found["state"] in ENDED, timeout_s=timeout_s)
