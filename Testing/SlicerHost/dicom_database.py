"""3D Slicer's DICOM database, in memory: an index of real DICOM files, with the slots of CTK's class that the module uses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6 import QtCore

from .ctk_module import ctk
from .pythonqt import expose

FIELDS = {
    "Patients": {"PatientsName": "PatientName", "PatientID": "PatientID"},
    "Studies": {"StudyDate": "StudyDate", "StudyDescription": "StudyDescription"},
    "Series": {"SeriesDescription": "SeriesDescription", "Modality": "Modality"},
}
"""Table -> column of Libs/DICOM/Core/Resources/dicom-schema.sql -> attribute of DICOM; only these."""


@expose(ctk)
class ctkDICOMDatabase(QtCore.QObject):
    """Libs/DICOM/Core/ctkDICOMDatabase.h. As in Slicer, what does not exist is an empty text or list, never an error."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._open = False
        self._patients: dict[str, dict[str, str]] = {}
        self._studies: dict[str, dict[str, str]] = {}
        self._series: dict[str, dict[str, str]] = {}
        self._files: dict[str, str] = {}

    isOpen = QtCore.Property(bool, lambda self: self._open)

    def openDatabase(self, databaseFile: str, connectionName: str = "") -> bool:
        if databaseFile != ":memory:":
            raise NotImplementedError("the stand-in keeps its index in memory")
        self._open = True
        return True

    def closeDatabase(self) -> None:
        self._open = False

    def initializeDatabase(self) -> bool:
        for table in (self._patients, self._studies, self._series, self._files):
            table.clear()
        return True

    def insert(self, filePath: str, storeFile: bool = True, generateThumbnail: bool = True) -> None:
        """Index a file where it lies; Slicer would copy it into its own folder with `storeFile`."""
        import pydicom

        if storeFile or generateThumbnail:
            raise NotImplementedError("the stand-in copies no files and draws no pictures")
        data = pydicom.dcmread(filePath, stop_before_pixels=True)
        known = (str(data.get("PatientID", "")), str(data.get("PatientName", "")))
        patient = next((uid for uid, row in self._patients.items() if row["key"] == "\n".join(known)), str(len(self._patients) + 1))
        self._patients[patient] = {"key": "\n".join(known), **self._row("Patients", data)}
        study, series = str(data.StudyInstanceUID), str(data.SeriesInstanceUID)
        self._studies[study] = {"key": patient, **self._row("Studies", data)}
        self._series[series] = {"key": study, **self._row("Series", data)}
        self._files[str(Path(filePath).absolute())] = series

    @staticmethod
    def _row(table: str, data: Any) -> dict[str, str]:
        return {column: str(data.get(attribute, "")) for column, attribute in FIELDS[table].items()}

    # A QStringList is a tuple in Python.

    def patients(self) -> tuple[str, ...]:
        return tuple(self._patients)

    def studiesForPatient(self, patientUID: str) -> tuple[str, ...]:
        return tuple(uid for uid, row in self._studies.items() if row["key"] == patientUID)

    def seriesForStudy(self, studyUID: str) -> tuple[str, ...]:
        return tuple(uid for uid, row in self._series.items() if row["key"] == studyUID)

    def filesForSeries(self, seriesUID: str, hits: int = -1) -> tuple[str, ...]:
        found = [file for file, series in self._files.items() if series == seriesUID]
        return tuple(found[:hits] if hits > 0 else found)

    def nameForPatient(self, patientUID: str) -> str:
        return self.fieldForPatient("PatientsName", patientUID)

    def displayedNameForPatient(self, patientUID: str) -> str:
        """The name as people write it, which Slicer works out after an import."""
        family, _, given = self.nameForPatient(patientUID).partition("^")
        return ", ".join(part for part in (family, given.replace("^", " ").strip()) if part)

    def fieldForPatient(self, field: str, patientUID: str) -> str:
        return self._field("Patients", self._patients, field, patientUID)

    def fieldForStudy(self, field: str, studyInstanceUID: str) -> str:
        return self._field("Studies", self._studies, field, studyInstanceUID)

    def fieldForSeries(self, field: str, seriesInstanceUID: str) -> str:
        return self._field("Series", self._series, field, seriesInstanceUID)

    @staticmethod
    def _field(table: str, rows: dict[str, dict[str, str]], field: str, uid: str) -> str:
        if field not in FIELDS[table]:
            raise NotImplementedError(f"the stand-in has no column {field} of {table}")
        return rows.get(uid, {}).get(field, "")
