"""A study: one folder that holds the database, the slice store, the models and their latents."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib import __version__
from SuggestiveAnnotationLib.cohort.labels.schema import schema_from_json, schema_to_json
from SuggestiveAnnotationLib.errors import StorageError, StudyError
from SuggestiveAnnotationLib.files import storage_error, whole_file
from SuggestiveAnnotationLib.geometry import SliceFrame
from SuggestiveAnnotationLib.study.annotation_rows import AnnotationRows
from SuggestiveAnnotationLib.study.arrays import read_npz
from SuggestiveAnnotationLib.study.case_rows import MADE_IN, SAID_OF_SOURCES, CaseRows, insert_cases, put_property
from SuggestiveAnnotationLib.study.database import Database
from SuggestiveAnnotationLib.study.location import HOLDER_NAME, LOCK_NAME, WorkerLock, refuse_network_share
from SuggestiveAnnotationLib.study.records import Model, now
from SuggestiveAnnotationLib.study.round_rows import RoundRows
from SuggestiveAnnotationLib.study.slice_store import CaseSlices, SliceStore, StoreSettings
from SuggestiveAnnotationLib.study.trust import damaged, refuse_strange_files, slice_ref
from SuggestiveAnnotationLib.types import AnnotatedRule, Case, LabelSchema, LabelUse, PreprocessingRecord, SliceRef

DATABASE_NAME = "study.sqlite"
CONVERTED = "converted"
"""Folder of images that were made for the study, from DICOM series for example."""
IDENTITIES = "identities"
"""Property with what identifies the people behind the pseudonyms."""
_SCRATCH = f".{DATABASE_NAME}"
_REMAINS = tuple(_SCRATCH + suffix for suffix in ("", "-wal", "-shm", "-journal"))


def check_free(path: Path) -> None:
    """A new study can be made at `path`: nothing is there but what an interrupted creation left.

    Raises:
        StudyError: something is there already.
        StorageError: the folder cannot be read, or is on a network share.
    """
    refuse_network_share(path)
    try:
        if path.exists() and (not path.is_dir() or {p.name for p in path.iterdir()} - {*_REMAINS, CONVERTED}):
            raise StudyError(f"{path} exists and is not empty.", hint="Choose a new folder for the study.")
    except OSError as error:
        raise storage_error(error, path) from error


def remove_new(path: Path) -> None:
    """Remove a study that is closed and was never prepared. What else is in its folder stays, and images that were converted, which
    another one made in the same place takes as they are.

    Raises:
        StorageError: the folder cannot be written.
    """
    try:
        for name in (DATABASE_NAME, *(DATABASE_NAME + suffix for suffix in ("-wal", "-shm", "-journal")), LOCK_NAME, HOLDER_NAME):
            (path / name).unlink(missing_ok=True)
        for folder in ("slices", "logs"):
            if (path / folder).exists():
                shutil.rmtree(path / folder)
        if not any(path.iterdir()):
            path.rmdir()
    except OSError as error:
        raise storage_error(error, path) from error


class Study(CaseRows, RoundRows, AnnotationRows):
    """Everything a study holds. Reading needs no torch; several processes may have one study open.

    Args:
        path: the study folder.

    Raises:
        InputError: no study there.
        StudyError: damaged, made by a newer version, or with something in it that no study holds: a link that leads out, a
            pipe, a trigger in the database (see `trust`).
        StorageError: the folder is read-only or on a network share.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        refuse_network_share(self.path)
        refuse_strange_files(self.path)
        self.database = Database(self.path / DATABASE_NAME)
        self._open_slices: dict[str, CaseSlices] = {}
        self._frames: dict[str, SliceFrame] = {}
        self.measured: dict[tuple[str, int, int], float | None] = {}
        """What was worked out once from rows that never change: what it is, and the numbers of the rows."""

    @classmethod
    def create(
        cls,
        path: Path,
        *,
        name: str,
        cases: Sequence[Case],
        schema: LabelSchema,
        modalities: Sequence[str],
        reference: str,
        settings: Mapping[str, Any] | None = None,
        identities: Mapping[str, Mapping[str, str]] | None = None,
        said_of_sources: Mapping[str, Sequence[str]] | None = None,
    ) -> Study:
        """Make a new study at `path`, which must be absent or empty but for images that were converted for it.

        Args:
            identities: patient -> what identifies the person in the source of the images. It is kept apart from all that goes out.
            said_of_sources: case -> sentences that stay with it, of what its files were made from.

        Raises:
            StudyError: something is there already.
            StorageError: the folder cannot be written, or is on a network share.
        """
        path = Path(path)
        check_free(path)
        # The database appears under its name only when it is complete, so an interrupted creation is no study and leaves only these.
        scratch = path / _SCRATCH
        try:
            path.mkdir(parents=True, exist_ok=True)
            for left in _REMAINS:
                (path / left).unlink(missing_ok=True)
        except OSError as error:
            raise storage_error(error, path) from error
        database = Database.create(scratch)
        with database.write() as connection:
            insert_cases(connection, cases, folder=path)
            for key, value in {
                "name": name,
                "created": now(),
                "library_version": __version__,
                MADE_IN: os.path.abspath(path),
                "modalities": list(modalities),
                "reference": reference,
                "schema": schema_to_json(schema),
                "settings": dict(settings or {}),
                SAID_OF_SOURCES: {case: list(sentences) for case, sentences in (said_of_sources or {}).items()},
                IDENTITIES: {patient: dict(known) for patient, known in (identities or {}).items()},
            }.items():
                put_property(connection, key, value)
        database.close()
        if (path / f"{_SCRATCH}-wal").exists():
            # Closing moves everything from the log into the database, unless there is no room.
            raise storage_error(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), path / DATABASE_NAME)
        try:
            scratch.rename(path / DATABASE_NAME)
        except OSError as error:
            raise storage_error(error, path) from error
        return cls(path)

    def close(self) -> None:
        """Give back every file; the study opens them again when it is used."""
        self.database.close()
        self._open_slices.clear()

    def lock(self) -> WorkerLock:
        """Become the one worker of this study, until released; what a killed worker left half written is removed.

        Raises:
            StudyLockedError: another process is.
        """
        refuse_strange_files(self.path)
        lock = WorkerLock(self.path)
        self._sweep()
        return lock

    def _sweep(self) -> None:
        """Remove temporary files, and models whose row was never written: nothing can refer to them any more."""
        known = {path.stem for model in self.models() for path in (model.path, model.latents) if path is not None}
        for left in (*self.path.glob("slices/*/.*"), *self.path.glob("predictions/*/.*"), *self.path.glob("models/*")):
            if left.is_file() and (left.name.startswith(".") or left.stem not in known):
                left.unlink(missing_ok=True)

    @cached_property
    def _created_with(self) -> dict[str, Any]:
        return self.properties()

    @property
    def name(self) -> str:
        """What the study is called."""
        return str(self._created_with["name"])

    @property
    def key(self) -> str:
        """What tells it from other studies of the same name, also once it has been moved or copied: its name and when it was created."""
        return f"{self.name}, created {self._created_with.get('created', '')}"

    @property
    def modalities(self) -> tuple[str, ...]:
        """Channel order."""
        return tuple(self._created_with["modalities"])

    @property
    def reference_modality(self) -> str:
        """Modality whose grid annotations live on."""
        return str(self._created_with["reference"])

    @property
    def settings(self) -> dict[str, Any]:
        """What the study was created with beyond the cohort."""
        return dict(self._created_with["settings"])

    @property
    def labels_as(self) -> LabelUse:
        """What the labels that the cohort brought are for. Raises: StudyError, damaged."""
        use: LabelUse = self.settings.get("labels_as", "reference")
        if use not in get_args(LabelUse):
            raise damaged("the use of its labels is unknown")
        return use

    @property
    def annotated_slices(self) -> AnnotatedRule:
        """Which slices of the labels that the cohort brought count as annotated. Raises: StudyError, damaged."""
        rule: AnnotatedRule = self.settings.get("annotated_slices", "all")
        if rule not in get_args(AnnotatedRule):
            raise damaged("the rule for slices of its labels is unknown")
        return rule

    @property
    def labels_by(self) -> str:
        """Who drew the labels that the cohort brought."""
        return str(self.settings.get("labels_by") or "").strip() or "existing labels"

    @cached_property
    def schema(self) -> LabelSchema:
        """What is annotated."""
        try:
            return schema_from_json(self._created_with.get("schema"))
        except (ValueError, TypeError) as error:
            raise damaged(f"its label schema cannot be read ({error})") from None

    @property
    def record(self) -> PreprocessingRecord:
        """The frozen preprocessing. Raises: StudyError, before `prepare`."""
        record = self.frozen_record()
        if record is None:
            raise StudyError(f"The study {self.path} has not been prepared.", hint="Run `prepare` first.")
        return record

    @cached_property
    def slice_store(self) -> SliceStore:
        """The slice store of the frozen record."""
        record = self.record
        return self.store_for(StoreSettings(record.plane, record.modalities, record.reference, self.schema, self.annotated_slices))

    def store_for(self, settings: StoreSettings) -> SliceStore:
        """The slice store of given settings, also before they are frozen."""
        return SliceStore(self.path / "slices", settings)

    def slices(self, case: str) -> CaseSlices:
        """Normalised slices of a case. Raises: InputError, when it is not prepared."""
        if case not in self._open_slices:
            self._open_slices[case] = self.slice_store.open(case)
        return self._open_slices[case]

    def forget_slices(self) -> None:
        """Close the memory maps, for example after sources changed."""
        self._open_slices.clear()

    def reference_labels(self, case: str) -> NDArray[np.uint16]:
        """Reference labels `(slice, row, column)` in canonical orientation. Raises: InputError, when the case has none."""
        return self.slice_store.open_labels(case)

    def frame(self, case: str) -> SliceFrame:
        """How canonical slices of the case lie in its native array. Raises: StudyError, not prepared; InputError, no such case."""
        if case not in self._frames:
            # Neither the grid of a case nor the frozen plane ever changes.
            row = self.case(case)
            if row.geometry is None:
                raise StudyError(f"Case {case} cannot be used: {row.excluded_reason}")
            self._frames[case] = SliceFrame.of(row.geometry, self.record.plane)
        return self._frames[case]

    def pool_refs(self) -> tuple[SliceRef, ...]:
        """Every slice of every pool case, in the order of the cohort."""
        plane = self.record.plane
        return tuple(ref for case in self.cases("pool") for ref in SliceFrame.of(case.geometry, plane).refs(case.name))

    def save_latents(self, path: Path, refs: Sequence[SliceRef], latents: NDArray[np.float32]) -> None:
        """Write latents `(n, d)` with the slices they belong to, whole or not at all."""
        if not path.resolve().is_relative_to(self.path.resolve()):
            raise StorageError(f"{path} is outside the study.")
        with whole_file(path) as scratch:
            np.savez(
                scratch,
                allow_pickle=False,
                case=np.array([r.case for r in refs], dtype=np.str_),
                axis=np.array([r.axis for r in refs], np.int8),
                native_index=np.array([r.native_index for r in refs], np.int32),
                latents=latents.astype(np.float32),
            )

    def latents(self, model: Model | None = None) -> tuple[tuple[SliceRef, ...], NDArray[np.float32]]:
        """Slices and their latents `(n, d)` under the given (else the newest) manifold. Raises: StudyError, when there is none."""
        model = model or self.latest_model("manifold")
        if model is None or model.latents is None:
            raise StudyError("No manifold has been fitted yet.", hint="Run `fit-manifold` first.")
        try:
            kept = read_npz(model.latents)
            columns = zip(kept["case"].tolist(), kept["axis"].tolist(), kept["native_index"].tolist(), strict=True)
            refs, latents = tuple(slice_ref(*c) for c in columns), kept["latents"]
            if latents.ndim != 2 or latents.dtype != np.float32 or len(latents) != len(refs) or not np.isfinite(latents).all():
                raise ValueError("they are no table of numbers, one row a slice")
            return refs, latents
        except (OSError, ValueError, KeyError, TypeError, SyntaxError) as error:
            sentence = f"The latents {model.latents} of the manifold are damaged or gone: {error}."
            raise StudyError(sentence, hint="Run `fit-manifold` again.") from error


def record_json(record: PreprocessingRecord) -> dict[str, Any]:
    """A preprocessing record as JSON, for cards and reports."""
    return {**asdict(record), "key": record.key}


def network_json(record: PreprocessingRecord, schema: LabelSchema) -> dict[str, Any]:
    """What a segmentation network takes and gives, for its card: who imports it has no other word of the study that trained it."""
    return {"preprocessing": record_json(record), "classes": [{"value": one.value, "name": one.name} for one in schema.classes]}
