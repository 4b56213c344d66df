"""One widget for each kind of thing that can be set: a truth value, a whole number, a number, a choice, a text, or nothing at all."""

from __future__ import annotations

import qt
from slicer.i18n import tr as _

from .connect import connect
from .option_fields import FINER, LARGEST
from .section import takeWidthThatIs


class Truth:
    """A box to tick."""

    def __init__(self, field, changed):
        self.widget = qt.QCheckBox()
        self.show(field.default)
        connect(self.widget, "toggled(bool)", lambda _on: changed(self.value()))

    def value(self):
        """What is set."""
        return self.widget.checked

    def show(self, value):
        """Set it."""
        self.widget.checked = value


class WholeNumber:
    """A spin box."""

    def __init__(self, field, changed):
        self.widget = qt.QSpinBox()
        self.widget.minimum = -LARGEST if field.least is None else int(field.least)
        self.widget.maximum = LARGEST if field.most is None else int(field.most)
        self.widget.singleStep = field.multiple
        self.show(field.default)
        connect(self.widget, "valueChanged(int)", lambda _value: changed(self.value()))

    def value(self):
        """What is set."""
        return self.widget.value

    def show(self, value):
        """Set it."""
        # Setting a value again would move the cursor of whoever is typing.
        if value is not None and value != self.widget.value:
            self.widget.value = value


class Number(WholeNumber):
    """A spin box with as many decimals as the default has, and some more."""

    def __init__(self, field, changed):
        self.widget = qt.QDoubleSpinBox()
        digits = field.digits
        self.widget.decimals = digits
        # Where 0 is not allowed, the smallest number is the one that can still be told from it.
        least = -LARGEST if field.least is None else max(field.least, 10**-digits) if field.least > 0 else field.least
        self.widget.minimum = float(least)
        self.widget.maximum = float(LARGEST if field.most is None else field.most)
        self.widget.singleStep = 10.0 ** (FINER - 1 - digits)
        self.show(field.default)
        connect(self.widget, "valueChanged(double)", lambda _value: changed(self.value()))

    def show(self, value):
        """Set it."""
        super().show(None if value is None else float(value))


class Choice:
    """A list to choose from; `line` is a label with the line of help of what is chosen, None where choices have none."""

    def __init__(self, field, changed):
        self.widget = qt.QComboBox()
        self._choices = list(field.choices)
        self.widget.addItems(list(field.titles) or self._choices)
        if field.titles:
            takeWidthThatIs(self.widget)
        self.line = _wrapped() if field.lines else None
        for row, line in enumerate(field.lines):
            self.widget.setItemData(row, line, qt.Qt.ToolTipRole)
        self.show(field.default)
        self._say(field.lines)
        connect(self.widget, "currentIndexChanged(int)", lambda _index: self._onChosen(field.lines, changed))

    def _onChosen(self, lines, changed):
        self._say(lines)
        changed(self.value())

    def _say(self, lines):
        if lines:
            self.line.text = lines[self.widget.currentIndex]

    def value(self):
        """What is set."""
        return self._choices[self.widget.currentIndex]

    def show(self, value):
        """Set it."""
        if value in self._choices:
            self.widget.currentIndex = self._choices.index(value)


class Text:
    """A line of text."""

    def __init__(self, field, changed):
        self.widget = qt.QLineEdit()
        self.show(field.default)
        connect(self.widget, "textChanged(QString)", lambda _text: changed(self.value()))

    def value(self):
        """What is set."""
        return self.widget.text

    def show(self, value):
        """Set it."""
        if value is not None and value != self.widget.text:
            self.widget.text = value


class OrNone:
    """Another editor, and a box that says none."""

    def __init__(self, field, changed):
        self.widget = qt.QWidget()
        row = qt.QHBoxLayout(self.widget)
        row.setContentsMargins(0, 0, 0, 0)
        self.inner = _editorOf(field)(field, lambda _value: changed(self.value()))
        self.noneBox = qt.QCheckBox(_("none"))
        row.addWidget(self.inner.widget, 1)
        row.addWidget(self.noneBox)
        self.show(field.default)
        connect(self.noneBox, "toggled(bool)", lambda _on: self._onNone(changed))

    def _onNone(self, changed):
        self.inner.widget.enabled = not self.noneBox.checked
        changed(self.value())

    def value(self):
        """What is set; None where the box is ticked."""
        return None if self.noneBox.checked else self.inner.value()

    def show(self, value):
        """Set it."""
        self.inner.show(value)
        self.noneBox.checked = value is None
        self.inner.widget.enabled = value is not None


def editor(field, changed):
    """The editor for a field.

    Args:
        changed: called with each new value.

    Returns:
        An object with `widget`, `value()` and `show(value)`.
    """
    made = (OrNone if field.optional else _editorOf(field))(field, changed)
    made.widget.objectName = f"{field.name}Setting"
    made.widget.toolTip = field.help
    return made


def _wrapped():
    label = qt.QLabel()
    label.wordWrap = True
    takeWidthThatIs(label)
    return label


def _editorOf(field):
    return Choice if field.choices else {bool: Truth, int: WholeNumber, float: Number, str: Text}[field.kind]
