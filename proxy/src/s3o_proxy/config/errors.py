"""A configuration that cannot be taken, with every reason at once."""

from __future__ import annotations

from collections.abc import Sequence

from s3o_proxy.domain.errors import DomainError


class ConfigError(DomainError):
    """`reasons`: one sentence each, naming the file, document and field where there is one; never a secret value (I7)."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = tuple(reasons)


class ConfigNotYet(ConfigError):
    """It would be taken, but for something that may pass while the files stay as they are: whoever reads them tries again."""
