from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from SuggestiveAnnotationLib.cohort.embedded.anatomy import LATTICE_MM, Anatomy, make_anatomy
from SuggestiveAnnotationLib.cohort.embedded.cohort import EmbeddedCohort, embedded_schema, write_embedded_cohort
from SuggestiveAnnotationLib.cohort.embedded.fields import compose, exponential, smooth_noise, upsample
from SuggestiveAnnotationLib.cohort.embedded.grid import PLAIN, PROTOCOLS, Protocol, ScanGrid, rotation_of
from SuggestiveAnnotationLib.cohort.embedded.image import MINIMUM_CONTRAST, NEIGHBOURS, SEQUENCES, draw_contrast, render
from SuggestiveAnnotationLib.cohort.embedded.lesion import draw_plan, mass_effect
from SuggestiveAnnotationLib.cohort.embedded.template import BrainTemplate, load_template
from SuggestiveAnnotationLib.cohort.labels.schema import load_schema
from SuggestiveAnnotationLib.errors import Cancelled, InputError, StorageError
from SuggestiveAnnotationLib.geometry import SliceFrame
from SuggestiveAnnotationLib.progress import CancelToken, ProgressEvent
from SuggestiveAnnotationLib.types import Case

pytest.importorskip("nilearn")

COARSE = (4.0, 4.0, 4.0)
SETTINGS = EmbeddedCohort(subjects=7, spacing=COARSE, modalities=("t1", "flair"))


@pytest.fixture(scope="module")
def template() -> BrainTemplate:
    return load_template()


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> tuple[Case, ...]:
    return write_embedded_cohort(tmp_path_factory.mktemp("cohort"), SETTINGS)


def read(path: str | None) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def content(case: Case) -> dict[str, bytes]:
    return {Path(p).name: Path(p).read_bytes() for p in (*case.images.values(), str(case.label))}


def jacobian(displacement: np.ndarray, step: float) -> np.ndarray:
    """Determinant of the Jacobian of `u + displacement(u)` at every lattice point; positive where nothing folds."""
    rows = [np.stack(np.gradient(part, step)) for part in displacement]
    matrix = np.moveaxis(np.stack(rows), (0, 1), (-2, -1)) + np.eye(3)
    return np.asarray(np.linalg.det(matrix), np.float32)


def lesion_cases(cohort: tuple[Case, ...]) -> list[Case]:
    return [case for index, case in enumerate(cohort) if SETTINGS.has_lesion(index)]


def anatomy(template: BrainTemplate, seed: int, *, protocol: Protocol = PLAIN, lesion: bool = True) -> Anatomy:
    return make_anatomy(template, np.random.SeedSequence(seed), spacing=COARSE, protocol=protocol, lesion=lesion)


# Files


def test_the_same_seed_gives_bit_identical_files_and_another_seed_gives_other_people(cohort: tuple[Case, ...], tmp_path: Path) -> None:
    again = write_embedded_cohort(tmp_path / "again", replace(SETTINGS, subjects=1))
    assert content(again[0]) == content(cohort[0])
    other = write_embedded_cohort(tmp_path / "other", replace(SETTINGS, subjects=1, seed=1))
    assert content(other[0])["labels.nii.gz"] != content(cohort[0])["labels.nii.gz"]


def test_a_subject_depends_neither_on_how_many_are_made_nor_on_the_other_modalities(cohort: tuple[Case, ...], tmp_path: Path) -> None:
    two = write_embedded_cohort(tmp_path, replace(SETTINGS, subjects=2, modalities=("flair",)))
    full = content(cohort[1])
    assert content(two[1]) == {name: full[name] for name in ("flair.nii.gz", "labels.nii.gz")}


def test_complete_subjects_are_kept_and_broken_ones_made_again(tmp_path: Path) -> None:
    settings = replace(SETTINGS, subjects=2)
    before = write_embedded_cohort(tmp_path, settings)
    files = content(before[1])
    stamp = Path(before[0].images["t1"]).stat().st_mtime_ns
    Path(before[1].images["flair"]).write_bytes(files["flair.nii.gz"][:1000])
    (tmp_path / "sub-02" / ".t1-killed.nii.gz").write_bytes(b"half")
    after = write_embedded_cohort(tmp_path, settings)
    assert after == before
    assert content(after[1]) == files
    assert Path(after[0].images["t1"]).stat().st_mtime_ns == stamp
    assert {p.name for p in (tmp_path / "sub-02").iterdir()} == {"t1.nii.gz", "flair.nii.gz", "labels.nii.gz", "embedded.json"}


def test_other_settings_replace_what_was_made_before(tmp_path: Path) -> None:
    settings = replace(SETTINGS, subjects=1)
    write_embedded_cohort(tmp_path, settings)
    write_embedded_cohort(tmp_path, replace(settings, modalities=("t2",)))
    assert {p.name for p in (tmp_path / "sub-01").iterdir()} == {"t2.nii.gz", "labels.nii.gz", "embedded.json"}


def test_cancelling_keeps_complete_subjects_and_the_next_call_goes_on(tmp_path: Path) -> None:
    cancel = CancelToken()
    events: list[ProgressEvent] = []

    def stop_after_the_first(event: ProgressEvent) -> None:
        events.append(event)
        if event.done == 1:
            cancel.cancel()

    settings = replace(SETTINGS, subjects=2)
    with pytest.raises(Cancelled):
        write_embedded_cohort(tmp_path, settings, progress=stop_after_the_first, cancel=cancel)
    assert [p.name for p in tmp_path.iterdir()] == ["sub-01"]
    assert [(e.done, e.total) for e in events] == [(0, 2), (1, 2)]
    assert len(write_embedded_cohort(tmp_path, settings)) == 2


def test_a_folder_with_somebody_elses_files_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "sub-01").mkdir()
    (tmp_path / "sub-01" / "t1.nii.gz").write_bytes(b"precious")
    with pytest.raises(InputError, match="sub-01"):
        write_embedded_cohort(tmp_path, SETTINGS)
    assert (tmp_path / "sub-01" / "t1.nii.gz").read_bytes() == b"precious"


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError):
        write_embedded_cohort(tmp_path / "file", SETTINGS)


def test_the_schema_lies_beside_the_cases(cohort: tuple[Case, ...]) -> None:
    path = Path(cohort[0].images["t1"]).parents[1] / "schema.json"
    assert load_schema(path) == embedded_schema()


# What is in the images


def test_no_brain_is_cut_by_the_border_although_the_template_is(cohort: tuple[Case, ...], template: BrainTemplate) -> None:
    assert template.grey[0].any()
    for case in cohort:
        for array in (read(case.label), *(read(path) for path in case.images.values())):
            for axis in range(3):
                for end in (0, 1, -1, -2):
                    assert not array.take(end, axis).any(), case.name


def test_every_subject_has_every_tissue_in_plausible_amounts(cohort: tuple[Case, ...]) -> None:
    for case in cohort:
        voxel = np.prod(case.geometry.spacing) / 1000
        fluid, grey, white = (float((read(case.label) == value).sum() * voxel) for value in (1, 2, 3))
        assert 70 < fluid < 450, case.name
        assert 600 < grey < 1500, case.name
        assert 380 < white < 1000, case.name


def test_lesions_are_nested_and_no_part_is_negligible(cohort: tuple[Case, ...]) -> None:
    cases = lesion_cases(cohort)
    assert len(cases) >= 3
    for case in cases:
        labels = read(case.label)
        parts = np.array([(labels == value).sum() for value in (4, 5, 6)])
        assert parts.sum() * np.prod(case.geometry.spacing) / 1000 > 15
        oedema, rim, core = parts / parts.sum()
        assert 0.35 < oedema < 0.8, case.name
        assert 0.08 < rim < 0.45, case.name
        assert 0.08 < core < 0.35, case.name
        core_mask, tumour, whole = labels == 6, labels >= 5, labels >= 4
        # The rim is 2.2 mm thick at its thinnest, half a voxel here, and the brain's surface may cut a lesion.
        assert shell_inside(core_mask, tumour) > 0.65, case.name
        assert shell_inside(tumour, whole) > 0.7, case.name


def shell_inside(inner: np.ndarray, outer: np.ndarray) -> float:
    """Share of the faces of `inner` that look at `outer`; 1 where it is enclosed."""
    looking = total = 0
    for axis in range(3):
        for step in (1, -1):
            beside = np.roll(inner, step, axis) & ~inner
            looking += int((beside & outer).sum())
            total += int(beside.sum())
    return looking / total


def test_lesions_are_not_balls(template: BrainTemplate) -> None:
    for seed in range(3):
        made = anatomy(template, seed)
        whole = made.tissue >= 4
        distance = ndimage.distance_transform_edt(whole, sampling=made.fine_spacing)
        radius = (3 / 4 / np.pi * whole.sum() * np.prod(made.fine_spacing)) ** (1 / 3)
        assert distance.max() < 0.8 * radius  # 1 for a ball


def test_healthy_subjects_have_no_lesion_and_the_share_is_kept_at_every_size(cohort: tuple[Case, ...]) -> None:
    for index, case in enumerate(cohort):
        assert bool((read(case.label) > 3).any()) == SETTINGS.has_lesion(index)
    for share in (0.0, 0.25, 0.6, 1.0):
        for seed in range(5):
            has = [EmbeddedCohort(seed=seed, lesions=share).has_lesion(i) for i in range(40)]
            assert all(abs(sum(has[:n]) - share * n) <= 1 for n in range(1, 41))


def test_the_background_is_exactly_zero_and_labels_lie_inside_the_image(cohort: tuple[Case, ...]) -> None:
    for case in cohort:
        labels = read(case.label)
        for path in case.images.values():
            image = read(path)
            assert (image[labels > 0] > 0).all()
            assert image.min() == 0
            assert 0.7 < (labels > 0).sum() / (image > 0).sum() <= 1


@given(st.sampled_from(sorted(SEQUENCES)), st.integers(0, 2**32 - 1))
def test_noise_and_texture_never_hide_a_border(modality: str, seed: int) -> None:
    contrast = draw_contrast(modality, np.random.default_rng(seed))
    spread = np.hypot(contrast.noise, contrast.texture)
    for a, b in NEIGHBOURS:
        assert abs(contrast.means[a] - contrast.means[b]) >= MINIMUM_CONTRAST * spread * (1 - 1e-6)
    assert contrast.noise > 0.008


@pytest.fixture(scope="module")
def fine_anatomy(template: BrainTemplate) -> Anatomy:
    return make_anatomy(template, np.random.SeedSequence(11), spacing=(3.0, 2.0, 2.0), protocol=PLAIN, lesion=True)


@pytest.mark.parametrize("modality", sorted(SEQUENCES))
def test_borders_are_seen_in_the_finished_image(fine_anatomy: Anatomy, modality: str) -> None:
    made = fine_anatomy
    seed = np.random.SeedSequence(5)
    contrast = draw_contrast(modality, np.random.default_rng(seed))
    image = render(made, modality, seed) / contrast.gain
    for a, b in NEIGHBOURS:
        across = []
        for axis in range(3):
            for first, second in ((a, b), (b, a)):
                here, there = np.delete(made.labels, -1, axis), np.delete(made.labels, 0, axis)
                step = np.diff(image, axis=axis)[(here == first) & (there == second)]
                across.append(step if first == a else -step)
        steps = np.concatenate(across)
        assert len(steps) > 20
        # Partial volume takes some of the contrast, most around thin layers.
        gap = float(contrast.means[b] - contrast.means[a])
        assert steps.mean() / gap > 0.3, (a, b)
        assert (np.sign(steps) == np.sign(gap)).mean() > 0.7, (a, b)


def test_both_sides_of_a_brain_differ_and_so_do_two_brains(template: BrainTemplate) -> None:
    def dice(a: np.ndarray, b: np.ndarray) -> float:
        return float(2 * (a & b).sum() / (a.sum() + b.sum()))

    first, second = (anatomy(template, seed, lesion=False).labels for seed in (1, 2))
    middle = [(p.start + p.stop) // 2 for p in ndimage.find_objects((first > 0).astype(np.uint8))[0]]
    half = min(middle[2], first.shape[2] - middle[2]) - 1
    left = first[:, :, middle[2] - half : middle[2]] == 3
    right = first[:, :, middle[2] : middle[2] + half][:, :, ::-1] == 3
    assert 0.4 < dice(left, right) < 0.9
    smaller = tuple(slice(0, min(n, m)) for n, m in zip(first.shape, second.shape, strict=True))
    assert dice(first[smaller] == 3, second[smaller] == 3) < 0.8


# Deformation


@pytest.mark.parametrize("seed", range(6))
def test_no_anatomy_folds_with_or_without_a_lesion(template: BrainTemplate, seed: int) -> None:
    determinant = jacobian(anatomy(template, seed, lesion=seed % 2 == 0).displacement, LATTICE_MM)
    assert determinant.min() > 0.05
    assert determinant.max() < 8


def test_the_mass_effect_pushes_outward_and_keeps_the_order(template: BrainTemplate) -> None:
    rng = np.random.default_rng(0)
    radius = np.linspace(0, 80, 400, dtype=np.float32)
    offset = np.stack([radius, 0 * radius, 0 * radius])[:, :, None, None]
    for _ in range(50):
        shown = radius + mass_effect(draw_plan(rng), offset, np.full((400, 1, 1), 40, np.float32))[0, :, 0, 0]
        assert (shown <= radius).all()
        assert (radius - shown).max() > 1.5
        assert (np.diff(shown) > 0).all()


def test_the_exponential_of_a_field_and_of_its_negative_cancel() -> None:
    rng = np.random.default_rng(3)
    velocity = np.stack([4 * smooth_noise(rng, (30, 30, 30), (4, 4, 4), 35) for _ in range(3)])
    back_and_forth = compose(exponential(velocity, 4.0), exponential(-velocity, 4.0), 4.0)
    inner = (slice(None), *[slice(5, -5)] * 3)
    assert np.abs(back_and_forth[inner]).max() < 0.5
    assert jacobian(exponential(velocity, 4.0), 4.0).min() > 0


def test_spline_fields_keep_constants_and_slopes_and_have_unit_deviation() -> None:
    slope = np.arange(8.0, dtype=np.float32).reshape(8, 1, 1) + np.zeros((8, 9, 10), np.float32)
    out = upsample(slope, (np.linspace(1, 6, 17), np.linspace(1, 7, 5), np.linspace(1, 8, 4)))
    np.testing.assert_allclose(out, np.broadcast_to(np.linspace(1, 6, 17)[:, None, None], (17, 5, 4)), atol=1e-5)
    noise = smooth_noise(np.random.default_rng(0), (60, 60, 60), (1, 1, 1), 2.5)
    assert noise.std() == pytest.approx(1, abs=0.05)


# Geometry


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda p: p.name)
def test_every_storage_order_keeps_each_voxel_at_its_place_in_the_world(protocol: Protocol) -> None:
    shape, spacing = (4, 5, 6), (3.0, 2.0, 1.5)
    rotation, centre = rotation_of(protocol.tilt), np.array([10.0, -20.0, 30.0])
    assert rotation @ rotation.T == pytest.approx(np.eye(3))
    assert np.linalg.det(rotation) == pytest.approx(1)
    index = np.indices(shape).reshape(3, -1)
    world = centre[:, None] + rotation @ ((index - (np.array(shape)[:, None] - 1) / 2) * np.array(spacing)[:, None])
    for anatomical, name in enumerate("zyx"):
        values = world[anatomical].reshape(shape)
        image = ScanGrid(shape, spacing, rotation, centre, protocol).to_image(values)
        for i, j, k in np.ndindex(*image.GetSize()):
            point = image.TransformIndexToPhysicalPoint((i, j, k))
            assert image[i, j, k] == pytest.approx(point["xyz".index(name)], abs=1e-9)


def test_images_and_labels_of_a_case_share_a_grid_in_every_storage_order(cohort: tuple[Case, ...]) -> None:
    directions = set()
    for case in cohort:
        label = sitk.ReadImage(str(case.label))
        for path in case.images.values():
            image = sitk.ReadImage(path)
            assert image.GetSize() == label.GetSize()
            assert image.GetSpacing() == label.GetSpacing()
            assert image.GetOrigin() == label.GetOrigin()
            assert image.GetDirection() == label.GetDirection()
        assert case.geometry.direction_lps == label.GetDirection()
        directions.add(tuple(np.round(label.GetDirection(), 2)))
    assert len(directions) == len(PROTOCOLS)


def test_canonical_slices_look_alike_whatever_the_storage_order(template: BrainTemplate) -> None:
    plain = anatomy(template, 4)
    for protocol in PROTOCOLS:
        if protocol.stretch != PLAIN.stretch or protocol.tilt != PLAIN.tilt:
            continue
        stored = anatomy(template, 4, protocol=protocol)
        image = stored.grid.to_image(stored.labels)
        frame = SliceFrame.of(geometry_of(image), "axial")
        slices = frame.stack(sitk.GetArrayFromImage(image))
        if protocol.flips[protocol.axes.index(0)]:
            slices = slices[::-1]
        assert np.array_equal(slices, plain.labels), protocol.name


def geometry_of(image: sitk.Image):  # type: ignore[no-untyped-def]
    from SuggestiveAnnotationLib.geometry import Geometry

    return Geometry(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())


def test_every_head_stands_upright_in_the_world(cohort: tuple[Case, ...]) -> None:
    for case in cohort:
        image = sitk.ReadImage(str(case.label))
        ijk = np.argwhere(sitk.GetArrayFromImage(image) > 0)[:, ::-1]
        matrix = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
        xyz = ijk @ matrix.T + image.GetOrigin()
        low, high = np.percentile(xyz, [1, 99], axis=0)
        assert high[1] - low[1] > max(high[0] - low[0], high[2] - low[2]) + 10, case.name
        # The lowest tenth is brain stem and cerebellum, which lie behind the middle.
        lowest = xyz[xyz[:, 2] < low[2] + 0.1 * (high[2] - low[2])]
        assert lowest[:, 1].mean() > xyz[:, 1].mean(), case.name


def test_without_variety_every_subject_is_plain_axial(tmp_path: Path) -> None:
    for case in write_embedded_cohort(tmp_path, replace(SETTINGS, subjects=2, orientation_variety=False)):
        assert case.geometry.direction_lps == (1, 0, 0, 0, 1, 0, 0, 0, 1)
        assert case.geometry.spacing == COARSE


# Settings and what is missing


@pytest.mark.parametrize(
    "change",
    [
        {"subjects": 0},
        {"seed": -1},
        {"modalities": ()},
        {"modalities": ("t1", "t1")},
        {"modalities": ("pd",)},
        {"lesions": 1.5},
        {"lesions": float("nan")},
        {"spacing": (3.0, 0.1, 2.0)},
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused_with_a_hint(change: dict[str, object]) -> None:
    with pytest.raises(InputError) as refused:
        replace(SETTINGS, **change)  # type: ignore[arg-type]
    assert refused.value.hint


def test_the_schema_has_distinct_colours_and_nested_regions_and_drops_lesions_when_told() -> None:
    schema = embedded_schema()
    assert schema.values == (0, 1, 2, 3, 4, 5, 6)
    assert len({c.colour for c in schema.classes}) == 6
    assert set(schema.regions["tumour core"]) < set(schema.regions["whole tumour"])
    assert not {c.name for c in schema.classes} & set(schema.regions)
    healthy = embedded_schema(lesions=False)
    assert healthy.values == (0, 1, 2, 3)
    assert not healthy.regions


def test_without_nilearn_a_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nilearn", None)
    with pytest.raises(InputError, match="nilearn") as missing:
        write_embedded_cohort(tmp_path, SETTINGS)
    assert "Install nilearn" in missing.value.hint


def test_a_damaged_template_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"mni_icbm152_t1.*cannot be read"):
        load_template(tmp_path)


def test_neither_nilearn_nor_torch_is_imported() -> None:
    code = (
        "import sys, json; from SuggestiveAnnotationLib.cohort.embedded.template import load_template;"
        "import SuggestiveAnnotationLib.cohort.embedded.cohort; load_template();"
        "print(json.dumps([m for m in ('nilearn', 'torch', 'monai', 'sklearn') if m in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    assert json.loads(done.stdout) == []
