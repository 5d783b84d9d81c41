"""How a compiled configuration lies in files, so that the operator's Secrets become the directory of a proxy.

The *hot* part is what a running proxy takes over: `config.json`, and `secrets.json` with the values that it names. When that would not fit
into one Secret, the buckets and their secret values lie in *parts*, `part-1.json` and so on, each in a Secret of its own. The kubelet may
bring the parts of two generations together: the digest in `config.json` covers them all, and tells.

The *static* part, `static.json`, is what a process keeps for its whole life: the database, and the secret values that only it names.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from s3o_crds.compiled import FleetConfig, SecretRef
from s3o_crds.digest import canonical_json, static_only, texts_in

Document = dict[str, Any]
Files = dict[str, Document]
"""File name → what it holds."""

CONFIG_FILE = "config.json"
"""A FleetConfig, in the names of its aliases; without `database`, which is static, and without `buckets` when these lie in parts."""
SECRETS_FILE = "secrets.json"
"""The value of every secret that the config names, by its reference; those of buckets lie with them."""
STATIC_FILE = "static.json"
"""`database`, and `secrets`."""
PART_FILE = re.compile(r"part-[0-9]+\.json")
"""`buckets`, and `secrets`."""

MOST_PARTS = 15
PART_BYTES = 900 * 1024
"""Of one Secret, which holds 1 MiB at most: https://kubernetes.io/docs/concepts/configuration/secret/#restriction-data-size"""


class TooLarge(Exception):
    """A configuration that does not fit into all the parts there are. The message says how large it is."""


def split(config: FleetConfig, values: Mapping[SecretRef, str], part_bytes: int = PART_BYTES) -> list[Files]:
    """The hot files, one mapping for each Secret; the first has `config.json`. Raises TooLarge.

    A bucket's part follows from its name, so that a change of one bucket changes one part.
    """
    document = config.model_dump(mode="json", by_alias=True)
    outside = static_only(document)
    hot = {ref: value for ref, value in values.items() if ref not in outside}
    del document["database"]
    whole: Files = {CONFIG_FILE: document, SECRETS_FILE: hot}
    if _size(whole) <= part_bytes:
        return [whole]
    buckets = document.pop("buckets")
    head: Files = {CONFIG_FILE: document, SECRETS_FILE: _named_by(document, hot)}
    sizes = {bucket["name"]: _size({"": {"buckets": [bucket], "secrets": _named_by(bucket, hot)}}) for bucket in buckets}
    for count in range(1, MOST_PARTS + 1):
        numbers = {name: int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) % count for name in sizes}
        filled = [0] * count
        for name, number in numbers.items():
            filled[number] += sizes[name]
        if max(filled) <= part_bytes >= _size(head):
            return [head, *_parts(buckets, hot, numbers, count)]
    raise TooLarge(
        f"the configuration has {_size(whole)} bytes; {MOST_PARTS} parts of {part_bytes} bytes, and as many for all but the buckets,"
        " are the most that proxies mount"
    )


def _parts(buckets: list[Document], hot: Mapping[SecretRef, str], numbers: Mapping[str, int], count: int) -> Iterator[Files]:
    for number in range(count):
        own = [bucket for bucket in buckets if numbers[bucket["name"]] == number]
        yield {f"part-{number + 1}.json": {"buckets": own, "secrets": _named_by({"buckets": own}, hot)}}


def static_part(config: FleetConfig, values: Mapping[SecretRef, str]) -> Files:
    database = config.database
    named = [ref for ref in (database.uri, database.password, database.ca) if ref]
    document = database.model_dump(mode="json", by_alias=True)
    return {STATIC_FILE: {"database": document, "secrets": {ref: values[ref] for ref in named}}}


def join(files: Mapping[str, Document]) -> tuple[Document, dict[SecretRef, str]]:
    """The config as one document, and all secret values. What the parts hold is as it was written: check it against its digest."""
    document, values = dict(files[CONFIG_FILE]), dict(files[SECRETS_FILE])
    parts = [files[name] for name in sorted(files) if PART_FILE.fullmatch(name)]
    if parts:
        together = [*document.get("buckets", ()), *(bucket for part in parts for bucket in part["buckets"])]
        document["buckets"] = sorted(together, key=lambda bucket: str(bucket.get("name")))
    for part in parts:
        values |= part["secrets"]
    if static := files.get(STATIC_FILE):
        document["database"] = static["database"]
        values = static["secrets"] | values
    return document, values


def _named_by(document: Any, values: Mapping[SecretRef, str]) -> dict[SecretRef, str]:
    return {ref: values[ref] for ref in sorted(texts_in(document) & values.keys())}


def _size(files: Files) -> int:
    return sum(len(canonical_json(document)) for document in files.values())
