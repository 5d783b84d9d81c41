"""`make bench`: what an operation costs our proxy, and what it costs nginx as a plain reverse proxy over the same backend.

How it measures, and how to read the table: docs/explain/performance.md. Exit codes: 0; 1 when an answer was wrong; 2 when it cannot run.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # so that a script in a folder finds the packages beside it
    from hack.bench.rounds import main

    sys.exit(main(sys.argv[1:]))
