"""`suggest`: ask a strategy for the next batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from SuggestiveAnnotationLib.engine.first_batch import OF_NETWORKS, network_lacks
from SuggestiveAnnotationLib.engine.manifold import idle_units
from SuggestiveAnnotationLib.engine.predict import load_newest, load_segmentation, predict_slices
from SuggestiveAnnotationLib.engine.presumed import PresumedLabels
from SuggestiveAnnotationLib.engine.settings import RoundOptions
from SuggestiveAnnotationLib.engine.train import augmentation, lost_classes, newest_committee
from SuggestiveAnnotationLib.errors import InputError, StudyError
from SuggestiveAnnotationLib.models.checkpoint import load_checkpoint
from SuggestiveAnnotationLib.models.segmentation import SegmentationNetwork
from SuggestiveAnnotationLib.progress import CancelToken, ProgressCallback, ProgressEvent, Stage, no_progress, spoken
from SuggestiveAnnotationLib.strategies.access import Accepted, Images, ModelAccess, VaeAccess
from SuggestiveAnnotationLib.strategies.audit import with_audit
from SuggestiveAnnotationLib.strategies.contract import Answer, Pool, Query, Requirement, Strategy
from SuggestiveAnnotationLib.strategies.registry import entry, requirements, strategy
from SuggestiveAnnotationLib.strategies.stepping import SteppingStrategy
from SuggestiveAnnotationLib.study.records import Annotation, Round, model_before
from SuggestiveAnnotationLib.study.round_rows import GO_ON
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.training.cost import micro_batch_size
from SuggestiveAnnotationLib.training.data import NetworkSlices, network_labels
from SuggestiveAnnotationLib.training.device import autocast_dtype, exact_float32, halve_on_out_of_memory, pick_device
from SuggestiveAnnotationLib.types import FILLED, ModelKind, SliceRef

BATCH = 32
"""Slices that a strategy looks at together, at the most."""

_MODELS: tuple[tuple[Requirement, ModelKind, str], ...] = (
    (Requirement.MODEL, "segmentation", "train"),
    (Requirement.MANIFOLD, "manifold", "fit-manifold"),
    (Requirement.COMMITTEE, "committee", "run-round"),
)
_TRAIN_WITH = {
    Requirement.DROPOUT: "Train with --dropout above 0, for example --dropout 0.2.",
    Requirement.LOSS_HEAD: "Train with --loss-head.",
}


def check_options(options: RoundOptions, *, experiment: bool = False, trains: bool = True) -> None:
    """Raises: InputError, when the strategy, one of its options or the device is not to be had, or the training gives not what it needs.

    `experiment` allows strategies that look at reference labels; in a study that people annotate they would give the answer away.
    `trains`: these options train the model that the strategy looks through.
    """
    strategy(options.strategy, **_options(options))
    if entry(options.strategy).needs_reference and not experiment:
        raise InputError(f"The strategy {options.strategy} looks at reference labels.", hint="It is for `simulate` only.")
    if trains:
        _refuse_lack(InputError, options, asdict(options))
    pick_device(options.device)


def _refuse_lack(kind: type[InputError | StudyError], options: RoundOptions, network: Mapping[str, Any]) -> None:
    """Raises: `kind`, where the strategy needs what the network (see `network_lacks`) does not have."""
    lack = network_lacks(requirements(options.strategy, options.strategy_options), network)
    if lack is not None:
        raise kind(f"The strategy {options.strategy} needs {OF_NETWORKS[lack]}.", hint=_TRAIN_WITH[lack])


def suggest(study: Study, *, options: RoundOptions, progress: ProgressCallback = no_progress, cancel: CancelToken | None = None) -> Round:
    """Open a round with the models that are there, suggest, and pre-annotate where there is a model. Interrupted, it resumes.

    Raises:
        InputError: unknown strategy, option or device.
        StudyError: another round is under way, or a model that the strategy needs is missing.
    """
    current = study.current_round()
    if current is None or current.stage != "predicting":
        check_options(options, trains=False)
        number = 0 if current is None else current.number + 1
        for requirement, kind, verb in _MODELS:
            if requirement in requirements(options.strategy, options.strategy_options) and study.latest_model(kind) is None:
                raise StudyError(f"The strategy {options.strategy} needs a {kind} model, and there is none.", hint=f"Run `{verb}` first.")
        _check_model(study, options)
        if current is not None and current.stage != "finished":
            raise StudyError(f"Round {current.number} is not finished (it is {current.stage}).", hint=GO_ON)
        watch = Stage("round", 1, cancel=cancel)
        answer = ask(study, options=options, number=number, progress=progress, cancel=cancel)
        study.start_round(
            strategy=options.strategy,
            budget=options.budget,
            seed=options.seed,
            unit=options.unit,
            settings=asdict(options),
            suggestions=answer.suggestions,
            notes=_notes(answer),
            seconds={"suggest": watch.seconds},
        )
    return pre_annotate(study, device=options.device, progress=progress, cancel=cancel)


def _check_model(study: Study, options: RoundOptions) -> None:
    """Raises: StudyError, when the newest model lacks what the strategy needs."""
    model = study.latest_model("segmentation")
    if model is not None:
        _refuse_lack(StudyError, options, model.card.get("network", {}))


def pre_annotate(study: Study, *, device: str, progress: ProgressCallback = no_progress, cancel: CancelToken | None = None) -> Round:
    """Predict every slice that the newest round suggests, where there is a model, and hand the round over to people.

    Audit slices are predicted as well, by the model before too (`model_before`), and never shown: they tell what the last round gained.
    """
    round_ = study.rounds()[-1]
    watch = Stage("round", 1, cancel=cancel)
    models = study.models("segmentation")
    if models:
        rows = study.suggestion_states(round_.number)
        predict_slices(study, [row.ref for row in rows], device=device, progress=progress, cancel=cancel)
        audits = [row.ref for row in rows if row.kind == "audit"]
        before = model_before(models, models[-1])
        if audits and before is not None:
            try:
                predict_slices(study, audits, model=before, device=device, progress=progress, cancel=cancel)
            except StudyError as error:
                # The comparison is an extra; people can annotate without it.
                progress(ProgressEvent("predict", 1, 1, message=f"This round's gain cannot be measured: {error}"))
    study.enter_stage(round_.number, "annotating", seconds={"predict": watch.seconds})
    return study.rounds()[-1]


def suggest_for_round(
    study: Study, *, number: int, options: RoundOptions, progress: ProgressCallback = no_progress, cancel: CancelToken | None = None
) -> None:
    """Ask the strategy and publish its batch in round `number`, in one transaction."""
    watch = Stage("round", 1, cancel=cancel)
    answer = ask(study, options=options, number=number, progress=progress, cancel=cancel)
    study.publish_suggestions(number, answer.suggestions, notes=_notes(answer), seconds={"suggest": watch.seconds})


def _notes(answer: Answer) -> list[str]:
    return [*([answer.shortfall] if answer.shortfall else []), *answer.warnings]


def ask(
    study: Study, *, options: RoundOptions, number: int, progress: ProgressCallback = no_progress, cancel: CancelToken | None = None
) -> Answer:
    """What a strategy suggests now. Changes nothing.

    Raises:
        InputError: unknown strategy or option.
        StudyError: a model that the strategy needs is missing.
    """
    pool = pool_of(study)
    needs = requirements(options.strategy, options.strategy_options)
    chosen = strategy(options.strategy, **_options(options))
    query = Query(
        pool=pool,
        schema=study.schema,
        budget=options.budget,
        seed=options.seed * 1000 + number,
        unit=options.unit,
        min_gap=options.min_gap,
        round=number,
    )
    device = pick_device(options.device)
    with exact_float32(device):
        if Requirement.MANIFOLD in needs:
            query = replace(query, manifold=_manifold(study, pool.refs, device))
        if Requirement.REFERENCE in needs:
            query = replace(query, reference=_Reference(study, pool.refs))
        if needs & {Requirement.MODEL, Requirement.COMMITTEE}:
            answer = _suggest_with_model(study, chosen, query, options=options, number=number, progress=progress, cancel=cancel)
        else:
            answer = chosen.suggest(query)
    model = study.latest_model("segmentation")
    if model is not None and (lost := lost_classes(model)):
        answer = replace(answer, warnings=(*answer.warnings, lost))
    manifold = study.latest_model("manifold")
    if manifold is not None and Requirement.MANIFOLD in needs and (idle := idle_units(manifold)):
        answer = replace(answer, warnings=(*answer.warnings, idle))
    for note in _notes(answer):
        progress(ProgressEvent("suggest", 1, 1, message=note))
    return with_audit(answer, pool, count=options.audit, seed=query.seed)


def _suggest_with_model(
    study: Study,
    chosen: Strategy,
    query: Query,
    *,
    options: RoundOptions,
    number: int,
    progress: ProgressCallback,
    cancel: CancelToken | None,
) -> Answer:
    """The answer of a strategy that looks through the newest model, at fewer slices at a time where memory runs out.

    While nothing is annotated, what looks at annotated slices sees an imported model's own labels of evenly spread ones (`PresumedLabels`).
    """
    pool, device = query.pool, pick_device(options.device)
    annotations = {a.ref: a for a in study.annotations()}
    images = NetworkSlices(study, pool.refs, device=device)
    model_row, network = load_newest(study, device=device)
    members = _committee(study, device) if Requirement.COMMITTEE in chosen.requires else ()
    presumed = None
    if model_row.imported_from is not None and not pool.labelled.any():
        presumed = PresumedLabels(query, network, images.images, device=device)
    labels: Accepted = presumed or _AcceptedLabels(study, pool.refs, annotations)
    started_from = sources(pool, annotations, options, number) if presumed is None else presumed.sources
    # A scoring strategy looks at every candidate, one on the manifold at what people annotated, of which one that steps takes its sources.
    on_manifold = int(pool.by_people.sum()) if presumed is None and not isinstance(chosen, SteppingStrategy) else len(started_from)
    looks_at = max(1, on_manifold if query.manifold is not None else len(pool.candidates))

    def suggest_by(batch: int) -> Answer:
        networks = (Requirement.MODEL in chosen.requires) + len(members)
        stage = Stage("suggest", looks_at * networks, progress=progress, cancel=cancel)
        model, *committee = (
            ModelAccess(
                one,
                _counted(images, stage),
                labels,
                study.schema,
                batch_size=batch,
                device=device,
                autocast=autocast_dtype(device),
                flip=augmentation(study.schema, study.record.plane).flip,
            )
            for one in (network, *members)
        )
        return chosen.suggest(replace(query, model=model, committee=tuple(committee), sources=started_from))

    # Gradients are float32 and need a backward pass.
    batch = micro_batch_size(network, images.channels, images.size, batch_size=BATCH, device=device, dtype=None)
    answer = halve_on_out_of_memory(suggest_by, batch, say=spoken("suggest", looks_at, progress))[0]
    return answer if presumed is None else presumed.told(answer)


def _committee(study: Study, device: torch.device) -> tuple[SegmentationNetwork, ...]:
    """The networks of the newest committee. Raises: StudyError, when there is none or its training was interrupted."""
    models = newest_committee(study)
    if not models:
        raise StudyError("The committee of networks is not trained, or not to the end.", hint="Run `run-round`, which trains it.")
    return tuple(load_segmentation(study, model, device=device) for model in models)


def _counted(images: NetworkSlices, stage: Stage) -> Images:
    """Images that tell the person how far the strategy has come, and stop when it is cancelled."""

    def read(indices: Sequence[int]) -> torch.Tensor:
        stage.advance(min(len(indices), max(0, stage.total - stage.done)))
        return images.images(indices)

    return read


def pool_of(study: Study) -> Pool:
    """The pool as it stands now."""
    filled = study.filled_refs()
    annotated = study.annotated_refs() | filled
    drawn = {note.ref for note in study.work_notes() if note.state == "draft"} - annotated
    closed = set()
    for round_ in study.rounds():
        closing = {"skipped", "unreadable"} | (set() if round_.stage == "finished" else {"suggested", "draft"})
        closed |= {row.ref for row in study.suggestion_states(round_.number) if row.state in closing}
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
        drawn=np.array([ref in drawn for ref in refs], bool),
        filled=np.array([ref in filled for ref in refs], bool),
        closed=np.array([ref in closed for ref in refs], bool),
    )


def sources(pool: Pool, annotations: dict[SliceRef, Annotation], options: RoundOptions, number: int) -> tuple[int, ...]:
    """Pool indices of the annotated slices that gradients start from, which filled ones are not.

    What was there before the first round is the initial batch. Annotations outside the pool have no say in which round that is.
    """
    known = {ref: annotations[ref] for ref in pool.refs if ref in annotations}
    batch = {ref: -1 if a.round is None else a.round for ref, a in known.items() if a.provenance != FILLED}
    earlier = [round_ for round_ in batch.values() if round_ < number]
    wanted = {"previous": max(earlier, default=None), "initial": min(earlier, default=None), "all": None}[options.sources]
    return tuple(i for i, ref in enumerate(pool.refs) if ref in batch and (wanted is None or batch[ref] == wanted))


def _options(options: RoundOptions) -> dict[str, object]:
    given = dict(options.strategy_options)
    if options.context:
        given["context"] = options.context
    return given


def _manifold(study: Study, refs: Sequence[SliceRef], device: torch.device) -> VaeAccess:
    model = study.latest_model("manifold")
    known, latents = study.latents(model)
    place = {ref: i for i, ref in enumerate(known)}
    if model is None or not place.keys() >= set(refs):
        raise StudyError("The manifold was fitted on another pool.", hint="Run `fit-manifold` again.")
    vae, _ = load_checkpoint(model.path, record_key=study.record.key, device=device)
    # Cases may have been excluded since.
    return VaeAccess(vae, latents[[place[ref] for ref in refs]])


def knows_the_pool(study: Study) -> bool:
    """Whether there is a manifold in which every slice of the pool has its place."""
    return study.latest_model("manifold") is not None and set(study.latents()[0]) >= set(study.pool_refs())


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
