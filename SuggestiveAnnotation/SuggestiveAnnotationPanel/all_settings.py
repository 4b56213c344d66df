"""Everything that section 2 can set beyond its own rows: made from the library's settings and its catalogue of strategies."""

from __future__ import annotations

import qt
from slicer.i18n import tr as _

from SuggestiveAnnotationLib.engine.settings import ManifoldOptions, RoundOptions
from SuggestiveAnnotationLib.strategies import registry

from .changed_settings import MANIFOLD, ROUND, ChangedSettings, groupOf
from .option_fields import ofSettings
from .options_form import OptionsForm


class AllSettings:
    """Rows for the strategy, the round and the manifold.

    Args:
        parent: the empty widget that gets the rows.
        round, manifold: names that have a row elsewhere.
        changed: called when a person changed something.
    """

    def __init__(self, parent, round, manifold, changed):
        self._settings, self._changed, self._strategy = ChangedSettings(), changed, ""
        self._fields = {ROUND: ofSettings(RoundOptions, set(round)), MANIFOLD: ofSettings(ManifoldOptions, set(manifold))}
        layout = qt.QVBoxLayout(parent)
        layout.setContentsMargins(0, 0, 0, 0)
        # The wrapped strategy's rows are a form of their own, so that those of the one around it stay while it is changed.
        self.strategyForm = OptionsForm(layout, lambda field, value: self._onChange(groupOf(self._strategy), field, value))
        self.wrappedForm = OptionsForm(layout, lambda field, value: self._onChange(groupOf(self._strategy), field, value))
        self.roundForm = OptionsForm(layout, lambda field, value: self._onChange(ROUND, field, value))
        self.manifoldForm = OptionsForm(layout, lambda field, value: self._onChange(MANIFOLD, field, value))
        self.roundForm.setFields(_("Segmentation network and round"), self._fields[ROUND])
        self.manifoldForm.setFields(_("Manifold"), self._fields[MANIFOLD])

    @property
    def text(self):
        """What was changed, as the scene keeps it."""
        return self._settings.text

    @text.setter
    def text(self, text):
        self._settings.text = text
        self._show()

    @property
    def changes(self):
        """How many settings differ from their default, of those that are shown."""
        return len(self.round()) + len(self.manifold()) + len(self.strategyOptions())

    def round(self):
        """Fields of `RoundOptions` that were changed: name -> value."""
        return self._settings.of(ROUND, self._fields[ROUND])

    def manifold(self):
        """Fields of `ManifoldOptions` that were changed: name -> value."""
        return self._settings.of(MANIFOLD, self._fields[MANIFOLD])

    def strategyOptions(self):
        """Options of the chosen strategy that were changed: name -> value."""
        return self._settings.ofStrategy(self._strategy) if self._strategy else {}

    def setStrategy(self, name):
        """Show the options of a strategy; "" for none."""
        self._strategy = name
        self._show()

    def _onChange(self, group, field, value):
        self._settings.change(group, field, value)
        self._show()
        self._changed()

    def _show(self):
        self._showStrategy()
        self.roundForm.show(self.round())
        self.manifoldForm.show(self.manifold())

    def _showStrategy(self):
        entry = registry.entry(self._strategy) if self._strategy else None
        fields = self._settings.fieldsOf(self._strategy) if entry is not None else ()
        values = self.strategyOptions()
        own = () if entry is None else fields[: len(entry.options)]
        inner = values.get(entry.wraps, _default(own, entry.wraps)) if entry is not None and entry.wraps else ""
        self.strategyForm.setFields(entry.title if entry is not None else "", own)
        self.wrappedForm.setFields(registry.entry(inner).title if inner else "", fields[len(own) :])
        self.strategyForm.show(values)
        self.wrappedForm.show(values)


def _default(fields, name):
    return next(field.default for field in fields if field.name == name)
