"""The images of a case as a viewer wants them: on the grid that annotations live on, in files that map into memory."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.cohort.files.rawheader import files_of
from SuggestiveAnnotationLib.cohort.files.read import read_volume
from SuggestiveAnnotationLib.cohort.files.resample import resample_onto
from SuggestiveAnnotationLib.errors import InputError, StudyError
from SuggestiveAnnotationLib.files import whole_file, write_array, write_text
from SuggestiveAnnotationLib.geometry import Geometry
from SuggestiveAnnotationLib.progress import CancelToken, ProgressCallback, Stage, no_progress
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import Case, content_key

KEEP = 6
"""Cases kept in the cache."""


@dataclass(frozen=True)
class DisplayCase:
    """A case to look at. `modalities`: name -> `.npy`, `(k, j, i)`, int16 where the values are whole and fit, else float32."""

    case: str
    geometry: Geometry
    modalities: dict[str, Path]


def load_case(
    study: Study, name: str, *, keep: int = KEEP, progress: ProgressCallback = no_progress, cancel: CancelToken | None = None
) -> DisplayCase:
    """The case from the cache, or read and resampled now; the longest unused cases make room.

    Args:
        study: open.
        name: of the case.
        keep: how many cases stay in the cache.

    Raises:
        StudyError: its image could not be read when the study was made.
        InputError: there is no such case, an image cannot be read any more, or the reference image has another grid now; the sentence names
            the file.
        Cancelled: the case is read again next time.
    """
    case = study.case(name)
    if case.geometry is None:
        raise StudyError(f"Case {name} cannot be shown: {case.excluded_reason}")
    folder = study.path / "cache" / "display" / content_key([name])
    wanted = {"case": name, "files": {m: _stamp(case, m) for m in study.modalities}}
    note = folder / "case.json"
    modalities = {m: folder / f"{place}.npy" for place, m in enumerate(study.modalities)}
    if _read(note) != wanted or not all(path.exists() for path in modalities.values()):
        _make_room(folder.parent, keep - 1)
        note.unlink(missing_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        stage = Stage(f"load {name}", len(modalities), progress=progress, cancel=cancel)
        for modality, path in modalities.items():
            image = read_volume(case.images[modality])
            if modality == study.reference_modality and not image.geometry.same_grid(case.geometry):
                sentence = f"{case.images[modality]} of case {name} lies on another grid than when the study was made."
                raise InputError(sentence, hint="Put the image back that the study was made with, or exclude the case.")
            array = resample_onto(image, case.geometry, reference_name=case.images[study.reference_modality]).array
            with whole_file(path) as scratch:
                write_array(scratch, _compact(array))
            stage.advance()
        write_text(note, json.dumps(wanted))
    note.touch()
    return DisplayCase(name, case.geometry, modalities)


def _stamp(case: Case, modality: str) -> list[Any]:
    out: list[Any] = []
    for path in files_of(case.images[modality]):
        try:
            status = path.stat()
        except OSError as error:
            hint = "Put the file back, or connect the drive it is on. Images that are moved together with their study are found."
            raise InputError(f"{path} of case {case.name} cannot be read: {error.strerror}.", hint=hint) from error
        out += [str(path), status.st_size, status.st_mtime_ns]
    return out


def _read(note: Path) -> Any:
    try:
        return json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _make_room(folder: Path, keep: int) -> None:
    notes = sorted(folder.glob("*/case.json"), key=lambda note: note.stat().st_mtime, reverse=True)
    for note in notes[max(0, keep) :]:
        # A file that a viewer has open cannot go on some systems; it goes next time.
        shutil.rmtree(note.parent, ignore_errors=True)


def _compact(array: NDArray[Any]) -> NDArray[Any]:
    low, high = float(array.min(initial=0)), float(array.max(initial=0))
    whole = array.dtype.kind in "iu" or bool((array == np.rint(array)).all())
    return array.astype(np.int16) if whole and low >= -32768 and high <= 32767 else array.astype(np.float32)
