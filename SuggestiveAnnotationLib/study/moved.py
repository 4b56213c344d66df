"""Where images lie that were moved, or copied to another computer, together with their study."""

from __future__ import annotations

import ntpath
import os
import posixpath
from pathlib import Path, PureWindowsPath


def place_now(path: str, *, made_in: str, folder: Path) -> str:
    """A file that a study names, where it is now: as far from the study's folder as it was when the study was made.

    Args:
        path: absolute, as it was then, on whatever system that was.
        made_in: absolute path that the study's folder had then.
        folder: of the study, now.

    Returns:
        `path` itself where that is there still, or where nothing lies in the other place either.
    """
    rules = ntpath if PureWindowsPath(made_in).drive else posixpath
    if os.path.exists(path) or not rules.isabs(made_in):
        return path
    try:
        way = rules.relpath(path, made_in)
    except ValueError:
        # On another drive, which was not moved along.
        return path
    found = os.path.normpath(os.path.join(os.path.abspath(folder), *way.split(rules.sep)))
    return found if os.path.exists(found) else path
