"""Pictures of slices: PNG with an index, and COCO, read back by other libraries."""

from __future__ import annotations

import contextlib
import io
import json
import os
from dataclasses import replace

import numpy as np
import pytest
from dataset_content import DIRECTIONS, WIDE, make_case, make_content, native_slice, read, stage, with_labels
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from SuggestiveAnnotationLib.errors import ExistsError, InputError, StorageError
from SuggestiveAnnotationLib.export import coco, png, slice_pictures
from SuggestiveAnnotationLib.export.coco import run_lengths
from SuggestiveAnnotationLib.export.slice_pictures import grey_levels, robust_window, write_png
from SuggestiveAnnotationLib.study.records import Review

STEP = {"axial": ("posterior", "left"), "coronal": ("inferior", "left"), "sagittal": ("inferior", "posterior")}


def write(module, folder, content, *, overwrite=False):
    return module.write(folder, content, overwrite=overwrite, stage=stage(content))


def index_of(folder):
    return json.loads((folder / "png-slices" / "index.json").read_text(encoding="utf-8"))


def picture(path):
    with Image.open(path) as image:
        return np.asarray(image), image.mode


def open_coco(folder):
    from pycocotools.coco import COCO

    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(folder / "coco" / "annotations.json"))


# --- grey levels


def test_the_window_leaves_out_a_constant_background():
    volume = np.zeros((10, 10, 20), np.float32)
    volume.flat[:1001] = np.arange(1001) + 100
    # Of 100 to 1100 the percentiles 0.5 and 99.5 are 105 and 1095.
    assert robust_window(volume) == (105.0, 1095.0)


@pytest.mark.parametrize(("values", "window"), [([0, 1], (0.0, 1.0)), ([5, 5], (5.0, 5.0)), ([-3, 2, 2], (-3.0, 2.0))])
def test_the_window_of_two_values_or_one_is_all_of_them(values, window):
    assert robust_window(np.array(values, np.float32)) == window


def test_grey_levels_by_hand():
    values = np.array([[-10, 0, 50], [100, 1000, 49.9]], np.float32)
    assert grey_levels(values, (0.0, 100.0)).tolist() == [[0, 0, 128], [255, 255, 127]]
    assert grey_levels(values, (5.0, 5.0)).tolist() == [[0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_png_files_hold_every_value(tmp_path, kind):
    top = np.iinfo(kind).max
    values = np.array([[0, 1, 2], [top, top - 1, 255]], kind)
    write_png(tmp_path / "a.png", tmp_path, values)
    found, _ = picture(tmp_path / "a.png")
    assert (found == values).all()
    assert (read(tmp_path / "a.png") == values).all()


# --- PNG


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
@pytest.mark.parametrize("direction", list(DIRECTIONS))
def test_labels_and_images_lie_as_the_annotator_saw_them(tmp_path, direction, plane):
    one = make_case(tmp_path / "in", "sub-10", direction=direction, plane=plane)
    write(png, tmp_path, make_content(one, plane=plane))
    index = index_of(tmp_path)
    assert (index["rows_run_towards"], index["columns_run_towards"]) == STEP[plane]
    volume = read(one.case.images["T1"])
    for entry, annotation in zip(index["slices"], one.annotations, strict=True):
        assert entry["native_index"] == annotation.ref.native_index
        assert entry["slice"] == annotation.ref.native_index + 1
        labels, mode = picture(tmp_path / "png-slices" / entry["labels"])
        assert mode == "L"
        assert (labels == annotation.labels).all()
        grey, mode = picture(tmp_path / "png-slices" / entry["images"]["T1"])
        assert mode == "L"
        low, high = entry["windows"]["T1"]
        expected = np.clip((native_slice(volume, one.grid.frame, entry["native_index"]) - low) / (high - low), 0, 1) * 255
        assert np.abs(grey - expected).max() <= 0.5 + 1e-6
        rows, columns = one.grid.frame.spacing[1:]
        assert entry["spacing_mm"] == {"row": rows, "column": columns}


def test_labels_above_255_take_sixteen_bits(tmp_path):
    one = make_case(tmp_path / "in", "a", schema=WIDE)
    write(png, tmp_path, make_content(one))
    entry = index_of(tmp_path)["slices"][0]
    labels, mode = picture(tmp_path / "png-slices" / entry["labels"])
    assert mode.startswith("I")
    assert (labels == one.annotations[0].labels).all()
    palette = json.loads((tmp_path / "png-slices" / "palette.json").read_text(encoding="utf-8"))
    assert [(p["value"], p["name"], p["colour"]) for p in palette] == [
        (0, "background", [0, 0, 0]),
        (1002, "left", [1, 2, 3]),
        (40, "right", [4, 5, 6]),
        (65535, "ignore", [255, 255, 255]),
    ]


def test_the_index_says_whose_work_it_is_and_which_split_it_is_in(tmp_path):
    one = make_case(tmp_path / "in", "a", patient="p", role="test", slices=(1, 2))
    reviews = {one.annotations[1].id: Review(1, one.annotations[1].id, "zoë", "approved", "", "2026")}
    exported = write(png, tmp_path, make_content(one, reviews=reviews))
    first, second = index_of(tmp_path)["slices"]
    assert (first["case"], first["patient"], first["split"], first["annotator"]) == ("a", "p", "test", "anna")
    assert first["provenance"] == "corrected"
    assert (first["approved_by"], second["approved_by"]) == (None, "zoë")
    assert exported.left_out == ()
    assert str(tmp_path) not in (tmp_path / "png-slices" / "index.json").read_text(encoding="utf-8")
    listed = {p.relative_to(tmp_path / "png-slices").as_posix() for p in exported.files}
    assert listed == {
        "images/T1/a_slice-0002.png",
        "images/T1/a_slice-0003.png",
        "labels/a_slice-0002.png",
        "labels/a_slice-0003.png",
        "index.json",
        "palette.json",
        png.MARKER,
    }


def test_of_two_readers_the_last_is_shown_and_the_other_counted(tmp_path):
    one = make_case(tmp_path / "in", "a", slices=(1,))
    late = replace(one.annotations[0], id=9, annotator="ben", accepted_at="2027-01-01T10:00:00.000+00:00")
    exported = write(png, tmp_path, make_content(replace(one, annotations=(*one.annotations, late))))
    assert [e["annotator"] for e in index_of(tmp_path)["slices"]] == ["ben"]
    assert exported.left_out == ("1 annotation is left out because somebody accepted the same slice later.",)


@pytest.mark.parametrize("module", [png, coco])
def test_a_missing_image_is_said_and_a_missing_reference_leaves_the_case_out(tmp_path, module):
    both = make_case(tmp_path / "in", "both", modalities=("T1", "T2"))
    lone = make_case(tmp_path / "in", "lone", number=1)
    none = make_case(tmp_path / "in", "none", number=2, modalities=("T2",))
    exported = write(module, tmp_path, make_content(both, lone, none, modalities=("T1", "T2")))
    assert "Case none is left out: it has no image T1." in exported.left_out
    assert "Case lone has no image T2." in exported.left_out
    names = [p.relative_to(tmp_path).as_posix() for p in exported.files if p.suffix == ".png" and "images" in p.parts]
    assert sum("T2" in name for name in names) == 2
    assert not any("none" in name for name in names)


@pytest.mark.parametrize("module", [png, coco])
def test_odd_names_stay_inside_the_folder_and_apart(tmp_path, module):
    names = ["visit 1", "a/b", "../up", "Müller", "日本", "x" * 300, "A", "a"]
    cases = [make_case(tmp_path / "in", n, number=i, slices=(1,), modalities=("../T1/x", "T 2")) for i, n in enumerate(names)]
    exported = write(module, tmp_path / "out", make_content(*cases, modalities=("../T1/x", "T 2")))
    assert sorted(os.listdir(tmp_path)) == ["in", "out"]
    assert os.listdir(tmp_path / "out") == [module.FOLDER]
    images = [p for p in exported.files if "images" in p.parts]
    assert len(images) == 2 * len(names)
    assert all(p.name.isascii() for p in images)


@pytest.mark.parametrize("module", [png, coco])
def test_an_earlier_export_is_replaced_only_when_asked(tmp_path, module):
    first, second = (make_content(make_case(tmp_path / "in", f"p{i}", number=i)) for i in range(2))
    write(module, tmp_path, first)
    with pytest.raises(ExistsError, match="exists already"):
        write(module, tmp_path, second)
    exported = write(module, tmp_path, second, overwrite=True)
    assert all(p.is_file() for p in exported.files)
    assert not list((tmp_path / module.FOLDER).rglob("p0_*"))


@pytest.mark.parametrize("module", [png, coco])
def test_a_picture_cut_short_is_an_error_of_storage_and_leaves_nothing(tmp_path, module, monkeypatch):
    content = make_content(make_case(tmp_path / "in", "a"))
    original = slice_pictures.sitk.WriteImage

    def cut(image, path):
        original(image, path)
        os.truncate(path, os.path.getsize(path) // 2)

    monkeypatch.setattr(slice_pictures.sitk, "WriteImage", cut)
    with pytest.raises(StorageError, match="could not be written"):
        write(module, tmp_path / "out", content)
    assert os.listdir(tmp_path / "out") == []


@pytest.mark.parametrize("module", [png, coco])
def test_no_case_with_an_image_is_refused(tmp_path, module):
    one = make_case(tmp_path / "in", "a", modalities=("T2",))
    with pytest.raises(InputError, match=r"No case can be exported\. Case a is left out"):
        write(module, tmp_path / "out", make_content(one))


# --- COCO


@given(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12)))
def test_run_lengths_are_those_of_pycocotools(mask):
    from pycocotools import mask as tools

    ours = run_lengths(mask)
    assert sum(ours["counts"]) == mask.size
    packed = tools.frPyObjects(ours, *mask.shape)
    assert (tools.decode(packed) == mask).all()
    assert packed["counts"] == tools.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]


def test_run_lengths_by_hand():
    mask = np.array([[0, 1, 1], [0, 1, 0]], bool)
    assert run_lengths(mask) == {"counts": [2, 3, 1], "size": [2, 3]}
    assert run_lengths(~mask) == {"counts": [0, 2, 3, 1], "size": [2, 3]}


@pytest.mark.parametrize("schema", ["plain", "wide"])
@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
@pytest.mark.parametrize("direction", ["permuted and flipped", "oblique and permuted"])
def test_pycocotools_reads_every_structure_pixel_by_pixel(tmp_path, direction, plane, schema):
    from dataset_content import SCHEMA

    schema = WIDE if schema == "wide" else SCHEMA
    cases = [make_case(tmp_path / "in", f"c{i}", number=i, direction=direction, plane=plane, schema=schema) for i in range(2)]
    write(coco, tmp_path, make_content(*cases, plane=plane))
    data = open_coco(tmp_path)
    assert {c["id"]: c["name"] for c in data.loadCats(data.getCatIds())} == {c.value: c.name for c in schema.classes}
    drawn = {(a.ref.case, a.ref.native_index): a.labels for one in cases for a in one.annotations}
    images = data.loadImgs(data.getImgIds())
    assert len(images) == len(drawn)
    for image in images:
        labels = drawn[image["case"], image["native_index"]]
        assert (image["height"], image["width"]) == labels.shape
        assert picture(tmp_path / "coco" / image["file_name"])[0].shape == labels.shape
        found = data.loadAnns(data.getAnnIds(imgIds=image["id"]))
        assert sorted(a["category_id"] for a in found) == sorted(v for v in schema.values[1:] if (labels == v).any())
        for one in found:
            mask = labels == one["category_id"]
            assert (data.annToMask(one) == mask).all()
            assert one["area"] == mask.sum()
            assert one["iscrowd"] == 0
            x, y, width, height = one["bbox"]
            assert mask[y : y + height, x : x + width].sum() == mask.sum()
            assert mask[y].any()
            assert mask[y + height - 1].any()
            assert mask[:, x].any()
            assert mask[:, x + width - 1].any()
        assert (data.annToMask({"image_id": image["id"], "segmentation": image["ignore"]}) == (labels == schema.ignore_value)).all()


@given(hnp.arrays(np.uint16, (6, 7), elements=st.sampled_from([0, 2, 7, 255])))
def test_structures_area_and_box_are_those_of_pycocotools(labels):
    from dataset_content import SCHEMA
    from pycocotools import mask as tools

    for found in coco._structures(labels, SCHEMA):
        packed = tools.frPyObjects(found["segmentation"], 6, 7)
        assert (tools.decode(packed) == (labels == found["category_id"])).all()
        assert int(tools.area(packed)) == found["area"]
        assert tools.toBbox(packed).tolist() == found["bbox"]


def test_a_slice_without_a_structure_is_an_image_without_annotations(tmp_path):
    one = with_labels(make_case(tmp_path / "in", "a"), {1: np.zeros((6, 7)), 2: np.full((6, 7), 7)})
    exported = write(coco, tmp_path, make_content(one))
    data = open_coco(tmp_path)
    empty, full = data.loadImgs(data.getImgIds())
    assert data.getAnnIds(imgIds=empty["id"]) == []
    assert len(data.getAnnIds(imgIds=full["id"])) == 1
    assert "ignore" not in full
    assert exported.left_out == ()


def test_pixels_to_ignore_are_said_to_be_outside_of_coco(tmp_path):
    exported = write(coco, tmp_path, make_content(make_case(tmp_path / "in", "a", slices=(1, 2))))
    said = "2 slices have pixels to ignore, which COCO cannot say; they are in the field `ignore` of the image."
    assert exported.left_out == (said,)


def test_the_modalities_of_an_image_are_named(tmp_path):
    one = make_case(tmp_path / "in", "a", slices=(1,), modalities=("T1", "T2"), other_grid=True)
    write(coco, tmp_path, make_content(one, modalities=("T1", "T2")))
    image = json.loads((tmp_path / "coco" / "annotations.json").read_text(encoding="utf-8"))["images"][0]
    assert image["file_name"] == "images/T1/a_slice-0002.png"
    assert image["modalities"] == {"T1": "images/T1/a_slice-0002.png", "T2": "images/T2/a_slice-0002.png"}
    assert picture(tmp_path / "coco" / image["modalities"]["T2"])[0].shape == (6, 7)
