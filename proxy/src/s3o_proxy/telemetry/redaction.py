"""Takes secrets out of text that is about to be logged (I7), and what JSON cannot hold.

Two nets: every secret value that the configuration holds, wherever it stands; and what follows the names under which clients send theirs
(signatures and tokens that we never knew).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote

REDACTED = "[redacted]"

SENSITIVE_NAMES = frozenset({"authorization", "x-amz-signature", "x-amz-security-token", "x-proxy-token", "cookie", "password", "secret"})

# A shorter value would blank ordinary words out of every line, and hides nothing that a guess would not find.
_SHORTEST_SECRET = 4

_SENT_BY_CLIENTS = re.compile(
    r"""(?ix)
    (?P<name>
        \b (?: authorization | x-amz-signature | x-amz-security-token | x-proxy-token )
        (?: ["']? \s* (?: [:=] | %3D ) \s* b?["']? | ["'] \s* , \s* b?["'] )
        | \b signature (?: = | %3D )
    )
    (?P<value> (?: aws4-hmac-sha256 | aws | bearer | basic ) \s+ [^"'\r\n]+ | [^\s"'&,;]+ )
    """
)


def without_proofs(text: str) -> str:
    """Without the signatures and tokens of clients."""
    return _SENT_BY_CLIENTS.sub(lambda found: found["name"] + REDACTED, text)


class Redaction:
    def __init__(self) -> None:
        self._secrets: tuple[str, ...] = ()

    def learn(self, secret_values: Iterable[str]) -> None:
        """These values are secret from now on, in place of those learnt before."""
        # Who reports an error may quote them: for Python, or for a URL.
        written = {form for value in secret_values for form in (value, repr(value)[1:-1], quote(value, safe=""))}
        # The longest first: of a secret that contains another nothing must stay.
        long_enough = {value for value in written if len(value) >= _SHORTEST_SECRET}
        self._secrets = tuple(sorted(long_enough, key=lambda value: (-len(value), value)))

    def clean(self, text: str) -> str:
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, REDACTED)
        text = without_proofs(text)
        # A path that is no UTF-8 reaches us with lone surrogates, which no JSON can hold.
        return text.encode("utf-8", "backslashreplace").decode()

    def clean_field(self, name: str, value: object) -> object:
        """The value of a named field; containers are cleaned all the way down, other objects through their text."""
        if name.lower().replace("_", "-") in SENSITIVE_NAMES:
            return REDACTED
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, dict):
            return {str(key): self.clean_field(str(key), item) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.clean_field("", item) for item in value]
        return self.clean(str(value))
