"""What this process believes the backends hold: fresh enough to rank them, never used to admit a write."""

from __future__ import annotations

from collections.abc import Mapping

from s3o_proxy.domain.model import Usage


class UsageView:
    """Refreshed from the ledger by a worker; between refreshes our own reservations are added, so that Spread spreads."""

    def __init__(self) -> None:
        self._usage: dict[str, Usage] = {}
        self.fenced: frozenset[str] = frozenset()
        """Backends that take no new writes, by the ledger's word: asking them would only cost a transaction."""

    @property
    def by_backend(self) -> Mapping[str, Usage]:
        return self._usage

    def refresh(self, usage: Mapping[str, Usage], fenced: frozenset[str] = frozenset()) -> None:
        self._usage, self.fenced = dict(usage), fenced

    def reserved(self, backend: str, size_bytes: int) -> None:
        known = self._usage.get(backend) or Usage(backend)
        self._usage[backend] = Usage(backend, known.used_bytes, known.orphan_bytes, known.reserved_bytes + size_bytes, known.objects)
