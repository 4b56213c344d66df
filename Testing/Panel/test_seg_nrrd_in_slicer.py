"""Slicer's own storage node opens the segmentations that the library writes, and the library those that it saves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from Support.dataset_content import DIRECTIONS, WIDE, make_case, make_content, stage

from SuggestiveAnnotationLib.cohort.labels.label_file import labels_on
from SuggestiveAnnotationLib.cohort.labels.seg_nrrd import read_seg_nrrd
from SuggestiveAnnotationLib.export import seg_nrrd
from SuggestiveAnnotationLib.export.content import CaseContent
from SuggestiveAnnotationLib.types import LabelClass, LabelSchema

LESION = LabelClass(7, "lesion 病变", (9, 9, 255), terminology="SCT^52988006^Lesion")
SCHEMA = LabelSchema("s", (LESION, LabelClass(2, "grey matter", (200, 80, 80), terminology="SCT^389081007^Grey matter")))


@pytest.fixture(autouse=True)
def _scene(host: Any) -> None:
    host.closeScene()


def opened(path: Path) -> Any:
    """The node of a file, as Slicer's reader of segmentations fills it."""
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    storage = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
    storage.SetFileName(str(path))
    assert storage.ReadData(node) == 1
    assert storage.GetUserMessages().GetNumberOfMessages() == 0, storage.GetUserMessages().GetAllMessagesAsString()
    return node


def exported(folder: Path, case: CaseContent) -> Path:
    content = make_content(case)
    return seg_nrrd.write(folder / "out", content, overwrite=False, stage=stage(content)).files[0]


def voxels(node: Any, identifier: str, case: CaseContent) -> np.ndarray:
    """Where a segment is, on the grid of the case `(k, j, i)`, by the geometry that Slicer has for it."""
    import vtk
    from vtk.util.numpy_support import vtk_to_numpy

    segment = node.GetSegmentation().GetSegment(identifier)
    image = segment.GetRepresentation("Binary labelmap")
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    to_ras = np.array([[matrix.GetElement(r, c) for c in range(4)] for r in range(4)])
    x0, x1, y0, y1, z0, z1 = image.GetExtent()
    array = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(z1 - z0 + 1, y1 - y0 + 1, x1 - x0 + 1)
    k, j, i = np.nonzero(array == segment.GetLabelValue())
    lps = (np.stack([i + x0, j + y0, k + z0], axis=1) @ to_ras[:3, :3].T + to_ras[:3, 3]) * (-1, -1, 1)
    geometry = case.grid.geometry
    own = np.reshape(geometry.direction_lps, (3, 3)) * geometry.spacing
    index = (lps - geometry.origin_lps) @ np.linalg.inv(own).T
    assert np.abs(index - index.round()).max(initial=0) < 1e-6
    out = np.zeros(geometry.shape, bool)
    out[tuple(index.round().astype(int).T[::-1])] = True
    return out


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_slicer_opens_names_colours_codes_and_voxels(tmp_path, direction):
    case = make_case(tmp_path, "c1", direction=direction, schema=SCHEMA)
    node = opened(exported(tmp_path, case))
    segmentation = node.GetSegmentation()
    labels, _ = case.volume()
    assert [segmentation.GetNthSegmentID(n) for n in range(segmentation.GetNumberOfSegments())] == ["Segment_7", "Segment_2"]
    for one in SCHEMA.classes:
        segment = segmentation.GetSegment(f"Segment_{one.value}")
        assert segment.GetName() == one.name
        assert segment.GetColor() == pytest.approx([c / 255 for c in one.colour], abs=1e-5)
        assert segment.GetLabelValue() == one.value
        assert f"~{one.terminology}~" in segment.GetTerminology()
        assert np.array_equal(voxels(node, f"Segment_{one.value}", case), labels == one.value)


def test_the_panel_and_the_file_have_the_same_terminology(tmp_path, panel):
    from SuggestiveAnnotationLib.cohort.labels.terminology import slicer_entry

    segmentation = opened(exported(tmp_path, make_case(tmp_path, "c1", schema=SCHEMA))).GetSegmentation()
    for one in SCHEMA.classes:
        assert segmentation.GetSegment(f"Segment_{one.value}").GetTerminology() == slicer_entry(one.terminology)


def test_slicer_knows_the_grid_of_the_image(tmp_path):
    import slicer
    import vtk

    case = make_case(tmp_path, "c1", direction="oblique")
    segmentation = opened(exported(tmp_path, case)).GetSegmentation()
    text = segmentation.GetConversionParameter(slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName())
    image = slicer.vtkOrientedImageData()
    assert slicer.vtkSegmentationConverter.DeserializeImageGeometry(text, image)
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    centre = np.array(matrix.MultiplyPoint((3, 2, 1, 1)))[:3] * (-1, -1, 1)
    geometry = case.grid.geometry
    own = np.reshape(geometry.direction_lps, (3, 3)) * geometry.spacing
    assert centre == pytest.approx(own @ (3, 2, 1) + geometry.origin_lps, abs=1e-9)
    assert image.GetExtent() == (0, 6, 0, 5, 0, 4)


def test_values_of_16_bits(tmp_path):
    case = make_case(tmp_path, "c1", schema=WIDE)
    node = opened(exported(tmp_path, case))
    labels, _ = case.volume()
    for value in (1002, 40):
        assert np.array_equal(voxels(node, f"Segment_{value}", case), labels == value)


def test_what_slicer_saves_is_read_as_it_is(tmp_path):
    import slicer

    case = make_case(tmp_path, "c1", direction="oblique and permuted", schema=SCHEMA)
    node = opened(exported(tmp_path, case))
    storage = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
    storage.SetFileName(str(tmp_path / "saved.seg.nrrd"))
    storage.SetCropToMinimumExtent(True)
    # A second layer: a segment that overlaps with both others.
    segmentation = node.GetSegmentation()
    identifier = segmentation.AddEmptySegment("over", "over", [0, 1, 0])
    cover = slicer.vtkOrientedImageData()
    cover.DeepCopy(segmentation.GetSegment("Segment_7").GetRepresentation("Binary labelmap"))
    segmentation.GetSegment(identifier).AddRepresentation("Binary labelmap", cover)
    segmentation.GetSegment(identifier).SetLabelValue(7)
    assert storage.WriteData(node) == 1
    found = read_seg_nrrd(tmp_path / "saved.seg.nrrd")
    labels, _ = case.volume()
    values = {c.name: c.value for c in found.classes}
    assert set(values) == {"lesion 病变", "grey matter", "over"}
    assert [c.terminology for c in found.classes] == ["SCT^52988006^Lesion", "SCT^389081007^Grey matter", None]
    placed = labels_on(found, case.grid.geometry, name="a", reference_name="b")
    assert np.array_equal(placed == values["over"], labels == 7)
    assert np.array_equal(placed == values["grey matter"], labels == 2)
    assert not (placed == values["lesion 病变"]).any()
    assert found.notes == (
        f"{tmp_path / 'saved.seg.nrrd'}: {(labels == 7).sum()} voxels lie in two segments or more; the later segment is kept there.",
    )
