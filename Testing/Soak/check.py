"""Looks at a study after a kill, as the next one to open it: is it whole, and is everything there that was reported as done?"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from safetensors.numpy import load_file

from Soak.expected import Expected, Row
from Soak.ledger import READER, LedgerReader, hash_of, name_of
from SuggestiveAnnotationLib.errors import SuggestiveAnnotationError
from SuggestiveAnnotationLib.study.location import WorkerLock
from SuggestiveAnnotationLib.study.study import DATABASE_NAME, Study


def found_in(study: Study) -> Expected:
    """What a study holds, in the terms of the model."""
    rows = study.all_annotations()
    strangers = {row.annotator for row in rows} | {draft.annotator for draft in study.drafts()}
    assert strangers <= {READER}, f"work of {strangers}"
    return Expected(
        rows=[Row(name_of(row.ref), hash_of(row.labels), row.state, 0) for row in rows],
        drafts={name_of(draft.ref): hash_of(draft.labels) for draft in study.drafts()},
        passed={name_of(ref): row.state for ref, row in study.newest_suggestions().items()},
    )


def lost(expected: Expected, found: Expected) -> set[str]:
    """Accepted slices that were reported and are not there with exactly these labels."""
    there = found.accepted()
    return {ref for ref, labels in expected.accepted().items() if there.get(ref) != labels}


def damage(path: Path, ledger: LedgerReader) -> list[str]:
    """Sentences on everything that is not whole in a study folder; the study may be in use."""
    found = [*_database(path)]
    try:
        study = Study(path)
    except SuggestiveAnnotationError as error:
        return [*found, f"the study does not open: {error}"]
    try:
        for part in (_rounds(study, ledger), _models(study), _predictions(study), _slices(study), _shown(study), _exports(study)):
            found += part
    except SuggestiveAnnotationError as error:
        found.append(f"the study cannot be read: {error}")
    finally:
        study.close()
    return found


def lock_is_free(path: Path) -> str:
    """Empty, or why nobody can become the worker of a study."""
    try:
        WorkerLock(path).release()
    except SuggestiveAnnotationError as error:
        return str(error)
    return ""


def _database(path: Path) -> Iterator[str]:
    try:
        with closing(sqlite3.connect(path / DATABASE_NAME, timeout=30)) as connection:
            answer = connection.execute("PRAGMA integrity_check").fetchall()
            if answer != [("ok",)]:
                yield f"integrity_check: {answer}"
            if strays := connection.execute("PRAGMA foreign_key_check").fetchall():
                yield f"foreign_key_check: {strays}"
    except sqlite3.DatabaseError as error:
        yield f"the database cannot be read: {error}"


def _rounds(study: Study, ledger: LedgerReader) -> Iterator[str]:
    rounds = {one.number: one for one in study.rounds()}
    if list(rounds) != list(range(len(rounds))):
        yield f"the rounds are {list(rounds)}"
    if any(one.stage != "finished" for one in list(rounds.values())[:-1]):
        yield "a round before the newest one is not finished"
    models = study.models("segmentation")
    for number, one in rounds.items():
        suggested = study.suggestion_states(number)
        if one.stage in ("training", "suggesting") and suggested:
            yield f"round {number} is at {one.stage} and has {len(suggested)} suggestions"
        if number and one.stage == "annotating" and models:
            missing = [row.ref for row in suggested if study.prediction(row.ref) is None]
            if missing:
                yield f"round {number} has no prediction of {missing}"
    for note in ledger.said("round"):
        number = note["number"]
        if number not in rounds or rounds[number].stage not in ("annotating", "finished"):
            yield f"round {number} was reported and is {rounds[number].stage if number in rounds else 'gone'}"
        elif len(study.suggestion_states(number)) != note["suggestions"]:
            yield f"round {number} was reported with {note['suggestions']} suggestions"


def _models(study: Study) -> Iterator[str]:
    for model in study.models():
        try:
            weights = load_file(model.path)
            json.loads(model.path.with_suffix(".json").read_text(encoding="utf-8"))
            if not weights:
                yield f"model {model.id} is empty"
            if model.latents is not None:
                refs, latents = study.latents(model)
                if len(refs) != len(latents) or not np.isfinite(latents).all():
                    yield f"latents of model {model.id} are not whole"
        except Exception as error:  # whatever is wrong with a file, it is damage
            yield f"model {model.id}: {type(error).__name__}: {error}"


def _predictions(study: Study) -> Iterator[str]:
    cases = {case.name: study.frame(case.name) for case in study.cases("pool")}
    for model in study.models("segmentation"):
        for identifier, one in study.predictions_by_id(study.prediction_ids(model.id).values()).items():
            if one.labels.shape != (cases[one.ref.case].rows, cases[one.ref.case].columns):
                yield f"prediction {identifier} is {one.labels.shape}"
        for case in cases:
            path = study.path / "predictions" / f"model-{model.id}" / f"{case}.npy"
            if path.exists():
                yield from _array(path, study.case(case).geometry.shape)


def _slices(study: Study) -> Iterator[str]:
    for case in study.cases():
        if not study.slice_store.is_current(case):
            yield f"the slices of {case.name} are not what was written"


def _shown(study: Study) -> Iterator[str]:
    for note in study.path.glob("cache/display/*/case.json"):
        case = study.case(json.loads(note.read_text(encoding="utf-8"))["case"])
        for place in range(len(study.modalities)):
            yield from _array(note.parent / f"{place}.npy", case.geometry.shape)


def _exports(study: Study) -> Iterator[str]:
    for path in study.path.glob("export/*"):
        if path.name.startswith("."):
            continue
        try:
            if path.name.endswith((".nii.gz", ".nrrd")):
                sitk.ReadImage(str(path))
            elif path.suffix == ".json":
                json.loads(path.read_text(encoding="utf-8"))
        except Exception as error:  # whatever is wrong with a file, it is damage
            yield f"{path.name}: {type(error).__name__}: {error}"


def _array(path: Path, shape: tuple[int, ...]) -> Iterator[str]:
    try:
        array = np.load(path, allow_pickle=False)
        if array.shape != shape:
            yield f"{path} is {array.shape}"
    except Exception as error:  # whatever is wrong with a file, it is damage
        yield f"{path}: {type(error).__name__}: {error}"
