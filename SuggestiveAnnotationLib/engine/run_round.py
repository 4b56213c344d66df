"""`run-round`: train, suggest and pre-annotate, resuming at the stage where an earlier call stopped."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, replace
from typing import Any

from SuggestiveAnnotationLib.engine.evaluate import evaluate
from SuggestiveAnnotationLib.engine.fill import renew_filled
from SuggestiveAnnotationLib.engine.first_batch import imported_model, out_of_reach
from SuggestiveAnnotationLib.engine.manifold import fit_manifold
from SuggestiveAnnotationLib.engine.settings import FIRST_BATCH, ManifoldOptions, RoundOptions
from SuggestiveAnnotationLib.engine.suggest import check_options, knows_the_pool, pre_annotate, suggest_for_round
from SuggestiveAnnotationLib.engine.train import train, train_committee
from SuggestiveAnnotationLib.errors import StudyError
from SuggestiveAnnotationLib.progress import CancelToken, ProgressCallback, ProgressEvent, Stage, no_progress
from SuggestiveAnnotationLib.report.numbers import count
from SuggestiveAnnotationLib.strategies.contract import Requirement
from SuggestiveAnnotationLib.strategies.registry import requirements
from SuggestiveAnnotationLib.study.records import Round
from SuggestiveAnnotationLib.study.study import Study


def run_round(
    study: Study,
    *,
    options: RoundOptions,
    given: Collection[str] = (),
    manifold: ManifoldOptions | None = None,
    finishes: int | None = None,
    experiment: bool = False,
    progress: ProgressCallback = no_progress,
    cancel: CancelToken | None = None,
) -> Round:
    """Bring the study to the point where people annotate, and judge the model on test cases that have labels.

    Without accepted slices the round is a first batch: nothing is trained, and without an imported model that has what the strategy needs
    it is drawn by the strategy that needs none. A round that was interrupted goes on with the options it began with, on the device of this
    call; `finish_round` drops one that cannot go on.

    Args:
        study: prepared.
        options: of a new round; of one under way only the device is taken.
        given: names of the options that the person set, who is told which of them a round under way does not take.
        manifold: of the VAE, should it be needed and not be there.
        finishes: number of the round that, where it still waits for annotations, is closed before the new one begins.
        experiment: strategies that look at reference labels are allowed, and slices are not filled, which a simulation does itself.

    Returns:
        The round, in the stage `annotating`.

    Raises:
        InputError: the options of a new round cannot be carried out; none is begun.
        StudyError: the study is not prepared, or the last round still waits for annotations.
        Cancelled: the stage under way is absent, the stages before it stand.
    """
    round_ = begin(study, options, finishes=finishes, experiment=experiment, progress=progress)
    number = round_.number
    if round_.stage == "annotating":
        raise StudyError(f"Round {number} waits for annotations.", hint="Annotate its suggestions, then finish the round.")
    began = RoundOptions(**round_.settings)
    _say_what_is_not_used(study, number, began, options, given, progress)
    options = replace(began, device=options.device)
    if round_.stage == "training":
        if not experiment and (filled := renew_filled(study, furthest=options.fill, progress=progress, cancel=cancel)):
            said = f"{count(filled, 'slice')} between annotated ones {'is' if filled == 1 else 'are'} filled by interpolation."
            progress(ProgressEvent("round", 0, 1, message=said))
        annotated = study.is_annotated("pool")
        if annotated:
            watch = Stage("round", 1, cancel=cancel)
            train(study, options=options, seed=options.seed, round_number=number, progress=progress, cancel=cancel)
            study.enter_stage(number, "training", seconds={"train": watch.seconds})
            if Requirement.COMMITTEE in requirements(options.strategy, options.strategy_options):
                watch = Stage("round", 1, cancel=cancel)
                train_committee(study, options=options, seed=options.seed, round_number=number, progress=progress, cancel=cancel)
                study.enter_stage(number, "training", seconds={"train committee": watch.seconds})
        # A model that was trained here was judged in its own round.
        if annotated or imported_model(study) is not None:
            watch = Stage("round", 1, cancel=cancel)
            evaluate(study, number=number, device=options.device, progress=progress, cancel=cancel)
            study.enter_stage(number, "training", seconds={"evaluate": watch.seconds})
        study.enter_stage(number, "suggesting")
    if round_.stage in ("training", "suggesting"):
        if Requirement.MANIFOLD in requirements(options.strategy, options.strategy_options) and not knows_the_pool(study):
            watch = Stage("round", 1, cancel=cancel)
            of_vae = manifold or ManifoldOptions(device=options.device)
            fit_manifold(study, options=of_vae, seed=options.seed, progress=progress, cancel=cancel)
            study.enter_stage(number, "suggesting", seconds={"fit manifold": watch.seconds})
        suggest_for_round(study, number=number, options=options, progress=progress, cancel=cancel)
    return pre_annotate(study, device=options.device, progress=progress, cancel=cancel)


def begin(
    study: Study, options: RoundOptions, *, finishes: int | None, experiment: bool = False, progress: ProgressCallback = no_progress
) -> Round:
    """The round under way, or one just begun. Raises: InputError, when the options cannot be carried out; nothing is finished then."""
    _ = study.record
    current = study.current_round()
    closes = current is not None and current.stage == "annotating" and current.number == finishes
    if current is not None and current.stage != "finished" and not closes:
        return current
    check_options(options, experiment=experiment)
    if current is not None and closes:
        study.finish_round(current.number)
    model = imported_model(study)
    if not study.is_annotated("pool") and (needs := out_of_reach(options, model)):
        why = "" if model is None else f", and {options.strategy} needs {needs}"
        progress(ProgressEvent("round", 0, 1, message=f"Nothing is annotated yet{why}: the first batch is {FIRST_BATCH}."))
        options = replace(options, strategy=FIRST_BATCH, strategy_options={})
    return study.start_round(
        strategy=options.strategy, budget=options.budget, seed=options.seed, unit=options.unit, settings=asdict(options)
    )


def _say_what_is_not_used(
    study: Study, number: int, began: RoundOptions, options: RoundOptions, given: Collection[str], progress: ProgressCallback
) -> None:
    """Tell the person which of their options a round under way does not take, because it began with others."""
    kept, now = asdict(began), asdict(options)
    silent = {"device"}
    if began.strategy == FIRST_BATCH and not study.is_annotated("pool"):
        # A first batch has a strategy of its own, which was said when the round began.
        silent |= {"strategy", "strategy_options"}
    other = [name for name in kept if name in given and name not in silent and kept[name] != now[name]]
    if other:
        values = _listed([as_typed(name, kept[name]) for name in other])
        said = f"Round {number} goes on with {values}, as it began; what was given instead is not used."
        progress(ProgressEvent("round", 0, 1, message=f"{said} `finish-round --abandon` drops it."))


def as_typed(name: str, value: Any) -> str:
    """An option as it is typed: `--steps 300`, `--no-augment`, `--option scorer=entropy`."""
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{flag}" if value else f"--no-{flag}"
    if isinstance(value, Mapping):
        return _listed([f"--option {key}={one}" for key, one in value.items()]) or "no --option"
    return f"--{flag} {value}"


def _listed(words: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
