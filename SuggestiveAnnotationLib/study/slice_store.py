"""The slice store: every case's native in-plane slices, normalised, memory-mapped. A cache that can always be built again.

One `.npy` of float16 `(slice, channel, row, column)` a case, one of uint16 `(slice, row, column)` for reference labels, and one `.json`
that is written last and says what the arrays were made from and what they hash to. A case without its `.json`, whose sources changed, or
whose arrays are not what was written, is built again; a case whose sources are gone stays as it is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.cohort.checks import frames, moved_grid, thin, without_structure
from SuggestiveAnnotationLib.cohort.files.rawheader import files_of
from SuggestiveAnnotationLib.cohort.files.read import read_labels, read_volume
from SuggestiveAnnotationLib.cohort.files.resample import resample_onto
from SuggestiveAnnotationLib.cohort.labels.annotated import annotated_slices
from SuggestiveAnnotationLib.cohort.labels.merge import apply_merge, schema_of_values
from SuggestiveAnnotationLib.errors import InputError, StudyError
from SuggestiveAnnotationLib.files import quoted_stem, sha256_of, stamp, whole_file, write_array, write_text
from SuggestiveAnnotationLib.geometry import DRAWN_ON, Geometry, SliceFrame
from SuggestiveAnnotationLib.progress import CancelToken
from SuggestiveAnnotationLib.study.arrays import open_npy
from SuggestiveAnnotationLib.study.intensities import foreground_of, normalise
from SuggestiveAnnotationLib.study.trust import MAX_AXIS
from SuggestiveAnnotationLib.types import PREPROCESSING_VERSION, AnnotatedRule, Case, LabelSchema, Plane, content_key

BLANK_BELOW = 0.001
_KINDS = {".npy": np.dtype(np.float16), ".labels.npy": np.dtype(np.uint16), ".mask.npy": np.dtype(np.uint8)}
"""Arrays of a case by the end of their file's name."""


@dataclass(frozen=True)
class StoreSettings:
    """What the arrays depend on.

    Attributes:
        plane: of the slices. modalities: channel order. reference: modality that gives the grid. schema: labels are merged into it.
        annotated: which slices of a label file count; the others become the ignore value throughout.
    """

    plane: Plane
    modalities: tuple[str, ...]
    reference: str
    schema: LabelSchema
    annotated: AnnotatedRule = "all"

    @property
    def key(self) -> str:
        """Name of the folder: hash of the settings; the rule has part in it only where it changes the arrays."""
        rule = [] if self.annotated == "all" else [self.annotated]
        return content_key([self.plane, self.modalities, self.reference, self.schema.key, PREPROCESSING_VERSION, *rule])


@dataclass(frozen=True)
class CaseSlices:
    """One case's slices.

    Attributes:
        images: float16 `(slice, channel, row, column)`, memory-mapped, z-scores; 0 outside a foreground that is cut out.
        blank: `(slice,)`, next to no foreground.
        foreground_fraction: `(slice,)`, share of pixels in the foreground.
        box: in-plane bounding box of the foreground over all slices: first row, last row + 1, first column, last column + 1.
        spacing: millimetres (slice, row, column).
        content: SHA-256 over the source files.
    """

    images: NDArray[np.float16]
    blank: NDArray[np.bool_]
    foreground_fraction: NDArray[np.float32]
    box: tuple[int, int, int, int]
    spacing: tuple[float, float, float]
    content: str

    @property
    def centre(self) -> tuple[float, float]:
        """Centre of the box in pixel coordinates (row, column), where pixel centres are whole numbers."""
        r0, r1, c0, c1 = self.box
        return ((r0 + r1 - 1) / 2, (c0 + c1 - 1) / 2)


class SliceStore:
    """The arrays of all cases under one folder and one setting."""

    def __init__(self, folder: Path, settings: StoreSettings) -> None:
        self.folder = folder / settings.key
        self.settings = settings

    def is_current(self, case: Case) -> bool:
        """Built, and its source files are what they were (size and time, else content)."""
        note = self._whole_note(case.name)
        if note is None:
            return False
        stamps = _stamps(case)
        if note["stamps"] == stamps:
            return True
        try:
            if stamps is None or note["content"] != _content(case):
                return False
        except OSError:
            return False
        write_text(self._path(case.name, ".json"), json.dumps({**note, "stamps": stamps}))
        return True

    def lost_sources(self, case: Case) -> tuple[Path, ...]:
        """Source files that are no longer there, of a case that was built whole: its arrays go on being used."""
        gone = tuple(path for path in _sources(case).values() if stamp(path) is None)
        return gone if gone and self._whole_note(case.name) is not None else ()

    def build(self, case: Case, *, cancel: CancelToken | None = None) -> tuple[str, ...]:
        """Read, check, normalise and write one case. Whole or absent. `cancel` is asked after every image.

        Returns:
            Sentences the person should know (none when all is well).

        Raises:
            InputError: the case cannot be used; the sentence says why.
            StorageError: the store cannot be written.
            Cancelled: nothing of the case is there.
        """
        settings = self.settings
        path = case.images[settings.reference]
        reference = read_volume(Path(path))
        problems, notes = thin(path, reference.geometry, settings.plane)
        for problem in (*moved_grid(case, reference.geometry, settings.reference), *problems):
            raise InputError(problem)
        frame = SliceFrame.of(reference.geometry, settings.plane)
        mask = None if case.mask is None else _on_grid(Path(case.mask), reference.geometry)
        found = foreground_of(reference.array, mask)
        foreground = frame.stack(found.voxels)
        if not foreground.any():
            raise InputError(f"{path} has no foreground.", hint="Check the image, or give a mask with --mask.")
        channels = []
        grids = {}
        for modality in settings.modalities:
            volume = reference if modality == settings.reference else read_volume(Path(case.images[modality]))
            grids[modality] = volume.geometry
            notes += volume.notes
            if modality != settings.reference:
                volume = resample_onto(volume, reference.geometry, reference_name=path)
            channels.append(normalise(frame.stack(volume.array), foreground, cut_out=found.cut_out))
            if cancel is not None:
                cancel.raise_if_cancelled()
        notes += frames(case, grids, settings.reference)[1]
        hashes = {".npy": _save(self._path(case.name, ".npy"), np.stack(channels, axis=1))}
        if case.label is not None:
            labels, grid = read_labels(Path(case.label))
            if not grid.same_grid(reference.geometry, tolerance=DRAWN_ON):
                sentence = f"{case.label} lies on another voxel grid than {path}."
                raise InputError(sentence, hint="Resample the labels onto the image.")
            merged = apply_merge(labels, schema_of_values(case.label, settings.schema), mask, name=case.label)
            notes += without_structure(case.label, merged, settings.schema)
            stack = frame.stack(merged)
            counted = annotated_slices(stack, settings.annotated, settings.schema.ignore_value)
            stack[sorted(set(range(len(stack))) - set(counted))] = settings.schema.ignore_value
            hashes[".labels.npy"] = _save(self._path(case.name, ".labels.npy"), stack)
        if mask is not None:
            hashes[".mask.npy"] = _save(self._path(case.name, ".mask.npy"), frame.stack(mask > 0).astype(np.uint8))
        fraction = foreground.mean(axis=(1, 2))
        note = {
            "stamps": _stamps(case),
            "content": _content(case),
            "hashes": hashes,
            "spacing": frame.spacing,
            "box": _box(np.asarray(foreground.any(axis=0))),
            "foreground_fraction": [round(float(f), 6) for f in fraction],
        }
        write_text(self._path(case.name, ".json"), json.dumps(note))
        return tuple(notes)

    def open(self, name: str) -> CaseSlices:
        """Raises: InputError, when the case has not been prepared; StudyError, when its arrays are damaged."""
        note = self._note(name)
        if note is None:
            raise _not_prepared(name)
        fraction = np.asarray(note["foreground_fraction"], np.float32)
        return CaseSlices(
            images=self._mapped(name, ".npy", slices=len(fraction)),
            blank=fraction < BLANK_BELOW,
            foreground_fraction=fraction,
            box=tuple(note["box"]),
            spacing=tuple(note["spacing"]),
            content=note["content"],
        )

    def open_labels(self, name: str) -> NDArray[np.uint16]:
        """Reference labels `(slice, row, column)`, memory-mapped. Raises: InputError, when the case has none; StudyError, damaged."""
        note = self._note(name)
        if note is None:
            raise _not_prepared(name)
        if ".labels.npy" not in note["hashes"]:
            raise InputError(f"Case {name} has no reference labels.", hint="Give them with --label when the study is created.")
        return self._mapped(name, ".labels.npy", slices=len(note["foreground_fraction"]))

    def open_mask(self, name: str) -> NDArray[np.uint8] | None:
        """Foreground mask file `(slice, row, column)`, 0 or 1, memory-mapped; None when the case has none. Raises: StudyError, damaged."""
        note = self._note(name)
        if note is None or ".mask.npy" not in note["hashes"]:
            return None
        return self._mapped(name, ".mask.npy", slices=len(note["foreground_fraction"]))

    def hashes(self, name: str) -> Mapping[str, str]:
        """SHA-256 of what a case was built from and of its arrays as files: "sources" (of the source files together), ".npy",
        ".labels.npy", ".mask.npy"; empty where it is not built.
        """
        note = self._note(name)
        return {} if note is None else {"sources": note["content"], **note["hashes"]}

    def _mapped(self, name: str, suffix: str, *, slices: int) -> NDArray[Any]:
        path = self._path(name, suffix)
        try:
            array = open_npy(path)
            if array.ndim == (4 if suffix == ".npy" else 3) and array.dtype == _KINDS[suffix] and len(array) == slices:
                return array
            reason = "another number of slices, or another kind of array"
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
        raise StudyError(f"The prepared slices of case {name} in {path} are damaged: {reason}.", hint="Run `prepare` to build them again.")

    def _note(self, name: str) -> dict[str, Any] | None:
        """What was written about a case; None when nothing was, or it is damaged."""
        try:
            note = json.loads(self._path(name, ".json").read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return None
        return note if _is_note(note) else None

    def _whole_note(self, name: str) -> dict[str, Any] | None:
        """The note of a case whose arrays are what was written, byte for byte."""
        note = self._note(name)
        try:
            whole = note is not None and all(sha256_of(self._path(name, suffix)) == kept for suffix, kept in note["hashes"].items())
        except OSError:
            return None
        return note if whole else None

    def _path(self, name: str, suffix: str) -> Path:
        return self.folder / (quoted_stem(name) + suffix)


def _is_note(note: Any) -> bool:
    """Whether it says what `build` writes, in kind."""
    if (
        not isinstance(note, dict)
        or not isinstance(note.get("hashes"), dict)
        or not isinstance(note.get("content"), str)
        or "stamps" not in note
    ):
        return False
    lists: list[Any] = [note.get(name) for name in ("box", "spacing", "foreground_fraction")]
    if not all(isinstance(one, list) for one in lists):
        return False
    box, spacing, fraction = lists
    if note["hashes"].keys() - _KINDS.keys() or len(box) != 4 or len(spacing) != 3:
        return False
    numbers = all(type(n) in (int, float) and abs(n) < 1e30 for n in (*spacing, *fraction))
    return numbers and all(type(n) is int and 0 <= n < MAX_AXIS for n in box) and min(spacing) > 0


def _not_prepared(name: str) -> InputError:
    return InputError(f"Case {name} has not been prepared.", hint="Run `prepare` first.")


def _on_grid(path: Path, geometry: Geometry) -> NDArray[Any]:
    mask, grid = read_labels(path)
    if not grid.same_grid(geometry, tolerance=DRAWN_ON):
        raise InputError(f"The mask {path} lies on another grid than its image.", hint="Resample the mask onto the image.")
    return mask


def _box(flat: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(flat.any(axis=1)), np.flatnonzero(flat.any(axis=0))
    return (int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1)


def _save(path: Path, array: NDArray[Any]) -> str:
    """Write an array whole. Returns: hash of the file."""
    with whole_file(path) as scratch:
        write_array(scratch, array)
        return sha256_of(scratch)


def _sources(case: Case) -> Mapping[str, Path]:
    named = {f"image {m}": p for m, p in case.images.items()} | {"label": case.label, "mask": case.mask}
    found = {name: Path(path) for name, path in sorted(named.items()) if path is not None}
    return found | {f"voxels of {name}": voxels for name, path in found.items() for voxels in files_of(path)[1:]}


def _stamps(case: Case) -> dict[str, list[int]] | None:
    stamps = {}
    for name, path in _sources(case).items():
        found = stamp(path)
        if found is None:
            return None
        # As JSON gives them back.
        stamps[name] = list(found)
    return stamps


def _content(case: Case) -> str:
    digest = hashlib.sha256()
    for name, path in _sources(case).items():
        digest.update(name.encode())
        digest.update(bytes.fromhex(sha256_of(path)))
    return digest.hexdigest()
