"""What all arms of a fold and a seed share, made once: the prepared cohort, the first batch, the first model, the manifold.

Arms start from copies of the same files, so that first batches, first models and manifolds are the same bit for bit.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from SuggestiveAnnotationLib.cohort.embedded.cohort import embedded_schema, write_embedded_cohort
from SuggestiveAnnotationLib.engine.ceiling import measure_ceiling
from SuggestiveAnnotationLib.engine.cohort import create, find
from SuggestiveAnnotationLib.engine.evaluate import evaluate
from SuggestiveAnnotationLib.engine.manifold import fit_manifold
from SuggestiveAnnotationLib.engine.prepare import prepare
from SuggestiveAnnotationLib.engine.settings import ManifoldOptions, RoundOptions, TrainingOptions
from SuggestiveAnnotationLib.engine.simulate import share_first_batch
from SuggestiveAnnotationLib.engine.train import train
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.experiment.plan import Amount, Arm, EmbeddedSource, FolderSource, Plan, Transfer, resolve
from SuggestiveAnnotationLib.experiment.plan_file import embedded_cohort
from SuggestiveAnnotationLib.experiment.splits import Fold, folds_of
from SuggestiveAnnotationLib.files import storage_error
from SuggestiveAnnotationLib.progress import CancelToken, ProgressCallback, no_progress
from SuggestiveAnnotationLib.session import SIMULATED_ANNOTATOR, Session
from SuggestiveAnnotationLib.strategies.contract import Requirement
from SuggestiveAnnotationLib.strategies.registry import requirements
from SuggestiveAnnotationLib.study.study import DATABASE_NAME, Study
from SuggestiveAnnotationLib.types import Case, Role, SliceRef, Unit, content_key

WORK = "work"
"""Folder of what can be made again, inside the folder of a comparison."""
DATA = "${DATA}"
STEM_SECONDS = "stem seconds"
"""Property: stage -> seconds that the shared beginning took."""
_SOURCE = "comparison source"
"""Property: folder that the cases of a comparison came from, links resolved."""
_OWN = (DATABASE_NAME, f"{DATABASE_NAME}-wal")
_LEFT = ("worker.pid", "worker.lock", f"{DATABASE_NAME}-shm")


@dataclass(frozen=True)
class Begin:
    """Which shared beginning a run has: runs with equal ones start from the same files."""

    fold: int
    seed: int
    training: TrainingOptions
    manifold: ManifoldOptions | None

    @property
    def name(self) -> str:
        """Of its folder."""
        key = content_key([asdict(self.training), None if self.manifold is None else asdict(self.manifold)])
        return f"fold-{self.fold}-seed-{self.seed}-{key}"


def begin_of(arm: Arm, *, fold: int, seed: int) -> Begin:
    """The beginning of one run."""
    needs = Requirement.MANIFOLD in requirements(arm.strategy, arm.options)
    return Begin(fold, seed, arm.training, arm.manifold if needs else None)


def make_cohort(
    plan: Plan, folder: Path, *, data: Path | None = None, processes: int = 1, progress: ProgressCallback, cancel: CancelToken
) -> Study:
    """The prepared study that every fold is copied from; every case is in its pool. Interrupted, the same call resumes.

    Args:
        folder: of the comparison. data: what `${DATA}` in the plan stands for.

    Raises:
        InputError: there is no such folder, no usable case, fewer people than the split needs, or no such label as an endpoint names; or
            the cases prepared before came from another folder than `data`.
    """
    path = folder / WORK / "cohort"
    context: dict[str, Any] = {"progress": progress, "cancel": cancel}
    if (path / DATABASE_NAME).exists():
        study = Study(path)
        if isinstance(plan.cohort, FolderSource) and data is not None:
            _refuse_other_source(study, _folder(plan.cohort, data), folder)
    elif isinstance(plan.cohort, EmbeddedSource):
        cohort = embedded_cohort(plan.cohort)
        cases = write_embedded_cohort(folder / WORK / "made", cohort, **context)
        study = Study.create(
            path, name=plan.name, cases=cases, schema=embedded_schema(lesions=cohort.lesions > 0), modalities=cohort.modalities,
            reference=cohort.modalities[0],
        )  # fmt: skip
    else:
        study = _from_folder(plan.cohort, path, data, **context)
    try:
        folds_of(plan, study.cases(), seed=plan.seeds[0])
        _check_labels(plan, study)
    except InputError:
        # What is mended in the folder or its table is to be seen by the next call.
        study.close()
        shutil.rmtree(path, ignore_errors=True)
        raise
    with study.lock():
        prepare(study, plane=plan.plane, pixels=plan.pixels, spacing=plan.grid_spacing, processes=processes, **context)
        # Roles were those of the cohort's own table; here the plan says who is held out.
        study.set_roles({case.name: "pool" for case in study.cases() if case.role != "excluded"})
        if plan.transfer is None and plan.split.among == "*":
            # Where only some cases take part every base measures theirs.
            measure_ceiling(study)
    study.close()
    return study


def _from_folder(source: FolderSource, path: Path, data: Path | None, **context: Any) -> Study:
    if source.folder.startswith(DATA) and data is None:
        sentence = f"The plan takes its cases from {source.folder}, and nothing says where that is."
        raise InputError(sentence, hint="Name the folder with --data DIR.")
    folder = _folder(source, data)
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}.", hint="Check `folder` in [cohort], and --data.")
    table = None if source.table is None else folder / source.table
    plan = find(
        folder, layout=source.layout, images=dict(source.images) or None, label=source.label, mask=source.mask, table=table,
        reference=source.reference, **context,
    )  # fmt: skip
    study = create(path, plan=plan, schema=source.schema, **context)
    study.set_property(_SOURCE, str(folder.resolve()))
    return study


def _check_labels(plan: Plan, study: Study) -> None:
    known = [*(one.name for one in study.schema.classes), *study.schema.regions]
    for one in plan.endpoints:
        strange = [label for label in one.labels if label not in known]
        if strange:
            sentence = f"The endpoint {one.name} is of {strange[0]}, which the schema {study.schema.name} does not have."
            raise InputError(sentence, hint=f"Classes and regions are {', '.join(known)}.")


def _folder(source: FolderSource, data: Path | None) -> Path:
    return Path(source.folder.replace(DATA, str(data), 1)).expanduser()


def _refuse_other_source(study: Study, given: Path, folder: Path) -> None:
    """Records of one comparison are never of two data sets. A link to the folder is the folder."""
    used = study.properties().get(_SOURCE)
    if used is not None and used != str(given.resolve()):
        sentence = f"The cases of {folder} were prepared from {used}, which is not {given}."
        raise InputError(sentence, hint="Leave --data out to go on with them, or choose another folder with --out.")


def base_of(folder: Path, fold: int, seed: int) -> Path:
    """Where `make_base` puts the study that runs start from."""
    return folder / WORK / f"base-fold-{fold}-seed-{seed}"


def make_base(
    plan: Plan,
    folder: Path,
    fold: Fold,
    seed: int,
    *,
    transfer: bool = True,
    progress: ProgressCallback = no_progress,
    cancel: CancelToken,
) -> Path:
    """The study of a fold and a seed after its first batch; in a plan with a transfer, after the training elsewhere too.

    Without `transfer` that training is left out, in a study of its own: enough to measure on, and no run starts from it.
    """
    first, elsewhere = plan.first_batch, plan.transfer if transfer else None
    base = base_of(folder, fold.number, seed)
    path = base if elsewhere == plan.transfer else base.with_name(f"{base.name}-without-transfer")

    def build(study: Study) -> dict[str, float]:
        seconds = {}
        if elsewhere is not None:
            began = time.monotonic()
            _learn_elsewhere(study, fold, elsewhere, plan.training, seed=seed, progress=progress, cancel=cancel)
            seconds["train elsewhere"] = time.monotonic() - began
        study.set_roles(fold.roles)
        options = RoundOptions(
            **asdict(plan.training), strategy=plan.first_strategy, unit=plan.first_unit, budget=budget_of(study, first, plan.first_unit),
            seed=seed, min_gap=min(arm.min_gap for arm in plan.arms),
        )  # fmt: skip
        share_first_batch(study, options=options, progress=progress, cancel=cancel)
        return seconds

    return _made(path, folder / WORK / "cohort", build)


def make_stem(base: Path, folder: Path, begin: Begin, *, progress: ProgressCallback = no_progress, cancel: CancelToken) -> Path:
    """The study that every arm with this beginning is copied from: with its first model, judged, and its manifold."""
    context: dict[str, Any] = {"progress": progress, "cancel": cancel}

    def learn(study: Study) -> dict[str, float]:
        began = time.monotonic()
        train(study, options=begin.training, seed=begin.seed, round_number=1, **context)
        trained = time.monotonic()
        evaluate(study, number=1, device=begin.training.device, **context)
        return {"train": trained - began, "evaluate": time.monotonic() - trained}

    plain = replace(begin, manifold=None)
    made = _made(folder / WORK / plain.name, base, learn)
    manifold = begin.manifold
    if manifold is None:
        return made

    def place(study: Study) -> dict[str, float]:
        began = time.monotonic()
        fit_manifold(study, options=manifold, seed=begin.seed, **context)
        return {"fit manifold": time.monotonic() - began}

    return _made(folder / WORK / begin.name, made, place)


def budget_of(study: Study, amount: Amount, unit: Unit) -> int:
    """An amount of the plan in slices or cases of this study's pool; shares are of the cases, or of the slices that are not blank."""
    if isinstance(amount, int):
        return amount
    pool = study.cases("pool")
    return resolve(amount, len(pool) if unit == "case" else sum(int((~study.slices(case.name).blank).sum()) for case in pool))


def copy_study(source: Path, target: Path) -> None:
    """Copy a study that is closed. Large files are never changed in place, so that they can be the same file under two names.

    Raises:
        StorageError: there is no room.
    """

    def place(one: str, other: str) -> str:
        if Path(one).name not in _OWN:
            try:
                os.link(one, other)
                return other
            except OSError:
                pass  # another disk, or one that knows no links
        return shutil.copyfile(one, other)

    try:
        shutil.copytree(source, target, copy_function=place, ignore=shutil.ignore_patterns(*_LEFT))
    except (shutil.Error, OSError) as error:
        raise storage_error(error if isinstance(error, OSError) else OSError(str(error)), target) from error


def _made(path: Path, source: Path, build: Callable[[Study], Mapping[str, float]]) -> Path:
    """A study that is there whole or not at all: built in a copy that then takes its name."""
    if path.exists():
        return path
    scratch = path.with_name(f".{path.name}-{os.getpid()}")
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        copy_study(source, scratch)
        with closing(Study(scratch)) as study, study.lock():
            kept = study.properties().get(STEM_SECONDS, {})
            study.set_property(STEM_SECONDS, {**kept, **{name: round(value, 2) for name, value in build(study).items()}})
        try:
            scratch.rename(path)
        except OSError:
            # Another process was faster; what it made is the same.
            if not path.exists():
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return path


def _learn_elsewhere(
    study: Study, fold: Fold, transfer: Transfer, training: TrainingOptions, *, seed: int, progress: ProgressCallback, cancel: CancelToken
) -> None:
    """Train on annotations of the other site, which leaves the study afterwards; the first round goes on from its network."""
    here: dict[str, Role] = {name: "excluded" for name in fold.roles}
    study.set_roles({**here, **{name: "pool" for name in fold.elsewhere}})
    session = Session(study, annotator=SIMULATED_ANNOTATOR)
    for case in study.cases("pool"):
        session.import_annotations(_slices(study, case, transfer.every))
        cancel.raise_if_cancelled()
    train(study, options=replace(training, steps=transfer.steps, warm_start=False), seed=seed, progress=progress, cancel=cancel)


def _slices(study: Study, case: Case, every: int) -> Mapping[SliceRef, Any]:
    labels, blank = study.reference_labels(case.name), study.slices(case.name).blank
    shown: Sequence[SliceRef] = [ref for ref in study.frame(case.name).refs(case.name) if not blank[ref.native_index]]
    return {ref: labels[ref.native_index].copy() for ref in shown[::every]}
