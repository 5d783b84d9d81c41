"""The clients whose promises these tests hold them to."""

from __future__ import annotations

from tests.support.s3_client import adapter, opened

__all__ = ["adapter", "opened"]
