"""Whether the host can run on this machine, and if not, why: one line for the person who reads the test report."""

from __future__ import annotations

import functools
import os
import subprocess
import sys

PROBES = {
    "packages of the extra `host` are not installed": (
        "import importlib.util as u; names = ['PySide6', 'vtk', 'slicer', 'trame_slicer', 'undo_stack']; "
        "missing = [name for name in names if u.find_spec(name) is None]; assert not missing, missing"
    ),
    "a system library for Qt is missing": "from PySide6 import QtUiTools, QtWidgets; QtWidgets.QApplication([])",
    "a system library for VTK is missing": (
        "import vtk; window = vtk.vtkRenderWindow(); window.SetOffScreenRendering(1); window.SetSize(8, 8); "
        "window.AddRenderer(vtk.vtkRenderer()); window.Render()"
    ),
    "Slicer's libraries cannot be loaded": "import slicer, slicer.util; slicer.vtkMRMLScene(); import trame_slicer.core",
}
"""What a failure means -> what is tried, in a process of its own: a missing library may end it without a word."""
SECONDS = 120


@functools.cache
def missing() -> str:
    """Why the host cannot run here; empty when it can."""
    if not _fails("\n".join(PROBES.values())):
        return ""
    for meaning, code in PROBES.items():
        reason = _fails(code)
        if reason:
            return f"{meaning}: {reason}"
    return "Qt, VTK and Slicer's libraries work alone, but not together"


def _fails(code: str) -> str:
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    try:
        probe = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, errors="replace", check=False, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {SECONDS} s"
    if probe.returncode == 0:
        return ""
    lines = [line for line in probe.stderr.splitlines() if line.strip()]
    return lines[-1].strip() if lines else f"the process ended with {probe.returncode}"


if __name__ == "__main__":
    print(missing())
    sys.exit(bool(missing()))
