"""The embedded cohort: brain MR that is made, not downloaded, so that everything can be tried without data of one's own.

Every subject is the ICBM 2009a template with another anatomy (pose, size, smooth deformation, borders between tissues), scanned with other
contrast, noise, receiver field and, with `orientation_variety`, another storage order. Some have a tumour-like lesion.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from SuggestiveAnnotationLib.cohort.embedded.anatomy import make_anatomy
from SuggestiveAnnotationLib.cohort.embedded.grid import protocol_of
from SuggestiveAnnotationLib.cohort.embedded.image import SEQUENCES, render
from SuggestiveAnnotationLib.cohort.embedded.template import BrainTemplate, load_template
from SuggestiveAnnotationLib.cohort.files.itk import quiet, sitk
from SuggestiveAnnotationLib.cohort.files.read import read_geometry
from SuggestiveAnnotationLib.cohort.labels.schema import save_schema
from SuggestiveAnnotationLib.errors import InputError, StorageError
from SuggestiveAnnotationLib.files import storage_error, whole_file, write_text
from SuggestiveAnnotationLib.progress import CancelToken, ProgressCallback, Stage, no_progress
from SuggestiveAnnotationLib.types import Case, LabelClass, LabelSchema, content_key

_VERSION = 1  # raise when the same settings give other images
_RECORD = "embedded.json"
_LABELS = "labels.nii.gz"
_SPACING_RANGE = (0.8, 8.0)


@dataclass(frozen=True)
class EmbeddedCohort:
    """Settings. A subject depends on all of them except `subjects`.

    Attributes:
        subjects: how many.
        seed: another seed, other people.
        modalities: of "t1", "t1c" (with contrast agent), "t2", "flair".
        lesions: share of subjects with a lesion, 0 to 1, spread evenly.
        spacing: millimetres (slice, row, column) of a plain axial scan.
        orientation_variety: some subjects are stored sagittal, coronal, flipped, oblique, or with other spacing, as in the clinic.

    Raises:
        InputError: a setting is out of range.
    """

    subjects: int = 14
    seed: int = 0
    modalities: tuple[str, ...] = ("t1", "flair")
    lesions: float = 0.6
    spacing: tuple[float, float, float] = (3.0, 2.0, 2.0)
    orientation_variety: bool = True

    def __post_init__(self) -> None:
        if self.subjects < 1:
            raise InputError(f"A cohort of {self.subjects} subjects cannot be made.", hint="Ask for at least one subject.")
        if self.seed < 0:
            raise InputError(f"The seed {self.seed} is negative.", hint="Use 0 or more.")
        unknown = [name for name in self.modalities if name not in SEQUENCES]
        if unknown or not self.modalities or len(set(self.modalities)) < len(self.modalities):
            raise InputError(
                f"The modalities {', '.join(self.modalities) or '(none)'} cannot be made.",
                hint=f"Name one or more of {', '.join(SEQUENCES)}, each once.",
            )
        if not 0 <= self.lesions <= 1:
            raise InputError(f"The share of subjects with a lesion is {self.lesions:g}.", hint="Use a number from 0 to 1.")
        low, high = _SPACING_RANGE
        if len(self.spacing) != 3 or not all(low <= s <= high for s in self.spacing):
            raise InputError(f"The spacing {self.spacing} mm cannot be made.", hint=f"Use three numbers from {low:g} to {high:g}.")

    def has_lesion(self, index: int) -> bool:
        """Whether the subject with this 0-based index has a lesion."""
        phase = float(np.random.default_rng(self.seed).random())
        return int((index + 1) * self.lesions + phase) > int(index * self.lesions + phase)


def embedded_schema(*, lesions: bool = True) -> LabelSchema:
    """What is labelled in the embedded cohort.

    Args:
        lesions: with the classes of the lesion and its nested regions.
    """
    classes = (
        LabelClass(1, "cerebrospinal fluid", (86, 180, 233), terminology="SCT^65216001^Cerebrospinal fluid"),
        LabelClass(2, "grey matter", (230, 159, 0), terminology="SCT^389081007^Gray matter of central nervous system"),
        LabelClass(3, "white matter", (240, 228, 66), terminology="SCT^389080008^White matter of brain and spinal cord"),
    )
    if not lesions:
        return LabelSchema("embedded brain", classes)
    tumour = (
        LabelClass(4, "oedema", (0, 158, 115), terminology="SCT^79654002^Edema"),
        LabelClass(5, "enhancing tumour", (213, 94, 0)),
        LabelClass(6, "necrotic core", (204, 121, 167), terminology="SCT^6574001^Necrosis"),
    )
    return LabelSchema("embedded brain with lesions", (*classes, *tumour), {"whole tumour": (4, 5, 6), "tumour core": (5, 6)})


def write_embedded_cohort(
    folder: Path, settings: EmbeddedCohort, *, progress: ProgressCallback = no_progress, cancel: CancelToken | None = None
) -> tuple[Case, ...]:
    """Make the cohort in a folder: `sub-01/t1.nii.gz`, `sub-01/labels.nii.gz`, ..., and `schema.json`. About two seconds a subject.

    Subjects that are already there, made with the same settings, are kept; every file is complete or absent.

    Args:
        folder: created where missing.
        settings: what to make.
        progress, cancel: see `progress.Stage`; one unit is a subject.

    Returns:
        The cases, all with role "pool" and the geometry of the first modality.

    Raises:
        InputError: nilearn is missing, or a folder of a subject holds something else.
        StorageError: the folder cannot be written.
        Cancelled: what is complete stays and is kept next time.
    """
    folder = Path(folder).absolute()
    stage = Stage("make cohort", settings.subjects, progress=progress, cancel=cancel)
    template: BrainTemplate | None = None
    cases = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for index in range(settings.subjects):
            name = f"sub-{index + 1:02d}"
            if not _complete(folder / name, _case_key(settings, index)):
                template = template or load_template()
                _write_case(folder / name, settings, index, template, cancel or CancelToken())
            cases.append(_case(folder / name, settings))
            stage.advance()
        save_schema(embedded_schema(lesions=settings.lesions > 0), folder / "schema.json")
    except OSError as error:
        raise storage_error(error, folder) from error
    return tuple(cases)


def _case_key(settings: EmbeddedCohort, index: int) -> str:
    made_of = {name: value for name, value in asdict(settings).items() if name != "subjects"}
    return content_key({**made_of, "index": index, "version": _VERSION})


def _files(settings: EmbeddedCohort) -> list[str]:
    return [*(f"{name}.nii.gz" for name in settings.modalities), _LABELS]


def _record(folder: Path) -> dict[str, Any]:
    """What the record in a subject's folder says; empty when there is none or it is not one of ours."""
    try:
        data = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _complete(folder: Path, key: str) -> bool:
    record = _record(folder)
    sizes = record.get("bytes") or {}
    if record.get("key") != key or not sizes:
        return False
    return all((folder / name).is_file() and (folder / name).stat().st_size == size for name, size in sizes.items())


def _write_case(folder: Path, settings: EmbeddedCohort, index: int, template: BrainTemplate, cancel: CancelToken) -> None:
    record = _record(folder)
    present = [file for file in folder.iterdir() if not file.name.startswith(".")] if folder.is_dir() else []
    if present and not record:
        raise InputError(f"The folder {folder} holds files that the embedded cohort did not make.", hint="Choose another folder.")
    folder.mkdir(exist_ok=True)
    key = _case_key(settings, index)
    wanted = _files(settings)
    for name in (*wanted, _RECORD):
        for leftover in folder.glob(f".{name.partition('.')[0]}-*"):  # of a process that was killed while it wrote
            leftover.unlink()
    # Names come first, sizes last: a case cut short is recognised as ours and as incomplete.
    _write_json(folder / _RECORD, {"key": key, "files": sorted({*wanted, *record.get("files", [])})})
    seed = np.random.SeedSequence([settings.seed, index])
    anatomy_seed, *image_seeds = seed.spawn(1 + len(SEQUENCES))
    seeds = dict(zip(SEQUENCES, image_seeds, strict=True))  # by name: a modality looks the same whichever others are made
    protocol = protocol_of(index, variety=settings.orientation_variety)
    anatomy = make_anatomy(template, anatomy_seed, spacing=settings.spacing, protocol=protocol, lesion=settings.has_lesion(index))
    for name in settings.modalities:
        cancel.raise_if_cancelled()
        _write_image(folder / f"{name}.nii.gz", anatomy.grid.to_image(render(anatomy, name, seeds[name])))
    _write_image(folder / _LABELS, anatomy.grid.to_image(anatomy.labels))
    for name in set(record.get("files", [])) - set(wanted):
        if name == Path(name).name:
            (folder / name).unlink(missing_ok=True)
    sizes = {name: (folder / name).stat().st_size for name in wanted}
    made = {"scan": protocol.name, "lesion": anatomy.lesion is not None}
    _write_json(folder / _RECORD, {"key": key, "files": wanted, "bytes": sizes, **made})


def _case(folder: Path, settings: EmbeddedCohort) -> Case:
    images = {name: str(folder / f"{name}.nii.gz") for name in settings.modalities}
    geometry = read_geometry(images[settings.modalities[0]])
    return Case(folder.name, folder.name, "pool", images, label=str(folder / _LABELS), site="embedded", geometry=geometry)


def _write_image(path: Path, image: Any) -> None:
    with whole_file(path) as partial:
        try:
            with quiet():
                sitk.WriteImage(image, str(partial), useCompression=True)
        except RuntimeError as error:
            raise StorageError(
                f"The image {path} cannot be written.", hint="Check the space left on the disk and its permissions."
            ) from error


def _write_json(path: Path, data: Mapping[str, Any]) -> None:
    write_text(path, json.dumps(data, indent=1, ensure_ascii=False) + "\n")
