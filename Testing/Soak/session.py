"""One life of the panel: the real module with its real worker, worked at random from a seed until somebody kills it.

`python -m Soak.session STUDY LEDGER SETTINGS SEED`. Every action is written into the ledger before it begins, and once more when the panel
has reported it as done.
"""

from __future__ import annotations

import argparse
import faulthandler
import random
import signal
import sys
from pathlib import Path
from typing import Any

from Soak.ledger import READER, LedgerWriter
from Soak.soak import ROOT

MODULE = ROOT / "SuggestiveAnnotation" / "SuggestiveAnnotation.py"
AUTOSAVE_MS = 250
"""Instead of ten seconds, so that a soak sees thousands of autosaves."""


def main() -> int:
    """Run as a program. Returns: 1 after an error that the module did not mean."""
    parser = argparse.ArgumentParser(prog="Soak.session")
    for name in ("study", "ledger", "settings"):
        parser.add_argument(name, type=Path)
    parser.add_argument("seed", type=int)
    arguments = parser.parse_args()
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    ledger = LedgerWriter(arguments.ledger)
    ledger.note("started")
    host, widget = start(arguments.settings, ledger)
    from Soak.hands import Hands

    hands = Hands(host, widget, ledger, random.Random(arguments.seed))
    hands.open_study(arguments.study)
    ledger.note("ready")
    while True:
        hands.do_something()
        if mistakes := host_mistakes():
            ledger.note("mistakes", texts=mistakes)
            return 1


def start(settings: Path, ledger: LedgerWriter) -> tuple[Any, Any]:
    """The host and the module's widget, as they are when 3D Slicer was started and the module chosen."""
    from SlicerHost import boot

    host = boot(settings)
    ledger.note("host")
    import qt
    from SuggestiveAnnotationPanel import label_sync

    label_sync.AUTOSAVE_MS = AUTOSAVE_MS
    kept = qt.QSettings()
    # The person who was killed while somebody else reviewed comes back as themselves.
    for key, value in (("Annotator", READER), ("Timing", True), ("StudiesFolder", str(settings))):
        kept.setValue(f"SuggestiveAnnotation/{key}", value)
    widget = host.loadModule(MODULE)
    ledger.note("module")
    return host, widget


def host_mistakes() -> list[str]:
    """Wrong signatures and errors in slots, which Slicer would only print."""
    from SlicerHost import pythonqt

    return list(pythonqt.forget_mistakes())


if __name__ == "__main__":
    sys.exit(main())
