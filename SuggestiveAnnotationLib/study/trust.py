"""What is looked at before a study folder is used: one that somebody else made can run no code here and write nowhere else.

The folder must hold plain files and folders only, the database plain tables only, and the rows that everything else builds on must be what
they seem. All of it is cheap: names, the schema of the database, and one row a case.
"""

from __future__ import annotations

import math
import os
import re
import sqlite3
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any, get_args

from SuggestiveAnnotationLib.cohort.files.rawheader import MAX_VOXELS
from SuggestiveAnnotationLib.errors import StudyError
from SuggestiveAnnotationLib.geometry import Geometry
from SuggestiveAnnotationLib.types import Plane, PreprocessingRecord, Role, SliceRef

if TYPE_CHECKING:
    from sqlalchemy import MetaData

BACKUP = "Restore it from a backup, or ask whoever made it for another copy."
MAX_AXIS = 2**16
"""A slice or a volume has fewer pixels than this along an axis."""
MAX_VERSION = 10_000
"""No version of the preprocessing comes near it."""
MAX_VALUE_BYTES = 2**28
"""No single value in the database is larger."""

_JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")
_NOT_PLAIN = re.compile(r"\b(CHECK|COLLATE|CONFLICT|GENERATED|CASCADE|VIRTUAL|DEFAULT\s*\()", re.IGNORECASE)


def refuse_strange_files(folder: Path) -> None:
    """Everything in a study folder is a plain file or folder, or a link to one inside it.

    Opening a pipe would wait for ever; through a link, files elsewhere would be overwritten or swept away.

    Raises:
        StudyError: naming what is something else, or a link that leads out.
    """
    root = os.path.realpath(folder)
    waiting = [root]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_symlink():
                        target = os.path.realpath(entry.path)
                        if target != root and not target.startswith(root + os.sep):
                            raise StudyError(
                                f"{entry.path} is a link that leads out of the study.", hint="Remove it, or copy what it leads to."
                            )
                    elif entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    elif not entry.is_file(follow_symlinks=False):
                        raise StudyError(f"{entry.path} is a pipe, a socket or a device, not a file.", hint="Remove it.")
        except (FileNotFoundError, PermissionError, NotADirectoryError):
            # Gone meanwhile, or closed to everybody here: what needs it says so.
            continue
    _refuse_foreign_journals(Path(root))


def _refuse_foreign_journals(folder: Path) -> None:
    """SQLite deletes the file that a rollback journal names as the journal of several databases; a study has one database."""
    for journal in folder.glob("*-journal"):
        try:
            with journal.open("rb") as file:
                file.seek(max(0, journal.stat().st_size - len(_JOURNAL_MAGIC)))
                end = file.read(len(_JOURNAL_MAGIC))
        except OSError:
            # Another process that uses the study has finished with it meanwhile.
            continue
        if end == _JOURNAL_MAGIC:
            raise StudyError(f"{journal} names a file outside the study.", hint="Remove it: no study makes such a journal.")


def refuse_strange_schema(connection: sqlite3.Connection, path: Path, known: MetaData) -> None:
    """A study database holds plain tables and indices: a trigger could change what is accepted, a view pretend what was.

    Args:
        connection: to the database. path: of it, for the sentence. known: tables that this program makes.

    Raises:
        StudyError: naming what is something else.
    """
    indices = {str(index.name) for table in known.tables.values() for index in table.indexes}
    for kind, name, sql in connection.execute("SELECT type, name, sql FROM sqlite_master"):
        text = str(sql or "")
        plain = kind == "table" or (kind == "index" and (sql is None or name in indices))
        if not plain or _NOT_PLAIN.search(text) or len(text) > 10_000:
            raise StudyError(
                f"{path} is not a study database of this program: its {kind} {str(name)[:60]!r} is none that it makes.",
                hint="Ask whoever made it for another copy.",
            )
    for table in known.tables.values():
        there = {row[1]: bool(row[3]) for row in connection.execute(f"PRAGMA table_info({table.name})")}
        # An older version has fewer tables.
        if there and any(there.get(column.name) is not (not column.nullable) for column in table.columns):
            raise StudyError(f"{path} is not a study database of this program: its table {table.name} has other columns.", hint=BACKUP)


def inside(folder: Path, relative: Any, *, what: str) -> Path:
    """The path of a file that a row names, inside the study.

    Args:
        folder: of the study. relative: as in the row. what: it is, for the sentence.

    Raises:
        StudyError: it is no path, or leads out of the folder.
    """
    text = relative if isinstance(relative, str) else ""
    parts = {*PurePosixPath(text).parts, *PureWindowsPath(text).parts}
    windows = PureWindowsPath(text)
    if not text or "\0" in text or ".." in parts or PurePosixPath(text).is_absolute() or windows.drive or windows.root:
        raise StudyError(f"The study names {str(relative)[:200]!r} as the file of {what}, which is not inside it.", hint=BACKUP)
    return folder / text


def relative_inside(folder: Path, path: Path, *, what: str) -> str:
    """The inverse of `inside`. Raises: StudyError, when `path` is not inside the folder."""
    try:
        return path.resolve().relative_to(folder.resolve()).as_posix()
    except ValueError:
        raise StudyError(f"{path} cannot be kept as the file of {what}: it is outside the study.") from None


def image_path(folder: Path, kept: Any, case: str) -> str:
    """The path of an image, label or mask of a case: absolute as it is kept, else inside the study.

    Raises:
        StudyError: it is no path, or a relative one that leads out of the study.
    """
    if not isinstance(kept, str) or not kept or "\0" in kept:
        raise damaged(f"an image of case {case} has no path")
    if PurePosixPath(kept).is_absolute() or PureWindowsPath(kept).is_absolute():
        # Images lie where the person keeps them; they are read and never written.
        return kept
    return str(inside(folder, kept, what=f"an image of case {case}"))


def slice_ref(case: Any, axis: Any, native_index: Any) -> SliceRef:
    """A slice as a row names it. Raises: StudyError, when there can be no such slice."""
    if not isinstance(case, str) or type(axis) is not int or type(native_index) is not int:
        raise damaged(f"a slice is named {str((case, axis, native_index))[:100]}")
    if not 0 <= axis <= 2 or not 0 <= native_index < MAX_AXIS:
        raise damaged(f"case {case} has no slice {native_index + 1} across axis {axis}")
    return SliceRef(case, axis, native_index)


def check_cases(rows: Sequence[Any]) -> None:
    """Names, roles and grids of the cases. Raises: StudyError, naming the case."""
    for row in rows:
        name = row.name
        if not isinstance(name, str) or not name or "\0" in name or len(name) > 1000:
            raise damaged(f"a case is called {str(name)[:60]!r}")
        if row.role not in get_args(Role):
            raise damaged(f"case {name} has the role {str(row.role)[:60]!r}")
        if not isinstance(row.problems, list) or not all(isinstance(p, str) for p in row.problems):
            raise damaged(f"the remarks on case {name} cannot be read")
        if row.geometry is not None:
            geometry_of(row.geometry, name)


def geometry_of(data: Any, case: str) -> Geometry:
    """The grid of a case as a row keeps it. Raises: StudyError, when there can be no such grid."""
    try:
        grid = Geometry.from_json(data)
    except ValueError:
        grid = None
    if grid is None or math.prod(grid.size) > MAX_VOXELS:
        raise damaged(f"the voxel grid of case {case} cannot be read")
    return grid


def record_of(data: Any) -> PreprocessingRecord:
    """The frozen preprocessing as a row keeps it. Raises: StudyError, when there can be no such preprocessing."""
    try:
        fields: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}
        record = PreprocessingRecord(**fields)
        texts = (record.reference, record.schema_key, record.normalisation, record.foreground, *record.modalities)
        good = record.plane in get_args(Plane) and all(isinstance(t, str) for t in texts) and record.reference in record.modalities
        good = good and len(record.size) == 2 and all(type(n) is int and 16 <= n <= 4096 and n % 16 == 0 for n in record.size)
        good = good and len(record.spacing) == 2 and all(type(s) in (int, float) and 0 < float(s) < math.inf for s in record.spacing)
        good = good and type(record.version) is int and 0 < record.version < MAX_VERSION
    except (AttributeError, TypeError, ValueError, OverflowError):
        good = False
    if not good:
        raise damaged("the frozen preprocessing cannot be read")
    return record


def check_properties(kept: dict[str, Any]) -> None:
    """What a study was created with. Raises: StudyError, when a part is missing or of another kind."""
    modalities = kept.get("modalities")
    if not isinstance(kept.get("name"), str) or not isinstance(kept.get("settings"), dict):
        raise damaged("its name or its settings are missing")
    if not isinstance(modalities, list) or not modalities or not all(isinstance(m, str) and m for m in modalities):
        raise damaged("its modalities are missing")
    if kept.get("reference") not in modalities or len(set(modalities)) < len(modalities):
        raise damaged(f"its reference {str(kept.get('reference'))[:60]!r} is none of its modalities")
    commands = kept.get("commands", [])
    if not isinstance(commands, list) or not all(isinstance(c, str) for c in commands):
        raise damaged("its commands cannot be read")


def damaged(what: str) -> StudyError:
    """The error for rows that cannot be what they seem."""
    return StudyError(f"The study database is damaged: {what}.", hint=BACKUP)
