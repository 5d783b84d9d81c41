"""`make soak`: a seeded, mixed load on two proxies that are killed at random, over PostgreSQL and three S3 servers with tight quotas.

Every answer is held against what was acknowledged before; backends are looked at from outside all the while; in the end everything is read
back and audited. What it proves and how to read its table: docs/explain/soak.md. Exit codes: 0; 1 when a promise was broken; 2 when it
cannot run; 130 when it was interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import uvloop
from hack.bench.processes import CannotRunError, Interrupted, interrupt
from hack.seaweedfs import SeaweedFSFailed
from hack.soak.report import table
from hack.soak.run import Plan, Result, soak
from hack.soak.site import Site, new_site

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    plan = Plan(
        options.operations,
        options.kills,
        options.seed,
        options.writers,
        options.keys,
        quota_bytes=options.quota_bytes,
        longest_load_s=options.minutes * 60,
    )
    for number in _SIGNALS:
        signal.signal(number, interrupt)
    try:
        # PostgreSQL refuses to run as root, and its user must be able to look into its folder.
        with tempfile.TemporaryDirectory(prefix="s3o-soak-", dir=options.scratch, ignore_cleanup_errors=True) as scratch:
            Path(scratch).chmod(0o755)
            with new_site(Path(scratch)) as site:
                result = uvloop.run(_interruptible(plan, site))
    except (CannotRunError, SeaweedFSFailed, OSError) as error:
        print(f"make soak: {error}", file=sys.stderr)
        return 2
    except (Interrupted, asyncio.CancelledError):
        return 130
    print(table(result))
    return 0 if result.holds else 1


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make soak", description="Mixed operations with kills; nothing acknowledged may be lost.")
    parser.add_argument("--operations", type=_positive, default=20_000)
    parser.add_argument("--kills", type=int, default=20, help="of a proxy, at random moments; a start takes a second or two")
    parser.add_argument("--minutes", type=float, default=math.inf, help="the load ends then, however many operations are still to do")
    parser.add_argument("--seed", type=int, default=7, help="of what clients ask and of when proxies die")
    parser.add_argument("--writers", type=_positive, default=Plan.writers, help="clients at once")
    parser.add_argument("--keys", type=_positive, default=Plan.keys, help="of each client")
    parser.add_argument("--quota-bytes", type=_positive, default=Plan.quota_bytes, help="of each backend")
    parser.add_argument("--scratch", type=Path, help="where everything is stored meanwhile; the system's temporary folder")
    return parser.parse_args(arguments)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


async def _interruptible(plan: Plan, site: Site) -> Result:
    """The first signal ends it in order, whatever was started; later ones change nothing."""
    running, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert running is not None

    def end() -> None:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)
        running.cancel()

    for number in _SIGNALS:
        loop.add_signal_handler(number, end)
    return await soak(plan, site, lambda line: print(line, flush=True))


if __name__ == "__main__":
    sys.exit(main())
