"""`simulate`: whole rounds with an annotator that corrects to the reference."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from SuggestiveAnnotationLib.effort.quantities import SavedEffort
from SuggestiveAnnotationLib.engine.ceiling import measure_ceiling
from SuggestiveAnnotationLib.engine.evaluate import evaluate
from SuggestiveAnnotationLib.engine.fill import fill_annotated
from SuggestiveAnnotationLib.engine.run_round import run_round
from SuggestiveAnnotationLib.engine.settings import ManifoldOptions, RoundOptions
from SuggestiveAnnotationLib.engine.simulated_annotator import SimulatedAnnotator
from SuggestiveAnnotationLib.engine.suggest import check_options
from SuggestiveAnnotationLib.engine.summary import summary
from SuggestiveAnnotationLib.engine.train import train
from SuggestiveAnnotationLib.errors import StudyError
from SuggestiveAnnotationLib.progress import CancelToken, ProgressCallback, ProgressEvent, Stage, no_progress
from SuggestiveAnnotationLib.session import SIMULATED_ANNOTATOR, Session
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import LabelArray, SliceRef

SIMULATION = "simulation"
"""Property with the settings that a simulation keeps to; empty after a first batch that any simulation may go on from."""

OnModel = Callable[[int], None]
"""Told the number of a model."""


def simulate(
    study: Study,
    *,
    rounds: int,
    options: RoundOptions,
    manifold: ManifoldOptions,
    first_batch: int | None = None,
    budgets: Sequence[int] = (),
    before_model: OnModel | None = None,
    after_model: OnModel | None = None,
    progress: ProgressCallback = no_progress,
    cancel: CancelToken | None = None,
) -> dict[str, Any]:
    """A first batch without a model, then `rounds` rounds of train, suggest, pre-annotate, correct and measure, then a last model.

    Every model is judged on the test cases. Interrupted, the same call resumes.

    Args:
        study: prepared; every pool case with reference labels.
        rounds: after the first batch.
        options: of every round; what `fill` fills stays as it was filled first. manifold: of the VAE, fitted first when the strategy
            needs it.
        first_batch: slices of the first batch; the budget when not given.
        budgets: of rounds 1, 2, ...; the last one holds for the rounds after it. Empty: that of the options.
        before_model: called before a model is trained, on the slices that it will be trained on. after_model: called once it is judged, and
            before its suggestions are annotated. Of a round that is resumed both may be told again.

    Returns:
        See `engine.summary.summary`.

    Raises:
        StudyError: a pool case has no reference labels, people annotate in this study, or it began with other settings.
        Cancelled: the study is consistent.
    """
    _need_references(study)
    check_options(options, experiment=True)
    wanted = _check_settings(study, options, manifold, first_batch, budgets)
    context: dict[str, Any] = {"progress": progress, "cancel": cancel}
    tell_before, tell_after = before_model or _nobody, after_model or _nobody
    if not any(case.label for case in study.cases("test")):
        progress(ProgressEvent("simulate", 0, 1, message="There is no test case with labels: Dice will not be measured (see --test)."))
    measure_ceiling(study)
    # Only now nothing of the study can refuse the first round: a call that was refused before binds no later one.
    study.set_property(SIMULATION, wanted)
    while not _all_rounds_done(study, rounds):
        current = study.current_round()
        number = 0 if current is None else current.number + (current.stage == "finished")
        if current is None or current.stage != "annotating":
            budget = (first_batch or options.budget) if number == 0 else budget_of(number, budgets, options.budget)
            if number:
                fill_annotated(study, furthest=options.fill, annotator=SIMULATED_ANNOTATOR)
                tell_before(number)
            run_round(study, options=replace(options, budget=budget), manifold=manifold, experiment=True, **context)
        if number:
            tell_after(number)
        annotate_by_reference(study, **context)
    last = study.rounds()[-1].number + 1
    fill_annotated(study, furthest=options.fill, annotator=SIMULATED_ANNOTATOR)
    tell_before(last)
    train(study, options=options, seed=options.seed, round_number=last, **context)
    evaluate(study, number=last, device=options.device, **context)
    tell_after(last)
    return summary(study)


def share_first_batch(
    study: Study, *, options: RoundOptions, progress: ProgressCallback = no_progress, cancel: CancelToken | None = None
) -> None:
    """Suggest and annotate a first batch that simulations in copies of this study go on from. Interrupted, it resumes.

    Args:
        study: prepared, without rounds; every pool case with reference labels.
        options: strategy, budget and unit of the first batch; the strategy needs no model.

    Raises:
        StudyError: as `simulate`.
        Cancelled: the study is consistent.
    """
    _need_references(study)
    check_options(options, experiment=True)
    measure_ceiling(study)
    current = study.current_round()
    if current is None or current.stage in ("training", "suggesting", "predicting"):
        run_round(study, options=options, experiment=True, progress=progress, cancel=cancel)
    current = study.current_round()
    if current is not None and current.number == 0 and current.stage == "annotating":
        annotate_by_reference(study, progress=progress, cancel=cancel)
    study.set_property(SIMULATION, {})


def budget_of(number: int, budgets: Sequence[int], otherwise: int) -> int:
    """How much round `number` (from 1 on) suggests."""
    return budgets[min(number, len(budgets)) - 1] if budgets else otherwise


def annotate_by_reference(study: Study, *, progress: ProgressCallback = no_progress, cancel: CancelToken | None = None) -> None:
    """Correct every open suggestion of the newest round to the reference, and finish the round. Interrupted, it resumes."""
    session = Session(study, annotator=SIMULATED_ANNOTATOR, quantity=SavedEffort)
    waiting = sum(row.state in ("suggested", "draft") for row in session.suggestions())
    stage = Stage("annotate", waiting, progress=progress, cancel=cancel)
    SimulatedAnnotator(session, reference=_reference(study)).work_through(stage)
    newest = study.rounds()[-1]
    study.enter_stage(newest.number, newest.stage, seconds={"annotate": stage.seconds})
    session.finish_round()


def _nobody(_number: int) -> None:
    pass


def _need_references(study: Study) -> None:
    missing = [case.name for case in study.cases("pool") if case.label is None]
    if missing:
        sentence = f"Case {missing[0]} has no reference labels to simulate an annotator with."
        raise StudyError(sentence, hint="Give them with --label at `study create`.")


def _check_settings(
    study: Study, options: RoundOptions, manifold: ManifoldOptions, first_batch: int | None, budgets: Sequence[int]
) -> dict[str, Any]:
    """A simulation keeps to the settings it began with, in a study that nobody else works on.

    Returns:
        The settings of this call, as the study keeps them.

    Raises:
        StudyError: people annotate here, or the settings differ from those it began with.
    """
    wanted: dict[str, Any] = {**asdict(manifold), **asdict(options), "first_batch": first_batch}
    if budgets:
        wanted["budgets"] = list(budgets)
    if not options.fill:
        # As simulations have it that began before there was the option.
        del wanted["fill"]
    del wanted["device"]
    wanted = json.loads(json.dumps(wanted))
    kept = study.properties().get(SIMULATION)
    own = kept is not None or not study.rounds()
    people = {a.annotator for a in study.all_annotations()} | {d.annotator for d in study.drafts()}
    if not own or people - {SIMULATED_ANNOTATOR}:
        raise StudyError("This study holds work of people; a simulation would mix with it.", hint="Create another study to simulate in.")
    if kept and kept != wanted:
        names = [name for name in wanted | kept if wanted.get(name) != kept.get(name)]
        began = ", ".join(f"{name} {kept.get(name)}" for name in names)
        sentence = f"The simulation in this study began with other settings ({began})."
        raise StudyError(sentence, hint="Keep to them, or create another study.")
    return wanted


def _all_rounds_done(study: Study, rounds: int) -> bool:
    current = study.current_round()
    return current is not None and current.stage == "finished" and current.number >= rounds


def _reference(study: Study) -> Any:
    def labels(ref: SliceRef) -> LabelArray:
        return np.array(study.reference_labels(ref.case)[ref.native_index])

    return labels
