"""SimpleITK, without what it prints on the terminal and without its refusal of nearly orthonormal NIfTI files."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import SimpleITK

sitk: Any = SimpleITK
"""SimpleITK; it ships no type annotations."""

_PERMISSIVE = "ITK_NIFTI_SFORM_PERMISSIVE"
_lock = threading.Lock()
_depth = {"quiet": 0, "warnings": 0}


@contextmanager
def quiet() -> Iterator[None]:
    """ITK's warnings are off inside; both of its process-wide switches are put back when the last user leaves."""
    with _lock:
        if _depth["quiet"] == 0:
            _depth["warnings"] = int(sitk.ProcessObject.GetGlobalWarningDisplay())
            sitk.ProcessObject.SetGlobalWarningDisplay(False)
        _depth["quiet"] += 1
    try:
        yield
    finally:
        with _lock:
            _depth["quiet"] -= 1
            if _depth["quiet"] == 0:
                sitk.ProcessObject.SetGlobalWarningDisplay(bool(_depth["warnings"]))


@contextmanager
def permissive_nifti() -> Iterator[None]:
    """Inside, ITK takes the nearest orthonormal matrix of a NIfTI sform (as 3D Slicer does) instead of refusing the file."""
    with _lock:
        before = os.environ.get(_PERMISSIVE)
        os.environ[_PERMISSIVE] = "1"
        try:
            yield
        finally:
            if before is None:
                del os.environ[_PERMISSIVE]
            else:
                os.environ[_PERMISSIVE] = before
