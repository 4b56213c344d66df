"""`suggestive-annotation` and `python -m SuggestiveAnnotationLib`: the command line, which can be interrupted from its first moment on."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

from SuggestiveAnnotationLib.processor import share_the_processor


def run() -> int:
    """Run the command that was typed. Returns: the exit code."""
    signal.signal(signal.SIGINT, _end)
    share_the_processor()
    # Only now: importing takes a moment, and Ctrl-C in it would show the inside of a library.
    from SuggestiveAnnotationLib.cli.main import main

    code = main()
    # What was asked for is done, and Python takes a moment to end as well.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return code


def _end(_signal: int, _frame: FrameType | None) -> None:
    """End at once: nothing is under way yet that could be left half done."""
    os.write(2, b"Cancelled.\n")
    os._exit(130)


if __name__ == "__main__":
    sys.exit(run())
