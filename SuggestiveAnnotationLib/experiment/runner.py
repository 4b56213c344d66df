"""`compare`: every run of a plan, each once, resumable, side by side."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from SuggestiveAnnotationLib.errors import InputError, StorageError
from SuggestiveAnnotationLib.experiment.archive import pack, unpack
from SuggestiveAnnotationLib.experiment.estimate import Estimate, estimate, measure
from SuggestiveAnnotationLib.experiment.jobs import Job, carry_out
from SuggestiveAnnotationLib.experiment.plan import Plan
from SuggestiveAnnotationLib.experiment.plan_file import FROZEN, read_frozen, write_frozen
from SuggestiveAnnotationLib.experiment.record import RECORDS, RunRecord, read_records, write_record
from SuggestiveAnnotationLib.experiment.run import Run, failed, run_one
from SuggestiveAnnotationLib.experiment.splits import Fold, folds_of
from SuggestiveAnnotationLib.experiment.stem import WORK, Begin, begin_of, make_base, make_cohort, make_stem
from SuggestiveAnnotationLib.progress import CancelToken, ProgressCallback, ProgressEvent, no_progress

Folds = Mapping[int, Sequence[Fold]]
"""Seed -> folds."""


@dataclass(frozen=True)
class Compared:
    """What a call of `compare` did.

    Attributes:
        estimate: of what lay ahead when it began; None where everything was done already.
        done, failed, kept: names of the runs that this call carried out, that failed, and that were there before.
        left: how many are still to be done; None where nobody looked at the cohort, which says how many there are.
    """

    estimate: Estimate | None
    done: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    left: int | None = None


def compare(
    plan: Plan,
    out: Path,
    *,
    data: Path | None = None,
    archive: Path | None = None,
    at_most: int | None = None,
    processes: int = 1,
    threads: int | None = None,
    only_estimate: bool = False,
    retry_failed: bool = False,
    keep_studies: bool = False,
    progress: ProgressCallback = no_progress,
    cancel: CancelToken | None = None,
) -> Compared:
    """Carry out every run of a plan that has no record yet. Interrupted, however hard, the same call goes on.

    The cohort is prepared first, since nothing can be estimated without it; then the machine hours are told.

    Args:
        plan: see `plan_file.read_plan`.
        out: gets `plan.json`, `records/` and, while it runs, `work/`.
        data: the folder that `${DATA}` in the plan stands for.
        archive: see `archive`; runs it holds count as done, and it is written anew when the call ends, also with an error.
        at_most: so many of the missing runs, in the order of doing; None: all; 0: the cohort is not looked at.
        processes: runs side by side. threads: that each computes with; its share of the cores when not given.
        only_estimate: stop after the estimate.
        retry_failed: runs that failed are tried again; else their records stay as they are.
        keep_studies: the study of every run stays under `work/runs`.

    Raises:
        InputError: the folder or the archive holds records of another plan, or as `stem.make_cohort`.
        StorageError: there is no room.
        Cancelled: what has a record is kept.
    """
    token = cancel or CancelToken()
    _take_folder(plan, out)
    if archive is not None and archive.exists():
        unpack(archive, out, plan_key=plan.key)
    try:
        kept = [one.run for one in read_records(out) if one.status == "done" or not retry_failed]
        if at_most == 0:
            return Compared(None, kept=tuple(kept))
        study = make_cohort(plan, out, data=data, processes=processes, progress=progress, cancel=token)
        with closing(study):
            folds = {seed: folds_of(plan, study.cases(), seed=seed) for seed in plan.seeds}
        missing = [run for run in runs_of(plan, folds) if run.name not in kept]
        todo = missing[:at_most]
        if not todo:
            _tidy(out, keep_studies)
            return Compared(None, kept=tuple(kept), left=0)
        threads = threads or max(1, _cores() // max(1, processes))
        ahead = _estimated(plan, out, folds, todo, processes=processes, threads=threads, progress=progress, cancel=token)
        if only_estimate:
            return Compared(ahead, kept=tuple(kept), left=len(missing))
        for line in ahead.lines():
            progress(ProgressEvent("compare", 0, len(todo), message=line))
        jobs = _jobs(plan, out, folds, todo, keep_studies)
        done, broken = _carried_out(plan, out, jobs, len(todo), processes=processes, threads=threads, progress=progress, cancel=token)
        if not broken and len(todo) == len(missing):
            _tidy(out, keep_studies)
        return Compared(ahead, tuple(done), tuple(broken), tuple(kept), left=len(missing) - len(todo))
    finally:
        if archive is not None:
            pack(out, archive)


def runs_of(plan: Plan, folds: Folds) -> list[Run]:
    """Every run, in the order of doing: the arms of one fold and seed together, so that a comparison that is cut short has whole ones."""
    return [Run(arm.name, fold.number, seed) for seed in plan.seeds for fold, arm in product(folds[seed], plan.arms)]


def _take_folder(plan: Plan, out: Path) -> None:
    """Make the folder this plan's, unless it holds records of another, or something else."""
    records = list(read_records(out)) if (out / RECORDS).is_dir() else []
    if (out / FROZEN).exists():
        try:
            other = read_frozen(out).key != plan.key
        except InputError:
            if records:
                raise
            other = True
        if other and records:
            sentence = f"{out} holds {len(records)} records of another plan, or of this one before it was changed."
            raise InputError(sentence, hint="A plan is fixed once it has run: choose another folder with --out.")
        if other:
            shutil.rmtree(out / WORK, ignore_errors=True)
    elif out.is_dir() and any(out.iterdir()):
        raise InputError(f"{out} is not empty, and no comparison.", hint="Choose another folder with --out.")
    strange = [one.run for one in records if one.plan_key != plan.key]
    if strange:
        raise InputError(f"The record of {strange[0]} in {out} is of another plan.", hint="Choose another folder with --out.")
    write_frozen(out, plan)
    for left in (*(out / WORK).glob(".*"), out / WORK / "runs"):
        shutil.rmtree(left, ignore_errors=True)


def _estimated(
    plan: Plan,
    out: Path,
    folds: Folds,
    todo: Sequence[Run],
    *,
    processes: int,
    threads: int,
    progress: ProgressCallback,
    cancel: CancelToken,
) -> Estimate:
    """Measured in a process of its own kind: with the threads that a run will have."""
    import torch

    fold = next(one for one in folds[todo[0].seed] if one.number == todo[0].fold)
    base = make_base(plan, out, fold, todo[0].seed, progress=progress, cancel=cancel)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        pace = measure(plan, out, base, cancel=cancel)
    finally:
        torch.set_num_threads(before)
    return estimate(plan, pace, base, todo, processes=processes)


def _carried_out(
    plan: Plan, out: Path, jobs: dict[Any, Job], runs: int, *, processes: int, threads: int, progress: ProgressCallback, cancel: CancelToken
) -> tuple[list[str], list[str]]:
    """Names of the runs that were done and of those that failed; each has its record before the next is told of."""
    done: list[str] = []
    broken: list[str] = []
    began = time.monotonic()
    with closing(carry_out(jobs, processes=processes, threads=threads, cancel=cancel)) as results:
        for job, result in results:
            if isinstance(result, StorageError):
                raise result
            if not isinstance(job.key, Run):
                continue
            record: RunRecord = failed(plan, job.key, result) if isinstance(result, Exception) else result
            write_record(out, record)
            (done if record.status == "done" else broken).append(record.run)
            finished = len(done) + len(broken)
            left = (time.monotonic() - began) / finished * (runs - finished)
            how = f": {record.seconds:.0f} s" if record.status == "done" else f" failed: {record.error['sentence']}"
            told = f"{finished}/{runs} {record.run}{how}; {_said(left)} left"
            progress(ProgressEvent("compare", finished, runs, left, message=told))
    return done, broken


def _jobs(plan: Plan, out: Path, folds: Folds, todo: Sequence[Run], keep_studies: bool) -> dict[Any, Job]:
    """Runs and what they wait for: the base of the fold, the first model, the manifold. What is earlier in the order comes first."""
    by_number = {(seed, fold.number): fold for seed, of_seed in folds.items() for fold in of_seed}
    jobs: dict[Any, Job] = {}
    for run in todo:
        fold, begin = by_number[run.seed, run.fold], begin_of(plan.arm(run.arm), fold=run.fold, seed=run.seed)
        base_key, plain = (run.fold, run.seed), replace(begin, manifold=None)
        base = out / WORK / f"base-fold-{run.fold}-seed-{run.seed}"
        jobs.setdefault(base_key, Job(base_key, None, make_base, (plan, out, fold, run.seed)))
        jobs.setdefault(plain, Job(plain, base_key, make_stem, (base, out, plain)))
        if begin.manifold is not None:
            jobs.setdefault(begin, Job(begin, plain, make_stem, (base, out, begin)))
        jobs[run] = Job(run, begin, _run, (plan, out, run, begin, keep_studies))
    return jobs


def _run(plan: Plan, out: Path, run: Run, begin: Begin, keep_study: bool, *, cancel: CancelToken) -> RunRecord:
    return run_one(plan, out, run, out / WORK / begin.name, keep_study=keep_study, cancel=cancel)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _tidy(out: Path, keep_studies: bool) -> None:
    """Everything has a record: what can be made again goes."""
    if not keep_studies:
        shutil.rmtree(out / WORK, ignore_errors=True)


def _said(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
