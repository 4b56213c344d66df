"""Dataset folders that are whole or absent: built in a hidden folder beside their place, synced, then renamed into it.

The hidden folder `.<name>.suggestive-annotation-export` holds a lock, the dataset that is being built (`new`), the earlier one while the
two change places (`old`), and an earlier one that has been replaced (`gone`). A process that is killed leaves it behind; `mend` puts
the earlier dataset back or finishes its removal.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from SuggestiveAnnotationLib.cohort.files.text_file import read_json_file
from SuggestiveAnnotationLib.errors import ExistsError, InputError
from SuggestiveAnnotationLib.files import storage_error, sync_folder

FORMAT = "SuggestiveAnnotation dataset"
VERSION = 1

_SUFFIX = ".suggestive-annotation-export"
_LOCK, _NEW, _OLD, _GONE = "lock", "new", "old", "gone"
# File browsers put these into every folder they show.
_DROPPINGS = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})


@contextmanager
def whole_folder(path: Path, *, marker: str, overwrite: bool, study: str = "") -> Iterator[Path]:
    """Yield an empty folder; on success it takes the place of `path`, with a file `marker` that lists what was written.

    An error or a crash leaves at `path` what was there before; after a crash between the two renames the next call puts it back.

    Args:
        path: of the dataset. The folders above it are made.
        marker: file name that tells this kind of dataset from other folders.
        overwrite: an earlier dataset of this kind may be replaced.
        study: key of the study that it is of, kept in the marker.

    Raises:
        ExistsError: `path` exists and `overwrite` is off.
        InputError: `path` is no dataset that this program wrote, holds files it did not write, or another process is writing it.
        StorageError: the folder is read-only or the disk is full.
    """
    path = Path(path)
    with _workspace(path) as work:
        _mend(path, work)
        _refuse(path, marker, overwrite=overwrite)
        new = work / _NEW
        try:
            new.mkdir()
            yield new
            listed = sorted(p.relative_to(new).as_posix() for p in _entries(new))
            text = json.dumps({"format": FORMAT, "version": VERSION, "study": study, "files": [*listed, marker]}, indent=1)
            (new / marker).write_text(text, encoding="utf-8")
            _sync(new)
            # Somebody may have put something there in the meantime.
            _refuse(path, marker, overwrite=overwrite)
            _swap(path, work)
        except OSError as error:
            raise storage_error(error, path) from error
        finally:
            shutil.rmtree(new, ignore_errors=True)


def mend(folder: Path) -> None:
    """Finish or undo every replacement in `folder` that a crash interrupted; one that is still under way is left alone.

    Raises:
        StorageError: the folder is read-only or the disk is gone.
    """
    for work in (p for p in listing(folder) if p.name.startswith(".") and p.name.endswith(_SUFFIX)):
        path = work.with_name(work.name.removeprefix(".").removesuffix(_SUFFIX))
        with suppress(InputError), _workspace(path) as mine:
            _mend(path, mine)


def datasets(folder: Path, marker: str, *, study: str) -> tuple[Path, ...]:
    """Folders in `folder` that hold the marker of an earlier export of a study, by name.

    Raises:
        StorageError: it cannot be listed.
    """
    found = (p for p in listing(folder) if p.is_dir() and not p.is_symlink() and not p.name.startswith("."))
    return tuple(p for p in found if (data := _marker(p / marker)) is not None and data.get("study") == study)


def listing(folder: Path) -> tuple[Path, ...]:
    """What lies in a folder, by name; nothing where it does not exist. Raises: StorageError, when it cannot be listed."""
    try:
        return tuple(sorted(Path(folder).iterdir()))
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise storage_error(error, Path(folder)) from error


def written(path: Path) -> tuple[Path, ...]:
    """Every file of a dataset folder."""
    return tuple(sorted(_entries(path)))


@contextmanager
def _workspace(path: Path) -> Iterator[Path]:
    """The hidden folder beside `path`, locked for this process; removed at the end when nothing is left in it."""
    work = path.with_name(f".{path.name}{_SUFFIX}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            work.mkdir()
        if work.is_symlink() or not work.is_dir() or not {p.name for p in work.iterdir()} <= {_LOCK, _NEW, _OLD, _GONE, *_DROPPINGS}:
            raise InputError(f"{work} was not made by this program.", hint="Remove it, or choose another folder.")
        lock = os.open(work / _LOCK, os.O_CREAT | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0), 0o666)
    except OSError as error:
        raise storage_error(error, path) from error
    try:
        held = _acquire(lock) and os.path.samestat(os.fstat(lock), os.stat(work / _LOCK))
    except OSError:
        held = False
    if not held:
        os.close(lock)
        raise InputError(f"Another export is writing {path}.", hint="Wait until it has finished.")
    try:
        yield work
    finally:
        _release(lock, work)


def _acquire(lock: int) -> bool:
    """Whether the lock is ours; True also on file systems without locks, where nobody can know."""
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(lock, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _release(lock: int, work: Path) -> None:
    # Removed while it is held, so that nobody loses a lock taken in between; Windows refuses to remove an open file.
    empty = not any((work / name).exists() for name in (_NEW, _OLD, _GONE))
    if sys.platform == "win32":
        os.close(lock)
    if empty:
        with suppress(OSError):
            (work / _LOCK).unlink()
            work.rmdir()
    if sys.platform != "win32":
        os.close(lock)


def _mend(path: Path, work: Path) -> None:
    """Undo or finish what a killed process left."""
    try:
        if (work / _OLD).exists():
            if os.path.lexists(path):
                _discard(work)
            else:
                os.rename(work / _OLD, path)
                sync_folder(path.parent)
        for name in (_NEW, _GONE):
            if (work / name).exists():
                shutil.rmtree(work / name)
    except OSError as error:
        raise storage_error(error, path) from error


def _swap(path: Path, work: Path) -> None:
    replaced = path.exists()
    if replaced:
        os.rename(path, work / _OLD)
    try:
        os.rename(work / _NEW, path)
    except OSError:
        if replaced:
            os.rename(work / _OLD, path)
        raise
    sync_folder(path.parent)
    if replaced:
        # The new dataset is in place: what cannot be removed now is removed by the next export.
        with suppress(OSError):
            _discard(work)


def _discard(work: Path) -> None:
    """Remove the replaced dataset. Under another name first: half removed, it must never be put back."""
    shutil.rmtree(work / _GONE, ignore_errors=True)
    os.rename(work / _OLD, work / _GONE)
    shutil.rmtree(work / _GONE)


def _refuse(path: Path, marker: str, *, overwrite: bool) -> None:
    """Raises: InputError, unless `path` is absent or may be replaced."""
    if not os.path.lexists(path):
        return
    elsewhere = "Choose another folder, or move it away."
    if path.is_symlink() or not path.is_dir():
        kind = "a link" if path.is_symlink() else "a file"
        raise InputError(f"{path} is {kind}, not a dataset that was exported before.", hint=elsewhere)
    listed = _listed(path / marker)
    if listed is None:
        raise InputError(f"{path} exists and is no dataset of this kind that was exported before.", hint=elsewhere)
    if not overwrite:
        raise ExistsError(f"{path} exists already.", hint="Choose another folder or allow overwriting.")
    found = (p.relative_to(path) for p in _entries(path))
    strangers = sorted(p.as_posix() for p in found if p.as_posix() not in listed and p.name not in _DROPPINGS)
    if strangers:
        names = ", ".join(strangers[:3]) + (f" and {len(strangers) - 3} more" if len(strangers) > 3 else "")
        raise InputError(f"{path} holds files that this program did not write: {names}.", hint="Move them away first.")


def _listed(marker: Path) -> frozenset[str] | None:
    """The files that a marker lists; None where it is no marker."""
    data = _marker(marker)
    return None if data is None else frozenset(data["files"])


def _marker(path: Path) -> dict[str, Any] | None:
    """What a marker says; None where it is no marker."""
    try:
        data: dict[str, Any] = read_json_file(path, "list of a dataset's files")
        if data["format"] == FORMAT and all(isinstance(name, str) for name in data["files"]):
            return data
    except (InputError, KeyError, TypeError):
        pass
    return None


def _entries(folder: Path) -> Iterator[Path]:
    """Everything below `folder` that is not itself a folder; links are named, never followed."""
    with os.scandir(folder) as listing:
        for entry in listing:
            if entry.is_dir(follow_symlinks=False):
                yield from _entries(Path(entry.path))
            else:
                yield Path(entry.path)


def _sync(folder: Path) -> None:
    """Bring every file and folder to the disk."""
    for path in _entries(folder):
        with open(path, "rb+") as file:
            os.fsync(file.fileno())
    for path in (*(p for p in folder.rglob("*") if p.is_dir()), folder):
        sync_folder(path)
