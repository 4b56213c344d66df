"""`make soak`: kills the worker and the panel at random moments, a thousand times, and counts what was lost."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATHS = [str(ROOT / folder) for folder in (".", "Testing", "Testing/Support", "SuggestiveAnnotation")]
"""What this program and the processes that it starts import from."""


def main() -> int:
    """Run as a program. Returns: 1 when something was lost."""
    sys.path[:0] = PATHS
    from Soak.supervisor import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
