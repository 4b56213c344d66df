"""What a person changed of the settings, and only that, as one text that the scene can hold."""

from __future__ import annotations

import json
from typing import Any

from SuggestiveAnnotationLib.strategies import registry

from .option_fields import Field, ofStrategy

ROUND, MANIFOLD = "round", "manifold"


def groupOf(strategy: str) -> str:
    """Where the options of a strategy are kept: each has its own, which it finds again when it is chosen again."""
    return f"strategy {strategy}"


class ChangedSettings:
    """Group -> name -> value, of values that differ from their default."""

    def __init__(self) -> None:
        self._kept: dict[str, dict[str, Any]] = {}

    @property
    def text(self) -> str:
        """All of it as JSON; empty where nothing was changed."""
        kept = {group: values for group, values in self._kept.items() if values}
        return json.dumps(kept, sort_keys=True) if kept else ""

    @text.setter
    def text(self, text: str) -> None:
        try:
            kept = json.loads(text or "{}")
        except ValueError:
            kept = {}
        groups = kept.items() if isinstance(kept, dict) else ()
        self._kept = {group: dict(values) for group, values in groups if isinstance(values, dict)}

    def change(self, group: str, field: Field, value: Any) -> None:
        """Keep a value, or forget it where it is the default."""
        values = self._kept.setdefault(group, {})
        values.pop(field.name, None)
        if value != field.default:
            values[field.name] = value

    def of(self, group: str, fields: tuple[Field, ...]) -> dict[str, Any]:
        """Values of the fields that were changed; what another version or a person's own hand left wrong counts as not changed."""
        values = self._kept.get(group, {})
        found = {field.name: values[field.name] for field in fields if field.name in values and field.accepts(values[field.name])}
        return {field.name: found[field.name] for field in fields if field.name in found and found[field.name] != field.default}

    def fieldsOf(self, strategy: str) -> tuple[Field, ...]:
        """Options of a strategy and of the one that it wraps with what is set."""
        own = ofStrategy(strategy, {})[: len(registry.entry(strategy).options)]
        # An unknown name of a wrapped strategy, which is no choice, is left out before it is asked for.
        return ofStrategy(strategy, self.of(groupOf(strategy), own))

    def ofStrategy(self, strategy: str) -> dict[str, Any]:
        """Options of a strategy that were changed."""
        return self.of(groupOf(strategy), self.fieldsOf(strategy))
