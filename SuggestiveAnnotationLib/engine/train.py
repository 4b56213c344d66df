"""`train`: fit the segmentation network, or a committee of them, to everything accepted."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from SuggestiveAnnotationLib.cohort.labels.annotated import silent_slices
from SuggestiveAnnotationLib.cohort.labels.structures import may_be_mirrored
from SuggestiveAnnotationLib.engine.settings import TrainingOptions
from SuggestiveAnnotationLib.errors import StudyError
from SuggestiveAnnotationLib.models.checkpoint import load_checkpoint, save_checkpoint
from SuggestiveAnnotationLib.models.registry import build_network, network_spec
from SuggestiveAnnotationLib.progress import CancelToken, ProgressCallback, ProgressEvent, no_progress, spoken
from SuggestiveAnnotationLib.study.provenance import data_hash
from SuggestiveAnnotationLib.study.records import Model
from SuggestiveAnnotationLib.study.study import Study, network_json
from SuggestiveAnnotationLib.training.augment import AugmentSettings
from SuggestiveAnnotationLib.training.cost import micro_batch_size
from SuggestiveAnnotationLib.training.data import ChosenImages, NetworkSlices, network_labels
from SuggestiveAnnotationLib.training.device import autocast_dtype, describe_device, halve_on_out_of_memory, pick_device
from SuggestiveAnnotationLib.training.losses import DiceSettings
from SuggestiveAnnotationLib.training.segmentation import (
    SegmentationSettings,
    TrainedSegmentation,
    ValidationSet,
    class_dice,
    train_segmentation,
)
from SuggestiveAnnotationLib.types import LabelSchema, ModelKind, Plane, SliceRef

LOSSES = {
    "dice+ce": DiceSettings(background=True, cross_entropy=1.0),
    "dice": DiceSettings(),
    "dice+background": DiceSettings(background=True),
}
_ON_PATCHES = ("u-shape-patches", "multi-scale-patches")
UNLIKE = 1.2
"""A network grid that is so many times finer or coarser than another is worth a word."""
_LOST = 0.1
_SHOWN = 3


def train(
    study: Study,
    *,
    options: TrainingOptions,
    seed: int = 0,
    round_number: int | None = None,
    progress: ProgressCallback = no_progress,
    cancel: CancelToken | None = None,
) -> Model:
    """Train on the accepted slices and publish the model. Drafts, ignored and unannotated pixels have no part in it.

    The newest model, where it is of the same round and was trained on the same slices in the same way, is returned as it is. Locked
    validation cases with reference labels decide after which steps the weights were best, and stop a training of more than 350 steps
    early; without any, all steps are taken and the last weights kept.

    Args:
        study: prepared, with accepted slices.
        options: of the training. seed: of weights, order and augmentation.
        round_number: the round the model belongs to; None outside of rounds.

    Raises:
        StudyError: not prepared, nothing accepted, or training diverged.
        Cancelled: nothing is published.
    """
    job = _Job(study, options, round_number=round_number, progress=progress, cancel=cancel)
    recipe = job.recipe(seed, range(len(job.ids)))
    newest = study.latest_model("segmentation")
    if newest is not None and round_number is not None and newest.round == round_number and _same(newest, recipe):
        return newest
    return job.publish("segmentation", recipe, seed=seed, chosen=range(len(job.ids)), last=newest if options.warm_start else None)


def train_committee(
    study: Study,
    *,
    options: TrainingOptions,
    members: int | None = None,
    seed: int = 0,
    round_number: int | None = None,
    progress: ProgressCallback = no_progress,
    cancel: CancelToken | None = None,
) -> tuple[Model, ...]:
    """Train several networks, each on its own bootstrap of the accepted slices (Yang et al., MICCAI 2017); each is published when done.

    The bootstraps and the weights follow from the seed and the number of the member. A member whose newest model was trained on the same
    slices in the same way is not trained again, so that an interrupted committee goes on where it stopped.

    Args:
        study: prepared, with accepted slices.
        options: of every network; they have no loss head. members: how many; `options.committee` when not given.
        seed: of everything. round_number: the round the networks belong to.

    Returns:
        The models in the order of their numbers.

    Raises:
        StudyError: not prepared, nothing accepted, or training diverged.
        Cancelled: members that were done before stand.
    """
    count = members or options.committee
    job = _Job(study, replace(options, loss_head=False), round_number=round_number, progress=progress, cancel=cancel)
    newest = {model.card["member"]: model for model in study.models("committee")}
    done = []
    for member in range(count):
        state = np.random.SeedSequence([seed, member])
        chosen = np.random.default_rng(state).integers(0, len(job.ids), len(job.ids)).tolist()
        own_seed = int(state.generate_state(1)[0])
        recipe = {**job.recipe(own_seed, chosen), "member": member, "members": count, "committee_seed": seed, "accepted": job.ids}
        model = newest.get(member)
        if model is None or not _same(model, recipe):
            job.say(f"Network {member + 1} of {count} on its own draw of the annotated slices.")
            last = model if options.warm_start else None
            model = job.publish("committee", recipe, seed=own_seed, chosen=chosen, last=last)
        done.append(model)
    return tuple(done)


def lost_classes(model: Model) -> str:
    """One sentence on classes of which a network finds next to nothing on the very slices it learnt from; "" where there is none."""
    lost = [name for name, dice in model.card.get("training_dice", {}).items() if dice < _LOST]
    if not lost:
        return ""
    listed = ", ".join(lost[:_SHOWN]) + (f" and {len(lost) - _SHOWN} more" if len(lost) > _SHOWN else "")
    return (
        f"On the slices it learnt from, the network finds next to nothing of {listed}, so pre-annotations go without. "
        "More slices that hold it help, or training again with another seed."
    )


def newest_committee(study: Study) -> tuple[Model, ...]:
    """The members that were trained last on the same slices in the same way, in order; empty where some are missing."""
    models = study.models("committee")
    if not models:
        return ()
    group = {m.card["member"]: m for m in models if _of_committee(m) == _of_committee(models[-1])}
    whole = len(group) == models[-1].card["members"]
    return tuple(group[member] for member in sorted(group)) if whole else ()


def _of_committee(model: Model) -> dict[str, Any]:
    """What all members of a committee have in common."""
    common = {name: model.card[name] for name in ("accepted", "members", "committee_seed", "network", "warm_start", "autocast")}
    return {**common, "settings": {name: value for name, value in model.card["settings"].items() if name != "seed"}}


def _same(model: Model, recipe: Mapping[str, Any]) -> bool:
    # As a card gives it back: lists for tuples.
    wanted = json.loads(json.dumps(recipe))
    return bool({name: model.card.get(name) for name in wanted} == wanted)


class _Job:
    """Everything that networks of one call are trained on: accepted slices, images, options.

    Raises: StudyError, when nothing is accepted.
    """

    def __init__(
        self,
        study: Study,
        options: TrainingOptions,
        *,
        round_number: int | None,
        progress: ProgressCallback,
        cancel: CancelToken | None,
    ) -> None:
        self._study, self._options, self._round, self._progress, self._cancel = study, options, round_number, progress, cancel
        record, schema = study.record, study.schema
        pool = {case.name for case in study.cases("pool")}
        unpacked = ((a, a.labels) for a in study.annotations() if a.ref.case in pool)
        accepted = [(a, drawn) for a, drawn in unpacked if (drawn != schema.ignore_value).any()]
        if not accepted:
            raise StudyError("There is no annotated slice to train on.", hint="Annotate and accept a few slices first.")
        self.ids = [a.id for a, _ in accepted]
        self._refs, self._drawn = [a.ref for a, _ in accepted], [drawn for _, drawn in accepted]
        self._device = pick_device(options.device)
        size = {"network": options.architecture, "size": options.network}
        self._spec: dict[str, Any] = {**size, "channels": len(record.modalities), "classes": schema.channels}
        self._spec |= ({"dropout": options.dropout} if options.dropout else {}) | ({"loss_head": True} if options.loss_head else {})

    def say(self, message: str) -> None:
        self._progress(ProgressEvent("train", 0, 1, message=message))

    def recipe(self, seed: int, chosen: Sequence[int]) -> dict[str, Any]:
        """What the weights follow from, apart from the network they may start from."""
        return {
            "annotations": [self.ids[i] for i in chosen],
            "settings": self._settings(seed).to_json(),
            "network": self._spec,
            "warm_start": self._options.warm_start,
            "autocast": str(autocast_dtype(self._device)),
            "record_key": self._study.record.key,
            "data_hash": data_hash(self._study),
        }

    def publish(self, kind: ModelKind, recipe: Mapping[str, Any], *, seed: int, chosen: Sequence[int], last: Model | None) -> Model:
        """Train a network on the chosen of the accepted slices, from `last` or from scratch, and publish it."""
        study, options, device, record = self._study, self._options, self._device, self._study.record
        if options.architecture in _ON_PATCHES and (note := _unlike_scans(study, self._refs)):
            self.say(note)
        start = None
        if last is not None:
            start = load_checkpoint(last.path, record_key=record.key, device=device)[0]
            if network_spec(start) != self._spec:
                last = start = None
                self.say("The last model is another kind of network than the options ask for: training starts from scratch.")
        if start is None:
            start = build_network(self._spec, seed=seed)
        settings, validation = self._settings(seed), self._validation
        images, labels = ChosenImages(self._images, chosen), self._labels[list(chosen)]
        most = micro_batch_size(start, images.channels, images.size, batch_size=options.batch, device=device, dtype=autocast_dtype(device))

        def fit(batch: int) -> TrainedSegmentation:
            # The optimiser's batch stays what was asked for; only fewer slices of it are on the device at once.
            at_once = replace(settings, micro_batch=batch)
            return train_segmentation(
                start, images, labels, settings=at_once, validation=validation, progress=self._progress, cancel=self._cancel
            )

        say = spoken("train", options.steps, self._progress)
        trained, at_once = halve_on_out_of_memory(fit, most, smallest=2, say=say)
        # Nobody asks it of a committee, whose members only help to choose.
        found = self._training_dice(trained, images, labels, at_once) if kind == "segmentation" else {}
        path = study.path / "models" / f"{kind}-{uuid.uuid4().hex[:12]}.safetensors"
        card = save_checkpoint(
            path,
            trained.model,
            {
                "kind": kind,
                "round": self._round,
                "seed": seed,
                **recipe,
                **network_json(record, study.schema),
                "started_from": None if last is None else last.id,
                "device": describe_device(device),
                "metrics": {
                    "annotated_slices": trained.slices,
                    "micro_batch": trained.micro_batch,
                    "steps": trained.steps,
                    "stopped_early": trained.stopped_early,
                    "seconds": round(trained.seconds, 2),
                    "last_loss": round(float(np.mean(trained.losses[-20:])), 5),
                },
                "training_dice": found,
                "losses": [[step + 1, round(loss, 5)] for step, loss in enumerate(trained.losses)],
                "validation": [list(point) for point in trained.validation_curve],
            },
        )
        return study.publish_model(kind, path=path, card=card, record_key=record.key, round_number=self._round)

    def _training_dice(self, trained: TrainedSegmentation, images: ChosenImages, labels: Tensor, at_once: int) -> dict[str, float]:
        """Dice of each class that the slices hold, on the slices that the network learnt from."""
        learnt = class_dice(trained.model, ValidationSet(images, labels), batch_size=at_once, cancel=self._cancel)
        named = zip(self._study.schema.classes, learnt, strict=True)
        return {one.name: round(float(dice), 4) for k, (one, dice) in enumerate(named, start=1) if (labels == k).any()}

    def _settings(self, seed: int) -> SegmentationSettings:
        options = self._options
        return SegmentationSettings(
            steps=options.steps,
            batch_size=options.batch,
            learning_rate=options.rate,
            loss=LOSSES[options.loss],
            augment=augmentation(self._study.schema, self._study.record.plane) if options.augment else None,
            seed=seed,
        )

    @cached_property
    def _images(self) -> NetworkSlices:
        return NetworkSlices(self._study, self._refs, device=self._device)

    @cached_property
    def _labels(self) -> Tensor:
        return network_labels(self._study, self._study.schema, self._refs, self._drawn, device=self._device)

    @cached_property
    def _validation(self) -> ValidationSet | None:
        return _validation_set(self._study, self._device)


def _unlike_scans(study: Study, refs: Sequence[SliceRef]) -> str:
    """One sentence where the network grid is coarser or finer than the scans: patches do not hold the scans' own pixels; else ""."""
    scans = [study.slices(case).spacing[1:] for case in sorted({ref.case for ref in refs})]
    grid, native = study.record.spacing[0], min(np.median(scans, axis=0))
    if grid >= UNLIKE * native:
        how, patches = "coarser", "patches hold fewer details than the scans' own pixels"
    elif native >= UNLIKE * grid:
        how, patches = "finer", "patches hold less of the image than as many of the scans' own pixels"
    else:
        return ""
    return (
        f"The network grid ({grid:.2g} mm) is {how} than the scans ({native:.2g} mm): {patches}. "
        "A study prepared with `prepare --spacing native` has the scans' own pixels."
    )


def augmentation(schema: LabelSchema, plane: Plane) -> AugmentSettings:
    """Mirroring only where columns run from side to side and labels stay true, with those of both sides swapped."""
    return AugmentSettings(flip=plane != "sagittal" and may_be_mirrored(schema), partner=schema.channel_partner)


def _validation_set(study: Study, device: torch.device) -> ValidationSet | None:
    refs: list[SliceRef] = []
    labels = []
    for case in study.cases("validation"):
        if case.label is None:
            continue
        reference = study.reference_labels(case.name)
        silent = silent_slices(reference, study.schema.ignore_value)
        blank = study.slices(case.name).blank
        shown = [ref for ref in study.frame(case.name).refs(case.name) if not blank[ref.native_index] and ref.native_index not in silent]
        refs += shown
        labels += [reference[ref.native_index] for ref in shown]
    if not refs:
        return None
    return ValidationSet(NetworkSlices(study, refs, device=device), network_labels(study, study.schema, refs, labels, device=device))
