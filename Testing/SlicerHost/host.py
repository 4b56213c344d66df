"""The application as a test drives it: modules, time, and the hands of the person who uses it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import slicer
from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtTest import QTest

from . import connections
from .dialogs import Dialogs
from .main_window import qSlicerMainWindow
from .packaging import Packages
from .views.plot_view import CHARTS

CHECK_BOX = 10
"""Pixels from the left at which a check box is pressed."""
HEADER = 8
"""Pixels from the top at which a collapsible part is pressed."""


class Host:
    """Slicer's window with one module in it.

    Attributes:
        dialogs: what the module said, and the answers it will get.
        packages: what it asked to install, and what becomes of that.
        window: 1280 x 820; the module's panel left, the views right.
    """

    def __init__(self, dialogs: Dialogs, packages: Packages) -> None:
        self.dialogs, self.packages = dialogs, packages
        self._paths: dict[str, str] = {}
        self.window = qSlicerMainWindow()
        self.panel = self.window._panel
        self.window.show()
        self.window.activateWindow()
        slicer.app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
        slicer.app.startupCompleted.emit()
        self.pump(0.1)

    # Modules

    def loadModule(self, path: str | Path) -> Any:
        """Import the module's file, build its panel, show it, and enter it. Returns: the Python widget."""
        path = Path(path).resolve()
        # As in a Slicer that has just started; the host itself needed it.
        sys.modules.pop(CHARTS, None)
        self._paths[path.stem] = str(path)
        module = slicer.app.moduleManager()._load(str(path))
        self.enter(path.stem)
        return module.widgetRepresentation().self()

    def enter(self, name: str) -> None:
        """Choose a module in the module selector."""
        slicer.util.selectModule(name)
        self.pump(0.05)

    def exit(self, name: str) -> None:
        """Leave a module for none."""
        if self.window._open == name:
            self.window._select("")
        self.pump(0.05)

    def unload(self, name: str) -> None:
        """What Slicer does when it quits: leave, clean up, destroy."""
        if slicer.app.moduleManager().module(name) is None:
            return
        self.exit(name)
        slicer.app.moduleManager()._unload(name)
        self.pump(0.1)

    def restart(self, name: str) -> Any:
        """Quit and start again, with the settings that were kept. Returns: the new Python widget."""
        self.unload(name)
        slicer.mrmlScene.Clear(0)
        return self.loadModule(self._paths[name])

    def reload(self, name: str) -> Any:
        """The developer's Reload button. Returns: the new Python widget."""
        slicer.app.moduleManager().module(name).widgetRepresentation().self().onReload()
        self.pump(0.1)
        return slicer.util.getModuleWidget(name)

    @contextmanager
    def withoutMainWindow(self) -> Iterator[None]:
        """`slicer.util.mainWindow()` is None, as in a Slicer started without one."""
        self.window.setObjectName("")
        try:
            yield
        finally:
            self.window.setObjectName("qSlicerMainWindow")

    # Time

    def pump(self, seconds: float = 0.05) -> None:
        """Let the event loop turn."""
        end = time.monotonic() + seconds
        while True:
            QtWidgets.QApplication.processEvents(QtCore.QEventLoop.AllEvents, 20)
            QtCore.QCoreApplication.sendPostedEvents(None, QtCore.QEvent.DeferredDelete)
            if time.monotonic() >= end:
                return
            time.sleep(0.002)

    def waitUntil(self, condition: Callable[[], Any], seconds: float = 60, what: str = "") -> None:
        """Pump until the condition holds. Raises: TimeoutError, naming what was waited for."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(f"waited {seconds:g} s for {what or 'a condition'}; mistakes: {connections.mistakes}")
            self.pump(0.01)

    @contextmanager
    def longestBlock(self) -> Iterator[list[float]]:
        """Measures the longest time between two turns of the event loop, in seconds: `[longest]`.

        Time that the test itself spends outside the loop counts: within the block, only pump and wait.
        """
        found = [0.0]
        timer = QtCore.QTimer()
        last = [time.perf_counter()]

        def tick() -> None:
            now = time.perf_counter()
            found[0] = max(found[0], now - last[0])
            last[0] = now

        timer.timeout.connect(tick)
        timer.start(0)
        try:
            yield found
            tick()
        finally:
            timer.stop()

    # Hands

    def click(self, widget: Any, *, double: bool = False) -> None:
        """Press a widget, scrolled to where it can be seen. Raises: AssertionError, when a person could not: hidden or disabled."""
        self.pump(0.02)
        if self.panel.isAncestorOf(widget):
            self.showInPanel(widget)
        self._reachable(widget)
        press = QTest.mouseDClick if double else QTest.mouseClick
        press(widget, QtCore.Qt.LeftButton, QtCore.Qt.NoModifier, self._place(widget))
        self.pump(0.05)

    def clickItem(self, view: Any, index: Any, *, double: bool = False) -> None:
        """Press a row of a list, table or tree, given by its model index or its item."""
        self._reachable(view)
        if isinstance(index, QtWidgets.QTreeWidgetItem | QtWidgets.QTableWidgetItem | QtWidgets.QListWidgetItem):
            index = view.indexFromItem(index)
        view.scrollTo(index)
        place = view.visualRect(index).center()
        press = QTest.mouseDClick if double else QTest.mouseClick
        press(view.viewport(), QtCore.Qt.LeftButton, QtCore.Qt.NoModifier, place)
        self.pump(0.05)

    def choose(self, box: Any, text: str) -> None:
        """Choose an entry of a combo box with the keys."""
        self._reachable(box)
        texts = [box.itemText(row) for row in range(box.count)]
        assert text in texts, f"{box.objectName} offers {texts}, not {text}"
        box.setFocus()
        while box.currentIndex != texts.index(text):
            QTest.keyClick(box, QtCore.Qt.Key_Down if box.currentIndex < texts.index(text) else QtCore.Qt.Key_Up)
        self.pump(0.05)

    def type(self, widget: Any, text: str) -> None:
        """Replace the text of a line, or the value of a spin box."""
        self._reachable(widget)
        line = widget.comboBox().lineEdit() if hasattr(widget, "comboBox") else widget
        line.setFocus()
        line.selectAll()
        QTest.keyClicks(line, text) if text else QTest.keyClick(line, QtCore.Qt.Key_Delete)
        self.pump(0.02)

    def press(self, keys: str, widget: Any = None) -> None:
        """Press keys where the focus is: Qt finds the shortcut; one that is there twice fires neither."""
        self.window.activateWindow()
        # A key that comes before the window is active is lost.
        assert QTest.qWaitForWindowActive(self.window, 5000), "the window does not become active"
        target = widget or QtWidgets.QApplication.focusWidget() or self.window
        QTest.keySequence(target, QtGui.QKeySequence(keys))
        self.pump(0.05)

    def place(self, view: str, ras: tuple[float, float, float]) -> QtCore.QPoint:
        """Where a point of the patient lies in a slice view."""
        import vtk

        widget = slicer.app.layoutManager().sliceWidget(view)
        matrix = vtk.vtkMatrix4x4()
        matrix.DeepCopy(widget.mrmlSliceNode().GetXYToRAS())
        matrix.Invert()
        x, y, _, _ = matrix.MultiplyPoint((*ras, 1))
        return QtCore.QPoint(round(x), round(widget.sliceView().height - 1 - y))

    def drag(self, view: str, points: list[tuple[float, float, float]]) -> None:
        """Press at the first point of the patient, move along the others, let go."""
        area = slicer.app.layoutManager().sliceWidget(view).sliceView()
        pixels = [self.place(view, point) for point in points]
        outside = [pixel for pixel in pixels if not area.rect.contains(pixel)]
        assert not outside, f"{view} is {area.rect}, the points {outside} lie outside"
        QTest.mouseMove(area, pixels[0])
        self.pump(0.02)
        QTest.mousePress(area, QtCore.Qt.LeftButton, QtCore.Qt.NoModifier, pixels[0])
        for pixel in pixels[1:]:
            QTest.mouseMove(area, pixel)
            self.pump(0.01)
        QTest.mouseRelease(area, QtCore.Qt.LeftButton, QtCore.Qt.NoModifier, pixels[-1])
        self.pump(0.05)

    def clickPlot(self, widget: Any, x: float, y: float) -> None:
        """Click at a data point of a plot widget, given itself or by the name of its view."""
        if isinstance(widget, str):
            layouts = slicer.app.layoutManager()
            widgets = [layouts.plotWidget(index) for index in range(layouts.plotViewCount)]
            widget = next(one for one in widgets if one.mrmlPlotViewNode().GetLayoutName() == widget)
        view = widget.plotView()
        QTest.mouseClick(view, QtCore.Qt.LeftButton, QtCore.Qt.NoModifier, view.placeOf(x, y))
        self.pump(0.05)

    def showInPanel(self, widget: Any) -> None:
        """Scroll the panel to a widget."""
        self.pump(0.05)
        self.panel.ensureWidgetVisible(widget, 0, 20)
        self.pump(0.05)

    def screenshot(self, path: str | Path, widget: Any = None) -> None:
        """Save what a person sees."""
        for name in slicer.app.layoutManager().sliceViewNames():
            slicer.app.layoutManager().sliceWidget(name).sliceView().forceRender()
        self.pump(0.1)
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        assert (widget or self.window).grab().save(str(path)), f"{path} could not be written"

    def closeScene(self) -> None:
        """File, Close Scene."""
        slicer.mrmlScene.Clear(0)
        self.pump(0.1)

    @staticmethod
    def _reachable(widget: Any) -> None:
        name = widget.objectName or widget.className()
        assert widget.isVisible(), f"{name} is not visible"
        assert widget.isEnabled(), f"{name} is disabled"

    @staticmethod
    def _place(widget: Any) -> QtCore.QPoint:
        area = widget.rect
        if isinstance(widget, QtWidgets.QCheckBox):
            return QtCore.QPoint(min(CHECK_BOX, area.width() // 2), area.height() // 2)
        if hasattr(widget, "collapsed"):
            return QtCore.QPoint(20, HEADER)
        return area.center()
