"""A dataset folder appears whole or not at all, whatever happens in between."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from SuggestiveAnnotationLib.errors import ExistsError, InputError, StorageError
from SuggestiveAnnotationLib.export import whole_folder as module
from SuggestiveAnnotationLib.export.whole_folder import datasets, mend, whole_folder, written

MARKER = "marker.json"
HIDDEN = ".set.suggestive-annotation-export"

CHILD = """
import os, shutil, signal, sys
from pathlib import Path
from SuggestiveAnnotationLib.export.whole_folder import whole_folder

left = int(sys.argv[2])

def counted(call):
    def replacement(*arguments, **options):
        global left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return call(*arguments, **options)
    return replacement

for name in ("mkdir", "rename", "fsync", "unlink", "rmdir", "open"):
    setattr(os, name, counted(getattr(os, name)))

with whole_folder(Path(sys.argv[1]), marker="marker.json", overwrite=True) as folder:
    (folder / "a.txt").write_text("new a")
    (folder / "deep").mkdir()
    (folder / "deep" / "c.txt").write_text("new c")
"""


def build(path: Path, text: str = "old", *, overwrite: bool = False, names: tuple[str, ...] = ("a.txt", "deep/b.txt")) -> None:
    with whole_folder(path, marker=MARKER, overwrite=overwrite) as folder:
        for name in names:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(f"{text} {name}")


def build_and_then(path: Path, action: Callable[[], None]) -> None:
    with whole_folder(path, marker=MARKER, overwrite=True) as folder:
        (folder / "a.txt").write_text("half")
        action()


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_folder_appears_with_its_files_and_a_marker_that_lists_them(tmp_path):
    build(tmp_path / "above" / "set")
    assert contents(tmp_path / "above" / "set").keys() == {"a.txt", "deep/b.txt", MARKER}
    listed = json.loads((tmp_path / "above" / "set" / MARKER).read_text(encoding="utf-8"))["files"]
    assert listed == ["a.txt", "deep/b.txt", MARKER]
    assert os.listdir(tmp_path / "above") == ["set"]
    assert [p.name for p in written(tmp_path / "above" / "set")] == ["a.txt", "b.txt", MARKER]


def test_until_the_end_nothing_is_there(tmp_path):
    with whole_folder(tmp_path / "set", marker=MARKER, overwrite=False) as folder:
        (folder / "a.txt").write_text("a")
        assert not (tmp_path / "set").exists()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_leaves_the_earlier_dataset_and_nothing_else(tmp_path, error):
    build(tmp_path / "set")
    before = contents(tmp_path / "set")

    def fail():
        raise error

    with pytest.raises(error):
        build_and_then(tmp_path / "set", fail)
    assert contents(tmp_path / "set") == before
    assert os.listdir(tmp_path) == ["set"]


def test_an_earlier_dataset_is_replaced_only_when_asked(tmp_path):
    build(tmp_path / "set")
    before = contents(tmp_path / "set")
    with pytest.raises(ExistsError, match="exists already"):
        build(tmp_path / "set", "new")
    assert contents(tmp_path / "set") == before
    build(tmp_path / "set", "new", overwrite=True, names=("c.txt",))
    assert contents(tmp_path / "set").keys() == {"c.txt", MARKER}
    assert os.listdir(tmp_path) == ["set"]


@pytest.mark.parametrize("text", [None, "{}", "[1]", "no json", '{"format": "SuggestiveAnnotation dataset", "files": 3}', "\x00\xff"])
def test_a_folder_without_a_good_marker_is_never_replaced(tmp_path, text):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "mine.txt").write_text("mine")
    if text is not None:
        (tmp_path / "set" / MARKER).write_bytes(text.encode("latin-1"))
    before = contents(tmp_path / "set")
    with pytest.raises(InputError, match="no dataset of this kind"):
        build(tmp_path / "set", overwrite=True)
    assert contents(tmp_path / "set") == before


def test_a_dataset_of_another_kind_is_never_replaced(tmp_path):
    build(tmp_path / "set")
    with (
        pytest.raises(InputError, match="no dataset of this kind"),
        whole_folder(tmp_path / "set", marker="other.json", overwrite=True),
    ):
        pass
    assert (tmp_path / "set" / "a.txt").read_text(encoding="utf-8") == "old a.txt"


def test_files_that_a_person_added_are_never_removed(tmp_path):
    build(tmp_path / "set")
    for number in range(4):
        (tmp_path / "set" / "deep" / f"notes{number}.txt").write_text("mine")
    with pytest.raises(InputError, match=r"did not write: deep/notes0\.txt, deep/notes1\.txt, deep/notes2\.txt and 1 more"):
        build(tmp_path / "set", overwrite=True)
    assert (tmp_path / "set" / "deep" / "notes0.txt").read_text(encoding="utf-8") == "mine"


def test_what_a_file_browser_leaves_does_not_hinder(tmp_path):
    build(tmp_path / "set")
    (tmp_path / "set" / ".DS_Store").write_text("x")
    build(tmp_path / "set", "new", overwrite=True)
    assert (tmp_path / "set" / "a.txt").read_text(encoding="utf-8") == "new a.txt"


def test_links_are_named_and_never_followed(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious.txt").write_text("precious")
    build(tmp_path / "set")
    (tmp_path / "set" / "link").symlink_to(outside)
    with pytest.raises(InputError, match="did not write: link"):
        build(tmp_path / "set", overwrite=True)
    # A link in the place of a file that was written is only unlinked.
    (tmp_path / "set" / "link").unlink()
    (tmp_path / "set" / "a.txt").unlink()
    (tmp_path / "set" / "a.txt").symlink_to(outside / "precious.txt")
    build(tmp_path / "set", "new", overwrite=True)
    assert (outside / "precious.txt").read_text(encoding="utf-8") == "precious"
    assert not (tmp_path / "set" / "a.txt").is_symlink()


@pytest.mark.parametrize("kind", ["link to a folder", "dangling link", "file"])
def test_a_link_or_file_in_its_place_is_refused(tmp_path, kind):
    build(tmp_path / "real")
    if kind == "file":
        (tmp_path / "set").write_text("mine")
    else:
        (tmp_path / "set").symlink_to(tmp_path / ("real" if kind == "link to a folder" else "nowhere"))
    with pytest.raises(InputError, match=r"is a (link|file), not a dataset"):
        build(tmp_path / "set", "new", overwrite=True)
    assert (tmp_path / "real" / "a.txt").read_text(encoding="utf-8") == "old a.txt"
    assert os.path.lexists(tmp_path / "set")


@pytest.mark.parametrize("kind", ["link", "other content", "file"])
def test_a_hidden_folder_of_somebody_else_is_left_alone(tmp_path, kind):
    hidden = tmp_path / HIDDEN
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "new").mkdir()
    if kind == "link":
        hidden.symlink_to(tmp_path / "other")
    elif kind == "file":
        hidden.write_text("mine")
    else:
        hidden.mkdir()
        (hidden / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="was not made by this program"):
        build(tmp_path / "set")
    assert (tmp_path / "other" / "new").is_dir()
    assert os.path.lexists(hidden)


def test_two_at_once_in_one_place_are_refused(tmp_path):
    with whole_folder(tmp_path / "set", marker=MARKER, overwrite=False) as folder:
        (folder / "a.txt").write_text("first")
        with pytest.raises(InputError, match="Another export is writing"):
            build(tmp_path / "set")
        mend(tmp_path)
    assert (tmp_path / "set" / "a.txt").read_text(encoding="utf-8") == "first"
    assert os.listdir(tmp_path) == ["set"]


def test_something_that_appears_meanwhile_is_not_replaced(tmp_path):
    def meddle():
        (tmp_path / "set").mkdir()
        (tmp_path / "set" / "mine.txt").write_text("mine")

    with pytest.raises(InputError, match="no dataset"):
        build_and_then(tmp_path / "set", meddle)
    assert contents(tmp_path / "set") == {"mine.txt": b"mine"}


def test_a_rename_that_fails_puts_the_earlier_dataset_back(tmp_path, monkeypatch):
    build(tmp_path / "set")
    before = contents(tmp_path / "set")
    rename = os.rename

    def refuse(source, target):
        if Path(source).name == "new":
            raise OSError(errno.ENOSPC, "No space left on device")
        rename(source, target)

    monkeypatch.setattr(module.os, "rename", refuse)
    with pytest.raises(StorageError, match="disk is full"):
        build(tmp_path / "set", "new", overwrite=True)
    assert contents(tmp_path / "set") == before
    assert os.listdir(tmp_path) == ["set"]


def test_a_full_disk_while_writing_is_an_error_of_storage(tmp_path):
    def fail():
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StorageError, match=r"disk is full: .*set could not be written"):
        build_and_then(tmp_path / "set", fail)
    assert os.listdir(tmp_path) == []


def test_a_place_below_a_file_is_an_error_of_storage(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="could not be written"):
        build(tmp_path / "file" / "set")


def test_a_read_only_folder_is_an_error_of_storage(tmp_path, monkeypatch):
    def refuse(path, *_):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(module.os, "mkdir", refuse)
    with pytest.raises(StorageError, match=r"is read-only: set could not be written"):
        build(tmp_path / "set")


def test_the_datasets_of_a_folder_are_those_with_the_marker(tmp_path):
    build(tmp_path / "b")
    build(tmp_path / "a")
    (tmp_path / "c").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    with whole_folder(tmp_path / "d", marker=MARKER, overwrite=False, study="pilot, 2026") as scratch:
        (scratch / "one").write_text("1", encoding="utf-8")
    assert [p.name for p in datasets(tmp_path, MARKER, study="")] == ["a", "b"]
    assert [p.name for p in datasets(tmp_path, MARKER, study="pilot, 2026")] == ["d"]
    assert datasets(tmp_path / "nowhere", MARKER, study="") == ()


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        ({"old": "old", "new": "new"}, "old"),  # killed between the two renames
        ({"set": "new", "old": "old"}, "new"),  # killed before the earlier one was removed
        ({"set": "new", "gone": "half"}, "new"),  # killed while it was removed
        ({"set": "old", "new": "half"}, "old"),  # killed while the new one was built
        ({"gone": "half"}, None),
    ],
)
def test_what_a_crash_left_is_mended(tmp_path, left, expected):
    for name, text in left.items():
        build(tmp_path / name, text)
    (tmp_path / HIDDEN).mkdir()
    for name in left:
        if name != "set":
            (tmp_path / name).rename(tmp_path / HIDDEN / name)
    mend(tmp_path)
    assert os.listdir(tmp_path) == ([] if expected is None else ["set"])
    if expected is not None:
        assert (tmp_path / "set" / "a.txt").read_text(encoding="utf-8") == f"{expected} a.txt"


@pytest.mark.kill
@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_a_kill_at_any_point_leaves_the_old_or_the_new_dataset_whole(tmp_path):
    new = {"a.txt": b"new a", "deep/c.txt": b"new c"}
    seen = set()
    for point in range(200):
        base = tmp_path / str(point)
        build(base / "set")
        old = contents(base / "set")
        command = [sys.executable, "-c", CHILD, str(base / "set"), str(point)]
        result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert result.returncode in (0, -signal.SIGKILL), result.stderr
        now = contents(base / "set") if (base / "set").exists() else None
        # The next export mends first, even when it is then refused.
        with pytest.raises(ExistsError):
            build(base / "set", "refused")
        mended = contents(base / "set")
        assert os.listdir(base) == ["set"]
        assert mended == old or {k: v for k, v in mended.items() if k != MARKER} == new
        assert now is None or now == mended
        seen.add("absent" if now is None else "old" if now == old else "new")
        build(base / "set", "again", overwrite=True)
        if result.returncode == 0:
            break
    assert result.returncode == 0
    assert point > 15
    assert seen == {"absent", "old", "new"}


@pytest.mark.kill
@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_a_kill_while_writing_for_the_first_time_leaves_nothing_that_hinders(tmp_path):
    code = CHILD.replace('(folder / "deep").mkdir()', "os.kill(os.getpid(), signal.SIGKILL)")
    command = [sys.executable, "-c", code, str(tmp_path / "set"), "1000"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == -signal.SIGKILL
    assert not (tmp_path / "set").exists()
    build(tmp_path / "set")
    assert os.listdir(tmp_path) == ["set"]
