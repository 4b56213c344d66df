"""Labels and masks of a BIDS dataset go with the run, acquisition, ... that their names tell of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from SuggestiveAnnotationLib.cohort.layouts.bids import plan_bids
from SuggestiveAnnotationLib.cohort.plan import CohortPlan

Write = Callable[..., Path]


def case(plan: CohortPlan, name: str) -> dict[str, str]:
    """File names of a case by modality, and of its label and mask."""
    found = next(c for c in plan.cases if c.name == name)
    parts = {**found.images, "label": found.label, "mask": found.mask}
    return {what: Path(path).name for what, path in parts.items() if path}


@pytest.mark.parametrize(
    ("images", "label", "taken"),
    [
        (["run-1_T1w", "run-2_T1w"], "run-2", {"T1": "run-2_T1w"}),
        (["run-01_T1w", "run-02_T1w"], "run-2", {"T1": "run-02_T1w"}),
        (["acq-fast_T1w", "acq-hires_T1w"], "acq-hires", {"T1": "acq-hires_T1w"}),
        (["rec-norm_T1w", "rec-none_T1w"], "rec-norm_desc-a", {"T1": "rec-norm_T1w"}),
        (["echo-1_T1w", "echo-2_T1w"], "echo-2", {"T1": "echo-2_T1w"}),
        (["T1w", "run-2_T1w"], "run-2", {"T1": "run-2_T1w"}),
        (["T1w", "ce-gad_T1w"], "ce-gad", {"T1": "T1w", "T1c": "ce-gad_T1w"}),
        (["T1w", "acq-x_FLAIR", "acq-y_FLAIR"], "acq-y", {"T1": "T1w", "FLAIR": "acq-y_FLAIR"}),
        (["run-1_T1w", "run-2_T1w"], "desc-a", {"T1": "run-1_T1w"}),
    ],
)
def test_the_image_that_a_label_names_is_taken(
    write_image: Write, labels: np.ndarray, tmp_path: Path, images: list[str], label: str, taken: dict[str, str]
) -> None:
    for n in (1, 2):
        for seed, image in enumerate(images):
            write_image(f"sub-{n}/anat/sub-{n}_{image}.nii.gz", seed=seed)
        write_image(f"derivatives/d/sub-{n}/anat/sub-{n}_{label}_dseg.nii.gz", labels)
    for plan in (plan_bids(tmp_path), plan_bids(tmp_path, label="*_dseg.nii.gz")):
        wanted = {m: f"sub-2_{name}.nii.gz" for m, name in taken.items()}
        assert case(plan, "sub-2") == {**wanted, "label": f"sub-2_{label}_dseg.nii.gz"}
        assert (len(plan.usable), [w for w in plan.warnings if "For label" in w]) == (2, [])


def test_the_grid_of_a_label_is_compared_with_the_image_that_it_names(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    for n in (1, 2):
        write_image(f"sub-{n}/anat/sub-{n}_acq-fast_T1w.nii.gz")
        write_image(f"sub-{n}/anat/sub-{n}_acq-hires_T1w.nii.gz", spacing=(0.5, 1, 1))
        write_image(f"derivatives/d/sub-{n}/anat/sub-{n}_acq-hires_dseg.nii.gz", labels, spacing=(0.5, 1, 1))
    plan = plan_bids(tmp_path)
    assert case(plan, "sub-1") == {"T1": "sub-1_acq-hires_T1w.nii.gz", "label": "sub-1_acq-hires_dseg.nii.gz"}
    assert len(plan.usable) == 2


def test_a_label_of_an_image_that_is_not_there_is_left_out_and_said(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    for n in (1, 2):
        write_image(f"sub-{n}/anat/sub-{n}_run-1_T1w.nii.gz")
        write_image(f"derivatives/d/sub-{n}/anat/sub-{n}_run-{n}_dseg.nii.gz", labels)
    plan = plan_bids(tmp_path)
    assert case(plan, "sub-1")["label"] == "sub-1_run-1_dseg.nii.gz"
    assert case(plan, "sub-2") == {"T1": "sub-2_run-1_T1w.nii.gz"}
    says = "For label, 1 file names another run or acquisition than the images of the case do: "
    says += "derivatives/d/sub-2/anat/sub-2_run-2_dseg.nii.gz"
    assert plan.warnings == (f"{says}, for example, is left out.",)
    chosen = plan_bids(tmp_path, label="*_dseg.nii.gz")
    assert case(chosen, "sub-2")["label"] == "sub-2_run-2_dseg.nii.gz"
    assert chosen.warnings == (f"{says}, for example, is used as it was chosen.",)


def test_masks_go_with_the_label_and_the_image(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    for n, runs in ((1, (1, 2)), (2, (1, 2)), (3, (2,))):
        for run in (1, 2):
            write_image(f"sub-{n}/anat/sub-{n}_run-{run}_T1w.nii.gz")
        for run in runs:
            write_image(f"derivatives/d/sub-{n}/anat/sub-{n}_run-{run}_desc-brain_mask.nii.gz", (labels > 0).astype(np.uint8))
    for n in (1, 2):
        write_image(f"derivatives/d/sub-{n}/anat/sub-{n}_run-2_dseg.nii.gz", labels)
    plan = plan_bids(tmp_path)
    for n in (1, 2, 3):
        found = case(plan, f"sub-{n}")
        assert (found["T1"], found["mask"]) == (f"sub-{n}_run-2_T1w.nii.gz", f"sub-{n}_run-2_desc-brain_mask.nii.gz")
