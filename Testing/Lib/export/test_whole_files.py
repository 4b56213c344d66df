"""An export that breaks off leaves the earlier one as it was."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import SimpleITK

from SuggestiveAnnotationLib.errors import InputError, StorageError
from SuggestiveAnnotationLib.export.case import export_annotations

CHILD = """
import os, signal, sys
import numpy as np
from types import SimpleNamespace
from pathlib import Path
from SuggestiveAnnotationLib.export.assemble import CaseGrid
from SuggestiveAnnotationLib.export.case import export_annotations
from SuggestiveAnnotationLib.geometry import Geometry, SliceFrame
from SuggestiveAnnotationLib.types import LabelClass, LabelSchema, SliceRef

def export(folder, *, size=(7, 6, 5), overwrite=True):
    geometry = Geometry(size, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
    grid = CaseGrid("sub-10", geometry, SliceFrame.of(geometry, "axial"), LabelSchema("s", (LabelClass(2, "x", (1, 1, 1)),)))
    labels = np.random.default_rng(0).choice(np.array([0, 2], np.uint16), size=size[1::-1])
    fields = dict(annotator="b", provenance="corrected", accepted_at="", round=1, prediction_id=None, effort=None, minutes=None)
    slices = [SimpleNamespace(ref=SliceRef("sub-10", 0, k), labels=labels, **fields) for k in range(size[2])]
    export_annotations(Path(folder), grid, slices, suffix=".nii", overwrite=overwrite)
"""


def run_child(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", CHILD + code, *arguments], capture_output=True, text=True, timeout=60, check=False)


def contents(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir() if not p.name.startswith(".")}


def test_an_earlier_export_is_not_overwritten_unasked(tmp_path, plain_grid, accept):
    export_annotations(tmp_path, plain_grid, [accept(plain_grid, 1)])
    before = contents(tmp_path)
    with pytest.raises(InputError, match=r"already has sub-10_annotation\.nii\.gz and .*allow overwriting"):
        export_annotations(tmp_path, plain_grid, [accept(plain_grid, 2)])
    assert contents(tmp_path) == before


def test_one_file_of_an_earlier_export_is_enough_to_refuse(tmp_path, plain_grid):
    (tmp_path / "sub-10_annotation.json").write_text("mine")
    with pytest.raises(InputError, match=r"already has sub-10_annotation\.json\."):
        export_annotations(tmp_path, plain_grid, [])
    assert contents(tmp_path) == {"sub-10_annotation.json": b"mine"}


def test_overwriting_on_request_replaces_all_three_files(tmp_path, plain_grid, accept):
    export_annotations(tmp_path, plain_grid, [accept(plain_grid, 1)])
    before = contents(tmp_path)
    export_annotations(tmp_path, plain_grid, [accept(plain_grid, 2)], overwrite=True)
    after = contents(tmp_path)
    assert after.keys() == before.keys()
    assert all(after[name] != before[name] for name in before)


def test_the_same_export_twice_gives_the_same_bytes(tmp_path, plain_grid, accept):
    for folder in ("a", "b"):
        export_annotations(tmp_path / folder, plain_grid, [accept(plain_grid, 1)], suffix=".nrrd")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_a_rename_that_fails_leaves_the_earlier_export_and_no_scratch_file(tmp_path, plain_grid, accept, monkeypatch):
    export_annotations(tmp_path, plain_grid, [accept(plain_grid, 1)])
    before = contents(tmp_path)

    def refuse(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(StorageError, match="disk is full"):
        export_annotations(tmp_path, plain_grid, [accept(plain_grid, 2)], overwrite=True)
    assert contents(tmp_path) == before
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.kill
@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
@pytest.mark.parametrize("renames", [0, 1, 2])
def test_a_killed_export_leaves_every_file_whole(tmp_path, renames):
    assert run_child("export(sys.argv[1], size=(7, 6, 4))", str(tmp_path)).returncode == 0
    before = contents(tmp_path)
    code = """
left, rename = int(sys.argv[2]), os.replace
def replace(source, target):
    global left
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    rename(source, target)
os.replace = replace
export(sys.argv[1])
"""
    assert run_child(code, str(tmp_path), str(renames)).returncode == -9
    after = contents(tmp_path)
    assert after.keys() == before.keys()
    assert sum(after[name] != before[name] for name in before) == renames
    slices = [SimpleITK.ReadImage(str(tmp_path / f"sub-10_{part}.nii")).GetSize()[2] for part in ("annotation", "annotated-mask")]
    assert slices == [[4, 4], [5, 4], [5, 5]][renames]
    # The JSON comes last, and its hashes tell that it belongs to the earlier files.
    listed = json.loads(after["sub-10_annotation.json"])["files"]["labelmap"]["sha256"]
    assert (listed == hashlib.sha256(after["sub-10_annotation.nii"]).hexdigest()) == (renames == 0)


@pytest.mark.skipif(os.name == "nt", reason="limits of a process")
def test_a_disk_that_takes_only_part_of_the_file_is_an_error_and_keeps_the_earlier_export(tmp_path):
    assert run_child("export(sys.argv[1], size=(64, 64, 4))", str(tmp_path)).returncode == 0
    before = contents(tmp_path)
    code = """
import resource
from SuggestiveAnnotationLib.errors import StorageError
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    export(sys.argv[1], size=(64, 64, 40))
except StorageError as error:
    print(error)
    sys.exit(7)
"""
    result = run_child(code, str(tmp_path))
    assert result.returncode == 7, result.stderr
    assert str(tmp_path) in result.stdout
    assert "could not be written" in result.stdout
    assert contents(tmp_path) == before
    assert len(list(tmp_path.iterdir())) == 3


def test_a_folder_that_cannot_be_made_is_named(tmp_path, plain_grid):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(StorageError, match="taken"):
        export_annotations(tmp_path / "taken" / "deeper", plain_grid, [])


def test_the_folder_is_made(tmp_path, plain_grid):
    files = export_annotations(tmp_path / "a" / "b", plain_grid, [])
    assert np.all(SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(files.labelmap))) == 255)
