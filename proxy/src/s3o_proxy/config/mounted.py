"""A compiled configuration as the operator mounts it: a directory with the files of `s3o_crds.layout`.

A mounted volume changes at once (`volume.settled`). The Secrets that it is made of may still be of two generations: the digest tells, and
the next change is looked at again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from s3o_crds.compiled import FleetConfig, SecretRef
from s3o_crds.digest import digest_of_document
from s3o_crds.layout import CONFIG_FILE, PART_FILE, SECRETS_FILE, STATIC_FILE, join
from s3o_proxy.config.certificates import check_certificates
from s3o_proxy.config.errors import ConfigError
from s3o_proxy.config.snapshot import Loaded, take_snapshot
from s3o_proxy.config.volume import settled
from s3o_proxy.domain.frozen import frozen


class _File(BaseModel):
    """Unknown fields are kept: the digest covers them."""

    model_config = ConfigDict(extra="allow")


class _Part(_File):
    buckets: list[dict[str, Any]]
    secrets: dict[SecretRef, str]


class _Static(_File):
    database: dict[str, Any]
    secrets: dict[SecretRef, str]


_ANY: TypeAdapter[Any] = TypeAdapter(dict[str, Any])
_SHAPES: dict[str, TypeAdapter[Any]] = {
    CONFIG_FILE: _ANY,
    SECRETS_FILE: TypeAdapter(dict[SecretRef, str]),
    STATIC_FILE: TypeAdapter(_Static),
}
_PART: TypeAdapter[Any] = TypeAdapter(_Part)


@frozen
class MountedConfig:
    """Implements `config.watch.Source`."""

    directory: Path

    def files(self) -> list[Path]:
        """Raises OSError."""
        return _files_of(self.directory)

    def load(self, previous: FleetConfig | None = None) -> Loaded:
        """Raises ConfigError; no reason repeats a value of a secret."""
        try:
            paths = _files_of(settled(self.directory))
        except OSError as error:
            raise ConfigError([f"{self.directory}: cannot be read: {error.strerror}"]) from None
        document, values = join({path.name: _read(path) for path in paths})
        try:
            config = FleetConfig.model_validate(document)
        except ValidationError as error:
            raise ConfigError(_problems(CONFIG_FILE, error)) from None
        # Over what was written, not over what was understood: while a fleet is rolled, one side knows fields that the other does not.
        if digest_of_document(document, values) != config.digest:
            raise ConfigError([f"the files do not have the digest that {CONFIG_FILE} names: they do not belong together"])
        if previous is not None and config.generation < previous.generation:
            raise ConfigError([f"{CONFIG_FILE} holds generation {config.generation}, older than {previous.generation}, which is served"])
        snapshot = take_snapshot(config, values)
        check_certificates(snapshot)
        return Loaded(snapshot, ())


def _files_of(folder: Path) -> list[Path]:
    """The two that must be there, and the static part and the parts of the hot one, where there are any. Raises OSError."""
    others = sorted(path for path in folder.iterdir() if path.name == STATIC_FILE or PART_FILE.fullmatch(path.name))
    return [folder / CONFIG_FILE, folder / SECRETS_FILE, *others]


def _read(path: Path) -> Any:
    try:
        read = _SHAPES.get(path.name, _PART).validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError([f"{path.name}: cannot be read: {error.strerror}"]) from None
    except ValidationError as error:
        raise ConfigError(_problems(path.name, error)) from None
    return read.model_dump() if isinstance(read, _File) else read


def _problems(name: str, error: ValidationError) -> list[str]:
    # Without the input: it may be a secret.
    return [
        f"{name}: {'.'.join(str(step) for step in problem['loc'])}: {problem['msg']}".replace(": :", ":")
        for problem in error.errors(include_input=False, include_url=False, include_context=False)
    ]
