"""Tables of the study database, plain enough for PostgreSQL. JSON columns hold what is read whole; label arrays are compressed blobs."""

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

from SuggestiveAnnotationLib.types import SliceRef

metadata = MetaData()


def same_slice(table: Table, ref: SliceRef) -> tuple[ColumnElement[bool], ...]:
    """Conditions on a row of `table` to be of one slice."""
    return (table.c.case == ref.case, table.c.axis == ref.axis, table.c.native_index == ref.native_index)


def _slice_columns() -> tuple[Column[str], Column[int], Column[int]]:
    return (
        Column("case", Text, ForeignKey("cases.name"), nullable=False),
        Column("axis", Integer, nullable=False),
        Column("native_index", Integer, nullable=False),
    )


def _label_columns() -> tuple[Column[bytes], Column[int], Column[int]]:
    return (
        Column("labels", LargeBinary, nullable=False),
        Column("rows", Integer, nullable=False),
        Column("columns", Integer, nullable=False),
    )


properties = Table("properties", metadata, Column("name", Text, primary_key=True), Column("value", JSON, nullable=False))

cases = Table(
    "cases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("patient", Text, nullable=False),
    Column("site", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("label", Text),
    Column("mask", Text),
    Column("geometry", JSON),
    Column("excluded_reason", Text, nullable=False),
    Column("problems", JSON, nullable=False),
)

images = Table(
    "images",
    metadata,
    Column("case", Text, ForeignKey("cases.name"), primary_key=True),
    Column("modality", Text, primary_key=True),
    Column("path", Text, nullable=False),
)

preprocessing = Table(
    "preprocessing",
    metadata,
    Column("key", Text, primary_key=True),
    Column("record", JSON, nullable=False),
    Column("created", Text, nullable=False),
)

rounds = Table(
    "rounds",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("stage", Text, nullable=False),
    Column("strategy", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("budget", Integer, nullable=False),
    Column("seed", Integer, nullable=False),
    Column("settings", JSON, nullable=False),
    Column("seconds", JSON, nullable=False),
    Column("notes", JSON, nullable=False),
    Column("started", Text, nullable=False),
    Column("finished", Text),
)

models = Table(
    "models",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("round", Integer),
    Column("record_key", Text, ForeignKey("preprocessing.key"), nullable=False),
    Column("path", Text, nullable=False),
    Column("latents", Text),
    Column("card", JSON, nullable=False),
    Column("created", Text, nullable=False),
)

suggestions = Table(
    "suggestions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("round", Integer, ForeignKey("rounds.number"), nullable=False),
    Column("rank", Integer, nullable=False),
    *_slice_columns(),
    Column("kind", Text, nullable=False),
    Column("context_of", Integer),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("rationale", JSON, nullable=False),
    UniqueConstraint("round", "case", "axis", "native_index"),
)

Index("suggestions_by_slice", suggestions.c.case, suggestions.c.axis, suggestions.c.native_index)

predictions = Table(
    "predictions",
    metadata,
    Column("id", Integer, primary_key=True),
    *_slice_columns(),
    Column("model_id", Integer, ForeignKey("models.id"), nullable=False),
    *_label_columns(),
    UniqueConstraint("case", "axis", "native_index", "model_id"),
)

case_predictions = Table(
    "case_predictions",
    metadata,
    Column("case", Text, ForeignKey("cases.name"), primary_key=True),
    Column("model_id", Integer, ForeignKey("models.id"), primary_key=True),
    Column("path", Text, nullable=False),
)

drafts = Table(
    "drafts",
    metadata,
    *_slice_columns(),
    Column("annotator", Text, nullable=False),
    Column("prediction_id", Integer, ForeignKey("predictions.id")),
    Column("updated", Text, nullable=False),
    *_label_columns(),
    UniqueConstraint("case", "axis", "native_index", "annotator"),
)

annotations = Table(
    "annotations",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("batch", Text, nullable=False),
    *_slice_columns(),
    Column("annotator", Text, nullable=False),
    Column("provenance", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("round", Integer),
    Column("prediction_id", Integer, ForeignKey("predictions.id")),
    Column("supersedes", Integer),
    Column("effort", JSON),
    Column("minutes", Float),
    Column("accepted_at", Text, nullable=False),
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
    Column("id", Integer, primary_key=True),
    Column("annotation_id", Integer, ForeignKey("annotations.id"), nullable=False),
    Column("reviewer", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("at", Text, nullable=False),
)
Index("reviews_by_annotation", reviews.c.annotation_id)

events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Text, nullable=False),
    Column("annotator", Text, nullable=False),
    Column("case", Text),
    Column("axis", Integer),
    Column("native_index", Integer),
    Column("kind", Text, nullable=False),
    Column("payload", JSON, nullable=False),
)
Index("events_by_slice", events.c.case, events.c.native_index, events.c.kind)

metrics = Table(
    "metrics",
    metadata,
    Column("round", Integer, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("case", Text, primary_key=True),
    Column("label", Text, primary_key=True),
    Column("value", Float),
)
