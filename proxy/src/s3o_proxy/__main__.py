"""The `s3o` program: serve a directory of custom resources or a compiled configuration, check the one, or audit what it serves."""

from __future__ import annotations

import argparse
import os
import re
import resource
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from s3o_proxy.config.errors import ConfigError
from s3o_proxy.config.mounted import MountedConfig
from s3o_proxy.config.watch import Source
from s3o_proxy.domain.errors import DomainError
from s3o_proxy.http.listen import listen
from s3o_proxy.processes.place import read_place, role_of, why_one_process
from s3o_proxy.workers.roster import Role

DEFAULT_LISTEN = "127.0.0.1:9000"
_MOST_PROCESSES = 64
_MOST_DESCRIPTORS = 1 << 20

_EXIT_CODES = "exit codes: 0 done, 1 failed or found something wrong (each reason on a line of standard error), 2 wrong usage"


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    _open_standard_files()
    options = make_parser().parse_args(arguments)
    options.arguments = sys.argv[1:] if arguments is None else arguments
    try:
        return int(options.command(options))
    except ConfigError as error:
        return _fail(error.reasons)
    except (DomainError, OSError) as error:  # The database is away, its schema is newer, the address is taken: a sentence, no traceback.
        return _fail([str(error)])
    except KeyboardInterrupt:
        return 130


def _open_standard_files() -> None:
    """Who starts us may have closed them (`2>&-`): then the next file or connection that is opened would be what we print into."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # The lowest number that is free: this one.


def _fail(reasons: Sequence[str]) -> int:
    for reason in reasons:
        print(reason, file=sys.stderr)
    return 1


# Each command imports what only it needs: a pod, which reads no custom resource, is ready in two thirds of the time without their models.


def _run(options: argparse.Namespace) -> int:
    from s3o_proxy.config.loader import Manifests

    return _start(Manifests(options.directory, os.environ), options, Role.ALL)


def _serve(options: argparse.Namespace) -> int:
    return _start(MountedConfig(options.directory), options, options.role)


def _start(source: Source, options: argparse.Namespace, role: Role) -> int:
    _allow_descriptors()
    if options.processes > 1 and options.member is None:
        from s3o_proxy.processes.parent import run_parent

        if reasons := why_one_process(source.load().snapshot, role):
            raise ConfigError(reasons)
        # -P: what lies in the working directory is data, and no module. The place stands first: behind a `--` it would be no option.
        program = [sys.executable, "-P", "-m", "s3o_proxy"]
        return run_parent(lambda place: [*program, "--member", str(place), *options.arguments], options.processes, listen(options.listen))
    from s3o_proxy import app

    return app.run(source, options.listen, role_of(options.member, role), options.member)


def _allow_descriptors() -> None:
    """As many as we are given at all. Shells, systemd and container runtimes begin with 1024; a request that passes a body on takes six."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _MOST_DESCRIPTORS)
    if resource.RLIM_INFINITY != soft < wanted:
        with suppress(ValueError):  # A kernel with a lower limit of its own: it serves with what there is.
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _audit(options: argparse.Namespace) -> int:
    from s3o_proxy import app
    from s3o_proxy.config.loader import load

    # Each at once: what was found is not lost should the database go away in the middle.
    differences = app.audit_fleet(load(options.directory, os.environ).snapshot, lambda difference: print(difference, flush=True))
    print(f"audit: {differences or 'no'} differences", file=sys.stderr)
    return 1 if differences else 0


def _validate(options: argparse.Namespace) -> int:
    from s3o_proxy.config.loader import load

    loaded = load(options.directory, os.environ)
    config = loaded.snapshot.config
    for line in loaded.ignored:
        print(f"not read: {line}")
    print(f"valid: S3Orchestrator {config.name}, {len(config.backends)} backends, {len(config.buckets)} buckets, digest {config.digest}")
    return 0


def _version(_options: argparse.Namespace) -> int:
    print(version("s3o-proxy"))
    return 0


def make_parser() -> argparse.ArgumentParser:
    """Every command and option; docs/reference/settings.md describes them."""
    parser = argparse.ArgumentParser(prog="s3o", description="One S3 endpoint in front of many S3 backends.", epilog=_EXIT_CODES)
    parser.add_argument("--member", type=read_place, help=argparse.SUPPRESS)  # How one of several is started, by their parent alone.
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="serve the buckets of DIR; changes of its files take effect while it runs", epilog=_EXIT_CODES)
    run.add_argument("directory", metavar="DIR", type=Path, help="a directory of custom resources and Secrets in YAML")
    run.set_defaults(command=_run)

    serves = "serve a compiled configuration, as the operator mounts it; changes take effect while it runs"
    serve = commands.add_parser("serve", help=serves, epilog=_EXIT_CODES)
    serve.add_argument("directory", metavar="DIR", type=Path, help="a directory that holds config.json and secrets.json")
    divides = "api: serve S3 and leave the repair to workers; worker: repair, and serve no S3; all: both (default)"
    serve.add_argument("--role", type=Role, choices=list(Role), default=Role.ALL, metavar="{all,api,worker}", help=divides)
    serve.set_defaults(command=_serve)

    for server in (run, serve):
        listens = f"[::1]:9000 for IPv6 (default {DEFAULT_LISTEN})"
        server.add_argument("--listen", metavar="ADDR:PORT", type=_listen, default=DEFAULT_LISTEN, help=listens)
        together = f"how many processes serve the port, at most {_MOST_PROCESSES}; PostgreSQL only (default 1)"
        server.add_argument("--processes", metavar="N", type=_processes, default=1, help=together)

    validate = commands.add_parser("validate", help="say whether DIR can be served, or every reason why not", epilog=_EXIT_CODES)
    validate.add_argument("directory", metavar="DIR", type=Path)
    validate.set_defaults(command=_validate)

    compares = "compare the metadata, the bytes on the backends and the usage counters, and print every difference"
    audit = commands.add_parser("audit", help=compares, epilog=_EXIT_CODES)
    audit.add_argument("directory", metavar="DIR", type=Path)
    audit.set_defaults(command=_audit)

    commands.add_parser("version", help="print the version").set_defaults(command=_version)
    return parser


def _listen(text: str) -> str:
    """`host:port`, with an IPv6 address in brackets; port 0 takes a free one."""
    found = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:\s]+):([0-9]{1,5})", text)
    if found is None or int(found[2]) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not ADDR:PORT, such as 127.0.0.1:9000, 0.0.0.0:9000 or [::1]:9000")
    return text


def _processes(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,3}", text) or not 1 <= int(text) <= _MOST_PROCESSES:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {_MOST_PROCESSES}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
