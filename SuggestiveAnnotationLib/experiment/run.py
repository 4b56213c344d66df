"""One run: an arm in a fold with a seed, from the shared beginning to its record."""

from __future__ import annotations

import platform
import shutil
import time
import traceback
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from SuggestiveAnnotationLib.effort.quantities import SavedEffort
from SuggestiveAnnotationLib.effort.time_model import Workload
from SuggestiveAnnotationLib.engine.ceiling import CEILING
from SuggestiveAnnotationLib.engine.simulate import simulate
from SuggestiveAnnotationLib.engine.suggest import pool_of
from SuggestiveAnnotationLib.engine.train import train
from SuggestiveAnnotationLib.errors import Cancelled, StorageError, SuggestiveAnnotationError
from SuggestiveAnnotationLib.experiment.judge import judge_newest, random_slices, saved_effort
from SuggestiveAnnotationLib.experiment.plan import Arm, Plan
from SuggestiveAnnotationLib.experiment.record import Batch, Judged, Point, Run, RunRecord
from SuggestiveAnnotationLib.experiment.stem import STEM_SECONDS, WORK, base_of, budget_of, copy_study
from SuggestiveAnnotationLib.models.checkpoint import library_versions
from SuggestiveAnnotationLib.processor import peak_memory
from SuggestiveAnnotationLib.progress import CancelToken
from SuggestiveAnnotationLib.study.contours import slice_agreement
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.training.device import describe_device, pick_device
from SuggestiveAnnotationLib.types import FILLED, SliceRef, content_key


def run_one(plan: Plan, folder: Path, run: Run, stem: Path, *, keep_study: bool = False, cancel: CancelToken) -> RunRecord:
    """Carry one run out, and say what came of it. A run that fails gives a record with its error.

    Args:
        folder: of the comparison. stem: the study that the run starts from.
        keep_study: leave the study of a run that is done where it is.

    Raises:
        Cancelled: the run begins anew next time.
        StorageError: there is no room for any run.
    """
    path = folder / WORK / "runs" / run.name
    began, started = time.monotonic(), _now()
    try:
        shutil.rmtree(path, ignore_errors=True)
        copy_study(stem, path)
        with closing(Study(path)) as study, study.lock():
            record = _Runner(plan, study, run, base_of(folder, run.fold, run.seed), cancel).record()
    except (Cancelled, StorageError):
        shutil.rmtree(path, ignore_errors=True)
        raise
    except Exception as error:
        # Whatever went wrong belongs into the record of the run: a run that vanishes would make its arm look better than it is.
        record = failed(plan, run, error)
    if record.status == "failed" or not keep_study:
        shutil.rmtree(path, ignore_errors=True)
    return replace(record, seconds=round(time.monotonic() - began, 2), started=started, finished=_now())


def failed(plan: Plan, run: Run, error: BaseException) -> RunRecord:
    """The record of a run that could not be carried out."""
    known = isinstance(error, SuggestiveAnnotationError)
    kind = error.kind if isinstance(error, SuggestiveAnnotationError) else type(error).__name__
    trace = "".join(traceback.format_exception(error))
    blank = _blank(plan, run)
    return replace(blank, status="failed", error={"kind": kind, "sentence": str(error) or kind, "trace": "" if known else trace})


def _blank(plan: Plan, run: Run) -> RunRecord:
    arm = plan.arm(run.arm)
    return RunRecord(
        run=run.name, plan=plan.name, plan_key=plan.key, arm=run.arm, fold=run.fold, seed=run.seed, settings=asdict(arm), status="done",
        versions={**library_versions(), "code": _CODE}, machine=machine(arm.training.device),
        peak_memory_gb=round(peak_memory() / 1e9, 2), started=_now(),
    )  # fmt: skip


def machine(device: str) -> dict[str, Any]:
    """What computed: the processor's name, threads, the device in words."""
    return {
        "cpu": _processor(),
        "threads": torch.get_num_threads(),
        "device": describe_device(pick_device(device)),
        "system": f"{platform.system()} {platform.machine()}",
    }


def _hash_of_code() -> str:
    root = Path(__file__).parents[1]
    files = {path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in sorted(root.rglob("*.py"))}
    return content_key(files)


_CODE = _hash_of_code()
"""Of this library's files, so that a record tells which code made it: as they were loaded, whatever becomes of them while it runs."""


@lru_cache
def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


class _Runner:
    """Follows a simulation and keeps what it shows."""

    def __init__(self, plan: Plan, study: Study, run: Run, base: Path, cancel: CancelToken) -> None:
        self.plan, self.study, self.run, self.base, self.cancel = plan, study, run, base, cancel
        self.arm: Arm = plan.arm(run.arm)
        self.device = self.arm.training.device
        self.judged: dict[int, Judged] = {}
        self.repeats: dict[int, list[Judged]] = {}
        self.random: dict[int, tuple[list[SliceRef], SavedEffort | None]] = {}

    def record(self) -> RunRecord:
        """Carry the simulation out."""
        plan, arm, study = self.plan, self.arm, self.study
        budgets = tuple(budget_of(study, amount, arm.unit) for amount in arm.budget)
        simulate(
            study,
            rounds=plan.rounds,
            options=arm.round_options(budget=budgets[0], seed=self.run.seed),
            manifold=arm.manifold,
            budgets=budgets,
            before_model=self._before_model,
            after_model=self._after_model,
            cancel=self.cancel,
        )
        batches = tuple(self._batch(number) for number in range(plan.rounds + 1))
        ceiling = study.properties().get(CEILING)
        return replace(
            _blank(plan, self.run),
            pool=tuple(case.name for case in study.cases("pool")),
            test=tuple(case.name for case in study.cases("test")),
            patients={case.name: case.patient for case in study.cases() if case.role in ("pool", "test")},
            classes=tuple(one.name for one in study.schema.classes),
            regions=tuple(study.schema.regions),
            ceiling=ceiling or None,
            batches=batches,
            points=self._points(batches),
            shared_seconds=study.properties().get(STEM_SECONDS, {}),
        )

    def _before_model(self, number: int) -> None:
        """Further trainings on the same slices, in copies of the study that are thrown away."""
        self.repeats[number] = []
        # The first model is here already, unless slices were filled for it: a training that goes on from the last model starts where that
        # one did.
        here = number == 1 and not self.study.filled_refs()
        source = self.base if here and self.arm.training.warm_start else self.study.path
        for repeat in range(1, self.plan.repeats):
            # Other weights to begin with in every fold and model, the same in every arm.
            seed = int(content_key([self.run.seed, self.run.fold, number, repeat]), 16) % 2**31
            path = self.study.path.with_name(f"{self.study.path.name}-repeat")
            shutil.rmtree(path, ignore_errors=True)
            self.study.close()
            copy_study(source, path)
            try:
                with closing(Study(path)) as copy:
                    train(copy, options=self.arm.training, seed=seed, round_number=number, cancel=self.cancel)
                    self.repeats[number].append(self._judge(copy, number, seed=seed, chooses=False))
            finally:
                shutil.rmtree(path, ignore_errors=True)

    def _after_model(self, number: int) -> None:
        self.judged[number] = self._judge(self.study, number, seed=self.run.seed, chooses=True)
        if number <= self.plan.rounds:
            count = len(self.study.suggestion_states(number))
            refs = random_slices(pool_of(self.study), count, seed=self.run.seed, number=number)
            self.random[number] = (refs, saved_effort(self.study, refs, device=self.device))

    def _judge(self, study: Study, number: int, *, seed: int, chooses: bool) -> Judged:
        which = self.plan.volume_metrics
        surfaces = which == "all" or (which == "last" and number > self.plan.rounds)
        newest = study.latest_model("segmentation")
        taken = 0.0 if newest is None else float(newest.card.get("metrics", {}).get("seconds", 0.0))
        return Judged(seed, chooses, judge_newest(study, device=self.device, surfaces=surfaces, cancel=self.cancel), taken)

    def _batch(self, number: int) -> Batch:
        study = self.study
        round_ = study.rounds()[number]
        rows = study.suggestion_states(number)
        efforts = [a.effort for a in study.annotations(round_number=number) if a.effort is not None]
        work = self._workload(number)
        refs, at_random = self.random.get(number, ([], None))
        return Batch(
            number=number,
            slices=_pairs([row.ref for row in rows]),
            kinds=tuple(row.kind for row in rows),
            notes=round_.notes,
            workload=_plain(work),
            minutes=round(work.minutes(), 4),
            contour_mm=round(work.inspected_mm, 3),
            saved_effort=SavedEffort.total(SavedEffort.from_json(one) for one in efforts).to_json() if efforts else None,
            saved_effort_random=None if at_random is None else at_random.to_json(),
            random_slices=_pairs(refs),
            seconds=dict(round_.seconds),
        )

    def _workload(self, number: int) -> Workload:
        """What the annotator had to do, counted again from what was shown and what was accepted."""
        study = self.study
        annotations = [a for a in study.annotations(round_number=number) if a.provenance != FILLED]
        shown = study.predictions_by_id({a.prediction_id for a in annotations if a.prediction_id is not None})
        agreements = []
        for a in annotations:
            start = np.zeros_like(a.labels) if a.prediction_id is None else shown[a.prediction_id].labels
            agreements.append(slice_agreement(study, a.ref, reference=a.labels, prediction=start, tolerances=None))
        return Workload.of_slices(agreements, cases=len({a.ref.case for a in annotations}))

    def _points(self, batches: Sequence[Batch]) -> tuple[Point, ...]:
        points = []
        for number in range(1, len(batches) + 1):
            paid = batches[:number]
            work = sum((Workload(**one.workload) for one in paid), Workload())  # type: ignore[arg-type]
            points.append(
                Point(
                    model=number,
                    slices=work.slices,
                    cases=len({case for one in paid for case, _ in one.slices}),
                    contour_mm=round(work.inspected_mm, 3),
                    minutes=round(work.minutes(), 4),
                    workload=_plain(work),
                    trainings=(self.judged[number], *self.repeats[number]),
                )
            )
        return tuple(points)


def _plain(work: Workload) -> dict[str, float]:
    return {name: round(value, 4) for name, value in asdict(work).items()}


def _pairs(refs: Sequence[SliceRef]) -> tuple[tuple[str, int], ...]:
    return tuple((ref.case, ref.native_index) for ref in refs)
