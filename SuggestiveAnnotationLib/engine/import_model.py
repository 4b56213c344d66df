"""`import-model`: a segmentation network that was trained in another study, to choose, outline and learn with from the first batch on.

It travels as two files, weights (`.safetensors`) and card (`.json`), neither of which holds images, labels or names of patients. The card
of a segmentation model says what its network takes and gives: `preprocessing` (the frozen record: plane, modalities in order, spacing and
size of the network grid, version of the preprocessing) and `classes` (value and name, in the order of the channels).
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from SuggestiveAnnotationLib.cohort.files.bytes_in import regular_file
from SuggestiveAnnotationLib.engine.train import UNLIKE
from SuggestiveAnnotationLib.errors import InputError, StudyError
from SuggestiveAnnotationLib.models.checkpoint import load_checkpoint, save_checkpoint
from SuggestiveAnnotationLib.models.registry import network_spec
from SuggestiveAnnotationLib.models.segmentation import SegmentationNetwork
from SuggestiveAnnotationLib.progress import CancelToken, ProgressCallback, Stage, no_progress
from SuggestiveAnnotationLib.study.records import Model
from SuggestiveAnnotationLib.study.round_rows import GO_ON
from SuggestiveAnnotationLib.study.study import DATABASE_NAME, Study, network_json
from SuggestiveAnnotationLib.study.trust import record_of
from SuggestiveAnnotationLib.types import LabelSchema, PreprocessingRecord

_LONGEST = 100
"""Characters of a name or a hash that another study gave."""
_AGAIN = "Ask for both files again, the .safetensors file and the .json card of the same name."


@dataclass(frozen=True)
class Imported:
    """What `import_model` did.

    Attributes:
        model: the row.
        new: it was not in the study before.
        options: what a round is given for its training to go on from it, by the names of `TrainingOptions`.
        notes: sentences on what to mind.
    """

    model: Model
    new: bool
    options: Mapping[str, Any]
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class _Purpose:
    """What a network takes and gives. `classes`: names in the order of the channels 1..K."""

    record: PreprocessingRecord
    classes: tuple[str, ...]


def import_model(study: Study, source: Path, *, progress: ProgressCallback = no_progress, cancel: CancelToken | None = None) -> Imported:
    """Make a segmentation network of another study the newest model of this one. It belongs to no round.

    Args:
        study: prepared.
        source: the weights, with their card beside them; or the folder of another study, whose newest model is taken.

    Returns:
        The model; the one that is there already where its weights are the same.

    Raises:
        InputError: there is no model there, its files are damaged, or it was made for other images or classes.
        StudyError: the study is not prepared, a round is under way, or the other study is damaged.
        StorageError: the study cannot be written.
    """
    record = study.record
    current = study.current_round()
    if current is not None and current.stage not in ("annotating", "finished"):
        raise StudyError(f"Round {current.number} is under way, and goes on with the model that it has.", hint=GO_ON)
    stage = Stage("import model", 1, progress=progress, cancel=cancel)
    path = _weights(study, Path(source))
    network, card = _loaded(path)
    purpose = _purpose(path, card)
    _refuse_other(path, network, purpose, study)
    options = {"warm_start": True, **_options(network)}
    notes = _notes(purpose.record, record)
    sha256 = card["weights_sha256"]
    models = study.models("segmentation")
    known = next((model for model in models if sha256 in (model.card.get("weights_sha256"), _origin(model))), None)
    if known is not None:
        stage.advance()
        newer = () if known.id == models[-1].id else (f"Model {models[-1].id} is newer, and is the one that is used.",)
        return Imported(known, False, options, (*notes, *newer))
    target = study.path / "models" / f"segmentation-{uuid.uuid4().hex[:12]}.safetensors"
    full = save_checkpoint(
        target,
        network,
        {
            "kind": "segmentation",
            "round": None,
            "seed": card.get("seed") if type(card.get("seed")) is int else None,
            "record_key": record.key,
            **network_json(purpose.record, study.schema),
            "annotations": [],
            "training_dice": _known_dice(card, study.schema),
            "imported_from": {
                "file": path.name,
                "weights_sha256": sha256,
                "trained_on": _trained_on(card),
            },
        },
    )
    model = study.publish_model("segmentation", path=target, card=full, record_key=record.key, round_number=None)
    stage.advance()
    return Imported(model, True, options, notes)


def _origin(model: Model) -> Any:
    return None if model.imported_from is None else model.imported_from.get("weights_sha256")


def _weights(study: Study, source: Path) -> Path:
    if source.is_dir():
        if source.resolve() == study.path.resolve():
            raise InputError(f"{source} is this study itself.", hint="Give the folder of another study, or a .safetensors file.")
        with closing(Study(source)) as other:
            newest = other.latest_model("segmentation")
        if newest is None:
            raise InputError(f"The study {source} has no segmentation model.", hint="Train one there first, or give a .safetensors file.")
        return newest.path
    if source.suffix != ".safetensors":
        hint = "Give a .safetensors file with its .json card beside it, or the folder of a study."
        raise InputError(f"{source} is no model of this extension.", hint=hint)
    regular_file(source)
    return source


def _loaded(path: Path) -> tuple[SegmentationNetwork, dict[str, Any]]:
    try:
        network, card = load_checkpoint(path)
    except StudyError as error:
        raise InputError(error.sentence, hint=_AGAIN) from error
    if not isinstance(network, SegmentationNetwork):
        raise InputError(f"{path} is no segmentation network.", hint="Give the file of one, as it lies in the folder `models` of a study.")
    return network, card


def _purpose(path: Path, card: Mapping[str, Any]) -> _Purpose:
    """As the card says, or the study in whose folder the model lies."""
    if "preprocessing" in card or "classes" in card:
        try:
            record = record_of({name: value for name, value in card["preprocessing"].items() if name != "key"})
            return _Purpose(record, tuple(str(one["name"]) for one in card["classes"]))
        except (StudyError, AttributeError, TypeError, KeyError):
            raise InputError(f"The card of {path} is damaged.", hint=_AGAIN) from None
    folder = path.resolve().parent
    if folder.name == "models" and (folder.parent / DATABASE_NAME).exists():
        with closing(Study(folder.parent)) as other:
            if other.record.key == card.get("record_key"):
                return _Purpose(other.record, tuple(one.name for one in other.schema.classes))
    raise InputError(
        f"The card of {path} does not say which images and classes its network is for, as cards of older versions do not.",
        hint="Give the folder of the study that trained it.",
    )


def _refuse_other(path: Path, network: SegmentationNetwork, purpose: _Purpose, study: Study) -> None:
    """Raises: InputError, where the network cannot read this study's images, or says something else of them."""
    theirs, ours, spec = purpose.record, study.record, network_spec(network)
    classes = tuple(one.name for one in study.schema.classes)
    if (spec["channels"], spec["classes"]) != (len(theirs.modalities), len(purpose.classes) + 1):
        raise InputError(f"The card of {path} is not that of its network.", hint=_AGAIN)
    if theirs.version != ours.version:
        sentence = f"{path} learnt from images prepared by another version of this extension ({theirs.version}, not {ours.version})."
        raise InputError(sentence, hint="Ask for a model of a study that was prepared with the same version.")
    if _folded(theirs.modalities) != _folded(ours.modalities):
        sentence = f"{path} is for images of {_listed(theirs.modalities)}, and this study has {_listed(ours.modalities)}."
        raise InputError(sentence, hint="Create a study with the same sequences, named alike, in the same order.")
    if theirs.plane != ours.plane:
        sentence = f"{path} learnt from {theirs.plane} slices, and those of this study are {ours.plane}."
        raise InputError(sentence, hint=f"Create a study that is prepared with {theirs.plane} slices.")
    if _folded(purpose.classes) != _folded(classes):
        sentence = f"{path} tells {_listed(purpose.classes)} apart, and this study is of {_listed(classes)}."
        raise InputError(sentence, hint="Create a study whose schema has the same classes in the same order.")


def _notes(theirs: PreprocessingRecord, ours: PreprocessingRecord) -> tuple[str, ...]:
    ratio = theirs.spacing[0] / ours.spacing[0]
    if 1 / UNLIKE <= ratio <= UNLIKE:
        return ()
    return (
        f"It learnt on pixels of {theirs.spacing[0]:.2f} mm and sees this study's images on pixels of {ours.spacing[0]:.2f} mm: structures "
        f"look {'larger' if ratio > 1 else 'smaller'} to it, and its outlines may be poor until it is trained here.",
    )


def _options(network: SegmentationNetwork) -> dict[str, Any]:
    spec = network_spec(network)
    size = {"architecture": spec["network"], "network": spec["size"]}
    return {**size, **{name: spec[name] for name in ("dropout", "loss_head") if spec.get(name)}}


def _trained_on(card: Mapping[str, Any]) -> dict[str, Any]:
    """What the card says of it, as far as that can be what it seems."""
    metrics = card.get("metrics")
    slices = metrics.get("annotated_slices") if isinstance(metrics, dict) else None
    hashes = {name: card.get(name) for name in ("record_key", "data_hash")}
    return {
        "annotated_slices": slices if type(slices) is int else None,
        **{name: value for name, value in hashes.items() if isinstance(value, str) and len(value) <= _LONGEST},
    }


def _known_dice(card: Mapping[str, Any], schema: LabelSchema) -> dict[str, float]:
    kept = card.get("training_dice")
    values = {one.name: kept.get(one.name) for one in schema.classes} if isinstance(kept, dict) else {}
    return {name: value for name, value in values.items() if isinstance(value, float) and 0 <= value <= 1}


def _folded(names: Sequence[str]) -> list[str]:
    return [name.casefold() for name in names]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(name[:_LONGEST] for name in names)
