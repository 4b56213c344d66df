"""`suggest`: ask a strategy for the next batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np
import torch
from numpy.typing import NDArray

from SuggestiveAnnotationLib.engine.predict import load_newest, predict_slices
from SuggestiveAnnotationLib.engine.settings import RoundOptions
from SuggestiveAnnotationLib.errors import StudyError
from SuggestiveAnnotationLib.models.checkpoint import load_checkpoint
from SuggestiveAnnotationLib.progress import CancelToken, ProgressCallback, Stage, no_progress
from SuggestiveAnnotationLib.strategies.access import ModelAccess, VaeAccess
from SuggestiveAnnotationLib.strategies.contract import Answer, Pool, Query, Requirement
from SuggestiveAnnotationLib.strategies.registry import entry, strategy
from SuggestiveAnnotationLib.study.records import Annotation, Round
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.training.data import NetworkSlices, network_labels
from SuggestiveAnnotationLib.training.device import autocast_dtype, pick_device
from SuggestiveAnnotationLib.types import ModelKind, SliceRef

_MODELS: tuple[tuple[Requirement, ModelKind, str], ...] = (
    (Requirement.MODEL, "segmentation", "train"),
    (Requirement.MANIFOLD, "manifold", "fit-manifold"),
)


def check_options(options: RoundOptions) -> None:
    """Raises: InputError, when the strategy, one of its options or the device is not to be had."""
    strategy(options.strategy, **_options(options))
    pick_device(options.device)


def suggest(study: Study, *, options: RoundOptions, progress: ProgressCallback = no_progress, cancel: CancelToken | None = None) -> Round:
    """Open a round with the models that are there, suggest, and pre-annotate where there is a model.

    Raises:
        InputError: unknown strategy, option or device.
        StudyError: a round is under way, or a model that the strategy needs is missing.
    """
    check_options(options)
    for requirement, kind, verb in _MODELS:
        if requirement in entry(options.strategy).requires and study.latest_model(kind) is None:
            raise StudyError(f"The strategy {options.strategy} needs a {kind} model, and there is none.", hint=f"Run `{verb}` first.")
    round_ = study.start_round(
        strategy=options.strategy, budget=options.budget, seed=options.seed, unit=options.unit, settings=asdict(options)
    )
    study.enter_stage(round_.number, "suggesting")
    suggest_for_round(study, number=round_.number, options=options, progress=progress, cancel=cancel)
    if study.latest_model("segmentation") is not None:
        refs = [row.suggestion.ref for row in study.suggestions(round_.number)]
        predict_slices(study, refs, device=options.device, progress=progress, cancel=cancel)
    study.enter_stage(round_.number, "annotating")
    return study.rounds()[-1]


def suggest_for_round(
    study: Study, *, number: int, options: RoundOptions, progress: ProgressCallback = no_progress, cancel: CancelToken | None = None
) -> Answer:
    """Ask the strategy and publish its batch in round `number`, in one transaction."""
    stage = Stage("suggest", 1, progress=progress, cancel=cancel)
    answer = ask(study, options=options, number=number)
    notes = [*([answer.shortfall] if answer.shortfall else []), *answer.warnings]
    study.publish_suggestions(number, answer.suggestions, notes=notes, seconds={"suggest": stage.seconds})
    stage.advance(message="; ".join(notes))
    return answer


def ask(study: Study, *, options: RoundOptions, number: int) -> Answer:
    """What a strategy suggests now. Changes nothing.

    Raises:
        InputError: unknown strategy or option.
        StudyError: a model that the strategy needs is missing.
    """
    pool = pool_of(study)
    needs = entry(options.strategy).requires
    chosen = strategy(options.strategy, **_options(options))
    query = Query(
        pool=pool,
        schema=study.schema,
        budget=options.budget,
        seed=options.seed * 1000 + number,
        unit=options.unit,
        min_gap=options.min_gap,
    )
    if not needs:
        return chosen.suggest(query)
    device = pick_device(options.device)
    annotations = {a.ref: a for a in study.annotations()}
    images = NetworkSlices(study, pool.refs, device=device)
    if Requirement.MODEL in needs:
        _, network = load_newest(study, device=device)
        accepted = _AcceptedLabels(study, pool.refs, annotations)
        access = ModelAccess(network, images.images, accepted, study.schema, device=device, autocast=autocast_dtype(device))
        query = replace(query, model=access, sources=sources(pool, annotations, options, number))
    if Requirement.MANIFOLD in needs:
        query = replace(query, manifold=_manifold(study, pool.refs, device))
    if Requirement.REFERENCE in needs:
        query = replace(query, reference=_Reference(study, pool.refs))
    return chosen.suggest(query)


def pool_of(study: Study) -> Pool:
    """The pool as it stands now."""
    annotated = study.annotated_refs()
    closed = {row.suggestion.ref for row in study.suggestions() if row.state in ("suggested", "draft", "skipped")}
    refs: list[SliceRef] = []
    spacing: list[float] = []
    blank: list[bool] = []
    for case in study.cases("pool"):
        slices = study.slices(case.name)
        of_case = study.frame(case.name).refs(case.name)
        refs += of_case
        spacing += [slices.spacing[0]] * len(of_case)
        blank += slices.blank.tolist()
    return Pool(
        refs=tuple(refs),
        spacing_mm=np.array(spacing, float),
        blank=np.array(blank, bool),
        labelled=np.array([ref in annotated for ref in refs], bool),
        closed=np.array([ref in closed for ref in refs], bool),
    )


def sources(pool: Pool, annotations: dict[SliceRef, Annotation], options: RoundOptions, number: int) -> tuple[int, ...]:
    """Pool indices of the annotated slices that gradients start from."""
    rounds = [a.round for a in annotations.values() if a.round is not None and a.round < number]
    wanted = {"previous": max(rounds, default=None), "initial": min(rounds, default=None), "all": None}[options.sources]
    return tuple(i for i, ref in enumerate(pool.refs) if ref in annotations and (wanted is None or annotations[ref].round == wanted))


def _options(options: RoundOptions) -> dict[str, object]:
    given = dict(options.strategy_options)
    if options.context:
        given["context"] = options.context
    return given


def _manifold(study: Study, refs: Sequence[SliceRef], device: torch.device) -> VaeAccess:
    model = study.latest_model("manifold")
    known, latents = study.latents(model)
    if model is None or known != tuple(refs):
        raise StudyError("The manifold was fitted on another pool.", hint="Run `fit-manifold` again.")
    vae, _ = load_checkpoint(model.path, record_key=study.record.key, device=device)
    return VaeAccess(vae, latents)


class _AcceptedLabels:
    """Accepted annotations on the network grid, by pool index."""

    def __init__(self, study: Study, refs: Sequence[SliceRef], annotations: dict[SliceRef, Annotation]) -> None:
        self._study, self._refs, self._annotations = study, refs, annotations

    def __call__(self, index: int) -> NDArray[np.int16] | None:
        annotation = self._annotations.get(self._refs[index])
        if annotation is None:
            return None
        return _on_network(self._study, annotation.ref, annotation.labels)


class _Reference:
    """Reference labels on the network grid, for oracles in experiments."""

    def __init__(self, study: Study, refs: Sequence[SliceRef]) -> None:
        self._study, self._refs = study, refs

    def channels(self, index: int) -> NDArray[np.int16]:
        """See `ReferenceAccess.channels`."""
        ref = self._refs[index]
        return _on_network(self._study, ref, self._study.reference_labels(ref.case)[ref.native_index])


def _on_network(study: Study, ref: SliceRef, labels: NDArray[np.uint16]) -> NDArray[np.int16]:
    out: NDArray[np.int16] = network_labels(study, study.schema, [ref], [labels])[0].numpy()
    return out
