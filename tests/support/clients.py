"""boto3 clients that cost little: what botocore reads from its files (a fifth of a second) is read once for all of them."""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING, Any

import boto3

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_making = threading.Lock()


def make(**settings: Any) -> S3Client:
    """By the settings of boto3. Clients may be used by several threads at once, but not be made by them."""
    with _making:
        return _session().client("s3", **settings)


@functools.cache
def _session() -> boto3.session.Session:
    return boto3.session.Session()
