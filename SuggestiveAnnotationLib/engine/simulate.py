"""`simulate`: whole rounds with an annotator that corrects to the reference."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from SuggestiveAnnotationLib.effort.quantities import SavedEffort
from SuggestiveAnnotationLib.engine.ceiling import measure_ceiling
from SuggestiveAnnotationLib.engine.evaluate import evaluate
from SuggestiveAnnotationLib.engine.run_round import begin, run_round
from SuggestiveAnnotationLib.engine.settings import FIRST_BATCH, ManifoldOptions, RoundOptions
from SuggestiveAnnotationLib.engine.simulated_annotator import SimulatedAnnotator
from SuggestiveAnnotationLib.engine.summary import summary
from SuggestiveAnnotationLib.engine.train import train
from SuggestiveAnnotationLib.errors import StudyError
from SuggestiveAnnotationLib.progress import CancelToken, ProgressCallback, Stage, no_progress
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
        StudyError: a pool case has no reference labels.
        Cancelled: the study is consistent.
    """
    missing = [case.name for case in study.cases("pool") if case.label is None]
    if missing:
        raise StudyError(
            f"Case {missing[0]} has no reference labels to simulate an annotator with.", hint="Give them with --label at `study create`."
        )
    context: dict[str, Any] = {"progress": progress, "cancel": cancel}
    measure_ceiling(study)
    while not _all_rounds_done(study, rounds):
        first = not study.rounds()
        of_round = replace(options, strategy=FIRST_BATCH, strategy_options={}, budget=first_batch or options.budget) if first else options
        number = begin(study, of_round)
        if {r.number: r for r in study.rounds()}[number].stage != "annotating":
            run_round(study, options=of_round, manifold=manifold, **context)
        if study.latest_model("segmentation") is not None:
            watch = Stage("round", 1, cancel=cancel)
            evaluate(study, number=number, device=options.device, **context)
            study.enter_stage(number, "annotating", seconds={"evaluate": watch.seconds})
        _annotate(study, **context)
    last = rounds + 1
    if not any(model.round == last for model in study.models("segmentation")):
        train(study, options=options, seed=options.seed, round_number=last, **context)
    evaluate(study, number=last, device=options.device, **context)
    return summary(study)


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
