"""`predict`: what the newest model says of slices and of whole cases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from torch import nn

from SuggestiveAnnotationLib.errors import StudyError
from SuggestiveAnnotationLib.export.assemble import CaseGrid
from SuggestiveAnnotationLib.export.case import export_prediction, prediction_file
from SuggestiveAnnotationLib.files import quoted_stem, refuse_present, whole_file, write_array
from SuggestiveAnnotationLib.models.checkpoint import load_checkpoint
from SuggestiveAnnotationLib.models.grid import NetworkGrid
from SuggestiveAnnotationLib.models.segmentation import SegmentationNetwork
from SuggestiveAnnotationLib.progress import CancelToken, ProgressCallback, Stage, no_progress, spoken
from SuggestiveAnnotationLib.study.records import Model, Prediction
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.training.cost import TARGET_SECONDS, micro_batch_size
from SuggestiveAnnotationLib.training.data import NetworkSlices
from SuggestiveAnnotationLib.training.device import autocast_dtype, halve_on_out_of_memory, pick_device
from SuggestiveAnnotationLib.training.predict import predict_probabilities
from SuggestiveAnnotationLib.types import LabelArray, SliceRef

BATCH = 16
"""Slices at a time, at the most; fewer on a slow processor, so that it can be cancelled, and where memory runs out."""


def load_newest(study: Study, *, device: torch.device) -> tuple[Model, SegmentationNetwork]:
    """The newest published segmentation model. Raises: StudyError, when there is none."""
    model = study.latest_model("segmentation")
    if model is None:
        raise StudyError("No segmentation model has been trained yet.", hint="Annotate a first batch, then run `train`.")
    return model, load_segmentation(study, model, device=device)


def load_segmentation(study: Study, model: Model, *, device: torch.device) -> SegmentationNetwork:
    """The network of a model. Raises: StudyError, when its files are damaged or hold another kind of network."""
    network = load_checkpoint(model.path, record_key=study.record.key, device=device)[0]
    if not isinstance(network, SegmentationNetwork):
        raise StudyError(f"The model {model.path.name} does not segment.", hint="Train the model again in this study.")
    return network


class NewestModel:
    """The newest published segmentation model, loaded once and again only when another one is published.

    Args:
        study: whose models.
        device: as in `training.device.pick_device`.

    Attributes:
        device: where the network is.

    Raises:
        InputError: the device is unknown or not there.
    """

    def __init__(self, study: Study, *, device: str = "auto") -> None:
        self._study, self.device = study, pick_device(device)
        self._loaded: tuple[Model, SegmentationNetwork] | None = None

    def get(self) -> tuple[Model, SegmentationNetwork]:
        """Row and network. Raises: StudyError, when no model was published."""
        newest = self._study.latest_model("segmentation")
        if self._loaded is None or newest is None or newest.id != self._loaded[0].id:
            # The one before gives its memory back first.
            self._loaded = None
            self._loaded = load_newest(self._study, device=self.device)
        return self._loaded


def predict_slice(study: Study, ref: SliceRef, *, device: str = "auto", newest: NewestModel | None = None) -> Prediction:
    """What the newest model says of one slice; predicted now if it was not before. Leaves the global random state as it was.

    Args:
        study: prepared.
        ref: the slice.
        device: where to predict, without `newest`.
        newest: keeps the network from one slice to the next.

    Raises:
        StudyError: there is no model, or it was trained on images prepared differently.
    """
    model, network = (newest or NewestModel(study, device=device)).get()
    known = study.prediction(ref, model_id=model.id)
    if known is None:
        target = next(network.parameters()).device
        study.add_predictions(model.id, list(native_labels(study, network, [ref], device=target, batch=1)))
        known = study.prediction(ref, model_id=model.id)
    if known is None:
        raise StudyError(f"The prediction of a slice of case {ref.case} was not kept.", hint="Try again.")
    return known


def predict_slices(
    study: Study,
    refs: Sequence[SliceRef],
    *,
    model: Model | None = None,
    device: str = "auto",
    progress: ProgressCallback = no_progress,
    cancel: CancelToken | None = None,
) -> None:
    """Predict slices with a segmentation model (the newest when not given) and keep the predictions, in one transaction.

    Raises:
        StudyError: there is no model, its file is gone, or it was trained on images prepared differently.
    """
    target = pick_device(device)
    model, network = load_newest(study, device=target) if model is None else (model, load_segmentation(study, model, device=target))

    def work(batch: int) -> list[tuple[SliceRef, LabelArray]]:
        stage = Stage("predict", len(refs), progress=progress, cancel=cancel)
        done = []
        for one in native_labels(study, network, refs, device=target, batch=batch):
            done.append(one)
            stage.advance()
        return done

    done, _ = halve_on_out_of_memory(work, _batch(study, network, target), say=spoken("predict", len(refs), progress))
    study.add_predictions(model.id, done)


def predict_case(
    study: Study,
    name: str,
    *,
    device: str = "auto",
    newest: NewestModel | None = None,
    progress: ProgressCallback = no_progress,
    cancel: CancelToken | None = None,
) -> Path:
    """Predict a whole case with the newest model into a file: uint8 or uint16 `.npy`, native grid `(k, j, i)`, schema values.

    A case that this model has predicted already is not predicted again. `newest` keeps the network from one case to the next, on its own
    device.
    """
    newest = newest or NewestModel(study, device=device)
    target = newest.device
    last = study.latest_model("segmentation")
    known = None if last is None else study.case_prediction(name, last.id)
    if known is not None and known.exists():
        return known
    model, network = newest.get()
    frame = study.frame(name)
    refs = frame.refs(name)
    volume = np.zeros(study.case(name).geometry.shape, np.uint16)
    stack = frame.stack(volume)

    def work(batch: int) -> None:
        stage = Stage(f"predict {name}", len(refs), progress=progress, cancel=cancel)
        for ref, labels in native_labels(study, network, refs, device=target, batch=batch):
            stack[ref.native_index] = labels
            stage.advance()

    halve_on_out_of_memory(work, _batch(study, network, target), say=spoken(f"predict {name}", len(refs), progress))
    path = study.path / "predictions" / f"model-{model.id}" / f"{quoted_stem(name)}.npy"
    with whole_file(path) as scratch:
        write_array(scratch, volume.astype(np.uint8) if volume.max(initial=0) < 256 else volume)
    study.add_case_prediction(name, model.id, path)
    return path


def predict_into(
    study: Study,
    names: Sequence[str],
    folder: Path,
    *,
    device: str = "auto",
    overwrite: bool = False,
    progress: ProgressCallback = no_progress,
    cancel: CancelToken | None = None,
) -> dict[str, Path]:
    """Predict whole cases as `predict_case`, and write a NIfTI labelmap of each, on its own voxel grid.

    Args:
        study: prepared.
        names: of the cases.
        folder: for the files; made if it is absent.
        device: as in `training.device.pick_device`.
        overwrite: replace files that are there.

    Returns:
        Case -> its file.

    Raises:
        InputError: there is no such case, or NIfTI cannot hold its grid.
        StudyError: there is no model, or it was trained on images prepared differently.
        ExistsError: a file of any case is there already; nothing is predicted then.
        StorageError: the folder cannot be written.
    """
    grids = [CaseGrid(name, study.case(name).geometry, study.frame(name), study.schema) for name in names]
    refuse_present([prediction_file(folder, name) for name in names], overwrite=overwrite)
    newest = NewestModel(study, device=device)
    files = {}
    for grid in grids:
        path = predict_case(study, grid.case, newest=newest, progress=progress, cancel=cancel)
        files[grid.case] = export_prediction(folder, grid, np.load(path, allow_pickle=False), overwrite=overwrite)
    return files


def native_labels(
    study: Study, network: nn.Module, refs: Sequence[SliceRef], *, device: torch.device, batch: int = BATCH
) -> Iterator[tuple[SliceRef, LabelArray]]:
    """Labels of slices on their native pixels: probabilities return linearly, then the most probable class. Case by case."""
    grid = NetworkGrid.of(study.record)
    for case, group in groupby(sorted(refs), key=lambda ref: ref.case):
        members = list(group)
        slices, frame = study.slices(case), study.frame(case)
        images = NetworkSlices(study, members, device=device, cache_bytes=0)
        for indices, probabilities in predict_probabilities(network, images, np.arange(len(members)), batch_size=batch):
            native = grid.to_native(
                probabilities, shape=(frame.rows, frame.columns), centre=np.asarray(slices.centre), spacing=np.asarray(slices.spacing[1:])
            )
            # On a processor `argmax` takes four times as long.
            channels = native.max(1).indices.cpu().numpy()
            for index, labels in zip(indices, channels, strict=True):
                yield members[index], study.schema.to_values(labels)


def _batch(study: Study, network: nn.Module, device: torch.device) -> int:
    channels, size, dtype = len(study.record.modalities), study.record.size, autocast_dtype(device)
    # Half of what training takes at a time: the way back to native pixels comes on top.
    return micro_batch_size(
        network, channels, size, batch_size=BATCH, device=device, dtype=dtype, seconds=TARGET_SECONDS / 2, training=False
    )
