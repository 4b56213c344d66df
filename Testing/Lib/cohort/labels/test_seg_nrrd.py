"""Slicer's segmentations, written byte by byte as Slicer writes them: layers, cropped grids, overlaps, and damage."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from SuggestiveAnnotationLib.cohort.labels.label_file import labels_on, read_label_file
from SuggestiveAnnotationLib.cohort.labels.seg_nrrd import read_seg_nrrd
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.geometry import Geometry

TISSUE = "Segmentation category and type - 3D Slicer General Anatomy list~SCT^85756007^Tissue~SCT^85756007^Tissue~^^~Anatomic codes~^^~^^"
BRAIN = "Segmentation category and type~SCT^123037004^Anatomical Structure~SCT^12738006^Brain~^^~Anatomic codes - DICOM master list~^^~^^"


def write(path: Path, array: np.ndarray, segments: list[dict[str, Any]], *, origin=(1.0, 2.0, 3.0), raw: bytes = b"") -> Path:
    """`array` is `(k, j, i)`, or `(k, j, i, layer)` as Slicer writes several layers: the list axis comes first in the file."""
    layered = array.ndim == 4
    sizes = [*([array.shape[3]] if layered else []), *array.shape[2::-1]]
    kinds = {"uint8": "uchar", "uint16": "ushort", "int16": "short", "float32": "float"}
    lines = [
        "NRRD0004",
        "# Complete NRRD file format specification at:",
        f"type: {kinds[str(array.dtype)]}",
        f"dimension: {len(sizes)}",
        "space: left-posterior-superior",
        f"sizes: {' '.join(map(str, sizes))}",
        f"space directions: {'none ' if layered else ''}(0,0.5,0) (-0.7,0,0) (0,0,2)",
        f"kinds: {'list ' if layered else ''}domain domain domain",
        *(["endian: little"] if array.dtype.itemsize > 1 else []),
        "encoding: gzip",
        f"space origin: ({','.join(map(str, origin))})",
    ]
    for index, segment in enumerate(segments):
        lines += [f"Segment{index}_{key}:={value}" for key, value in segment.items()]
    lines += ["Segmentation_MasterRepresentation:=Binary labelmap", "Segmentation_ReferenceImageExtentOffset:=0 0 0"]
    packer = zlib.compressobj(wbits=31)
    data = packer.compress(np.ascontiguousarray(array).tobytes()) + packer.flush()
    path.write_bytes("\n".join(lines).encode() + (b"\n" + raw if raw else b"") + b"\n\n" + data)
    return path


def segment(name: str, value: int = 1, layer: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "ID": f"Segment_{name}",
        "Name": name,
        "LabelValue": value,
        "Layer": layer,
        "Color": "1 0.501961 0",
        "Extent": "0 1 0 2 0 3",
        **more,
    }


def test_one_layer_names_colours_terminology_and_grid(tmp_path):
    array = np.zeros((4, 3, 2), np.uint8)
    array[1, 2, 0], array[3] = 5, 2
    tags = {"Tags": f"Segmentation.Status:inprogress|TerminologyEntry:{BRAIN}|"}
    segments = [segment("brain", 5, **tags), segment("größe 左", 2, Tags=f"TerminologyEntry:{TISSUE}|")]
    found = read_label_file(write(tmp_path / "a.seg.nrrd", array, segments))
    assert np.array_equal(found.labels, array)
    assert found.labels.dtype == np.int32
    assert [(c.value, c.name, c.colour) for c in found.classes] == [(5, "brain", (255, 128, 0)), (2, "größe 左", (255, 128, 0))]
    assert [c.terminology for c in found.classes] == ["SCT^12738006^Brain", None]
    direction = (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    assert found.geometry.same_grid(Geometry((2, 3, 4), (0.5, 0.7, 2.0), (1.0, 2.0, 3.0), direction))
    assert found.notes == ()


def test_layers_with_repeated_values_and_overlap(tmp_path):
    array = np.zeros((4, 3, 2, 2), np.uint8)
    array[0, 0, :, 0] = 1  # a
    array[0, 1, :, 0] = 2  # c
    array[0, :, 0, 1] = 1  # b
    found = read_seg_nrrd(write(tmp_path / "a.seg.nrrd", array, [segment("a"), segment("b", 1, 1), segment("c", 2)]))
    values = {c.name: c.value for c in found.classes}
    assert values == {"a": 1, "b": 3, "c": 2}
    # The later segment of the list wins, whatever its layer: b over a, c over b.
    assert found.labels[0].tolist() == [[3, 1], [2, 2], [3, 0]]
    assert found.notes == (f"{tmp_path / 'a.seg.nrrd'}: 2 voxels lie in two segments or more; the later segment is kept there.",)


def test_a_cropped_grid_lies_in_its_place_on_the_image(tmp_path):
    array = np.ones((1, 3, 2), np.uint8)
    file = read_seg_nrrd(write(tmp_path / "a.seg.nrrd", array, [segment("a")], origin=(-0.4, 2.5, 7.0)))
    # Two slices up, two columns (-0.7 mm along x) and one row on.
    image = Geometry((5, 6, 4), (0.5, 0.7, 2.0), (1.0, 2.0, 3.0), (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0))
    labels = labels_on(file, image, name="a", reference_name="b")
    wanted = np.zeros((4, 6, 5), int)
    wanted[2, 2:5, 1:3] = 1
    assert np.array_equal(labels, wanted)


def test_segments_of_files_before_layers_have_a_component_each(tmp_path):
    array = np.zeros((4, 3, 2, 2), np.uint8)
    array[0, ..., 0], array[2, ..., 1] = 1, 1
    old = [{"ID": "a", "Name": "a", "DefaultColor": "0 1 0"}, {"ID": "b", "Name": ""}]
    found = read_seg_nrrd(write(tmp_path / "a.seg.nrrd", array, old))
    assert [(c.name, c.value) for c in found.classes] == [("a", 1), ("b", 2)]
    assert found.classes[0].colour == (0, 255, 0)
    assert (found.labels[0] == 1).all()
    assert (found.labels[2] == 2).all()
    assert not found.labels[1].any()


def test_layers_may_be_the_last_axis(tmp_path):
    array = np.zeros((2, 4, 3, 2), np.uint8)
    array[0, 0], array[1, 2] = 1, 1
    lines = ["NRRD0004", "type: uchar", "dimension: 4", "sizes: 2 3 4 2", "kinds: domain domain domain domain", "encoding: raw"]
    lines += ["Segment0_ID:=a", "Segment1_ID:=b"]
    (tmp_path / "a.seg.nrrd").write_bytes("\n".join(lines).encode() + b"\n\n" + array.tobytes())
    found = read_seg_nrrd(tmp_path / "a.seg.nrrd")
    assert [(c.name, c.value) for c in found.classes] == [("a", 1), ("b", 2)]
    assert np.array_equal(found.labels, array[0] + 2 * array[1])


def test_values_of_no_segment_are_background_and_told(tmp_path):
    array = np.full((4, 3, 2), 9, np.int16)
    array[0] = -3
    found = read_seg_nrrd(write(tmp_path / "a.seg.nrrd", array, [segment("a", -3)]))
    assert (found.labels[0] == 1).all()
    assert not found.labels[1:].any()
    assert found.notes[0].endswith("18 voxels have a value that belongs to no segment; they are taken for background.")


def test_a_labelmap_under_that_name_names_no_structures(tmp_path):
    array = np.arange(24, dtype=np.uint16).reshape(4, 3, 2)
    found = read_seg_nrrd(write(tmp_path / "a.seg.nrrd", array, []))
    assert np.array_equal(found.labels, array)
    assert found.classes == ()


def test_values_that_do_not_fit_get_others(tmp_path):
    array = np.full((4, 3, 2), 70000, np.float32)
    found = read_seg_nrrd(write(tmp_path / "a.seg.nrrd", array, [segment("a", 70000), segment("b", 1)]))
    assert [(c.name, c.value) for c in found.classes] == [("a", 2), ("b", 1)]
    assert (found.labels == 2).all()


def test_a_name_in_another_encoding_is_told(tmp_path):
    path = write(tmp_path / "a.seg.nrrd", np.ones((4, 3, 2), np.uint8), [], raw=b"Segment0_Name:=gr\xf6\xdfe\nSegment0_Layer:=0")
    with pytest.raises(InputError, match="not text in UTF-8"):
        read_seg_nrrd(path)


@pytest.mark.parametrize(
    ("segments", "sentence"),
    [
        ([segment("a", layer=1)], r"puts the segment a into layer 1, and has 1 layer"),
        ([segment("a", layer=-1)], r"into layer -1"),
        ([segment("a", value=0)], r"gives the segment a the value 0, which is background"),
        ([{**segment("a"), "LabelValue": "one"}], r"damaged header: Segment0_LabelValue is 'one'"),
        ([{**segment("a"), "LabelValue": "9" * 5000}], r"damaged header: Segment0_LabelValue is '9999"),
        ([{**segment("a"), "Color": "1 2"}], r"damaged header: the colour of a is '1 2'"),
        ([{**segment("a"), "Color": "nan 0 0"}], r"damaged header: the colour of a is 'nan 0 0'"),
    ],
)
def test_damaged_descriptions_are_told(tmp_path, segments, sentence):
    path = write(tmp_path / "a.seg.nrrd", np.ones((4, 3, 2), np.uint8), segments)
    with pytest.raises(InputError, match=sentence) as caught:
        read_seg_nrrd(path)
    assert str(path) in str(caught.value)


def test_layers_without_segments_are_told(tmp_path):
    path = write(tmp_path / "a.seg.nrrd", np.ones((4, 3, 2, 2), np.uint8), [])
    with pytest.raises(InputError, match="has 2 layers and does not say which segments"):
        read_seg_nrrd(path)


def test_fractions_are_no_segmentation(tmp_path):
    path = write(tmp_path / "a.seg.nrrd", np.full((4, 3, 2), 0.5, np.float32), [])
    with pytest.raises(InputError, match="not whole numbers"):
        read_seg_nrrd(path)


@pytest.mark.parametrize("keep", [0, 10, 200, -1])
def test_truncated_files_are_told(tmp_path, keep):
    path = write(tmp_path / "a.seg.nrrd", np.ones((4, 3, 2), np.uint8), [segment("a")])
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"a\.seg\.nrrd"):
        read_seg_nrrd(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_seg_nrrd(tmp_path / "a.seg.nrrd")
