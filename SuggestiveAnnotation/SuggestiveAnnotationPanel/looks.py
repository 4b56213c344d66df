"""How a reader likes to see a case: zoom of each view and sequence, window and level of each sequence."""

from __future__ import annotations

from . import settings

KEPT_CASES = 50
"""Cases whose look a study's settings remember, the newest."""


class Looks:
    """Read from and written to the settings of one study after another."""

    def __init__(self):
        self._study, self._looks = None, {}

    def of(self, study, case):
        """The look of a case, an empty one the first time: `{"zoom": {view: {sequence: ...}}, "windows": {sequence: ...}}`."""
        self._read(study)
        return self._looks.get(case, {"zoom": {}, "windows": {}})

    def keep(self, study, case, look):
        """Remember a look; written only when it changed."""
        self._read(study)
        if self._looks.get(case) == look:
            return
        self._looks.pop(case, None)
        self._looks[case] = look
        self._looks = dict(list(self._looks.items())[-KEPT_CASES:])
        settings.setPlace(study, {**settings.place(study), "looks": self._looks})

    def _read(self, study):
        if study != self._study:
            self._study, self._looks = study, settings.place(study).get("looks", {})


def zoomOf(node):
    """What a slice view shows of its plane: height in millimetres, and how far it is panned."""
    origin = node.GetXYZOrigin()
    return [node.GetFieldOfView()[1], origin[0], origin[1]]


def setZoom(node, zoom):
    """The inverse of `zoomOf`, whatever shape the view has now: the width follows, so that pixels stay square."""
    height, across, up = zoom
    columns, rows, _layers = node.GetDimensions()
    node.SetFieldOfView(height * columns / rows, height, node.GetFieldOfView()[2])
    node.SetXYZOrigin(across, up, node.GetXYZOrigin()[2])


def windowsOf(volumes):
    """Sequence -> [lowest, highest] intensity shown. `volumes`: sequence -> volume node."""
    displays = {modality: volume.GetDisplayNode() for modality, volume in volumes.items()}
    return {modality: [display.GetWindowLevelMin(), display.GetWindowLevelMax()] for modality, display in displays.items()}


def setWindows(volumes, windows):
    """The inverse of `windowsOf`; sequences that the look does not name stay as they are."""
    for modality, (low, high) in windows.items():
        if modality in volumes:
            volumes[modality].GetDisplayNode().SetWindowLevelMinMax(low, high)
