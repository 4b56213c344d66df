"""`suggestive-annotation`: one sub-command a verb of the engine.

Exit codes: 0 done, 1 unexpected, or runs of a comparison failed, 2 bad input, 3 the study's state does not allow it, 4 another worker
holds the study, 5 disk, 130 cancelled.
"""

from __future__ import annotations

import argparse
import io
import shlex
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from SuggestiveAnnotationLib import __version__
from SuggestiveAnnotationLib.cli import choices, compare, machine, people, study, whole
from SuggestiveAnnotationLib.cli.command import Context, Result
from SuggestiveAnnotationLib.cli.console import progress_bars, show_error
from SuggestiveAnnotationLib.errors import SuggestiveAnnotationError
from SuggestiveAnnotationLib.progress import CancelToken

EXTRAS = {
    "pydicom": "dicom",
    "highdicom": "dicom",
    "torch": "learn",
    "monai": "learn",
    "safetensors": "learn",
    "sklearn": "learn",
    "matplotlib": "report",
    "jinja2": "report",
}
"""Package -> the extra of this library that installs it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns: the exit code."""
    # What a terminal cannot show is spelt out: by then the work is done, and must not end in a traceback.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    arguments = build_parser().parse_args(argv)
    cancel = CancelToken()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        # A second Ctrl-C does not wait for the stage to end.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        cancel.cancel()
        print("Stopping after this step; press Ctrl-C again to stop at once.", file=sys.stderr)

    previous = signal.signal(signal.SIGINT, stop)
    try:
        with progress_bars(quiet=arguments.quiet) as progress:
            command = shlex.join(["suggestive-annotation", *(sys.argv[1:] if argv is None else argv)])
            result: Result = arguments.run(arguments, Context(progress=progress, cancel=cancel, command=command))
        result.print(as_json=arguments.json)
        return result.exit_code
    except SuggestiveAnnotationError as error:
        show_error(error.sentence, error.hint, kind=error.kind, as_json=arguments.json)
        return error.exit_code
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").split(".")[0])
        if extra is None:
            raise
        hint = f"Install it with: pip install 'suggestive-annotation[{extra}]'"
        show_error(f"This command needs the package {error.name}.", hint, kind="input", as_json=arguments.json)
        return 2
    except KeyboardInterrupt:
        show_error("Cancelled.", "Run the same command again to resume.", kind="cancelled", as_json=arguments.json)
        return 130
    finally:
        signal.signal(signal.SIGINT, previous)


def build_parser() -> argparse.ArgumentParser:
    """The parser of every command."""
    parser = argparse.ArgumentParser(
        prog="suggestive-annotation",
        description="Suggest which slices of medical volumes to annotate next. Not a diagnostic device.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    sub = parser.add_subparsers(metavar="COMMAND", required=True)
    for group in (study, machine, choices, people, whole, compare):
        group.add_commands(sub)
    return parser
