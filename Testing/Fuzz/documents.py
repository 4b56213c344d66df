"""DICOM files, segmentations in DICOM, and the text files that a person gives: schema, description of a data set, table, plan."""

from __future__ import annotations

import json
import random
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
from dicom_files import ramp, uid, write_dicomdir, write_multiframe, write_series
from formats import Format, each
from images import written
from mutations import BINARY, TEXT, spoil


class Dicom(Format):
    """A series of three slices, of which one is spoilt, or a multi-frame image."""

    share = 0.4

    def prepare(self, folder: Path) -> None:
        array = ramp((3, 8, 9))
        compressed = write_series(folder / "rle", array=array, transfer_syntax="1.2.840.10008.1.2.5")
        self.series = [[p.read_bytes() for p in files] for files in (write_series(folder / "plain", array=array), compressed)]
        self.frames = write_multiframe(folder / "frames.dcm", array=array)
        self.multiframe = (folder / "frames.dcm").read_bytes()

    def write(self, folder: Path, draw: random.Random) -> Path:
        files = [self.multiframe] if draw.random() < 0.3 else list(draw.choice(self.series))
        spoilt = draw.randrange(len(files))
        # The first part is the preamble, of which anything may be there.
        data = files[spoilt]
        files[spoilt] = data[:128] + spoil(data[128:], draw, header=len(data), ways=BINARY)
        for number, one in enumerate(files):
            (folder / f"IM{number}").write_bytes(one)
        return folder

    def read(self, path: Path) -> list[str]:
        from SuggestiveAnnotationLib.cohort.dicom.index import find_series
        from SuggestiveAnnotationLib.cohort.dicom.plan import plan_dicom
        from SuggestiveAnnotationLib.cohort.dicom.volume import read_series

        files = [str(p) for p in sorted(path.iterdir())]

        def series(folder: Path) -> None:
            for one in find_series(folder):
                read_series(one.files)

        return each([series, lambda folder: read_series(files), plan_dicom], path)


class DicomDir(Format):
    """The list of a medium, beside sound files."""

    share = 0.4

    def prepare(self, folder: Path) -> None:
        files = write_series(folder / "medium" / "DICOM", array=ramp((12, 4, 5)))
        self.medium = folder / "medium"
        self.listed = write_dicomdir(self.medium, files)
        self.seeds = [self.listed.read_bytes()]

    def write(self, folder: Path, draw: random.Random) -> Path:
        for file in self.medium.rglob("*"):
            if file.is_file():
                target = folder / file.relative_to(self.medium)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(file.read_bytes())
        target = folder / self.listed.relative_to(self.medium)
        data = self.seeds[0]
        target.write_bytes(data[:128] + spoil(data[128:], draw, header=len(data), ways=BINARY))
        return target

    def read(self, path: Path) -> list[str]:
        from SuggestiveAnnotationLib.cohort.dicom.plan import plan_dicom

        return each([plan_dicom], path)


class DicomSegmentation(Format):
    """A segmentation by highdicom, of the type BINARY, on a series of four slices."""

    share = 0.4

    def prepare(self, folder: Path) -> None:
        import highdicom
        import pydicom
        from highdicom.sr.coding import CodedConcept

        files = write_series(folder / "series", array=ramp((4, 8, 9)), frame_uid=uid("frame"))
        sources = sorted((pydicom.dcmread(f) for f in files), key=lambda d: d.InstanceNumber)
        tissue = CodedConcept("85756007", "SCT", "Tissue")
        described = [highdicom.seg.SegmentDescription(number, f"part {number}", tissue, tissue, "MANUAL") for number in (1, 2)]
        labels = np.zeros((4, 8, 9), np.uint8)
        labels[1:3, 2:5, 2:6], labels[1:3, 5:7, 2:6] = 1, 2
        made = highdicom.seg.Segmentation(
            sources, labels, "BINARY", described, uid("seg"), 9, uid("seg", 1), 1, "maker", "model", "1", "serial"
        )
        made.save_as(folder / "seg.dcm")
        self.seeds = [(folder / "seg.dcm").read_bytes()]

    def write(self, folder: Path, draw: random.Random) -> Path:
        data = self.seeds[0]
        path = folder / "seg.dcm"
        path.write_bytes(data[:128] + spoil(data[128:], draw, header=len(data), ways=BINARY))
        return path

    def read(self, path: Path) -> list[str]:
        from SuggestiveAnnotationLib.cohort.labels.label_file import read_label_file

        return each([read_label_file], path)


SCHEMA: dict[str, Any] = {
    "format": "suggestive-annotation label schema",
    "version": 1,
    "name": "two parts",
    "notes": ["a note"],
    "classes": [
        {"value": 1, "name": "left", "colour": [230, 159, 0], "partner": 2, "terminology": "SCT^85756007^Tissue"},
        {"value": 2, "name": "right", "colour": [86, 180, 233], "partner": 1},
    ],
    "regions": {"both": [1, 2]},
    "ignore_value": 255,
    "merge": {"1": [1, "10-20"], "2": [2], "0": [3]},
    "merge_other": 0,
    "ignore_unlabelled_in_mask": False,
    "exclude_mask_edge": False,
}
STRANGE = [
    None,
    True,
    False,
    -1,
    0,
    1,
    2,
    65535,
    65536,
    2**31,
    2**63,
    1.5,
    "",
    "x",
    "..",
    "/etc/passwd",
    "../x",
    "a\nb",
    [],
    {},
    [[]],
    [1],
    {"a": 1},
]
STRANGE += [float("nan"), float("inf"), 1e308, -1e-320, "0-99999999999999", "9" * 5000, 10**400, "\ud800", [["x"] * 3] * 3]


def spoil_json(content: Any, draw: random.Random) -> bytes:
    """Values exchanged for strange ones, or the text spoilt."""
    if draw.random() < 0.3:
        return spoil(json.dumps(content, indent=1).encode(), draw, header=10**6, ways=TEXT)
    if draw.random() < 0.03:
        return b"[" * draw.choice((10, 5000, 200_000))
    copy = json.loads(json.dumps(content))
    for _ in range(draw.choice((1, 1, 2, 3))):
        found = places(copy)
        if not found:
            break
        place, key = draw.choice(found)
        what = draw.random()
        if what < 0.75:
            place[key] = deepcopy(draw.choice(STRANGE))
        elif what < 0.9 and isinstance(place, dict):
            del place[key]
        elif isinstance(place, dict):
            place[str(draw.choice(STRANGE))] = place[key]
        else:
            place.append(deepcopy(draw.choice(STRANGE)))
    return json.dumps(copy, ensure_ascii=True).encode()


def places(content: Any) -> list[tuple[Any, Any]]:
    """Every place in a JSON value that can be set."""
    found: list[tuple[Any, Any]] = []
    items = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in items:
        found.append((content, key))
        if isinstance(value, (dict, list)):
            found += places(value)
    return found


class Schema(Format):
    def prepare(self, folder: Path) -> None:
        self.folder = folder

    def write(self, folder: Path, draw: random.Random) -> Path:
        path = folder / "schema.json"
        path.write_bytes(spoil_json(SCHEMA, draw))
        return path

    def read(self, path: Path) -> list[str]:
        from SuggestiveAnnotationLib.cohort.labels.merge import apply_merge
        from SuggestiveAnnotationLib.cohort.labels.schema import load_schema

        def use(file: Path) -> None:
            apply_merge(np.array([[0, 1], [15, 255]], np.int32), load_schema(file), np.ones((2, 2)))

        return each([use], path)


class DatasetJson(Format):
    """A Medical Segmentation Decathlon or nnU-Net description beside two cases."""

    def prepare(self, folder: Path) -> None:
        self.image, self.label = written(folder, "i.nii"), written(folder, "l.nii", np.uint8)
        self.decathlon: dict[str, Any] = {
            "name": "BRATS",
            "tensorImageSize": "3D",
            "modality": {"0": "FLAIR"},
            "labels": {"0": "background", "1": "edema", "2": "core"},
            "numTraining": 2,
            "numTest": 0,
            "training": [{"image": f"./imagesTr/a{n}.nii", "label": f"./labelsTr/a{n}.nii"} for n in (1, 2)],
            "test": [],
        }
        self.nnunet: dict[str, Any] = {
            "channel_names": {"0": "T1"},
            "labels": {"background": 0, "edema": 1, "whole": [1, 2], "core": 2, "ignore": 3},
            "regions_class_order": [1, 2],
            "numTraining": 2,
            "file_ending": ".nii",
        }

    def write(self, folder: Path, draw: random.Random) -> Path:
        (folder / "imagesTr").mkdir()
        (folder / "labelsTr").mkdir()
        old = draw.random() < 0.5
        for number in (1, 2):
            (folder / "imagesTr" / (f"a{number}.nii" if old else f"a{number}_0000.nii")).write_bytes(self.image)
            (folder / "labelsTr" / f"a{number}.nii").write_bytes(self.label)
        (folder / "dataset.json").write_bytes(spoil_json(self.decathlon if old else self.nnunet, draw))
        return folder

    def read(self, path: Path) -> list[str]:
        from SuggestiveAnnotationLib.cohort.layouts.dataset_json import is_dataset, plan_dataset

        return each([lambda folder: plan_dataset(folder) if is_dataset(folder) else None], path)


class Table(Format):
    def prepare(self, folder: Path) -> None:
        self.seeds = [
            b"case,patient,site,role\na1,p1,here,pool\na2,p2,there,test\na3,p3,here,validation\n",
            'case;patient;role\nä1;p 1;train\n"a;2";p2;excluded\n'.encode(),
        ]

    def write(self, folder: Path, draw: random.Random) -> Path:
        path = folder / "people.csv"
        path.write_bytes(spoil(draw.choice(self.seeds), draw, header=10**6, ways=TEXT))
        return path

    def read(self, path: Path) -> list[str]:
        from SuggestiveAnnotationLib.cohort.table import apply_table, read_table
        from SuggestiveAnnotationLib.types import Case

        cases = [Case(name=f"a{n}", patient=f"p{n}", role="pool", images={}) for n in (1, 2, 3)]
        return each([lambda file: apply_table(cases, read_table(file))], path)


class Plan(Format):
    """The plan of a cohort as the panel or a script hands it over, made into a study."""

    share = 0.4

    def prepare(self, folder: Path) -> None:
        from SuggestiveAnnotationLib.cohort.layouts.discover import discover
        from SuggestiveAnnotationLib.engine.cohort import with_guessed_schema

        for number in (1, 2):
            written(folder, f"a{number}_t1.nii")
            written(folder, f"a{number}_seg.nii", np.uint8)
        self.plan = with_guessed_schema(discover(folder)).to_json()

    def write(self, folder: Path, draw: random.Random) -> Path:
        path = folder / "plan.json"
        path.write_bytes(spoil_json(self.plan, draw))
        return path

    def read(self, path: Path) -> list[str]:
        from SuggestiveAnnotationLib.cohort.files.text_file import read_json_file
        from SuggestiveAnnotationLib.cohort.plan import CohortPlan
        from SuggestiveAnnotationLib.engine.cohort import create_from_plan

        def use(file: Path) -> None:
            plan = CohortPlan.from_json(read_json_file(file, "plan"))
            plan.describe()
            create_from_plan(file.parent / "study", plan=plan).close()

        return each([use], path)


def document_formats() -> list[Format]:
    return [
        Dicom("DICOM series"),
        DicomDir("DICOMDIR"),
        DicomSegmentation("DICOM SEG"),
        Schema("schema JSON"),
        DatasetJson("dataset.json"),
        Table("table CSV"),
        Plan("plan JSON"),
    ]
