"""Opens the module in a window on a sample study, for anyone with a screen: `make panel`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    parser = argparse.ArgumentParser(prog="make panel", description="Open the panel in a stand-in for 3D Slicer.")
    parser.add_argument("--folder", type=Path, default=ROOT / "demo-output" / "panel", help="where settings and the sample study are kept")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    # A window on the screen; where there is none Qt says so.
    os.environ.setdefault("QT_QPA_PLATFORM", {"darwin": "cocoa", "win32": "windows"}.get(sys.platform, "xcb"))
    from SlicerHost import boot

    host = boot(folder)
    import qt
    from PySide6 import QtWidgets

    qt.QSettings().setValue("SuggestiveAnnotation/StudiesFolder", str(folder))
    widget = host.loadModule(ROOT / "SuggestiveAnnotation" / "SuggestiveAnnotation.py")
    host.dialogs.letPersonAnswer()
    study = folder / "Sample" / "study"
    if (study / "study.sqlite").exists():
        widget.sections[0].openPath(str(study))
    else:
        widget.sections[0].makeSample()
    QtWidgets.QApplication.exec()
    host.unload("SuggestiveAnnotation")


if __name__ == "__main__":
    main()
