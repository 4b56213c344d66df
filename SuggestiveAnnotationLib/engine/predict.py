"""`predict`: what the newest model says of slices and of whole cases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from urllib.parse import quote

import numpy as np
import torch
from torch import nn

from SuggestiveAnnotationLib.errors import StudyError
from SuggestiveAnnotationLib.files import whole_file, write_array
from SuggestiveAnnotationLib.models.checkpoint import load_checkpoint
from SuggestiveAnnotationLib.models.grid import NetworkGrid
from SuggestiveAnnotationLib.progress import CancelToken, ProgressCallback, Stage, no_progress
from SuggestiveAnnotationLib.study.records import Model, Prediction
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.training.data import NetworkSlices
from SuggestiveAnnotationLib.training.device import pick_device
from SuggestiveAnnotationLib.training.predict import predict_probabilities
from SuggestiveAnnotationLib.types import LabelArray, SliceRef

BATCH = 16


def load_newest(study: Study, *, device: torch.device) -> tuple[Model, nn.Module]:
    """The newest published segmentation model. Raises: StudyError, when there is none."""
    model = study.latest_model("segmentation")
    if model is None:
        raise StudyError("No segmentation model has been trained yet.", hint="Annotate a first batch, then run `train`.")
    return model, load_checkpoint(model.path, record_key=study.record.key, device=device)[0]


def predict_slice(study: Study, ref: SliceRef, *, device: str = "auto") -> Prediction:
    """What the newest model says of one slice; predicted now if it was not before."""
    predict_slices(study, [ref], device=device)
    prediction = study.prediction(ref)
    if prediction is None:
        raise StudyError("No segmentation model has been trained yet.")
    return prediction


def predict_slices(
    study: Study,
    refs: Sequence[SliceRef],
    *,
    device: str = "auto",
    progress: ProgressCallback = no_progress,
    cancel: CancelToken | None = None,
) -> None:
    """Predict slices with the newest model and keep the predictions, in one transaction.

    Raises:
        StudyError: there is no model, or it was trained on images prepared differently.
    """
    target = pick_device(device)
    model, network = load_newest(study, device=target)
    stage = Stage("predict", len(refs), progress=progress, cancel=cancel)
    done = []
    for ref, labels in native_labels(study, network, refs, device=target):
        done.append((ref, labels))
        stage.advance()
    study.add_predictions(model.id, done)


def predict_case(
    study: Study, name: str, *, device: str = "auto", progress: ProgressCallback = no_progress, cancel: CancelToken | None = None
) -> Path:
    """Predict a whole case with the newest model into a file: uint8 or uint16 `.npy`, native grid `(k, j, i)`, schema values.

    A case that this model has predicted already is not predicted again.
    """
    target = pick_device(device)
    model, network = load_newest(study, device=target)
    known = study.case_prediction(name, model.id)
    if known is not None and known.exists():
        return known
    frame = study.frame(name)
    refs = frame.refs(name)
    volume = np.zeros(study.case(name).geometry.shape, np.uint16)
    stack = frame.stack(volume)
    stage = Stage(f"predict {name}", len(refs), progress=progress, cancel=cancel)
    for ref, labels in native_labels(study, network, refs, device=target):
        stack[ref.native_index] = labels
        stage.advance()
    path = study.path / "predictions" / f"model-{model.id}" / f"{quote(name, safe=' ')}.npy"
    with whole_file(path) as scratch:
        write_array(scratch, volume.astype(np.uint8) if volume.max(initial=0) < 256 else volume)
    study.add_case_prediction(name, model.id, path)
    return path


def native_labels(
    study: Study, network: nn.Module, refs: Sequence[SliceRef], *, device: torch.device
) -> Iterator[tuple[SliceRef, LabelArray]]:
    """Labels of slices on their native pixels: probabilities return linearly, then the most probable class. Case by case."""
    grid = NetworkGrid.of(study.record)
    for case, group in groupby(sorted(refs), key=lambda ref: ref.case):
        members = list(group)
        slices, frame = study.slices(case), study.frame(case)
        images = NetworkSlices(study, members, device=device, cache_bytes=0)
        for indices, probabilities in predict_probabilities(network, images, np.arange(len(members)), batch_size=BATCH):
            native = grid.to_native(
                probabilities, shape=(frame.rows, frame.columns), centre=np.asarray(slices.centre), spacing=np.asarray(slices.spacing[1:])
            )
            channels = native.argmax(1).cpu().numpy()
            for index, labels in zip(indices, channels, strict=True):
                yield members[index], study.schema.to_values(labels)
