"""Labels in and out of a real segmentation node, compared with plain arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from SuggestiveAnnotationLib.cohort.labels.schema import load_schema
from SuggestiveAnnotationLib.geometry import Geometry
from SuggestiveAnnotationLib.types import LabelClass, LabelSchema, SliceRef

SCHEMA = LabelSchema(
    name="three",
    classes=(
        LabelClass(2, "shell", (230, 159, 0)),
        LabelClass(7, "core", (86, 180, 233), terminology="SCT^5366008^Hippocampus"),
        LabelClass(1, "edge", (0, 158, 115), terminology="SCT^79654002^Edema"),
    ),
)
WIDE = LabelSchema(name="wide", classes=(LabelClass(300, "a", (1, 2, 3)), LabelClass(1207, "b", (4, 5, 6))), ignore_value=65535)
STRAIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
TURN = np.array([[np.cos(0.4), -np.sin(0.4), 0], [np.sin(0.4), np.cos(0.4), 0], [0, 0, 1]])
OBLIQUE = tuple(float(v) for v in (TURN @ [[0, 0, 1], [-1, 0, 0], [0, 1, 0]]).ravel())
SHAPE = (9, 13, 17)


@pytest.fixture(scope="module", autouse=True)
def _imports(host: Any) -> None:
    """Slicer's modules are there once the host runs."""
    global slicer, vtk, segments
    import slicer
    import vtk.util.numpy_support
    from SuggestiveAnnotationPanel import segments


def grid(direction: tuple[float, ...] = STRAIGHT) -> Geometry:
    return Geometry(size=SHAPE[::-1], spacing=(0.9, 1.1, 2.5), origin_lps=(-12.5, 30.25, 7.0), direction_lps=direction)


@pytest.fixture
def node() -> Any:
    slicer.mrmlScene.Clear(0)
    made = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    made.CreateDefaultDisplayNodes()
    yield made
    slicer.mrmlScene.RemoveNode(made)


def random_labels(rng: np.random.Generator, shape: tuple[int, ...], schema: LabelSchema) -> np.ndarray:
    """Blocks of labels, so that segments touch, with empty slices and slices of one label among them."""
    coarse = rng.choice([0, 0, *schema.values, schema.ignore_value], [-(-n // 4) for n in shape])
    for axis, n in enumerate(shape):
        coarse = coarse.repeat(4, axis)[tuple(slice(0, n) if a == axis else slice(None) for a in range(len(shape)))]
    return coarse.astype(np.uint16)


def read_one_by_one(node: Any, schema: LabelSchema) -> dict[int, np.ndarray]:
    """Value -> mask, through Slicer's own function, each segment for itself: overlaps show."""
    masks = {}
    for identifier, value in segments.segmentValues(schema).items():
        image = slicer.vtkOrientedImageData()
        assert node.GetBinaryLabelmapRepresentation(identifier, image)
        mask = np.zeros(SHAPE, bool)
        extent = image.GetExtent()
        if not image.IsEmpty() and extent[0] <= extent[1]:
            voxels = vtk.util.numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())
            i0, i1, j0, j1, k0, k1 = extent
            mask[k0 : k1 + 1, j0 : j1 + 1, i0 : i1 + 1] = voxels.reshape(k1 - k0 + 1, j1 - j0 + 1, i1 - i0 + 1) > 0
        masks[value] = mask
    return masks


def check(node: Any, geometry: Geometry, schema: LabelSchema, expected: np.ndarray) -> None:
    assert np.array_equal(segments.readVolume(node, geometry, schema), expected)
    masks = read_one_by_one(node, schema)
    assert np.sum(list(masks.values()), axis=0).max(initial=0) <= 1, "segments overlap"
    for value, mask in masks.items():
        assert np.array_equal(mask, expected == value), f"value {value}"


@pytest.mark.parametrize("schema", [SCHEMA, WIDE], ids=lambda s: s.name)
@pytest.mark.parametrize("direction", [STRAIGHT, OBLIQUE], ids=["straight", "oblique"])
def test_a_volume_goes_in_and_comes_out(node: Any, schema: LabelSchema, direction: tuple[float, ...]) -> None:
    segments.addSegments(node, schema)
    geometry = grid(direction)
    for seed in range(4):
        labels = random_labels(np.random.default_rng(seed), SHAPE, schema) * (seed != 2)
        segments.importVolume(node, labels, geometry, schema)
        check(node, geometry, schema, labels)
        assert node.GetSegmentation().GetNumberOfLayers() == 1


@pytest.mark.parametrize("schema", [SCHEMA, WIDE], ids=lambda s: s.name)
@pytest.mark.parametrize("direction", [STRAIGHT, OBLIQUE], ids=["straight", "oblique"])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_written_at_random_equal_the_same_writes_in_an_array(
    node: Any, schema: LabelSchema, direction: tuple[float, ...], axis: int
) -> None:
    segments.addSegments(node, schema)
    geometry, rng = grid(direction), np.random.default_rng(axis)
    expected = np.zeros(SHAPE, np.uint16)
    if axis:
        # A segmentation that nothing was imported into grows from the slices alone.
        expected = random_labels(rng, SHAPE, schema)
        segments.importVolume(node, expected, geometry, schema)
    plane = tuple(n for a, n in enumerate(SHAPE) if a != axis)
    for turn in range(25):
        index = int(rng.integers(SHAPE[axis]))
        labels = random_labels(rng, plane, schema) * (turn % 5 != 4)
        if turn % 7 == 3:
            labels[labels != schema.ignore_value] = 0
        segments.writeSlice(node, geometry, schema, axis, index, labels)
        np.moveaxis(expected, axis, 0)[index] = labels
        check(node, geometry, schema, expected)
        box = [slice(0, n) for n in SHAPE]
        other = int(rng.integers(SHAPE[axis]))
        box[axis] = slice(other, other + 1)
        assert np.array_equal(segments.readBox(node, geometry, schema, tuple(box)), expected[tuple(box)])


def test_every_slice_emptied_and_drawn_again(node: Any) -> None:
    segments.addSegments(node, SCHEMA)
    expected = random_labels(np.random.default_rng(5), SHAPE, SCHEMA)
    segments.importVolume(node, expected, grid(), SCHEMA)
    for index in range(SHAPE[0]):
        segments.writeSlice(node, grid(), SCHEMA, 0, index, np.zeros(SHAPE[1:], np.uint16))
    check(node, grid(), SCHEMA, np.zeros(SHAPE, np.uint16))
    for index in (4, 2, 8):
        segments.writeSlice(node, grid(), SCHEMA, 0, index, expected[index])
    only = np.zeros_like(expected)
    only[[2, 4, 8]] = expected[[2, 4, 8]]
    check(node, grid(), SCHEMA, only)


def test_a_slice_is_written_where_segments_lie_on_layers_of_their_own(node: Any) -> None:
    segments.addSegments(node, SCHEMA)
    expected = random_labels(np.random.default_rng(6), SHAPE, SCHEMA)
    segments.importVolume(node, expected, grid(), SCHEMA)
    for identifier in segments.segmentValues(SCHEMA):
        node.GetSegmentation().SeparateSegmentLabelmap(identifier)
    assert node.GetSegmentation().GetNumberOfLayers() == 4
    check(node, grid(), SCHEMA, expected)
    new = random_labels(np.random.default_rng(7), SHAPE[1:], SCHEMA)
    segments.writeSlice(node, grid(), SCHEMA, 0, 3, new)
    expected[3] = new
    check(node, grid(), SCHEMA, expected)


def test_a_labelmap_on_a_grid_of_its_own_is_brought_onto_the_images(node: Any) -> None:
    """As an effect with its own reference geometry leaves it: half the voxels along every axis, on the same places."""
    segments.addSegments(node, SCHEMA)
    coarse = Geometry(size=(9, 7, 5), spacing=(1.8, 2.2, 5.0), origin_lps=(-12.5, 30.25, 7.0), direction_lps=STRAIGHT)
    drawn = np.zeros(coarse.shape, np.uint8)
    drawn[1:3, 2:5, 3:6] = 1
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    image = segments.orientedImage(drawn, coarse)
    logic.SetBinaryLabelmapToSegment(image, node, "value-7", logic.MODE_REPLACE, image.GetExtent())
    labels = segments.readVolume(node, grid(), SCHEMA)
    # Every second voxel lies on a voxel of the coarse grid.
    assert np.array_equal(labels[::2, ::2, ::2], 7 * drawn)


def test_an_unknown_segment_is_named_and_read_as_nothing(node: Any) -> None:
    segments.addSegments(node, SCHEMA)
    assert segments.unknownSegments(node, SCHEMA) == []
    node.GetSegmentation().AddEmptySegment("Segment_1", "my own", [1, 0, 0])
    assert segments.unknownSegments(node, SCHEMA) == ["my own"]
    mine = slicer.vtkOrientedImageData()
    mine.DeepCopy(segments.orientedImage(np.ones(SHAPE, np.uint8), grid()))
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    logic.SetBinaryLabelmapToSegment(mine, node, "Segment_1", logic.MODE_REPLACE, mine.GetExtent())
    assert not segments.readVolume(node, grid(), SCHEMA).any()
    assert segments.readUnknown(node, grid(), SCHEMA).all()
    segments.removeUnknownSegments(node, SCHEMA)
    assert segments.unknownSegments(node, SCHEMA) == []
    assert not segments.readUnknown(node, grid(), SCHEMA).any()


def test_only_what_differs_from_the_last_look_is_found_changed(node: Any) -> None:
    from SuggestiveAnnotationPanel.labelmap_memory import LabelmapMemory

    segments.addSegments(node, SCHEMA)
    expected = random_labels(np.random.default_rng(8), SHAPE, SCHEMA)
    segments.importVolume(node, expected, grid(), SCHEMA)
    memory, of = LabelmapMemory(), (node, grid(), SCHEMA)
    whole, none = slice(0, SHAPE[0]), slice(0, 0)
    assert memory.changed(*of) == whole
    memory.keep(*of, whole)
    assert memory.changed(*of) == none
    for index in (6, 2):
        segments.writeSlice(*of, 0, index, np.full(SHAPE[1:], 7, np.uint16))
    assert memory.changed(*of) == slice(2, 7)
    memory.keep(*of, slice(2, 7))
    assert memory.changed(*of) == none
    node.GetSegmentation().SeparateSegmentLabelmap("value-7")
    assert memory.changed(*of) == whole
    memory.keep(*of, whole)
    memory.forget()
    assert memory.changed(*of) == whole


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_what_changed_is_found_however_extents_grow_and_shrink(node: Any, axis: int) -> None:
    from SuggestiveAnnotationPanel.labelmap_memory import LabelmapMemory

    segments.addSegments(node, SCHEMA)
    memory, of, rng = LabelmapMemory(), (node, grid(), SCHEMA), np.random.default_rng(axis)
    known = np.zeros(SHAPE, np.uint16)
    segments.importVolume(node, known, grid(), SCHEMA)
    memory.keep(*of, slice(0, SHAPE[0]))
    plane = tuple(n for a, n in enumerate(SHAPE) if a != axis)
    for turn in range(30):
        labels = np.zeros(plane, np.uint16)
        if turn % 3:
            top, left = (int(rng.integers(n - 3)) for n in plane)
            labels[top : top + 3, left : left + 3] = rng.choice(SCHEMA.values)
        segments.writeSlice(*of, axis, int(rng.integers(SHAPE[axis])), labels)
        rows, now = memory.changed(*of), segments.readVolume(*of)
        differ = np.flatnonzero((now != known).any(axis=(1, 2)))
        assert rows == (slice(differ[0], differ[-1] + 1) if len(differ) else slice(0, 0))
        memory.keep(*of, rows)
        known = now


def test_segments_look_as_the_schema_says(node: Any) -> None:
    segments.addSegments(node, SCHEMA)
    segmentation = node.GetSegmentation()
    assert tuple(segmentation.GetSegmentIDs()) == ("value-2", "value-7", "value-1", "ignore")
    core = segmentation.GetSegment("value-7")
    assert core.GetName() == "core"
    assert core.GetColor() == pytest.approx((86 / 255, 180 / 255, 233 / 255))
    entry = slicer.vtkSlicerTerminologyEntry()
    tag = vtk.mutable("")
    assert core.GetTag(core.GetTerminologyEntryTagName(), tag)
    terminologies = slicer.vtkSlicerTerminologiesModuleLogic()
    assert terminologies.DeserializeTerminologyEntry(str(tag), entry)
    assert entry.GetTypeObject().GetCodeValue() == "5366008"
    assert entry.GetTypeObject().GetCodingSchemeDesignator() == "SCT"
    assert entry.GetTypeObject().GetCodeMeaning() == "Hippocampus"
    assert entry.GetCategoryObject().GetCodeMeaning() == "Anatomical Structure"
    segmentation.GetSegment("value-1").GetTag(core.GetTerminologyEntryTagName(), tag)
    assert terminologies.DeserializeTerminologyEntry(str(tag), entry)
    assert entry.GetCategoryObject().GetCodeMeaning() == "Morphologically Altered Structure"


def test_removed_segments_are_named(node: Any) -> None:
    segments.addSegments(node, SCHEMA)
    node.GetSegmentation().RemoveSegment("value-1")
    assert segments.missingSegments(node, SCHEMA) == ["edge"]


def test_the_centre_of_a_slice_is_where_simpleitk_puts_it() -> None:
    import SimpleITK as sitk

    geometry = grid(OBLIQUE)
    image = sitk.Image(*geometry.size, sitk.sitkUInt8)
    image.SetSpacing(geometry.spacing)
    image.SetOrigin(geometry.origin_lps)
    image.SetDirection(geometry.direction_lps)
    for axis, index in ((0, 5), (1, 12), (2, 0)):
        ijk = [(n - 1) / 2 for n in geometry.size]
        ijk[2 - axis] = index
        x, y, z = image.TransformContinuousIndexToPhysicalPoint(ijk)
        assert segments.sliceCentreRAS(geometry, SliceRef("a", axis, index)) == pytest.approx((-x, -y, z))


def test_shipped_schemas_go_through(node: Any) -> None:
    schema = load_schema("malc-25")
    segments.addSegments(node, schema)
    labels = random_labels(np.random.default_rng(1), SHAPE, schema)
    segments.importVolume(node, labels, grid(), schema)
    assert np.array_equal(segments.readVolume(node, grid(), schema), labels)
