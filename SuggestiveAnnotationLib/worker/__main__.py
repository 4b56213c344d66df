"""`python -m SuggestiveAnnotationLib.worker`: the background process of the Slicer module, and of any other program."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys

from SuggestiveAnnotationLib.processor import share_the_processor


def main() -> None:
    """Serve until standard input ends."""
    # Before anything imports numpy.
    share_the_processor()
    parser = argparse.ArgumentParser(prog="SuggestiveAnnotationLib.worker", description="Background process; speaks JSON lines.")
    parser.add_argument("--idle-seconds", type=float, default=60.0, help="after so long without work nothing is left on the GPU")
    parser.add_argument("--protocol", action="store_true", help="print the protocol as Markdown and end")
    arguments = parser.parse_args()
    if arguments.protocol:
        from SuggestiveAnnotationLib.worker.document import page

        sys.stdout.write(page())
        return
    # Ctrl-C in the terminal that 3D Slicer was started from is Slicer's to answer; this process ends with it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Whatever a library prints, be it when it is imported, must not come between the events.
    events = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    from SuggestiveAnnotationLib.worker.server import Server

    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    Server(sys.stdin.buffer, events, idle_seconds=arguments.idle_seconds).serve()
    # Threads of libraries must not keep the process alive once nobody listens.
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
