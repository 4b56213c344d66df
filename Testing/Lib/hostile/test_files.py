"""One broken file: one sentence that names it, at once and without memory. In a cohort, its case is left out and the others stay usable."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from broken_files import BROKEN, CODES, SFORM, SHAPE, bomb, bounded, labels, noise, patched, sound

from SuggestiveAnnotationLib.cohort.files.read import read_geometry, read_header, read_labels, read_volume
from SuggestiveAnnotationLib.cohort.layouts.discover import discover
from SuggestiveAnnotationLib.engine.cohort import create
from SuggestiveAnnotationLib.engine.prepare import prepare
from SuggestiveAnnotationLib.errors import InputError

ASK = """
import json
from SuggestiveAnnotationLib.cohort.files.read import read_geometry, read_labels, read_volume
from SuggestiveAnnotationLib.errors import InputError
for name in json.loads(sys.argv[1]):
    answers = []
    for read in (read_geometry, read_volume, read_labels):
        try:
            read(name)
            answers.append("read")
        except InputError as error:
            answers.append(error.sentence if error.hint else "no hint: " + error.sentence)
    print(json.dumps([name, *answers]), flush=True)
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, ...]]:
    """What is wrong -> what reading the grid, the image and the labels said; all in one process with little memory and time."""
    folder = tmp_path_factory.mktemp("broken")
    paths = {}
    for number, (what, (name, make, _)) in enumerate(BROKEN.items()):
        (folder / str(number)).mkdir()
        path = folder / str(number) / name
        make(path)
        paths[what] = path
    ran = bounded(ASK, json.dumps([str(p) for p in paths.values()]))
    assert ran.returncode == 0, ran.stderr
    assert not ran.stderr
    said = {row[0]: tuple(row[1:]) for row in map(json.loads, ran.stdout.splitlines())}
    return {what: said[str(path)] for what, path in paths.items()}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_file_gets_one_sentence_that_names_it(what: str, answers: dict[str, tuple[str, ...]]) -> None:
    name, _, says = BROKEN[what]
    grid, image, mask = answers[what]
    # What only every voxel can tell is left to reading them.
    for said in (image, mask) if what == "complex" else (grid, image, mask):
        assert said != "read"
        assert name in said
        assert not said.startswith("no hint")
    assert any(word in image for word in says.split("|"))


def test_in_a_cohort_each_broken_file_costs_its_own_case_only(tmp_path: Path) -> None:
    cohort = tmp_path / "cohort"
    left = ["truncated gzip", "zero bytes", "a picture", "a pipe", "a socket", "a device", "a dangling link", "a link to itself"]
    left += ["bits of another type", "negative spacing", "absurd size", "mhd outside", "mhd pipe", "nrrd device", "a web page"]
    for number, what in enumerate(left):
        name, make, _ = BROKEN[what]
        case = cohort / f"case{number:02}"
        case.mkdir(parents=True)
        make(case / name.replace("a.", "t1."))
    for number in (50, 51):
        sound(cohort / f"case{number}" / "t1.nii.gz", noise(number))
    plan = discover(cohort)
    assert [c.name for c in plan.usable] == ["case50", "case51"]
    assert len(plan.excluded) == len(left)
    for case in plan.excluded:
        assert "t1." in case.excluded_reason
        assert case.name in case.excluded_reason


def test_decompression_stops_at_what_the_header_promises(tmp_path: Path) -> None:
    path = bomb(tmp_path / "a.nii.gz")
    assert path.stat().st_size < 200 << 20
    ran = bounded(ASK, json.dumps([str(path)]), seconds=30, extra_mib=300)
    assert ran.returncode == 0, ran.stderr
    for said in json.loads(ran.stdout)[1:]:
        assert "more voxels than the 10 x 8 x 6 that its header promises" in said


def test_a_packed_metaimage_that_never_ends_is_not_unpacked(tmp_path: Path) -> None:
    import zlib

    pack = zlib.compressobj(9)
    packed = b"".join(pack.compress(bytes(1 << 24)) for _ in range(24)) + pack.flush()
    good = sound(tmp_path / "good.mha", compress=True).read_bytes()
    head = good[: good.index(b"LOCAL\n") + 6]
    size = next(line for line in head.splitlines() if line.startswith(b"CompressedDataSize"))
    path = tmp_path / "a.mha"
    path.write_bytes(head.replace(size, b"CompressedDataSize = %d" % len(packed)) + packed)
    ran = bounded(ASK, json.dumps([str(path)]), seconds=30, extra_mib=200)
    assert ran.returncode == 0, ran.stderr
    assert "more voxels than" in json.loads(ran.stdout)[2]


@pytest.mark.parametrize(("name", "order"), [("a.nii", ">"), ("a.nii.gz", "<")])
def test_both_byte_orders_and_wide_integers_are_read(tmp_path: Path, name: str, order: str) -> None:
    array = noise().astype(np.int64)
    if order == "<":
        assert np.array_equal(read_volume(sound(tmp_path / name, array)).array, array)
        return
    import struct

    data = bytearray(sound(tmp_path / name, noise()).read_bytes())
    floats = [*range(76, 108, 4), 108, 112, 116, *range(256, 328, 4)]
    for code, places in (("i", [0]), ("h", [*range(40, 56, 2), 68, 70, 72, 252, 254]), ("f", floats)):
        for place in places:
            struct.pack_into(">" + code, data, place, *struct.unpack_from("<" + code, data, place))
    data[352:] = noise().astype(">i2").tobytes()
    (tmp_path / name).write_bytes(data)
    volume = read_volume(tmp_path / name)
    assert np.array_equal(volume.array, noise())
    assert volume.geometry.spacing == pytest.approx((0.8, 0.9, 3.0))


def test_labels_in_floating_point_are_taken_when_whole_and_refused_when_not(tmp_path: Path) -> None:
    found, _ = read_labels(sound(tmp_path / "whole.nii.gz", labels().astype(np.float64)))
    assert np.array_equal(found, labels())
    with pytest.raises(InputError, match=r"half\.nii\.gz is no labelmap: 24 voxels .*0\.5"):
        read_labels(sound(tmp_path / "half.nii.gz", labels() * np.float32(0.5)))


def test_a_file_that_goes_or_changes_between_finding_and_preparing_costs_its_case(tmp_path: Path) -> None:
    cohort = tmp_path / "cohort"
    for number in range(4):
        sound(cohort / f"case{number}_t1.nii.gz", noise(number) * (labels().astype(np.int16) * 3 + 1))
        sound(cohort / f"case{number}_seg.nii.gz", labels())
    study = create(tmp_path / "study", plan=discover(cohort))
    (cohort / "case1_t1.nii.gz").unlink()
    (cohort / "case2_t1.nii.gz").write_bytes(b"")
    (cohort / "case3_seg.nii.gz").unlink()
    prepared = prepare(study, pixels=32)
    assert prepared.built == 1
    assert prepared.excluded.keys() == {"case1", "case2", "case3"}
    assert "does not exist" in prepared.excluded["case1"]
    assert "empty" in prepared.excluded["case2"]
    assert "case3_seg" in prepared.excluded["case3"]


# Where a NIfTI file says that it lies --------------------------------------------------------------------------------------------


def moved(path: Path, millimetres: float, codes: tuple[int, int]) -> Path:
    """The sform is moved along x; `codes` are those of qform and sform."""
    patched(path, CODES, "2h", *codes)
    import struct

    data = bytearray(path.read_bytes())
    struct.pack_into("<f", data, SFORM + 12, struct.unpack_from("<f", data, SFORM + 12)[0] + millimetres)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("codes", "used", "unused", "origin"),
    [((1, 1), "sform", "qform", -34.0), ((1, 2), "qform", "sform", -10.0), ((2, 1), "sform", "qform", -34.0)],
)
def test_a_qform_and_an_sform_that_disagree_are_told_with_the_one_that_is_used(
    tmp_path: Path, codes: tuple[int, int], used: str, unused: str, origin: float
) -> None:
    geometry, notes = read_header(moved(tmp_path / "a.nii", 24.0, codes))
    assert geometry.origin_lps[0] == pytest.approx(origin)
    (note,) = notes
    assert "a.nii" in note
    assert "differ by up to 24.0 mm" in note
    assert f"its {used} is used, its {unused} is not" in note


def test_frames_that_agree_or_stand_alone_are_not_mentioned(tmp_path: Path) -> None:
    assert read_header(moved(tmp_path / "a.nii", 0.0, (1, 1)))[1] == ()
    assert read_header(moved(tmp_path / "b.nii", 24.0, (0, 1)))[1] == ()
    assert read_header(moved(tmp_path / "c.nii", 24.0, (1, 0)))[1] == ()


def test_a_file_without_any_frame_is_used_and_told(tmp_path: Path) -> None:
    path = moved(tmp_path / "case0_t1.nii", 0.0, (0, 0))
    assert read_geometry(path).size == SHAPE[::-1]
    (case,) = discover(tmp_path).cases
    assert case.role == "pool"
    assert "neither qform nor sform" in case.problems[0]
    assert "left and right" in case.problems[0]
    assert read_volume(path).notes == case.problems
