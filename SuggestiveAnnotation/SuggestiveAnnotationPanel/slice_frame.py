"""A coloured frame with a label on a slice view, and the letters of the patient's sides at its edges."""

from __future__ import annotations

import numpy as np
import vtk

from .connect import guarded

LETTERS = (("R", "L"), ("A", "P"), ("S", "I"))
"""Positive and negative end of each RAS axis."""
FONT, SMALLEST_FONT = 14, 9
INSET, MARGIN, LINE = 3, 8, FONT + 8
"""Distance of the frame and of text from the edges, and height of a line of text, in pixels of a screen of 72 dots per inch."""


class SliceFrameOverlay:
    """Drawn with `vtkActor2D` in the first renderer, which stays through slice, volume and layout changes.

    Args:
        sliceWidget: of the layout manager.
        describe: returns what to draw, `(text, colour, width)` with a colour of three numbers from 0 to 1, or None for no frame. It is
            asked whenever the view moves.
    """

    def __init__(self, sliceWidget, describe):
        self._view = sliceWidget.sliceView()
        self._node = sliceWidget.mrmlSliceNode()
        self._describe = guarded(describe)
        self._fitted, self._scale = None, 1.0
        self._renderer = self._view.renderWindow().GetRenderers().GetFirstRenderer()
        self._points = vtk.vtkPoints()
        self._points.SetNumberOfPoints(5)
        self.frame = self._rectangle(self._points)
        self.label = _text(FONT)
        self.letters = [_text(FONT - 1) for _place in range(4)]
        for actor in (self.frame, self.label, *self.letters):
            self._renderer.AddViewProp(actor)
        self._tag = self._node.AddObserver(vtk.vtkCommand.ModifiedEvent, self.update)
        self.update()

    @staticmethod
    def _rectangle(points):
        line = vtk.vtkPolyLine()
        line.GetPointIds().SetNumberOfIds(5)
        for i in range(5):
            line.GetPointIds().SetId(i, i)
        cells = vtk.vtkCellArray()
        cells.InsertNextCell(line)
        data = vtk.vtkPolyData()
        data.SetPoints(points)
        data.SetLines(cells)
        mapper = vtk.vtkPolyDataMapper2D()
        mapper.SetInputData(data)
        actor = vtk.vtkActor2D()
        actor.SetMapper(mapper)
        return actor

    def update(self, *_arguments):
        """Ask what to draw, and draw it."""
        window = self._view.renderWindow()
        width, height = window.GetSize()
        # Text is drawn at the screen's resolution, which on a dense screen is a multiple of this.
        self._scale = window.GetDPI() / 72
        what = self._describe()
        self.frame.SetVisibility(what is not None)
        self.label.SetVisibility(what is not None)
        if what is not None:
            self._draw(*what, width, height)
        self._placeLetters(width, height)
        self._view.scheduleRender()

    def _draw(self, text, colour, thickness, width, height):
        inset, margin = self._pixels(INSET), self._pixels(INSET + MARGIN)
        left, right, bottom, top = inset, width - 1 - inset, inset, height - 1 - inset
        for i, (x, y) in enumerate(((left, bottom), (right, bottom), (right, top), (left, top), (left, bottom))):
            self._points.SetPoint(i, x, y, 0)
        self._points.Modified()
        self.frame.GetProperty().SetColor(*colour)
        self.frame.GetProperty().SetLineWidth(thickness)
        self.label.SetInput(text)
        self.label.GetTextProperty().SetColor(*colour)
        self.label.SetPosition(margin, height - self._pixels(INSET + LINE + MARGIN / 2))
        if (text, width, self._scale) != self._fitted:
            self._fit(width - 2 * margin)
            self._fitted = (text, width, self._scale)

    def _pixels(self, length):
        return round(length * self._scale)

    def _fit(self, room):
        """A narrow view gets smaller letters, down to what can still be read."""
        size = [0, 0]
        for font in range(FONT, SMALLEST_FONT - 1, -1):
            self.label.GetTextProperty().SetFontSize(font)
            self.label.GetSize(self._renderer, size)
            if size[0] <= room:
                return

    def _placeLetters(self, width, height):
        matrix = self._node.GetSliceToRAS()
        right = np.array([matrix.GetElement(i, 0) for i in range(3)])
        up = np.array([matrix.GetElement(i, 1) for i in range(3)])
        margin = self._pixels(MARGIN)
        places = (
            (-right, margin, height // 2),
            (right, width - self._pixels(20), height // 2),
            (-up, width // 2, margin),
            (up, width // 2, height - self._pixels(2 * LINE + MARGIN)),
        )
        for actor, (direction, x, y) in zip(self.letters, places, strict=True):
            actor.SetInput(letter(direction))
            actor.SetPosition(x, y)

    def remove(self):
        """Take everything off the view."""
        self._node.RemoveObserver(self._tag)
        for actor in (self.frame, self.label, *self.letters):
            self._renderer.RemoveViewProp(actor)
        self._view.scheduleRender()


def _text(size):
    actor = vtk.vtkTextActor()
    properties = actor.GetTextProperty()
    properties.SetFontSize(size)
    properties.SetBold(True)
    properties.SetColor(1, 1, 1)
    properties.SetShadow(True)
    # White tissue must not swallow a yellow word.
    properties.SetBackgroundColor(0, 0, 0)
    properties.SetBackgroundOpacity(0.45)
    return actor


def letter(direction):
    """The side of the patient that a RAS direction points to most."""
    axis = int(np.argmax(np.abs(direction)))
    return LETTERS[axis][0 if direction[axis] > 0 else 1]
