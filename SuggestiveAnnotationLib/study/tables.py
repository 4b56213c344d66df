"""Tables of the study database, plain enough for PostgreSQL. JSON columns hold what is read whole; label arrays are compressed blobs."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    ColumnElement,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from SuggestiveAnnotationLib.errors import StudyError
from SuggestiveAnnotationLib.types import FILLED, SliceRef

metadata = MetaData()


class _Bytes(LargeBinary):
    """Bytes and nothing else: what SQLAlchemy makes of a number there is as many zeros."""

    cache_ok = True

    def result_processor(self, dialect: Any, coltype: object) -> Callable[[Any], Any]:
        return _only(bytes)


class _Text(Text):
    """Text and nothing else. SQLite keeps values of any type in any column, and who made the file may have put them there."""

    cache_ok = True

    def result_processor(self, dialect: Any, coltype: object) -> Callable[[Any], Any]:
        return _only(str)


class _Integer(Integer):
    """A whole number and nothing else, see `_Text`."""

    cache_ok = True

    def result_processor(self, dialect: Any, coltype: object) -> Callable[[Any], Any]:
        return _only(int)


class _Float(Float[float]):
    """A number and nothing else, see `_Text`."""

    cache_ok = True

    def result_processor(self, dialect: Any, coltype: object) -> Callable[[Any], Any]:
        return _only(float, int)


def _only(*kinds: type) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if value is None or type(value) in kinds:
            return value
        sentence = f"The study database is damaged: {str(value)[:40]!r} stands where {kinds[0].__name__} is kept."
        raise StudyError(sentence, hint="Restore it from a backup.")

    return check


def same_slice(table: Table, ref: SliceRef) -> tuple[ColumnElement[bool], ...]:
    """Conditions on a row of `table` to be of one slice."""
    return (table.c.case == ref.case, table.c.axis == ref.axis, table.c.native_index == ref.native_index)


def accepted_by_people() -> tuple[ColumnElement[bool], ...]:
    """Conditions on an annotation to count and to be somebody's work."""
    return (annotations.c.state == "accepted", annotations.c.provenance != FILLED)


def _slice_columns() -> tuple[Column[str], Column[int], Column[int]]:
    return (
        Column("case", _Text, ForeignKey("cases.name"), nullable=False),
        Column("axis", _Integer, nullable=False),
        Column("native_index", _Integer, nullable=False),
    )


def _label_columns() -> tuple[Column[bytes], Column[int], Column[int]]:
    return (
        Column("labels", _Bytes, nullable=False),
        Column("rows", _Integer, nullable=False),
        Column("columns", _Integer, nullable=False),
    )


properties = Table("properties", metadata, Column("name", _Text, primary_key=True), Column("value", JSON, nullable=False))

cases = Table(
    "cases",
    metadata,
    Column("name", _Text, primary_key=True),
    Column("position", _Integer, nullable=False),
    Column("patient", _Text, nullable=False),
    Column("site", _Text, nullable=False),
    Column("role", _Text, nullable=False),
    Column("label", _Text),
    Column("mask", _Text),
    Column("geometry", JSON),
    Column("excluded_reason", _Text, nullable=False),
    Column("problems", JSON, nullable=False),
)

images = Table(
    "images",
    metadata,
    Column("case", _Text, ForeignKey("cases.name"), primary_key=True),
    Column("modality", _Text, primary_key=True),
    Column("path", _Text, nullable=False),
)

preprocessing = Table(
    "preprocessing",
    metadata,
    Column("key", _Text, primary_key=True),
    Column("record", JSON, nullable=False),
    Column("created", _Text, nullable=False),
)

rounds = Table(
    "rounds",
    metadata,
    Column("number", _Integer, primary_key=True),
    Column("stage", _Text, nullable=False),
    Column("strategy", _Text, nullable=False),
    Column("unit", _Text, nullable=False),
    Column("budget", _Integer, nullable=False),
    Column("seed", _Integer, nullable=False),
    Column("settings", JSON, nullable=False),
    Column("seconds", JSON, nullable=False),
    Column("notes", JSON, nullable=False),
    Column("started", _Text, nullable=False),
    Column("finished", _Text),
)

models = Table(
    "models",
    metadata,
    Column("id", _Integer, primary_key=True),
    Column("kind", _Text, nullable=False),
    Column("round", _Integer),
    Column("record_key", _Text, ForeignKey("preprocessing.key"), nullable=False),
    Column("path", _Text, nullable=False),
    Column("latents", _Text),
    Column("card", JSON, nullable=False),
    Column("created", _Text, nullable=False),
)

suggestions = Table(
    "suggestions",
    metadata,
    Column("id", _Integer, primary_key=True),
    Column("round", _Integer, ForeignKey("rounds.number"), nullable=False),
    Column("rank", _Integer, nullable=False),
    *_slice_columns(),
    Column("kind", _Text, nullable=False),
    Column("context_of", _Integer),
    Column("state", _Text, nullable=False),
    Column("reason", _Text, nullable=False),
    Column("rationale", JSON, nullable=False),
    UniqueConstraint("round", "case", "axis", "native_index"),
)

Index("suggestions_by_slice", suggestions.c.case, suggestions.c.axis, suggestions.c.native_index)

predictions = Table(
    "predictions",
    metadata,
    Column("id", _Integer, primary_key=True),
    *_slice_columns(),
    Column("model_id", _Integer, ForeignKey("models.id"), nullable=False),
    *_label_columns(),
    UniqueConstraint("case", "axis", "native_index", "model_id"),
)

case_predictions = Table(
    "case_predictions",
    metadata,
    Column("case", _Text, ForeignKey("cases.name"), primary_key=True),
    Column("model_id", _Integer, ForeignKey("models.id"), primary_key=True),
    Column("path", _Text, nullable=False),
)

drafts = Table(
    "drafts",
    metadata,
    *_slice_columns(),
    Column("annotator", _Text, nullable=False),
    Column("prediction_id", _Integer, ForeignKey("predictions.id")),
    Column("updated", _Text, nullable=False),
    *_label_columns(),
    UniqueConstraint("case", "axis", "native_index", "annotator"),
)

annotations = Table(
    "annotations",
    metadata,
    Column("id", _Integer, primary_key=True),
    Column("batch", _Text, nullable=False),
    *_slice_columns(),
    Column("annotator", _Text, nullable=False),
    Column("provenance", _Text, nullable=False),
    Column("state", _Text, nullable=False),
    Column("round", _Integer),
    Column("prediction_id", _Integer, ForeignKey("predictions.id")),
    Column("supersedes", _Integer),
    Column("effort", JSON),
    Column("minutes", _Float),
    Column("accepted_at", _Text, nullable=False),
    *_label_columns(),
)
Index(
    "one_accepted_annotation",
    annotations.c.case,
    annotations.c.axis,
    annotations.c.native_index,
    annotations.c.annotator,
    unique=True,
    sqlite_where=text("state = 'accepted'"),
    postgresql_where=text("state = 'accepted'"),
)
Index("annotations_by_batch", annotations.c.batch)
Index("annotations_by_state", annotations.c.state, annotations.c.case)

reviews = Table(
    "reviews",
    metadata,
    Column("id", _Integer, primary_key=True),
    Column("annotation_id", _Integer, ForeignKey("annotations.id"), nullable=False),
    Column("reviewer", _Text, nullable=False),
    Column("verdict", _Text, nullable=False),
    Column("note", _Text, nullable=False),
    Column("at", _Text, nullable=False),
)
Index("reviews_by_annotation", reviews.c.annotation_id)

events = Table(
    "events",
    metadata,
    Column("id", _Integer, primary_key=True),
    Column("at", _Text, nullable=False),
    Column("annotator", _Text, nullable=False),
    Column("case", _Text),
    Column("axis", _Integer),
    Column("native_index", _Integer),
    Column("kind", _Text, nullable=False),
    Column("payload", JSON, nullable=False),
)
Index("events_by_slice", events.c.case, events.c.native_index, events.c.kind)

metrics = Table(
    "metrics",
    metadata,
    Column("round", _Integer, primary_key=True),
    Column("name", _Text, primary_key=True),
    Column("case", _Text, primary_key=True),
    Column("label", _Text, primary_key=True),
    Column("value", _Float),
)
