"""`compare`: every run of a plan, each once, resumable, side by side."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from SuggestiveAnnotationLib.errors import InputError, StorageError, StudyLockedError, SuggestiveAnnotationError
from SuggestiveAnnotationLib.experiment.archive import pack, unpack
from SuggestiveAnnotationLib.experiment.estimate import Estimate, estimate, measure
from SuggestiveAnnotationLib.experiment.jobs import Job, carry_out
from SuggestiveAnnotationLib.experiment.plan import Plan
from SuggestiveAnnotationLib.experiment.plan_file import FROZEN, read_frozen, write_frozen
from SuggestiveAnnotationLib.experiment.record import RECORDS, Run, RunRecord, read_records, write_record
from SuggestiveAnnotationLib.experiment.run import failed, run_one
from SuggestiveAnnotationLib.experiment.splits import Fold, folds_of
from SuggestiveAnnotationLib.experiment.stem import WORK, Begin, base_of, begin_of, make_base, make_cohort, make_stem
from SuggestiveAnnotationLib.files import storage_error
from SuggestiveAnnotationLib.processor import cores
from SuggestiveAnnotationLib.progress import CancelToken, ProgressCallback, ProgressEvent, no_progress
from SuggestiveAnnotationLib.study.location import WorkerLock

Folds = Mapping[int, Sequence[Fold]]
"""Seed -> folds."""


@dataclass(frozen=True)
class Compared:
    """What a call of `compare` did.

    Attributes:
        estimate: of what lay ahead when it began; None where nothing was to be done.
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
        archive: see `archive`; runs it holds count as done, and it gets those of this call when that ends, also with an error.
        at_most: so many of the missing runs, rounded up to all arms of a fold and seed; None: all; 0: none, which needs no cohort.
        processes: runs side by side. threads: that each computes with; its share of the cores when not given.
        only_estimate: stop after the estimate.
        retry_failed: runs that failed are tried again; else their records stay as they are.
        keep_studies: the study of every run stays under `work/runs`; else it goes, and with the last run all of `work`.

    Raises:
        InputError: the folder or the archive holds records of another plan or of other cases; there is none to count; or as
            `stem.make_cohort`.
        StudyLockedError: another process carries out runs in the folder.
        StorageError: there is no room.
        Cancelled: what has a record is kept.
    """
    token = cancel or CancelToken()
    _claim(plan, out, archive)
    if archive is not None and archive.exists():
        unpack(archive, out, plan)
    if at_most == 0:
        compared = Compared(None, kept=tuple(_kept(out, retry_failed)))
        if not compared.kept:
            what = f"no record in {out}" if archive is None else f"no record in {out}, and none in {archive}"
            raise InputError(f"There is {what}.", hint="Check the names, or have runs carried out.")
    else:
        try:
            with _alone(out):
                share = threads or max(1, cores() // max(1, processes))
                call = _Call(plan, out, processes=processes, threads=share, keep_studies=keep_studies, progress=progress, cancel=token)
                compared = call.go_on(data=data, at_most=at_most, only_estimate=only_estimate, retry_failed=retry_failed)
                if compared.left == 0 and not compared.failed and not keep_studies:
                    # Everything has a record: what can be made again goes, but for studies that an earlier call was told to keep.
                    _give_up(out / WORK)
        except BaseException:
            if archive is not None:
                # What ended the call is the news, not that its archive could not be written either.
                with suppress(SuggestiveAnnotationError):
                    pack(out, archive, plan)
            raise
    if archive is not None and not only_estimate:
        pack(out, archive, plan)
    return compared


def runs_of(plan: Plan, folds: Folds) -> list[Run]:
    """Every run, in the order of doing: the arms of one fold and seed together, so that a comparison that is cut short has whole ones."""
    return [Run(arm.name, fold.number, seed) for seed in plan.seeds for fold, arm in product(folds[seed], plan.arms)]


def _first(missing: Sequence[Run], at_most: int | None) -> Sequence[Run]:
    """So many, and the other arms of the last one's fold and seed: all arms of a block start from the very same files."""
    if at_most is None or at_most >= len(missing):
        return missing
    last = missing[at_most - 1]
    return [run for place, run in enumerate(missing) if place < at_most or (run.fold, run.seed) == (last.fold, last.seed)]


def _claim(plan: Plan, out: Path, archive: Path | None) -> None:
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
            with _alone(out):
                shutil.rmtree(out / WORK, ignore_errors=True)
    elif out.is_dir() and any(one for one in out.iterdir() if archive is None or one.absolute() != archive.absolute()):
        raise InputError(f"{out} is not empty, and no comparison.", hint="Choose another folder with --out.")
    strange = [one.run for one in records if one.plan_key != plan.key]
    if strange:
        raise InputError(f"The record of {strange[0]} in {out} is of another plan.", hint="Choose another folder with --out.")
    write_frozen(out, plan)


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Inside, no other process carries out runs in the folder; what an interrupted one left half done is gone."""
    work = out / WORK
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(error, work) from error
    try:
        lock = WorkerLock(work)
    except StudyLockedError as held:
        sentence = f"Another `compare` is at work in {out}."
        raise StudyLockedError(sentence, hint="Wait for it, or choose another folder with --out.") from held
    with lock:
        done = {one.run for one in read_records(out) if one.status == "done"}
        for left in (*work.glob(".*"), *(one for one in (work / "runs").glob("*") if one.name not in done)):
            shutil.rmtree(left, ignore_errors=True)
        yield


def _give_up(work: Path) -> None:
    kept = work / "runs"
    studies = kept.is_dir() and any(kept.iterdir())
    for one in [place for place in work.iterdir() if place != kept] if studies else [work]:
        shutil.rmtree(one, ignore_errors=True)


def _kept(out: Path, retry_failed: bool) -> list[str]:
    """Runs that need no doing."""
    return [one.run for one in read_records(out) if one.status == "done" or not retry_failed]


def _refuse_other_people(out: Path, folds: Folds) -> None:
    """Records made elsewhere have to be of the cases that are here: one case more or less, and every fold holds out other people."""
    roles = {(seed, fold.number): fold.roles for seed, of_seed in folds.items() for fold in of_seed}
    for record in read_records(out):
        here = roles.get((record.seed, record.fold))
        if record.status != "done" or here is None:
            continue
        for role, names in (("test", record.test), ("pool", record.pool)):
            differing = sorted(set(names) ^ {name for name, one in here.items() if one == role})
            if differing:
                sentence = f"The record of {record.run} is of another cohort: {differing[0]} is a {role} case in only one of the two."
                raise InputError(sentence, hint="Check --data, or choose another folder with --out.")


@dataclass(frozen=True)
class _Call:
    """One call of `compare`, in a folder that no other process works in."""

    plan: Plan
    out: Path
    processes: int
    threads: int
    keep_studies: bool
    progress: ProgressCallback
    cancel: CancelToken

    def go_on(self, *, data: Path | None, at_most: int | None, only_estimate: bool, retry_failed: bool) -> Compared:
        """Prepare the cohort, tell the hours, carry out what is missing."""
        plan, out = self.plan, self.out
        with closing(make_cohort(plan, out, data=data, processes=self.processes, progress=self.progress, cancel=self.cancel)) as study:
            folds = {seed: folds_of(plan, study.cases(), seed=seed) for seed in plan.seeds}
        _refuse_other_people(out, folds)
        kept = tuple(_kept(out, retry_failed))
        missing = [run for run in runs_of(plan, folds) if run.name not in kept]
        if not missing:
            return Compared(None, kept=kept, left=0)
        todo = _first(missing, at_most)
        ahead = self._estimated(folds, todo)
        if only_estimate:
            return Compared(ahead, kept=kept, left=len(missing))
        for line in ahead.lines():
            self.progress(ProgressEvent("compare", 0, len(todo), message=line))
        done, broken = self._carried_out(self._jobs(folds, todo), len(todo))
        return Compared(ahead, tuple(done), tuple(broken), kept, left=len(missing) - len(todo))

    def _estimated(self, folds: Folds, todo: Sequence[Run]) -> Estimate:
        """Measured with the threads that a run will have, and before anything learns elsewhere, which may take hours."""
        import torch

        fold = next(one for one in folds[todo[0].seed] if one.number == todo[0].fold)
        base = make_base(self.plan, self.out, fold, todo[0].seed, transfer=False, progress=self.progress, cancel=self.cancel)
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            pace = measure(self.plan, self.out, base, cancel=self.cancel)
        finally:
            torch.set_num_threads(before)
        return estimate(self.plan, pace, base, todo, processes=self.processes)

    def _jobs(self, folds: Folds, todo: Sequence[Run]) -> dict[Any, Job]:
        """Runs and what they wait for: the base of the fold, the first model, the manifold. What is earlier in the order comes first."""
        plan, out = self.plan, self.out
        by_number = {(seed, fold.number): fold for seed, of_seed in folds.items() for fold in of_seed}
        jobs: dict[Any, Job] = {}
        for run in todo:
            fold, begin = by_number[run.seed, run.fold], begin_of(plan.arm(run.arm), fold=run.fold, seed=run.seed)
            base_key, plain = (run.fold, run.seed), replace(begin, manifold=None)
            base = base_of(out, run.fold, run.seed)
            jobs.setdefault(base_key, Job(base_key, None, make_base, (plan, out, fold, run.seed)))
            jobs.setdefault(plain, Job(plain, base_key, make_stem, (base, out, plain)))
            if begin.manifold is not None:
                jobs.setdefault(begin, Job(begin, plain, make_stem, (base, out, begin)))
            jobs[run] = Job(run, begin, _run, (plan, out, run, begin, self.keep_studies))
        return jobs

    def _carried_out(self, jobs: dict[Any, Job], runs: int) -> tuple[list[str], list[str]]:
        """Names of the runs that were done and of those that failed; each has its record before the next is told of."""
        done: list[str] = []
        broken: list[str] = []
        began = time.monotonic()
        with closing(carry_out(jobs, processes=self.processes, threads=self.threads, cancel=self.cancel)) as results:
            for job, result in results:
                if isinstance(result, StorageError):
                    raise result
                if not isinstance(job.key, Run):
                    continue
                record: RunRecord = failed(self.plan, job.key, result) if isinstance(result, Exception) else result
                write_record(self.out, record)
                (done if record.status == "done" else broken).append(record.run)
                finished = len(done) + len(broken)
                left = (time.monotonic() - began) / finished * (runs - finished)
                how = f": {record.seconds:.0f} s" if record.status == "done" else f" failed: {record.error['sentence']}"
                told = f"{finished}/{runs} {record.run}{how}; {_said(left)} left"
                self.progress(ProgressEvent("compare", finished, runs, left, message=told))
        return done, broken


def _run(plan: Plan, out: Path, run: Run, begin: Begin, keep_study: bool, *, cancel: CancelToken) -> RunRecord:
    return run_one(plan, out, run, out / WORK / begin.name, keep_study=keep_study, cancel=cancel)


def _said(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
