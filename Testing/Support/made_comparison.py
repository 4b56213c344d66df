"""Comparisons with made-up records, whose right answers are known because they are put in."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from SuggestiveAnnotationLib.effort.agreement import ClassAgreement, ContourTotals, InterfaceAgreement, Tolerances
from SuggestiveAnnotationLib.effort.quantities import ResolutionCeiling, SavedEffort
from SuggestiveAnnotationLib.effort.time_model import Workload
from SuggestiveAnnotationLib.engine.settings import ManifoldOptions, TrainingOptions
from SuggestiveAnnotationLib.experiment.plan import Arm, EmbeddedSource, Endpoint, Plan, Split
from SuggestiveAnnotationLib.experiment.plan_file import write_frozen
from SuggestiveAnnotationLib.experiment.record import RECORDS, Batch, Judged, Point, Run, RunRecord

CLASSES = ("grey", "white")
REGION = "brain"


@dataclass(frozen=True)
class Made:
    """One arm that is made up.

    Attributes:
        gain: added to every Dice after the first model. wobble: standard deviation of the gain over people.
        pace: contour length of a slice, as a factor. latent: latent size.
    """

    strategy: str = "random"
    gain: float = 0.0
    wobble: float = 0.0
    pace: float = 1.0
    options: Mapping[str, Any] = field(default_factory=dict)
    latent: int = 3


def make_plan(
    arms: Mapping[str, Made],
    *,
    folds: int,
    seeds: int,
    rounds: int,
    repeats: int,
    primary: Endpoint | None,
    secondaries: tuple[Endpoint, ...],
) -> Plan:
    training = TrainingOptions()
    made = tuple(
        Arm(name, one.strategy, "slice", dict(one.options), (10,), 0, 0, "previous", training, ManifoldOptions(latent_size=one.latent))
        for name, one in arms.items()
    )
    return Plan(
        name="made-up", question="Which of these made-up arms is best?", cohort=EmbeddedSource(), plane="axial", pixels=64,
        split=Split(folds=folds), seeds=tuple(range(seeds)), first_batch=10, first_strategy="strided", first_unit="slice", rounds=rounds,
        repeats=repeats, volume_metrics="last", training=training, manifold=ManifoldOptions(), arms=made, primary=primary,
        secondaries=secondaries,
    )  # fmt: skip


def make_comparison(
    folder: Path,
    arms: Mapping[str, Made],
    *,
    people: int = 9,
    folds: int = 3,
    seeds: int = 2,
    rounds: int = 3,
    repeats: int = 2,
    noise: float = 0.004,
    primary: Endpoint | None = None,
    secondaries: tuple[Endpoint, ...] = (),
    failed: tuple[str, ...] = (),
    missing: tuple[str, ...] = (),
) -> Plan:
    """Write a plan and its records. People differ by 0.05, trainings by `noise`; Dice rises by 0.05 a model.

    Args:
        failed, missing: names of runs.
    """
    plan = make_plan(arms, folds=folds, seeds=seeds, rounds=rounds, repeats=repeats, primary=primary, secondaries=secondaries)
    write_frozen(folder, plan)
    names = [f"p{n:02}" for n in range(people)]
    base = dict(zip(names, np.random.default_rng(0).normal(0.6, 0.05, people), strict=True))
    for a, (arm, made) in enumerate(arms.items()):
        own = dict(zip(names, np.random.default_rng(100 + a).normal(0, made.wobble, people), strict=True))
        for fold in range(folds):
            for seed in range(seeds):
                name = Run(arm, fold, seed).name
                record = RunRecord(
                    run=name, plan=plan.name, plan_key=plan.key, arm=arm, fold=fold, seed=seed, settings={}, status="failed",
                    error={"kind": "ValueError", "sentence": "The disk burst.", "trace": ""}, seconds=360.0, finished="2026-01-01T00:00:00",
                    machine={"cpu": "Abacus", "threads": 1, "device": "cpu", "system": "Linux"}, versions={"numpy": "2"},
                )  # fmt: skip
                if name in missing:
                    continue
                if name not in failed:
                    test = names[fold::folds]
                    record = _done(record, made, test, names, base, own, rounds=rounds, repeats=repeats, noise=noise)
                path = folder / RECORDS / f"{name}.json"
                path.parent.mkdir(exist_ok=True)
                path.write_text(json.dumps(record.to_json()))
    return plan


def _done(record, made, test, names, base, own, *, rounds, repeats, noise):
    data = asdict(record)
    batches = tuple(_batch(n, made) for n in range(rounds + 1))
    points = []
    for model in range(1, rounds + 2):
        work = sum((Workload(**b.workload) for b in batches[:model]), Workload())
        trainings = tuple(
            Judged(
                r, r == 0, {person: _tests(record, person, base, own, made, model, r, noise, last=model > rounds) for person in test}, 3.0
            )
            for r in range(repeats)
        )
        points.append(Point(model, work.slices, work.cases, work.inspected_mm, work.minutes(), asdict(work), trainings))
    ceiling = ResolutionCeiling(_totals(0.6, 50)).to_json()
    made_record = RunRecord(
        **{
            **data, "status": "done", "error": {}, "pool": tuple(n for n in names if n not in test), "test": tuple(test),
            "patients": {n: n for n in names}, "classes": CLASSES, "regions": (REGION,), "ceiling": ceiling,
            "shared_seconds": {"train": 36.0},
        }
    )  # fmt: skip
    return RunRecord(**{**made_record.__dict__, "batches": batches, "points": tuple(points)})


def _tests(record, person, base, own, made, model, repeat, noise, *, last):
    # The first model is the same in every arm.
    arm = "" if model == 1 else record.arm
    generator = np.random.default_rng([record.fold, record.seed, model, repeat, *arm.encode()])
    luck = generator.normal(0, noise)
    gain = 0.0 if model == 1 else made.gain + own[person]
    out = {}
    for k, label in enumerate((*CLASSES, REGION)):
        dice = float(base[person] + 0.05 * model + gain + luck + 0.02 * k)
        out[label] = {
            "dice_3d": dice, "dice_2d": dice - 0.05, "false_mm3_on_empty": 100.0 * (1 - dice), "false_slices_on_empty": 1.0,
            "reference_mm3": 1000.0, "predicted_mm3": 1000.0,
        }  # fmt: skip
        if last:
            out[label] |= {
                "hausdorff_mm": 20 * (1 - dice), "hd95_mm": 10 * (1 - dice), "surface_dice_1mm": dice, "surface_dice_2mm": dice + 0.1,
                "penalised": 0.0,
            }  # fmt: skip
    return out


def _batch(number, made):
    pace = 1.0 if number == 0 else made.pace
    contour = 1000.0 * pace
    shown = number > 0
    work = Workload(cases=3, slices=10, inspected_mm=contour, drawn_mm=contour * (0.6 if shown else 1.0), false_components=2 * shown)
    return Batch(
        number=number, slices=tuple(("p00", 10 * number + n) for n in range(10)), kinds=("suggested",) * 10, notes=(),
        workload=asdict(work), minutes=work.minutes(), contour_mm=contour,
        saved_effort=SavedEffort(_totals(0.30 + 0.05 * number, 10)).to_json() if shown else None,
        saved_effort_random=SavedEffort(_totals(0.40, 10)).to_json() if shown else None,
        random_slices=(), seconds={"suggest": 1.0},
    )  # fmt: skip


def _totals(share, slices):
    classes = tuple(
        ClassAgreement(k, 100.0, 100.0, 100 * share, 100 * min(1, share + 0.2), 100 * min(1, share + 0.3), 2, 1, 1, 1.0, 1.0)
        for k in range(1, len(CLASSES) + 1)
    )
    return ContourTotals(slices, classes, InterfaceAgreement(150.0, 150.0, 150 * share), Tolerances())
