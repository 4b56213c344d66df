"""`simulate`: whole rounds with an annotator that corrects to the reference."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from SuggestiveAnnotationLib.effort.quantities import SavedEffort
from SuggestiveAnnotationLib.engine.ceiling import measure_ceiling
from SuggestiveAnnotationLib.engine.evaluate import evaluate
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


def simulate(
    study: Study,
    *,
    rounds: int,
    options: RoundOptions,
    manifold: ManifoldOptions,
    first_batch: int | None = None,
    progress: ProgressCallback = no_progress,
    cancel: CancelToken | None = None,
) -> dict[str, Any]:
    """A first batch without a model, then `rounds` rounds of train, suggest, pre-annotate, correct and measure, then a last model.

    Every model is judged on the test cases. Interrupted, the same call resumes.

    Args:
        study: prepared; every pool case with reference labels.
        rounds: after the first batch.
        options: of every round. manifold: of the VAE, fitted first when the strategy needs it.
        first_batch: slices of the first batch; the budget when not given.

    Returns:
        See `engine.summary.summary`.

    Raises:
        StudyError: a pool case has no reference labels, people annotate in this study, or it began with other settings.
        Cancelled: the study is consistent.
    """
    missing = [case.name for case in study.cases("pool") if case.label is None]
    if missing:
        sentence = f"Case {missing[0]} has no reference labels to simulate an annotator with."
        raise StudyError(sentence, hint="Give them with --label at `study create`.")
    check_options(options, experiment=True)
    _keep_settings(study, options, manifold, first_batch)
    context: dict[str, Any] = {"progress": progress, "cancel": cancel}
    if not any(case.label for case in study.cases("test")):
        progress(ProgressEvent("simulate", 0, 1, message="There is no test case with labels: Dice will not be measured (see --test)."))
    measure_ceiling(study)
    while not _all_rounds_done(study, rounds):
        current = study.current_round()
        of_round = options if current is not None else replace(options, budget=first_batch or options.budget)
        if current is None or current.stage != "annotating":
            run_round(study, options=of_round, manifold=manifold, experiment=True, **context)
        _annotate(study, **context)
    last = study.rounds()[-1].number + 1
    train(study, options=options, seed=options.seed, round_number=last, **context)
    evaluate(study, number=last, device=options.device, **context)
    return summary(study)


def _keep_settings(study: Study, options: RoundOptions, manifold: ManifoldOptions, first_batch: int | None) -> None:
    """A simulation keeps to the settings it began with, in a study that nobody else works on.

    Raises:
        StudyError: people annotate here, or the settings differ from those it began with.
    """
    wanted = {**asdict(manifold), **asdict(options), "first_batch": first_batch}
    del wanted["device"]
    wanted = json.loads(json.dumps(wanted))
    kept = study.properties().get("simulation")
    own = kept is not None or not study.rounds()
    people = {a.annotator for a in study.all_annotations()} | {d.annotator for d in study.drafts()}
    if not own or people - {SIMULATED_ANNOTATOR}:
        raise StudyError("This study holds work of people; a simulation would mix with it.", hint="Create another study to simulate in.")
    if kept is None:
        study.set_property("simulation", wanted)
    elif kept != wanted:
        names = [name for name in wanted if wanted[name] != kept.get(name)]
        began = ", ".join(f"{name} {kept.get(name)}" for name in names)
        sentence = f"The simulation in this study began with other settings ({began})."
        raise StudyError(sentence, hint="Keep to them, or create another study.")


def _all_rounds_done(study: Study, rounds: int) -> bool:
    current = study.current_round()
    return current is not None and current.stage == "finished" and current.number >= rounds


def _annotate(study: Study, *, progress: ProgressCallback, cancel: CancelToken | None) -> None:
    session = Session(study, annotator=SIMULATED_ANNOTATOR, quantity=SavedEffort)
    waiting = sum(row.state in ("suggested", "draft") for row in session.suggestions())
    stage = Stage("annotate", waiting, progress=progress, cancel=cancel)
    SimulatedAnnotator(session, reference=_reference(study)).work_through(stage)
    session.finish_round()


def _reference(study: Study) -> Any:
    def labels(ref: SliceRef) -> LabelArray:
        return np.array(study.reference_labels(ref.case)[ref.native_index])

    return labels
