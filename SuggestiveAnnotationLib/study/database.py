"""Opening the study database: SQLite in WAL mode, every commit synced, writers take the lock at once, migrations in one transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError

from SuggestiveAnnotationLib.errors import InputError, StorageError, StudyError
from SuggestiveAnnotationLib.files import whole_file
from SuggestiveAnnotationLib.study.tables import metadata
from SuggestiveAnnotationLib.study.trust import BACKUP, MAX_VALUE_BYTES, refuse_strange_schema
from SuggestiveAnnotationLib.study.version import SCHEMA_VERSION

BUSY_SECONDS = 30.0

Migration = Callable[[sqlite3.Connection], None]


def _add_reviews(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TABLE reviews (id INTEGER NOT NULL PRIMARY KEY, annotation_id INTEGER NOT NULL REFERENCES annotations (id), "
        "reviewer TEXT NOT NULL, verdict TEXT NOT NULL, note TEXT NOT NULL, at TEXT NOT NULL)"
    )
    connection.execute("CREATE INDEX reviews_by_annotation ON reviews (annotation_id)")


MIGRATIONS: dict[int, Migration] = {1: _add_reviews}
"""Version a migration starts from -> what brings it to the next, inside a transaction that it must not end (`executescript` would)."""


class Database:
    """Short transactions on one study database.

    Args:
        path: of the SQLite file; it must exist (see `create`).

    Raises:
        InputError: no study there.
        StudyError: not a database, one with more than plain tables, or made by a newer version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        _bring_up_to_date(path)
        self._engine = _engine(path)

    @classmethod
    def create(cls, path: Path) -> Database:
        """Make an empty database at `path`, which must not exist."""
        engine = _engine(path)
        try:
            metadata.create_all(engine)
            with engine.begin() as connection:
                connection.exec_driver_sql(f"PRAGMA user_version = {SCHEMA_VERSION}")
        except DatabaseError as error:
            raise translated(error.orig, path) from error
        finally:
            engine.dispose()
        return cls(path)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view; never blocks a writer."""
        with self._transaction(write=False) as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction, committed and synced when the block ends, undone when it raises."""
        with self._transaction(write=True) as connection:
            yield connection

    @contextmanager
    def _transaction(self, *, write: bool) -> Iterator[Connection]:
        try:
            with self._engine.connect() as plain:
                connection = plain.execution_options(suggestive_write=write)
                with connection.begin():
                    yield connection
        except DatabaseError as error:
            # A damaged file is a plain DatabaseError, a value that is too large a DataError; the other kinds are mistakes of a caller.
            damaged = type(error.orig) in (sqlite3.DatabaseError, sqlite3.DataError)
            if not isinstance(error.orig, sqlite3.OperationalError) and not damaged:
                raise
            raise translated(error.orig, self.path) from error

    def close(self) -> None:
        """Give back every connection; the study can then be moved or deleted on any system."""
        self._engine.dispose()


def _engine(path: Path) -> Engine:
    # Connections are kept: closing the last one would checkpoint the log, two more syncs an accept.
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        connect_args={"isolation_level": None, "timeout": BUSY_SECONDS},
        json_deserializer=_from_json,
    )

    @event.listens_for(engine, "connect")
    def _set_up(connection: sqlite3.Connection, _record: object) -> None:
        _restrict(connection)
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        write = connection.get_execution_options().get("suggestive_write", True)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def _restrict(connection: sqlite3.Connection) -> None:
    """What somebody else put into the file calls no function and reaches no other file."""
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)


def _from_json(text: Any) -> Any:
    # SQLite keeps a number as a number, also in a column of JSON.
    if isinstance(text, (int, float)):
        return text
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else error
        raise StudyError(f"The study database is damaged: a value in it is no JSON ({reason}).", hint=BACKUP) from None


def _bring_up_to_date(path: Path) -> None:
    if not path.is_file():  # a pipe would never open
        raise InputError(f"There is no study at {path.parent}.", hint="Create one with `study create`, or check the path.")
    try:
        with closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as connection:
            _restrict(connection)
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            page = connection.execute("PRAGMA page_size").fetchone()[0]
            refuse_strange_schema(connection, path, metadata)
    except sqlite3.DatabaseError as error:
        raise translated(error, path) from error
    log = Path(f"{path}-wal")
    if path.stat().st_size % page and not (log.exists() and log.stat().st_size):
        # SQLite takes the missing end of the last page for zeros.
        raise StudyError(f"{path} is damaged: its end is missing.", hint="Restore it from a backup.")
    if version > SCHEMA_VERSION:
        raise StudyError(
            f"The study at {path.parent} was made by a newer version (schema {version}; this version knows {SCHEMA_VERSION}).",
            hint="Update SuggestiveAnnotation.",
        )
    if version <= 0:
        hint = "Restore it from a backup; only if nothing was ever annotated in it, delete the folder and create the study again."
        raise StudyError(f"{path} is not a study database: it is empty.", hint=hint)
    if version < SCHEMA_VERSION:
        try:
            _migrate(path)
        except sqlite3.DatabaseError as error:
            raise translated(error, path) from error


def _migrate(path: Path) -> None:
    """Keep a backup, then take every step in one transaction: wherever it stops, the study is as it was or up to date. Writers wait.

    Raises:
        StudyError: a step failed. StorageError: there is no place for the backup or for the step.
    """
    # In place, not by a copy that is renamed: Windows replaces no file that a process has open.
    with closing(sqlite3.connect(path, isolation_level=None, timeout=BUSY_SECONDS)) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        # Another process may have been first.
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version >= SCHEMA_VERSION:
            return
        backup = _back_up(path, version)
        try:
            for step in range(version, SCHEMA_VERSION):
                MIGRATIONS[step](connection)
                connection.execute(f"PRAGMA user_version = {step + 1}")
            connection.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            known = translated(error, path)
            if isinstance(known, StorageError):
                raise known from error
            raise StudyError(
                f"The study at {path.parent} is as it was: it could not be brought up to date ({error}).",
                hint=f"Open it with the version of SuggestiveAnnotation that made it. A backup is {backup}.",
            ) from error


def _back_up(path: Path, version: int) -> Path:
    """Copy the study beside it, under a name that is free, so that earlier backups stay."""
    names = (path.with_suffix(f".v{version}{f'-{number}' if number > 1 else ''}.backup") for number in count(1))
    backup = next(name for name in names if not name.exists())
    with (
        whole_file(backup) as scratch,
        closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as source,
        closing(sqlite3.connect(scratch)) as target,
    ):
        source.backup(target)
        # One file, without a log beside it.
        target.execute("PRAGMA journal_mode = DELETE")
    return backup


def translated(error: BaseException | None, path: Path) -> StorageError | StudyError:
    """The sentence for an error of SQLite on the database at `path`."""
    name, folder = str(getattr(error, "sqlite_errorname", "")), path.parent
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return StudyError(f"{path} is damaged or not a study database: {error}.", hint="Restore it from a backup.")
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_AUTH")):
        return StorageError(f"The study folder {folder} is read-only.", hint="Copy the study to a folder you may write to.")
    if name.startswith("SQLITE_IOERR") and name.endswith("READ"):
        return StorageError(f"The study database {path} could not be read: {error}.", hint="Check the disk, or restore it from a backup.")
    if name.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
        # SQLite tells a full disk apart, but neither a quota nor a limit on file sizes from a failing disk.
        full = "The disk is full" if name == "SQLITE_FULL" else f"The disk is full or failing ({error})"
        return StorageError(f"{full}: the study at {folder} could not be written.", hint="Free some space; nothing accepted is lost.")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        sentence = f"The study at {folder} has been busy for {BUSY_SECONDS:.0f} s."
        return StudyError(sentence, hint="Close other programs that use it, then try again.")
    return StudyError(f"The study database {path} could not be used: {error}.", hint="Restore it from a backup.")
