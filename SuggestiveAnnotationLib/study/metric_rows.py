"""Rows of measured numbers."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, delete, insert, select

from SuggestiveAnnotationLib.study import tables
from SuggestiveAnnotationLib.study.database import Database
from SuggestiveAnnotationLib.study.records import Metric


class MetricRows:
    """Part of `Study`: what was measured of its models."""

    database: Database

    def put_metrics(self, metrics: Iterable[Metric]) -> None:
        """Insert or replace measured numbers, in one transaction."""
        with self.database.write() as connection:
            _put(connection, metrics)

    def replace_metrics(self, number: int, name: str, metrics: Iterable[Metric]) -> None:
        """Insert or replace measured numbers and remove all of round `number` that are called `name`, in one transaction."""
        table = tables.metrics
        with self.database.write() as connection:
            connection.execute(delete(table).where(table.c.round == number, table.c.name == name))
            _put(connection, metrics)

    def metrics(self, number: int | None = None) -> tuple[Metric, ...]:
        """Measured numbers of one round or of all."""
        table = tables.metrics
        query = select(table).order_by(table.c.round, table.c.name, table.c.case, table.c.label)
        if number is not None:
            query = query.where(table.c.round == number)
        with self.database.read() as connection:
            return tuple(Metric(r.round, r.name, r.case, r.label, r.value) for r in connection.execute(query))


def _put(connection: Connection, metrics: Iterable[Metric]) -> None:
    table = tables.metrics
    for m in metrics:
        key = (table.c.round == m.round, table.c.name == m.name, table.c.case == m.case, table.c.label == m.label)
        connection.execute(delete(table).where(*key))
        connection.execute(insert(table).values(round=m.round, name=m.name, case=m.case, label=m.label, value=m.value))
