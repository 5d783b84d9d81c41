"""`${NAME}` in the values of a Secret: the one place where the environment of the process reaches the configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping

_REFERENCE = re.compile(r"\$\$|\$\{(?P<name>[^}]*)(?P<end>\}?)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Unresolved(Exception):
    """A value names what the environment does not hold. The message never repeats the value."""


def expand(value: str, environment: Mapping[str, str]) -> str:
    """`value` with `${NAME}` replaced and `$$` as `$`; a `$` before anything else stays. Raises Unresolved."""

    def replace(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        name = found["name"]
        if not found["end"]:
            raise Unresolved("a ${ is not closed by } (write $${ for the characters themselves)")
        if not _NAME.fullmatch(name):
            raise Unresolved("between ${ and } must stand the name of an environment variable (write $${ for the characters themselves)")
        if name not in environment:
            raise Unresolved(f"the environment variable {name} is not set")
        return environment[name]

    return _REFERENCE.sub(replace, value)
