"""The writes that a plan is made of, and how a plan reads as text."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from s3o_operator.plan.observed import Key, Object, Ref, Step, ref_of
from s3o_operator.plan.registry import CredentialRef


@dataclass(frozen=True)
class NewKey:
    """A credential that the registry does not know. If the registry was lost, `secret`, the application's, may hold the key, or else the
    configuration, which knows the bucket as `bucket_name`; it is then taken over from there. `owner`: uid of the VirtualBucket."""

    credential: CredentialRef
    secret: Ref
    owner: str
    bucket_name: str


@dataclass(frozen=True)
class RotateKey:
    """A new key for a credential, once for each `rotation`. The old one works until `expires_at`."""

    credential: CredentialRef
    rotation: str
    expires_at: str


@dataclass(frozen=True)
class ForgetKeys:
    """Old keys of a credential that work no more."""

    credential: CredentialRef


KeyChange = NewKey | RotateKey | ForgetKeys


@dataclass(frozen=True)
class WriteKeys:
    """Write into the registry, before anything uses it. What follows from it is planned afterwards. Done twice, it is done once."""

    key: Key
    now: str
    changes: tuple[KeyChange, ...]


@dataclass(frozen=True)
class DropKeys:
    """Take the keys of a bucket out of the registry, which is deleted with all that was in it: before it goes, and another has its name."""

    key: Key
    ref: Ref
    uid: str


@dataclass(frozen=True)
class Latch:
    """Note in the status that something is about to be done, before it is. What follows from it is planned afterwards.

    `status`: the whole of it, as it stands there but for the note. `why`: what was asked for. `refused`: what was asked for as well and is
    not done, as (reason, sentence). `told`: what comes about by the note itself, likewise.
    """

    ref: Ref
    uid: str
    status: Object = field(repr=False)
    why: str
    refused: tuple[tuple[str, str], ...] = ()
    told: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class MintToken:
    """Make the admin token, where there is none that can be used. What follows from it is planned afterwards."""

    owner: Object = field(repr=False)
    secret: Ref
    why: str


@dataclass(frozen=True)
class Protect:
    """Put our finalizer on a resource, before it is served. What follows from it is planned afterwards."""

    ref: Ref
    uid: str


@dataclass(frozen=True)
class Release:
    """Take our finalizer from a resource that is being deleted, so that it goes; not when `unless` is there after all. `why`: in words."""

    ref: Ref
    uid: str
    why: str
    unless: Ref | None = None


@dataclass(frozen=True)
class StartOperation:
    """Ask the proxies for an operation, which a status tells of already. Asked again, it is the same one."""

    ref: Ref
    uid: str
    kind: str
    token: str
    backend: str = ""
    bucket: str = ""


@dataclass(frozen=True)
class CancelOperation:
    """Nobody means this operation any more. What it has moved stays moved; the backend of a drain is open again."""

    ref: Ref
    uid: str
    id: str
    kind: str


@dataclass(frozen=True)
class ForgetBackend:
    """Have the proxies forget a backend on which nothing is left."""

    ref: Ref
    uid: str
    backend: str


@dataclass(frozen=True)
class Ensure:
    """Make a child be what it should be. `why`: missing, changed, or drifted."""

    manifest: Object = field(repr=False)
    why: str


@dataclass(frozen=True)
class HandOver:
    """Have another field manager of ours keep a Deployment's replicas, so that we can let go of them without their default coming back."""

    ref: Ref
    replicas: int


@dataclass(frozen=True)
class Delete:
    """Remove a child of ours that is no longer wanted. Only the very one that was seen: a new one of its name has another uid."""

    ref: Ref
    uid: str


@dataclass(frozen=True)
class SetStatus:
    """Report. Always last: a status tells what was done, not what was meant."""

    ref: Ref
    uid: str
    status: Object = field(repr=False)


FleetAction = StartOperation | CancelOperation | ForgetBackend
"""What is done at the proxies."""
Action = MintToken | WriteKeys | DropKeys | Latch | Protect | Ensure | HandOver | Delete | FleetAction | Release | SetStatus


def step_of(action: Action) -> Step | None:
    """None: it is about more than one resource, or nothing is built on it."""
    match action:
        case Latch(ref):
            return Step("Latch", ref)
        case Protect(ref):
            return Step("Protect", ref)
    return None


@dataclass(frozen=True)
class Plan:
    """Actions in the order in which they are carried out. `due`: when there will be something to do, though nothing changes (RFC 3339)."""

    actions: tuple[Action, ...] = ()
    due: str = ""

    def statuses(self) -> Plan:
        return replace(self, actions=tuple(action for action in self.actions if isinstance(action, SetStatus)))


def render(plan: Plan) -> str:
    """One line per action; a status with its phase and conditions below. No value of a Secret."""
    return "".join(f"{line}\n" for action in plan.actions for line in _lines(action)) or "nothing to do\n"


def _lines(action: Action) -> list[str]:
    match action:
        case WriteKeys(_, _, changes):
            return ["write keys into the registry", *(f"  {_change(change)}" for change in changes)]
        case SetStatus(ref, _, status):
            return [f"status {ref}: {status.get('phase')}", *(f"  {_condition(one)}" for one in status.get("conditions", []))]
        case StartOperation() | CancelOperation() | ForgetBackend():
            return [_asked_of_proxies(action)]
    return [_written(action)]


def _asked_of_proxies(action: StartOperation | CancelOperation | ForgetBackend) -> str:
    match action:
        case StartOperation(ref, _, kind, token, backend, bucket):
            return f"start {kind} of {backend or bucket or 'all backends'} for {ref}: {token}"
        case CancelOperation(ref, _, operation_id, kind):
            return f"cancel {kind} {operation_id} of {ref}"
        case ForgetBackend(ref, _, backend):
            return f"forget backend {backend} of {ref}"


def _written(action: Latch | MintToken | DropKeys | Protect | Release | Ensure | HandOver | Delete) -> str:
    match action:
        case Latch(ref, why=why):
            return f"latch {ref}: {why}"
        case MintToken(_, secret, why):
            return f"mint the token in {secret}: {why}"
        case DropKeys(_, ref):
            return f"drop the keys of {ref}"
        case Protect(ref):
            return f"protect {ref}"
        case Release(ref, _, why):
            return f"release {ref}: {why}"
        case Ensure(manifest, why):
            return f"ensure {ref_of(manifest)}: {why}"
        case HandOver(ref, replicas):
            return f"hand over the replicas of {ref}: {replicas}"
        case Delete(ref):
            return f"delete {ref}"


def _change(change: KeyChange) -> str:
    match change:
        case NewKey(credential, secret):
            return f"new: {credential}, or what {secret} or the configuration holds"
        case RotateKey(credential, rotation, expires_at):
            return f"rotate: {credential} for {rotation}; the old one works until {expires_at}"
        case ForgetKeys(credential):
            return f"forget the old ones of {credential}"


def _condition(condition: Object) -> str:
    message = f": {condition['message']}" if condition["message"] else ""
    return f"{condition['type']}={condition['status']} {condition['reason']}{message}"
