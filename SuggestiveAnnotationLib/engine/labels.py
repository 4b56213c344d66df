"""Labels that were there before the study: as accepted first batch, or as pre-annotation to correct."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from SuggestiveAnnotationLib import __version__
from SuggestiveAnnotationLib.cohort.files.rawheader import files_of
from SuggestiveAnnotationLib.cohort.labels.annotated import silent_slices
from SuggestiveAnnotationLib.files import write_text
from SuggestiveAnnotationLib.progress import CancelToken, ProgressCallback, Stage, no_progress
from SuggestiveAnnotationLib.study.annotation_rows import NewAnnotation
from SuggestiveAnnotationLib.study.records import Model
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import Case, LabelArray, LabelUse, SliceRef

TAKEN = "labels taken"
"""Property: case -> number of slices taken, and the hash of the labels they were taken from."""


@dataclass(frozen=True)
class LabelsTaken:
    """What one call took.

    Attributes:
        use: what the labels are for.
        taken: case -> its slices that became annotations or pre-annotations in this call.
        left_out: sentences on what was not taken, and why.
    """

    use: LabelUse
    taken: Mapping[str, tuple[SliceRef, ...]] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()

    @property
    def slices(self) -> int:
        """How many slices, all cases together."""
        return sum(map(len, self.taken.values()))


def start_from_labels(study: Study, *, progress: ProgressCallback = no_progress, cancel: CancelToken | None = None) -> LabelsTaken:
    """Take the labels of pool cases for what the study was created to use them for.

    As "first-batch", slices that count as annotated become accepted annotations of `Study.labels_by` with the provenance "imported". As
    "pre-annotation" they become predictions of a model of the kind "imported", which readers correct until a model trained here has
    predicted the same slice; pixels that the labels ignore are background there. Labels of other roles, and all labels of other uses, stay
    references. Each case is one transaction and is taken once; interrupted, the same call goes on. Slices that somebody has annotated
    meanwhile are not taken as annotations.

    Args:
        study: prepared.

    Raises:
        StorageError: the study cannot be written.
        Cancelled: between two cases.
    """
    use = study.labels_as
    if use not in ("first-batch", "pre-annotation"):
        return LabelsTaken(use)
    labelled = [case for case in study.cases("pool") if case.label is not None]
    done = _done(study)
    waiting = [case for case in labelled if case.name not in done]
    said = _Said(study, changed=[c.name for c in labelled if c.name in done and done[c.name]["sha256"] != _hash(study, c)])
    models = _imported_models(study, waiting) if use == "pre-annotation" else {}
    taken = {}
    stage = Stage("labels", len(waiting), progress=progress, cancel=cancel)
    for case in waiting:
        slices = _counted(study, case, said)
        if use == "first-batch":
            slices = _not_annotated(study, case, slices, said)
            _accept(study, slices)
        else:
            background = study.schema.ignore_value
            study.add_predictions(
                models[case.name].id, ((ref, np.where(a == background, 0, a).astype(a.dtype)) for ref, a in slices.items())
            )
        taken[case.name] = tuple(slices)
        # Written after the rows: a call that was killed in between finds them and adds nothing.
        done[case.name] = {"slices": len(slices), "sha256": _hash(study, case)}
        study.set_property(TAKEN, done)
        stage.advance()
    return LabelsTaken(use, taken, said.sentences(without=len(study.cases("pool")) - len(labelled) if waiting else 0))


def publish_imported(study: Study, *, by: str, labels: Mapping[str, Mapping[str, Any]], rule: str) -> Model:
    """A model of the kind "imported": it has no weights, only a card that says whose labels its predictions are.

    Args:
        study: prepared.
        by: who drew them.
        labels: case -> hashes of what was taken, JSON values without paths.
        rule: which slices counted.

    Returns:
        The row; the one that is there already where it says the same.
    """
    card = {
        "kind": "imported",
        "what": "labels drawn before or outside the study, shown as pre-annotation to correct",
        "by": by,
        "annotated_slices": rule,
        "record_key": study.record.key,
        "labels": {case: dict(about) for case, about in sorted(labels.items())},
        "versions": {"library": __version__},
    }
    known = next((model for model in study.models("imported") if model.card == card), None)
    if known is not None:
        return known
    path = study.path / "models" / f"imported-{uuid.uuid4().hex[:12]}.json"
    write_text(path, json.dumps(card, indent=2, sort_keys=True, allow_nan=False))
    return study.publish_model("imported", path=path, card=card, record_key=study.record.key, round_number=None)


def file_hash(path: str | Path) -> str | None:
    """SHA-256 of a file, and of that of its voxels behind it where its header names one; None where it cannot be read."""
    digest = hashlib.sha256()
    try:
        for one in files_of(path):
            with one.open("rb") as file:
                hashlib.file_digest(file, lambda: digest)
    except OSError:
        return None
    return digest.hexdigest()


def _imported_models(study: Study, cases: Sequence[Case]) -> Mapping[str, Model]:
    """The model of every case: one that an interrupted call published, else a new one for all that have none."""
    found = {}
    for case in cases:
        for model in study.models("imported"):
            labels = model.card.get("labels", {})
            if case.name in labels and labels[case.name].get("prepared_sha256") == _hash(study, case):
                found[case.name] = model
    fresh = [case for case in cases if case.name not in found]
    if fresh:
        about = {case.name: {"file_sha256": file_hash(case.label or ""), "prepared_sha256": _hash(study, case)} for case in fresh}
        model = publish_imported(study, by=study.labels_by, labels=about, rule=study.annotated_slices)
        found |= {case.name: model for case in fresh}
    return found


def _done(study: Study) -> dict[str, dict[str, Any]]:
    """What earlier calls took. A note that cannot be read is as none: the rows say what is there."""
    kept = study.properties().get(TAKEN)
    if not isinstance(kept, dict):
        return {}
    return {case: dict(note) for case, note in kept.items() if isinstance(note, dict) and "sha256" in note}


def _hash(study: Study, case: Case) -> str:
    return study.slice_store.hashes(case.name).get(".labels.npy", "")


def _counted(study: Study, case: Case, said: _Said) -> dict[SliceRef, LabelArray]:
    """Slices that count; the slice store has made all others the ignore value throughout."""
    stack = study.reference_labels(case.name)
    silent = silent_slices(stack, study.schema.ignore_value)
    said.not_counted += len(silent)
    return {ref: np.array(stack[ref.native_index]) for ref in study.frame(case.name).refs(case.name) if ref.native_index not in silent}


def _not_annotated(study: Study, case: Case, slices: Mapping[SliceRef, LabelArray], said: _Said) -> dict[SliceRef, LabelArray]:
    """Slices that nobody has annotated, by whatever became of it; those of an interrupted call are among the others."""
    known = {note.ref: note for note in study.work_notes(case=case.name) if note.state != "draft"}
    said.annotated += sum(ref in known and known[ref].annotator != study.labels_by for ref in slices)
    return {ref: labels for ref, labels in slices.items() if ref not in known}


def _accept(study: Study, slices: Mapping[SliceRef, LabelArray]) -> None:
    if slices:
        new = [NewAnnotation(ref=ref, labels=labels, provenance="imported") for ref, labels in slices.items()]
        study.accept(new, annotator=study.labels_by)


class _Said:
    """Counts what was left out, and puts it into sentences."""

    def __init__(self, study: Study, *, changed: Sequence[str]) -> None:
        self._rule = study.annotated_slices
        self._changed = changed
        self.not_counted = 0
        self.annotated = 0

    def sentences(self, *, without: int) -> tuple[str, ...]:
        said = [f"The labels of case {name} have changed since they were taken; what was taken stays as it was." for name in self._changed]
        if without:
            said.append(f"{without} case{'' if without == 1 else 's'} to annotate {'has' if without == 1 else 'have'} no labels.")
        if self.not_counted:
            said.append(f"{self.not_counted} slice{_do(self.not_counted)} not count as annotated (rule: {self._rule}).")
        if self.annotated:
            said.append(f"{self.annotated} slice{'' if self.annotated == 1 else 's'} that somebody has annotated since.")
        return tuple(said)


def _do(number: int) -> str:
    return " does" if number == 1 else "s do"
