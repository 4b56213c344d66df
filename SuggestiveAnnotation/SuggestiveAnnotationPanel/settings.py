"""What the module remembers in Slicer's settings, with the types that QSettings loses."""

from __future__ import annotations

import hashlib
import json
import os

import qt
import slicer

PREFIX = "SuggestiveAnnotation/"
RECENT = 8


def _text(key, default=""):
    return slicer.util.settingsValue(PREFIX + key, default, converter=lambda value: "" if value is None else str(value))


def _flag(key, default):
    return slicer.util.settingsValue(PREFIX + key, default, converter=slicer.util.toBool)


def _number(key, default):
    try:
        return slicer.util.settingsValue(PREFIX + key, default, converter=int)
    except (TypeError, ValueError):
        return default


def _store(key, value):
    qt.QSettings().setValue(PREFIX + key, value)


def annotator():
    """Name or pseudonym that annotations are kept under."""
    return _text("Annotator")


def setAnnotator(name):
    """Remember who annotates."""
    _store("Annotator", name)


def blind():
    """Whether what other readers drew is hidden."""
    return _flag("Blind", False)


def setBlind(value):
    """Remember whether what other readers drew is hidden."""
    _store("Blind", value)


def timing():
    """Whether active time is measured; off until the reader agrees."""
    return _flag("Timing", False)


def setTiming(value):
    """Remember whether the reader agrees to timing."""
    _store("Timing", value)


def shortcutsOn():
    """Whether the module's keys are installed."""
    return _flag("Shortcuts", True)


def setShortcutsOn(value):
    """Remember whether the module's keys are wanted."""
    _store("Shortcuts", value)


def idleSeconds():
    """A pause longer than this does not count as active time."""
    return _number("IdleSeconds", 30)


def setIdleSeconds(seconds):
    """Remember which pauses do not count as active time."""
    _store("IdleSeconds", seconds)


def studiesFolder():
    """Where new studies are put."""
    documents = qt.QStandardPaths.writableLocation(qt.QStandardPaths.DocumentsLocation)
    return _text("StudiesFolder") or f"{documents}/SuggestiveAnnotation"


def setStudiesFolder(path):
    """Remember where new studies are put."""
    _store("StudiesFolder", path)


def recentStudies():
    """Folders of the studies opened last, newest first."""
    kept = slicer.util.settingsValue(PREFIX + "Recent", (), converter=lambda value: value or ())
    return [kept] if isinstance(kept, str) else [str(path) for path in kept]


def rememberStudy(path):
    """Put a study first among the recent ones."""
    path = str(path)
    _store("Recent", [path, *(other for other in recentStudies() if other != path)][:RECENT])


def lastStudy():
    """Folder of the study that was opened last, None without one or when it is gone."""
    path = next(iter(recentStudies()), None)
    return path if path is not None and os.path.isdir(path) else None


def place(study):
    """Where the reader was in a study: a dictionary of texts, empty the first time."""
    try:
        kept = json.loads(_text(f"Place/{_key(study)}", "{}"))
    except ValueError:
        return {}
    return kept if isinstance(kept, dict) else {}


def setPlace(study, place):
    """Remember where the reader is in a study."""
    _store(f"Place/{_key(study)}", json.dumps(place))


def _key(study):
    # A path has slashes, which settings take for groups.
    return hashlib.sha256(str(study).encode()).hexdigest()[:12]


def layoutBefore():
    """Number of the layout that the module took the place of last; 0 where it never did."""
    return _number("LayoutBefore", 0)


def setLayoutBefore(number):
    """Remember which layout is given back."""
    _store("LayoutBefore", number)


def gauge():
    """Whether the retained contour is shown while drawing; off, so that people look at the image."""
    return _flag("Gauge", False)


def setGauge(value):
    """Remember whether the retained contour is shown while drawing."""
    _store("Gauge", value)
