"""A realistic report, made of smooth seeded random images: three classes, four rounds, five held-out cases."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from SuggestiveAnnotationLib.report.data import (
    Arrow,
    Ceiling,
    DiceValue,
    Effort,
    EffortRow,
    GalleryItem,
    LatentMap,
    LossCurve,
    NextSlice,
    ReportData,
    RoundRow,
)

CLASSES = {"grey matter": 2, "white matter": 3, "deep grey matter": 7}
HELD_OUT = ("sub-21", "sub-22", "sub-23", "sub-24", "sub-25")


def smooth(shape: tuple[int, int], seed: int, sigma: float = 6.0) -> NDArray[np.float64]:
    """Smooth noise with unit standard deviation."""
    field = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), sigma)
    return field / field.std()


def a_slice(
    seed: int, shape: tuple[int, int], spacing: tuple[float, float]
) -> tuple[NDArray[np.float32], NDArray[np.uint16], NDArray[np.uint16]]:
    """An image with a head-like body, its labels, and a wobbly pre-annotation of them."""
    rows, columns = np.indices(shape, float)
    y, x = (rows - shape[0] / 2) * spacing[0], (columns - shape[1] / 2) * spacing[1]
    extent = min(shape[0] * spacing[0], shape[1] * spacing[1])
    radius = np.hypot(y / 1.1, x) / extent

    def labels(wobble: NDArray[np.float64]) -> NDArray[np.uint16]:
        out = np.zeros(shape, np.uint16)
        for limit, value in ((0.40, 2), (0.29, 3), (0.11, 7)):
            out[radius + 0.018 * wobble < limit] = value
        return out

    truth = labels(smooth(shape, seed))
    shown = labels(smooth(shape, seed) + 0.7 * smooth(shape, seed + 500, 4))
    image = np.choose(np.searchsorted([0, 2, 3, 7], truth), [0.05, 0.55, 0.85, 0.65]) + 0.06 * smooth(shape, seed + 900, 1.5)
    return image.astype(np.float32), truth, shown


def an_effort(number: int, length: float, share: float) -> Effort:
    """Effort with every quantity known."""
    return Effort(
        slices=20,
        reference_mm=length,
        kept_mm=share * length,
        kept_1px_mm=min(1.0, share + 0.3) * length,
        kept_1mm_mm=min(1.0, share + 0.22) * length,
        predicted_mm=length * 1.1,
        false_components=14 - 3 * number,
        added_mm3=4200.0 / number,
        removed_mm3=2900.0 / number,
    )


def a_latent_map(points: int = 2400, cases: int = 20) -> LatentMap:
    """Curved tracks through the plane, one a case."""
    rng = np.random.default_rng(5)
    case_of = np.repeat(np.arange(cases), points // cases)
    t = np.tile(np.linspace(-2, 2, points // cases), cases)
    offset = rng.normal(size=(cases, 2)) * 0.25
    places = np.stack([t * 1.4, 0.8 - 0.5 * t**2], 1) + offset[case_of] + rng.normal(size=(len(t), 2)) * 0.05
    states = np.zeros(len(t), np.uint8)
    order = rng.permutation(len(t))
    for state, (start, stop) in {1: (0, 60), 2: (60, 70), 3: (70, 74), 4: (74, 80)}.items():
        states[order[start:stop]] = state
    arrows = []
    for target in order[60:66]:
        source = places[order[rng.integers(60)]]
        projected = places[target] + rng.normal(size=2) * 0.12
        arrows.append(Arrow(tuple(source), tuple(projected), tuple(places[target]), f"sub-{case_of[target]:02d}, {target % 120}"))
    return LatentMap(
        points=places.astype(np.float32),
        axes=("latent PCA 1 (62 % of variance)", "latent PCA 2 (21 % of variance)"),
        states=states,
        case_of=case_of,
        cases=tuple(f"sub-{i:02d}" for i in range(cases)),
        arrows=tuple(arrows),
        method="Five latent units were reduced to two by principal components.",
    )


def a_gallery() -> tuple[GalleryItem, ...]:
    """Slices of both planes, one with anisotropic pixels, one drawn without a pre-annotation, one accepted as it was."""
    items = []
    for i, (shape, spacing, plane) in enumerate(
        [
            ((160, 140), (1.0, 1.0), "axial"),
            ((150, 60), (1.0, 2.4), "coronal"),
            ((60, 150), (3.0, 1.0), "sagittal"),
            ((180, 150), (1.0, 1.0), "axial"),
        ]
        * 2
    ):
        image, truth, shown = a_slice(i, shape, spacing)
        items.append(
            GalleryItem(
                case=f"sub-{i:02d}",
                slice_number=40 + 7 * i,
                round=1 + i // 3,
                image=image,
                spacing=spacing,
                plane=plane,
                prediction=None if i == 3 else truth if i == 6 else shown,
                final=truth,
                sentence="The gradient of sub-03, slice 61 points here: the network is least settled about slices like this one.",
                provenance="from scratch" if i == 3 else "unchanged" if i == 6 else "corrected",
                effort=None if i == 3 else an_effort(2, 900.0, 1.0 if i == 6 else 0.6),
                minutes=2.5 + 0.3 * i,
            )
        )
    return tuple(items)


@pytest.fixture(scope="session")
def full_report() -> ReportData:
    """Everything there is to show."""
    return make_report()


def make_report() -> ReportData:
    """Build the full report."""
    rng = np.random.default_rng(0)
    rounds, dice, effort, losses = [], [], [], []
    for number in range(5):
        seconds = {"train": 60.0 + 22 * number, "suggest": 14.0, "predict": 9.0 + number} if number else {"suggest": 1.2}
        rounds.append(
            RoundRow(
                number=number,
                strategy="gradient-guided" if number else "strided",
                seed=7 + number,
                slices=20 * number,
                contour_mm=5.3e3 * number,
                minutes=48.0 * number * 0.93**number,
                annotated=20 if number < 4 else 8,
                skipped=1 if number == 2 else 0,
                open=2 if number == 4 else 0,
                seconds=seconds,
                notes=("The cone was empty for 2 of 20 sources; the nearest slice was taken.",) if number == 3 else (),
            )
        )
        if not number:
            continue
        for i, (label, hard) in enumerate(
            {"grey matter": 0.1, "white matter": 0.05, "deep grey matter": 0.22, "whole brain": 0.01}.items()
        ):
            for place, case in enumerate(HELD_OUT):
                value = 0.99 - 0.025 * place - hard - (0.33 - 0.03 * i) * np.exp(-0.75 * number) + rng.normal() * 0.02
                dice.append(DiceValue(number, label, case, None if (case, number, i) == ("sub-25", 1, 2) else float(min(1, value))))
        steps = np.arange(0, 600, 5.0)
        losses.append(
            LossCurve(
                "segmentation", number, steps, {"loss": 0.75 * np.exp(-steps / (120 + 30 * number)) + 0.12 + 0.01 * rng.normal(size=120)}
            )
        )
        if number > 1:
            for label, length, share in (("grey matter", 3100.0, 0.28), ("white matter", 2600.0, 0.34), ("deep grey matter", 380.0, 0.22)):
                effort.append(EffortRow(number, label, "Retained contour", an_effort(number, length, share + 0.07 * number)))
                if number > 2:
                    effort.append(
                        EffortRow(number, label, "Saved effort", an_effort(number, length / 9, share + 0.03 * number), audit=True)
                    )
    steps = np.arange(0, 3000, 10.0)
    vae = {"reconstruction": 900 * np.exp(-steps / 300) + 310.0, "kl": 9 - 7 * np.exp(-steps / 500)}
    losses.append(LossCurve("manifold", None, steps, vae))
    return ReportData(
        title="MALC tissue study",
        study="malc-tissue",
        created="2026-03-14 10:22 UTC",
        classes=CLASSES,
        rounds=tuple(rounds),
        annotated_slices=88,
        pool_slices=2400,
        pool_cases=20,
        held_out_cases=HELD_OUT,
        regions=("whole brain",),
        dice=tuple(dice),
        effort=tuple(effort),
        ceilings=(
            Ceiling("grey matter", 0.52),
            Ceiling("white matter", 0.55),
            Ceiling("deep grey matter", 0.64),
            Ceiling("all classes", 0.54),
        ),
        latents=a_latent_map(),
        gallery=a_gallery(),
        losses=tuple(losses),
        waiting=(NextSlice("sub-11", 73, "The gradient points here."), NextSlice("sub-04", 31, "Second nearest.")),
        settings={
            "plane": "axial",
            "modalities": "T1",
            "network grid": "128 x 128 pixels of 1.5 x 1.5 mm",
            "strategy": "gradient-guided, step 1.0, cone 60°",
        },
        command="suggestive-annotation report malc-tissue --out report.html",
        seeds={"study": 7, "round 1": 8, "round 2": 9},
        versions={"SuggestiveAnnotationLib": "0.1.0", "numpy": np.__version__},
        evidence={
            "gradient-guided": "Published gains of 1 to 5 Dice points; not shown to beat random here.",
            "random": "A strong competitor.",
        },
    )
