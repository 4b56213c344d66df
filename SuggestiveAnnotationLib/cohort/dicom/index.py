"""The series and segmentations among DICOM files, by their headers."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from SuggestiveAnnotationLib.cohort.dicom.folder import DIRECTORY, begins_as_dicom, is_dicom_folder, walk
from SuggestiveAnnotationLib.cohort.dicom.geometry import StackGeometry, stack_geometry
from SuggestiveAnnotationLib.cohort.dicom.headers import SEGMENTATION_CLASSES, STRUCTURE_SET, Frame, Header, Person, read_header
from SuggestiveAnnotationLib.cohort.dicom.medium import listed_files
from SuggestiveAnnotationLib.cohort.dicom.stacks import split_stacks
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.files import stamp
from SuggestiveAnnotationLib.progress import CancelToken, ProgressCallback, Stage, no_progress

__all__ = ["DicomIndex", "Segmentation", "Series", "find_series", "index_dicom", "is_dicom_folder"]

REMEMBERED = 65_536
"""Headers, about 2 KiB each: series are looked through once to be confirmed and once more for the plan."""


@dataclass(frozen=True)
class Series:
    """One stack of slices: a series, or one of several stacks in it.

    Attributes:
        uid, study_uid, sop_class: as in the header. person: who; not for display.
        description: of the series, else of its protocol. number: of the series, 0 where it has none.
        study_time, series_time: `YYYYMMDDHHMMSS`, as far as known; they sort.
        files: absolute, by name. frames: its slices, unsorted.
        part: 0-based, among the stacks that its files hold (see `volume.read_series`); above 0 only in multi-frame images.
        stacks: in the whole series. differ_in: what tells them apart.
    """

    uid: str
    study_uid: str
    sop_class: str
    person: Person
    description: str
    modality: str
    number: int
    study_time: str
    series_time: str
    image_type: tuple[str, ...]
    photometric: str
    samples: int
    frame_of_reference: str
    contrast: bool
    files: tuple[str, ...]
    frames: tuple[Frame, ...]
    part: int = 0
    stacks: int = 1
    differ_in: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """As sentences name it."""
        number = f" (number {self.number})" if self.number else ""
        return f'The series "{self.description}"{number}' if self.description else f"The {self.modality} series without a name{number}"

    @cached_property
    def stack(self) -> StackGeometry:
        """Where its slices lie, and what is wrong with that."""
        return stack_geometry(self.frames, name=self.title)


@dataclass(frozen=True)
class Segmentation:
    """A DICOM SEG file.

    Attributes:
        references: series -> its images that the segmentation names; none where it names the series alone.
        content_time: `YYYYMMDDHHMMSS`, when it was made, as far as known.
    """

    file: str
    study_uid: str
    person: Person
    references: tuple[tuple[str, frozenset[str]], ...]
    content_time: str

    def is_of(self, series: Series) -> bool:
        """Whether it was drawn on the series."""
        mine = {frame.sop_instance_uid for frame in series.frames}
        return any(uid == series.uid and (not images or not mine.isdisjoint(images)) for uid, images in self.references)


@dataclass(frozen=True)
class DicomIndex:
    """What was found.

    Attributes:
        series: with pixels, by person, study and number. segmentations: kept apart from them.
        unreadable: files that begin as DICOM but could not be read, and files that were named and are not there.
        copies: files that hold the same image as another one; they were left out.
        structure_sets: how many of them; their contours are not read.
    """

    series: tuple[Series, ...]
    segmentations: tuple[Segmentation, ...] = ()
    unreadable: tuple[str, ...] = ()
    copies: int = 0
    structure_sets: int = 0


def find_series(
    folder: Path | None,
    *,
    files: Sequence[str] | None = None,
    progress: ProgressCallback = no_progress,
    cancel: CancelToken | None = None,
) -> tuple[Series, ...]:
    """The series of `index_dicom`."""
    return index_dicom(folder, files=files, progress=progress, cancel=cancel).series


def index_dicom(
    folder: Path | None,
    *,
    files: Sequence[str] | None = None,
    progress: ProgressCallback = no_progress,
    cancel: CancelToken | None = None,
) -> DicomIndex:
    """Read the headers of all DICOM files of a folder, of a DICOMDIR, or of a list.

    Objects without pixels (reports, presentation states) are left out, and so are files of other formats; structure sets are counted.

    Args:
        folder: looked through with all folders below it; or a DICOMDIR, whose list counts and not the folder's content.
        files: instead of a folder: images, DICOMDIRs among them.

    Raises:
        InputError: no such folder, it cannot be read, pydicom is missing, or neither or both were given.
        Cancelled: between two files.
    """
    if (folder is None) == (files is None):
        raise InputError("Give either a folder or a list of DICOM files.")
    named = [*_named(files)] if files is not None else [*_in(Path(folder or "."), cancel)]
    stage = Stage("index", len(named), progress=progress, cancel=cancel)
    headers: list[Header] = []
    unreadable = []
    structure_sets: set[str] = set()
    seen: set[tuple[object, ...]] = set()
    copies = 0
    for path, wanted in named:
        header = None
        try:
            header = _read(path, wanted, stamp(path))
        except InputError:
            unreadable.append(path)
        if header is not None and header.sop_class == STRUCTURE_SET:
            structure_sets.add(header.sop_instance_uid or path)
        elif header is not None and (header.frames or header.sop_class in SEGMENTATION_CLASSES):
            # Some anonymisers give every image the same UID, so the place counts too.
            key = (header.sop_instance_uid, *((f.position, f.orientation) for f in header.frames[:1]))
            if header.sop_instance_uid and key in seen:
                copies += 1
            else:
                seen.add(key)
                headers.append(header)
        stage.advance()
    segmentations = tuple(
        Segmentation(h.file, h.study_uid, h.person, h.references, h.content_time) for h in headers if h.sop_class in SEGMENTATION_CLASSES
    )
    return DicomIndex(tuple(_series(headers)), segmentations, tuple(unreadable), copies, len(structure_sets))


@lru_cache(REMEMBERED)
def _read(path: str, wanted: bool, as_it_stands: tuple[int, int] | None) -> Header | None:
    """The header; None for a file of another format.

    Args:
        wanted: the file was named, so what cannot be read is missed.
        as_it_stands: stamp of the file; the header is read again where it changed.
    """
    begins = begins_as_dicom(path)
    if begins is None:
        if wanted:
            raise InputError(f"{path} is no DICOM file.")
        return None
    try:
        return read_header(path, bare=begins == "bare")
    except InputError:
        if begins == "bare" and not wanted:
            return None  # it only looked like one
        raise


def _in(folder: Path, cancel: CancelToken | None) -> Iterator[tuple[str, bool]]:
    root = folder.expanduser()
    if root.is_file():
        if root.name.upper() != DIRECTORY:
            raise InputError(f"{root} is a file, not a folder.", hint="Give the folder that holds the series, or a DICOMDIR.")
        yield from ((path, True) for path in listed_files(root))
        return
    if not root.is_dir():
        raise InputError(f"The folder {root} does not exist.", hint="Check the path.")
    try:
        yield from ((path, False) for path in walk(root, cancel))
    except OSError as error:
        raise InputError(f"The folder {root} cannot be read: {error.strerror}.", hint="Check its permissions.") from None


def _named(files: Sequence[str]) -> Iterator[tuple[str, bool]]:
    for file in dict.fromkeys(os.path.abspath(one) for one in files):
        if os.path.basename(file).upper() == DIRECTORY and os.path.isfile(file):
            yield from ((path, True) for path in listed_files(Path(file)))
        else:
            yield file, True


def _series(headers: Sequence[Header]) -> Iterator[Series]:
    groups: dict[tuple[str, ...], list[Header]] = defaultdict(list)
    for header in headers:
        if header.frames:
            # Where the UID of the series was taken out, its number and name are what is left.
            own = (header.series_uid,) if header.series_uid else ("", str(header.number), header.description)
            groups[(header.person.patient_id, header.study_uid, *own)].append(header)
    found = [one for mine in groups.values() for one in _stacks(sorted(mine, key=lambda h: h.file))]
    yield from sorted(found, key=lambda s: (s.person.patient_id, s.study_time, s.study_uid, s.number, s.uid))


def _stacks(headers: Sequence[Header]) -> Iterator[Series]:
    stacks, differ_in = split_stacks([frame for header in headers for frame in header.frames])
    by_file = {header.file: header for header in headers}
    for stack in stacks:
        files = tuple(sorted({frame.file for frame in stack}))
        header = by_file[files[0]]
        yield Series(
            uid=header.series_uid,
            study_uid=header.study_uid,
            sop_class=header.sop_class,
            person=header.person,
            description=header.description,
            modality=header.modality,
            number=header.number,
            study_time=header.study_time,
            series_time=header.series_time,
            image_type=header.image_type,
            photometric=header.photometric,
            samples=max(by_file[file].samples for file in files),
            frame_of_reference=header.frame_of_reference,
            contrast=header.contrast,
            files=files,
            frames=stack,
            part=_part(stack, files, by_file),
            stacks=len(stacks),
            differ_in=differ_in,
        )


def _part(stack: Sequence[Frame], files: Sequence[str], by_file: dict[str, Header]) -> int:
    """Which of the stacks that the files hold this one is."""
    frames = [frame for file in files for frame in by_file[file].frames]
    if len(frames) == len(stack):
        return 0
    mine = set(stack)
    return next(index for index, other in enumerate(split_stacks(frames)[0]) if mine & set(other))
