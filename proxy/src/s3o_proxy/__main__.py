"""The `s3o` program: serve a directory of custom resources or a compiled configuration, check the one, or audit what it serves."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from s3o_proxy.config.errors import ConfigError
from s3o_proxy.config.loader import Manifests, load
from s3o_proxy.config.mounted import MountedConfig
from s3o_proxy.domain.errors import DomainError
from s3o_proxy.workers.roster import Role

DEFAULT_LISTEN = "127.0.0.1:9000"

_EXIT_CODES = "exit codes: 0 done, 1 failed or found something wrong (each reason on a line of standard error), 2 wrong usage"


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    options = make_parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except ConfigError as error:
        return _fail(error.reasons)
    except (DomainError, OSError) as error:  # The database is away, its schema is newer, the address is taken: a sentence, no traceback.
        return _fail([str(error)])
    except KeyboardInterrupt:
        return 130


def _fail(reasons: Sequence[str]) -> int:
    for reason in reasons:
        print(reason, file=sys.stderr)
    return 1


def _run(options: argparse.Namespace) -> int:
    # Only here: the other commands need no server and no driver of a database, and start in a fifth of the time.
    from s3o_proxy import app

    return app.run(Manifests(options.directory, os.environ), options.listen)


def _serve(options: argparse.Namespace) -> int:
    from s3o_proxy import app

    return app.run(MountedConfig(options.directory), options.listen, options.role)


def _audit(options: argparse.Namespace) -> int:
    from s3o_proxy import app

    differences = app.audit_fleet(options.directory)
    for difference in differences:
        print(difference)
    print(f"audit: {len(differences) or 'no'} differences", file=sys.stderr)
    return 1 if differences else 0


def _validate(options: argparse.Namespace) -> int:
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


if __name__ == "__main__":
    sys.exit(main())
