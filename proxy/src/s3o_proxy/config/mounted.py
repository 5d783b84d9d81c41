"""A compiled configuration as the operator mounts it: a directory with `config.json` and `secrets.json`.

Both come from one Secret, and a mounted Secret changes at once: the kubelet writes a new folder and then turns the link `..data` to it. So
both files are read through one reading of that link, and never one of before and one of after.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from s3o_crds.compiled import FleetConfig, SecretRef
from s3o_crds.digest import digest_of_document
from s3o_proxy.config.certificates import check_certificates
from s3o_proxy.config.errors import ConfigError
from s3o_proxy.config.loader import Loaded
from s3o_proxy.config.snapshot import take_snapshot

CONFIG_FILE = "config.json"
"""A FleetConfig, in the names of its aliases."""
SECRETS_FILE = "secrets.json"
"""The value of every secret that the config names, by its reference."""

_SECRETS = TypeAdapter(dict[SecretRef, str])


@dataclass(frozen=True, slots=True)
class MountedConfig:
    """Implements `config.watch.Source`."""

    directory: Path

    def files(self) -> list[Path]:
        """Raises OSError."""
        return [self.directory / name for name in (CONFIG_FILE, SECRETS_FILE)]

    def load(self, previous: FleetConfig | None = None) -> Loaded:
        """Raises ConfigError; no reason repeats a value of a secret."""
        folder = (self.directory / "..data").resolve() if (self.directory / "..data").is_symlink() else self.directory
        written, given = _read(folder / CONFIG_FILE), _read(folder / SECRETS_FILE)
        try:
            config = FleetConfig.model_validate_json(written)
        except ValidationError as error:
            raise ConfigError(_problems(CONFIG_FILE, error)) from None
        try:
            values = _SECRETS.validate_json(given)
        except ValidationError as error:
            raise ConfigError(_problems(SECRETS_FILE, error)) from None
        # Over what was written, not over what was understood: while a fleet is rolled, one side knows fields that the other does not.
        if digest_of_document(json.loads(written), values) != config.digest:
            raise ConfigError(
                [f"{CONFIG_FILE} and {SECRETS_FILE} do not have the digest that {CONFIG_FILE} names: they do not belong together"]
            )
        if previous is not None and config.generation < previous.generation:
            raise ConfigError([f"{CONFIG_FILE} holds generation {config.generation}, older than {previous.generation}, which is served"])
        snapshot = take_snapshot(config, values)
        check_certificates(snapshot)
        return Loaded(snapshot, ())


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError([f"{path.name}: cannot be read: {error.strerror}"]) from None


def _problems(name: str, error: ValidationError) -> list[str]:
    # Without the input: in one of the two files every value is a secret.
    return [
        f"{name}: {'.'.join(str(step) for step in problem['loc'])}: {problem['msg']}".replace(": :", ":")
        for problem in error.errors(include_input=False, include_url=False, include_context=False)
    ]
