"""Where a backend's bytes lie by the ledger, and where this process looks for them.

That something was not found, or that a backend takes nothing, says something only where both are the same bucket. They differ until this
process has read the configuration that the others have: the client may ask again.
"""

from __future__ import annotations

from collections.abc import Mapping

from s3o_proxy.domain.errors import BackendUnavailable
from s3o_proxy.operations.context import Context


def bucket_here(context: Context, backend: str) -> str:
    """Where this process would look for a backend's bytes now; '' for one that is not configured any more."""
    try:
        return context.backends.get(backend).bucket
    except BackendUnavailable:
        return ""


async def looked_for_elsewhere(context: Context, asked: Mapping[str, str]) -> dict[str, str]:
    """Of backends, with the bucket in which each was asked ('': in none): those whose bytes lie in another, and how."""
    located = await context.metadata.located() if asked else {}
    lies_in = {name: located.get(name) or "none" for name in asked}
    return {
        name: f"its bytes lie in the bucket {lies_in[name]}, this process looks in {bucket or 'none'}"
        for name, bucket in asked.items()
        if bucket != lies_in[name]
    }


async def require_there(context: Context, backend: str, bucket: str) -> None:
    """Raises BackendUnavailable where the bytes of `backend` do not lie in `bucket`, in which it was asked."""
    elsewhere = await looked_for_elsewhere(context, {backend: bucket})
    if elsewhere:
        raise BackendUnavailable(backend, elsewhere[backend])
