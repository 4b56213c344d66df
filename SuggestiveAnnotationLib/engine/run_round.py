"""`run-round`: train, suggest and pre-annotate, resuming at the stage where an earlier call stopped."""

from __future__ import annotations

from dataclasses import asdict, replace

from SuggestiveAnnotationLib.engine.manifold import fit_manifold
from SuggestiveAnnotationLib.engine.predict import predict_slices
from SuggestiveAnnotationLib.engine.settings import FIRST_BATCH, ManifoldOptions, RoundOptions
from SuggestiveAnnotationLib.engine.suggest import check_options, suggest_for_round
from SuggestiveAnnotationLib.engine.train import train
from SuggestiveAnnotationLib.errors import StudyError
from SuggestiveAnnotationLib.progress import CancelToken, ProgressCallback, Stage, no_progress
from SuggestiveAnnotationLib.strategies.contract import Requirement
from SuggestiveAnnotationLib.strategies.registry import entry
from SuggestiveAnnotationLib.study.records import Round
from SuggestiveAnnotationLib.study.study import Study


def run_round(
    study: Study,
    *,
    options: RoundOptions,
    manifold: ManifoldOptions | None = None,
    progress: ProgressCallback = no_progress,
    cancel: CancelToken | None = None,
) -> Round:
    """Bring the study to the point where people annotate.

    Without accepted slices the round is a first batch: no model, and the strategy that needs none. A round that was interrupted goes on
    with the options it began with.

    Args:
        study: prepared.
        options: of a new round; ignored when a round is under way.
        manifold: of the VAE, should it be needed and not be there.

    Returns:
        The round, in the stage `annotating`.

    Raises:
        StudyError: the study is not prepared, or the last round still waits for annotations.
        Cancelled: the stage under way is absent, the stages before it stand.
    """
    number = begin(study, options)
    kept = {round_.number: round_ for round_ in study.rounds()}[number]
    if kept.stage == "annotating":
        raise StudyError(f"Round {number} waits for annotations.", hint="Annotate its suggestions, then finish the round.")
    options = RoundOptions(**kept.settings)
    if kept.stage == "training":
        watch = Stage("round", 1, cancel=cancel)
        if study.annotated_refs() and not any(m.round == number for m in study.models("segmentation")):
            train(study, options=options, seed=options.seed, round_number=number, progress=progress, cancel=cancel)
        study.enter_stage(number, "suggesting", seconds={"train": watch.seconds})
        kept = replace(kept, stage="suggesting")
    if kept.stage == "suggesting":
        if Requirement.MANIFOLD in entry(kept.strategy).requires and study.latest_model("manifold") is None:
            watch = Stage("round", 1, cancel=cancel)
            of_vae = manifold or ManifoldOptions(device=options.device)
            fit_manifold(study, options=of_vae, seed=options.seed, progress=progress, cancel=cancel)
            study.enter_stage(number, "suggesting", seconds={"fit manifold": watch.seconds})
        suggest_for_round(study, number=number, options=options, progress=progress, cancel=cancel)
    watch = Stage("round", 1, cancel=cancel)
    refs = [row.suggestion.ref for row in study.suggestions(number)]
    if study.latest_model("segmentation") is not None:
        predict_slices(study, refs, device=options.device, progress=progress, cancel=cancel)
    study.enter_stage(number, "annotating", seconds={"predict": watch.seconds})
    return {round_.number: round_ for round_ in study.rounds()}[number]


def begin(study: Study, options: RoundOptions) -> int:
    """Number of the round under way, or of the one just begun. Raises: InputError, when the options cannot be carried out."""
    _ = study.record
    current = study.current_round()
    if current is not None and current.stage != "finished":
        return current.number
    check_options(options)
    if not study.annotated_refs() and entry(options.strategy).requires:
        options = replace(options, strategy=FIRST_BATCH, strategy_options={})
    return study.start_round(
        strategy=options.strategy, budget=options.budget, seed=options.seed, unit=options.unit, settings=asdict(options)
    ).number
