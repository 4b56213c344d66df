"""`train`: fit the segmentation network to everything accepted."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace

import numpy as np

from SuggestiveAnnotationLib.engine.settings import TrainingOptions
from SuggestiveAnnotationLib.errors import StudyError
from SuggestiveAnnotationLib.models.checkpoint import load_checkpoint, save_checkpoint
from SuggestiveAnnotationLib.progress import CancelToken, ProgressCallback, no_progress, spoken
from SuggestiveAnnotationLib.study.provenance import data_hash
from SuggestiveAnnotationLib.study.records import Model
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.training.augment import AugmentSettings
from SuggestiveAnnotationLib.training.data import NetworkSlices, network_labels
from SuggestiveAnnotationLib.training.device import autocast_dtype, describe_device, halve_on_out_of_memory, pick_device
from SuggestiveAnnotationLib.training.losses import DiceSettings
from SuggestiveAnnotationLib.training.segmentation import SegmentationSettings, TrainedSegmentation, ValidationSet, train_segmentation
from SuggestiveAnnotationLib.types import LabelSchema, Plane, SliceRef

LOSSES = {"dice+ce": DiceSettings(background=True, cross_entropy=1.0), "dice": DiceSettings()}


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

    A model of the same round that was trained on the same slices in the same way is returned as it is. Locked validation cases with
    reference labels stop training early; without any, all steps are taken and the last weights kept.

    Args:
        study: prepared, with accepted slices.
        options: of the training. seed: of weights, order and augmentation.
        round_number: the round the model belongs to; None outside of rounds.

    Raises:
        StudyError: not prepared, nothing accepted, or training diverged.
        Cancelled: nothing is published.
    """
    record, schema = study.record, study.schema
    pool = {case.name for case in study.cases("pool")}
    unpacked = ((a, a.labels) for a in study.annotations() if a.ref.case in pool)
    accepted = [(a, drawn) for a, drawn in unpacked if (drawn != schema.ignore_value).any()]
    if not accepted:
        raise StudyError("There is no annotated slice to train on.", hint="Annotate and accept a few slices first.")
    device = pick_device(options.device)
    refs = [a.ref for a, _ in accepted]
    labels = network_labels(study, schema, refs, [drawn for _, drawn in accepted], device=device)
    settings = SegmentationSettings(
        steps=options.steps,
        batch_size=options.batch,
        learning_rate=options.rate,
        loss=LOSSES[options.loss],
        augment=augmentation(schema, record.plane) if options.augment else None,
        seed=seed,
    )
    spec = {"network": "unet", "size": options.network, "channels": len(record.modalities), "classes": schema.channels}
    recipe = {"annotations": [a.id for a, _ in accepted], "settings": settings.to_json(), "network": spec, "warm_start": options.warm_start}
    # As a card gives it back: lists for tuples.
    recipe = json.loads(json.dumps(recipe))
    for model in study.models("segmentation") if round_number is not None else ():
        if model.round == round_number and {name: model.card.get(name) for name in recipe} == recipe:
            return model
    last = study.latest_model("segmentation") if options.warm_start else None
    start = spec if last is None else load_checkpoint(last.path, record_key=record.key, device=device)[0]
    images, validation = NetworkSlices(study, refs, device=device), _validation(study, options.device)

    def fit(batch: int) -> TrainedSegmentation:
        # The optimiser's batch stays what was asked for; only fewer slices of it are on the device at once.
        one = settings if batch == options.batch else replace(settings, micro_batch=batch)
        return train_segmentation(start, images, labels, settings=one, validation=validation, progress=progress, cancel=cancel)

    trained, _ = halve_on_out_of_memory(fit, options.batch, smallest=2, say=spoken("train", options.steps, progress))
    path = study.path / "models" / f"segmentation-{uuid.uuid4().hex[:12]}.safetensors"
    card = save_checkpoint(
        path,
        trained.model,
        {
            "kind": "segmentation",
            "record_key": record.key,
            "data_hash": data_hash(study),
            "round": round_number,
            "seed": seed,
            **recipe,
            "started_from": None if last is None else last.id,
            "device": describe_device(device),
            "autocast": str(autocast_dtype(device)),
            "metrics": {
                "annotated_slices": trained.slices,
                "micro_batch": trained.micro_batch,
                "steps": trained.steps,
                "stopped_early": trained.stopped_early,
                "seconds": round(trained.seconds, 2),
                "last_loss": round(float(np.mean(trained.losses[-20:])), 5),
            },
            "losses": [[step + 1, round(loss, 5)] for step, loss in enumerate(trained.losses)],
            "validation": [list(point) for point in trained.validation_curve],
        },
    )
    return study.publish_model("segmentation", path=path, card=card, record_key=record.key, round_number=round_number)


def augmentation(schema: LabelSchema, plane: Plane) -> AugmentSettings:
    """Mirroring only where columns run from side to side, with the labels of both sides swapped."""
    return AugmentSettings(flip=plane != "sagittal", partner=schema.channel_partner)


def _validation(study: Study, device_name: str) -> ValidationSet | None:
    refs: list[SliceRef] = []
    labels = []
    for case in study.cases("validation"):
        if case.label is None:
            continue
        reference = study.reference_labels(case.name)
        shown = [ref for ref in study.frame(case.name).refs(case.name) if not study.slices(case.name).blank[ref.native_index]]
        refs += shown
        labels += [reference[ref.native_index] for ref in shown]
    if not refs:
        return None
    device = pick_device(device_name)
    return ValidationSet(NetworkSlices(study, refs, device=device), network_labels(study, study.schema, refs, labels, device=device))
