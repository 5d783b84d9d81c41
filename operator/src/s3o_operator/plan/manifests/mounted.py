"""The configuration that proxies mount, read back: what they were given holds, whatever has become of that which it was made of."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from s3o_crds.compiled import FleetConfig, SecretRef
from s3o_crds.digest import digest_of_document
from s3o_crds.layout import join
from s3o_operator.plan.observed import Object


@dataclass(frozen=True)
class Mounted:
    """`values`: of the secrets that `config` names."""

    config: FleetConfig
    values: Mapping[SecretRef, str] = field(repr=False)

    is_whole: bool = True
    """All of one generation, by its digest: what is not in it was not in it."""

    @property
    def certificate(self) -> str:
        """That with which the pods serve https, in PEM; or nothing."""
        tls = self.config.server.tls
        return self.values.get(tls.certificate, "") if tls else ""


def read_back(head: Object | None, parts: Iterable[Object] = ()) -> Mounted | None:
    """Out of the Secrets of a configuration; without its `parts`, all but the buckets. None when they make no sense."""
    secrets = [one for one in (head, *parts) if one is not None]
    data = [(name, text) for secret in secrets for name, text in (secret.get("data") or {}).items()]
    try:
        document, values = join({name: json.loads(base64.b64decode(text)) for name, text in data})
        config = FleetConfig.model_validate(document)
        return Mounted(config, values, config.digest == digest_of_document(document, values))
    # Whatever somebody wrote into them: an object may be a list, a number no text.
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
