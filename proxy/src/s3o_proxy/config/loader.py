"""A directory of YAML files → one compiled configuration, or every reason why not.

Nothing is taken from a directory in which anything is wrong: half of what a user wrote is not what the user wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from s3o_crds.compile import Compilation, compile  # noqa: A004  the name that the design gives it; the builtin is not used here
from s3o_crds.compiled import FleetConfig
from s3o_crds.meta import GROUP
from s3o_crds.parse import InvalidResource, Secret, UnknownKind, parse_resource
from s3o_crds.v1alpha1 import S3Orchestrator, StorageBackend, VirtualBucket
from s3o_proxy.config.certificates import check_certificates
from s3o_proxy.config.documents import Document, Unreadable, files_of, read_documents
from s3o_proxy.config.environment import Unresolved, expand
from s3o_proxy.config.errors import ConfigError
from s3o_proxy.config.snapshot import Loaded, take_snapshot
from s3o_proxy.domain.frozen import frozen

_OUR_KINDS = frozenset(model.__name__ for model in (S3Orchestrator, StorageBackend, VirtualBucket, Secret))

ResourceName = tuple[str, str, str]
"""Kind, namespace, name."""


@dataclass(slots=True)
class _Found:
    """What the files hold so far, and what is wrong with it."""

    orchestrators: list[S3Orchestrator] = field(default_factory=list)
    backends: list[StorageBackend] = field(default_factory=list)
    buckets: list[VirtualBucket] = field(default_factory=list)
    secrets: list[Secret] = field(default_factory=list)
    places: dict[ResourceName, str] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@frozen
class Manifests:
    """A directory of custom resources and Secrets, with the environment that its Secrets may name. Implements `config.watch.Source`."""

    directory: Path
    environment: Mapping[str, str] = field(repr=False)

    def files(self) -> list[Path]:
        """Raises OSError."""
        return files_of(self.directory)

    def load(self, previous: FleetConfig | None = None) -> Loaded:
        return load(self.directory, self.environment, previous)


def load(directory: Path, environment: Mapping[str, str], previous: FleetConfig | None = None) -> Loaded:
    """Read, check and compile `directory`. Raises ConfigError with every reason; no reason repeats a secret value.

    With `previous`, an unchanged configuration keeps its generation, and a changed one has the next.
    """
    found = _read(directory, environment)
    orchestrator = _the_orchestrator(found, directory)
    if orchestrator is not None:
        _refuse_strangers(found, orchestrator)
    if found.problems or orchestrator is None:
        raise ConfigError(found.problems)
    compilation = compile(orchestrator, found.backends, found.buckets, found.secrets, previous=previous)
    if compilation.rejections or compilation.config is None:
        raise ConfigError(_rejections(compilation, found.places))
    snapshot = take_snapshot(compilation.config, compilation.secret_values)
    check_certificates(snapshot)
    return Loaded(snapshot, tuple(found.ignored))


def _read(directory: Path, environment: Mapping[str, str]) -> _Found:
    found = _Found()
    try:
        files = files_of(directory)
    except OSError as error:
        raise ConfigError([f"{directory}: cannot be read: {error.strerror}"]) from None
    for path in files:
        try:
            for document in read_documents(path):
                _take(found, document, environment)
        except Unreadable as error:
            found.problems.append(str(error))
    return found


def _take(found: _Found, document: Document, environment: Mapping[str, str]) -> None:
    content, unresolved = _with_environment(document.content, environment)
    try:
        resource = parse_resource(content)
    except UnknownKind as error:
        if _is_ours(content):
            found.problems += [f"{_about(document, error)}: {problem}" for problem in error.problems]
        else:
            found.ignored.append(_about(document, error))
        return
    except InvalidResource as error:
        found.problems += [f"{_about(document, error)}: {problem}" for problem in error.problems]
        return
    name = (type(resource).__name__, resource.namespace, resource.name)
    found.problems += [f"{document.place}: {_spoken(name)}: {problem}" for problem in unresolved]
    if name in found.places:
        found.problems.append(f"{document.place}: {_spoken(name)}: stands a second time; the first is in {found.places[name]}")
        return
    found.places[name] = document.place
    match resource:
        case S3Orchestrator():
            found.orchestrators.append(resource)
        case StorageBackend():
            found.backends.append(resource)
        case VirtualBucket():
            found.buckets.append(resource)
        case Secret():
            found.secrets.append(resource)


def _about(document: Document, error: InvalidResource) -> str:
    what = f"{error.kind} {error.name}".strip()
    return f"{document.place}: {what}" if what else document.place


def _is_ours(content: object) -> bool:
    """Whether somebody meant this for us: then a wrong kind or version is a mistake, and not somebody else's business."""
    if not isinstance(content, Mapping) or not isinstance(content.get("kind"), str):
        return True
    return str(content.get("apiVersion")).startswith(f"{GROUP}/") or content["kind"] in _OUR_KINDS


def _with_environment(content: object, environment: Mapping[str, str]) -> tuple[object, list[str]]:
    """A Secret with the `${NAME}`s of its stringData replaced, and what could not be; any other document as it is."""
    if not isinstance(content, dict) or content.get("kind") != "Secret" or not isinstance(content.get("stringData"), dict):
        return content, []
    values, problems = {}, []
    for key, value in content["stringData"].items():
        try:
            values[key] = expand(value, environment) if isinstance(value, str) else value
        except Unresolved as error:
            values[key] = value
            problems.append(f"stringData.{key}: {error}")
    return {**content, "stringData": values}, problems


def _the_orchestrator(found: _Found, directory: Path) -> S3Orchestrator | None:
    match found.orchestrators:
        case [orchestrator]:
            return orchestrator
        case []:
            # With a broken file, the missing one is probably in it.
            if not found.problems:
                found.problems.append(f"{directory}: holds no S3Orchestrator (there must be one, in a file ending in .yaml or .yml)")
        case several:
            places = [found.places["S3Orchestrator", one.namespace, one.name] for one in several]
            found.problems.append(f"{directory}: holds {len(several)} S3Orchestrators, and there must be one: {'; '.join(places)}")
    return None


def _refuse_strangers(found: _Found, orchestrator: S3Orchestrator) -> None:
    # In a cluster there may be several orchestrators. Here there is one, and a resource of another is a typing error that would
    # otherwise be a bucket that is silently not there.
    resources: list[StorageBackend | VirtualBucket] = [*found.backends, *found.buckets]
    for resource in resources:
        ref = resource.spec.orchestrator_ref
        if (ref.namespace or resource.namespace, ref.name) != (orchestrator.namespace, orchestrator.name):
            name = (type(resource).__name__, resource.namespace, resource.name)
            wanted = _spoken(("S3Orchestrator", ref.namespace or resource.namespace, ref.name))
            here = _spoken(("S3Orchestrator", orchestrator.namespace, orchestrator.name))
            found.problems.append(f"{found.places[name]}: {_spoken(name)}: spec.orchestratorRef names {wanted}, and here is {here}")


def _rejections(compilation: Compilation, places: Mapping[ResourceName, str]) -> list[str]:
    reasons = []
    for rejection in compilation.rejections:
        name = (rejection.kind, rejection.namespace, rejection.name)
        reasons.append(f"{places[name]}: {_spoken(name)}: {rejection.message}")
    return reasons


def _spoken(name: ResourceName) -> str:
    kind, namespace, own_name = name
    return f"{kind} {own_name}" if namespace == "default" else f"{kind} {namespace}/{own_name}"
