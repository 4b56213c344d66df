"""Segmentations for 3D Slicer: every voxel on the whole grid, names, colours and codes in the header, the mask beside it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from Support.dataset_content import DIRECTIONS, WIDE, make_case, make_content, read, stage

from SuggestiveAnnotationLib.cohort.files.itk import sitk
from SuggestiveAnnotationLib.cohort.labels.seg_nrrd import read_seg_nrrd
from SuggestiveAnnotationLib.errors import ExistsError, InputError
from SuggestiveAnnotationLib.export import seg_nrrd
from SuggestiveAnnotationLib.export.content import CaseContent, Exported
from SuggestiveAnnotationLib.geometry import Geometry
from SuggestiveAnnotationLib.types import LabelClass, LabelSchema


def export(folder: Path, *cases: CaseContent, overwrite: bool = False) -> Exported:
    content = make_content(*cases)
    return seg_nrrd.write(folder, content, overwrite=overwrite, stage=stage(content))


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_voxels_and_grid_come_back_and_simpleitk_agrees(tmp_path, direction, plane):
    case = make_case(tmp_path, "c1", direction=direction, plane=plane)
    segmentation, mask, _ = export(tmp_path / "out", case).files
    labels, annotated = case.volume()
    wanted = np.where(labels == 255, 0, labels)
    assert np.array_equal(read(segmentation), wanted)
    assert np.array_equal(read(mask), annotated)
    image = sitk.ReadImage(str(segmentation))
    geometry = Geometry(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())
    assert geometry.same_grid(case.grid.geometry, tolerance=1e-9)
    file = read_seg_nrrd(segmentation)
    assert np.array_equal(file.labels, wanted)
    assert file.geometry.same_grid(case.grid.geometry, tolerance=1e-9)
    assert file.notes == ()


def test_structures_keep_value_name_colour_and_code(tmp_path):
    classes = (
        LabelClass(7, "lesion: 病变 ~ | = größer\\n", (9, 8, 254), terminology="SCT^52988006^Lesion"),
        LabelClass(3, "nothing known", (0, 255, 1)),
        LabelClass(1, "grey", (1, 2, 3), terminology="99X^a/b^c|d~e"),
    )
    file = read_seg_nrrd(export(tmp_path / "out", make_case(tmp_path, "c1", schema=LabelSchema("s", classes))).files[0])
    assert [(c.value, c.name, c.colour) for c in file.classes] == [(c.value, c.name, c.colour) for c in classes]
    assert [c.terminology for c in file.classes] == ["SCT^52988006^Lesion", None, "99X^a/b^c-d-e"]


def test_the_header_has_the_keys_of_slicer(tmp_path):
    image = sitk.ReadImage(str(export(tmp_path / "out", make_case(tmp_path, "c1", direction="oblique")).files[0]))
    keys = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()}
    assert keys["Segment0_ID"] == "Segment_7"
    assert keys["Segment0_LabelValue"] == "7"
    assert keys["Segment0_Layer"] == "0"
    assert keys["Segment0_Extent"] == "0 6 0 5 0 4"
    assert keys["Segment0_Color"] == "0.0352941 0.0352941 1"
    assert keys["Segment1_Tags"].startswith(
        "TerminologyEntry:Segmentation category and type - 3D Slicer General Anatomy list~SCT^123037004^"
    )
    assert keys["Segmentation_ReferenceImageExtentOffset"] == "0 0 0"
    assert keys["Segmentation_MasterRepresentation"] == "Binary labelmap"


def test_a_schema_of_16_bits_is_stored_in_16_bits_and_one_of_8_in_8(tmp_path):
    wide, narrow = make_case(tmp_path, "wide", schema=WIDE), make_case(tmp_path, "narrow", number=1)
    assert read(export(tmp_path / "wide", wide).files[0]).dtype == np.uint16
    assert read(export(tmp_path / "narrow", narrow).files[0]).dtype == np.uint8
    labels, _mask = wide.volume()
    assert np.array_equal(read(tmp_path / "wide" / "wide_annotation.seg.nrrd"), np.where(labels == 65535, 0, labels))


def test_what_changed_since_it_was_exported_tells_nothing_of_slices(tmp_path):
    case = make_case(tmp_path, "c1")
    segmentation, mask, sidecar = export(tmp_path / "out", case).files
    told = read_seg_nrrd(segmentation)
    assert told.notes == ()
    assert np.array_equal(told.looked_at, read(mask) > 0)
    sitk.WriteImage(sitk.ReadImage(str(segmentation)), str(segmentation), useCompression=False)
    changed = read_seg_nrrd(segmentation)
    assert changed.looked_at is None
    assert changed.notes == (
        f"{segmentation} has changed since it was exported: which of its slices were annotated is not known any more. "
        "What is in no segment is taken for background.",
    )
    sidecar.unlink()
    alone = read_seg_nrrd(segmentation)
    assert (alone.looked_at, alone.notes) == (None, ())


def test_ignored_pixels_are_counted_and_the_json_knows_both_files(tmp_path):
    case = make_case(tmp_path, "a b")
    done = export(tmp_path / "out", case)
    labels, mask = case.volume()
    count = int(((labels == 255) & (mask > 0)).sum())
    assert count > 1
    assert done.left_out == (f"{count} pixels that are to be ignored in accepted slices of case a b: no segment has them.",)
    document = json.loads(done.files[2].read_text(encoding="utf-8"))
    for role, file in zip(("segmentation", "mask"), done.files, strict=False):
        assert document["files"][role] == {"name": file.name, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    assert [a["annotator"] for a in document["annotations"]] == ["anna", "anna"]


def test_what_is_there_is_replaced_only_with_consent(tmp_path):
    case = make_case(tmp_path, "c1")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "c1_annotated-mask.nrrd").write_text("mine")
    with pytest.raises(ExistsError, match=r"already has c1_annotated-mask\.nrrd"):
        export(tmp_path / "out", case)
    assert [f.name for f in (tmp_path / "out").iterdir()] == ["c1_annotated-mask.nrrd"]
    assert len(export(tmp_path / "out", case, overwrite=True).files) == 3


def test_a_grid_without_right_angles_is_refused(tmp_path):
    case = make_case(tmp_path, "c1")
    sheared = Geometry((7, 6, 5), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1.0, 0.3, 0, 0, 1.0, 0, 0, 0, 1.0))
    object.__setattr__(case.grid, "geometry", sheared)
    with pytest.raises(InputError, match="not at right angles"):
        export(tmp_path / "out", case)


CHILD = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = [sys.argv[2]]
from Support.dataset_content import make_case, make_content, stage
from SuggestiveAnnotationLib.export import seg_nrrd
content = make_content(make_case(Path(sys.argv[1]), "c1", slices=(1, 2)))
os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
seg_nrrd.write(Path(sys.argv[1]) / "out", content, overwrite=True, stage=stage(content))
"""


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_killed_in_the_middle_the_earlier_files_stay(tmp_path):
    files = export(tmp_path / "out", make_case(tmp_path, "c1")).files
    before = [f.read_bytes() for f in files]
    testing = str(Path(__file__).parents[2])
    done = subprocess.run([sys.executable, "-c", CHILD, str(tmp_path), testing], timeout=60, check=False)
    assert done.returncode == -9
    assert [f.read_bytes() for f in files] == before
