"""What one run of a comparison leaves behind: one JSON file, written whole. Statistics and the page read nothing else.

A run is one arm in one fold with one seed. Batch 0 is the first batch, the same for every arm; model n was trained on the batches before n
and chose batch n; the last model chose nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.files import write_text

RECORD_VERSION = 1
RECORDS = "records"
"""Folder of the records inside the folder of a comparison."""

Status = Literal["done", "failed"]
Metrics = Mapping[str, float | None]
"""Name of a metric -> value; None where it is not defined."""


@dataclass(frozen=True)
class Run:
    """Which run."""

    arm: str
    fold: int
    seed: int

    @property
    def name(self) -> str:
        """Of the run and of its record."""
        return f"{self.arm}__fold-{self.fold}__seed-{self.seed}"


@dataclass(frozen=True)
class Batch:
    """The slices of one round, and what it cost to annotate them.

    Attributes:
        number: 0 for the first batch.
        slices: chosen, (case, 0-based native index), in the order of their ranks; with the unit "case" all slices of the chosen cases.
        kinds: of each slice: "suggested" or "context".
        notes: sentences of the strategy (shortfall, warnings).
        workload: fields of `effort.time_model.Workload`, of this batch alone; minutes at any price list follow from it.
        minutes: simulated, at the declared price list, of this batch alone.
        contour_mm: L, length of the reference contour over all classes, of this batch alone.
        saved_effort: JSON of `effort.quantities.SavedEffort` over the slices; None where there was no model to pre-annotate.
        saved_effort_random: the same model on as many random slices of the pool; the same slices are tried first in every arm.
        random_slices: those slices, as `slices`.
        seconds: stage -> seconds ("suggest", "predict", "train", "evaluate", "annotate", "fit manifold").
    """

    number: int
    slices: tuple[tuple[str, int], ...]
    kinds: tuple[str, ...]
    notes: tuple[str, ...]
    workload: Mapping[str, float]
    minutes: float
    contour_mm: float
    saved_effort: Mapping[str, Any] | None
    saved_effort_random: Mapping[str, Any] | None
    random_slices: tuple[tuple[str, int], ...]
    seconds: Mapping[str, float]

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Batch:
        """The inverse of `asdict` followed by JSON."""
        pairs = {name: tuple((str(case), int(index)) for case, index in data[name]) for name in ("slices", "random_slices")}
        return cls(**{**data, **pairs, "kinds": tuple(data["kinds"]), "notes": tuple(data["notes"])})


@dataclass(frozen=True)
class Judged:
    """One trained network on the test cases.

    Attributes:
        seed: of the training.
        chooses: this network chose the next batch; the others were trained on the same slices to average over the noise of training.
        tests: test case -> class or region -> metric -> value, see `metrics.volume_metrics`; surfaces only for the models that the plan
            asks them of.
        seconds: of the training.
    """

    seed: int
    chooses: bool
    tests: Mapping[str, Mapping[str, Metrics]]
    seconds: float


@dataclass(frozen=True)
class Point:
    """Where a run stands with one model: what was paid so far, and what the test cases say.

    Attributes:
        model: 1 for the one that the first batch trained.
        slices, cases: annotated and opened so far, context slices included.
        contour_mm, minutes: paid so far.
        workload: sum of the batches so far.
        trainings: the network that chooses first, then the repeats.
    """

    model: int
    slices: int
    cases: int
    contour_mm: float
    minutes: float
    workload: Mapping[str, float]
    trainings: tuple[Judged, ...]

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Point:
        """The inverse of `asdict` followed by JSON."""
        return cls(**{**data, "trainings": tuple(Judged(**one) for one in data["trainings"])})


@dataclass(frozen=True)
class RunRecord:
    """One run.

    Attributes:
        run: its name, also of its file.
        plan: name of the plan. plan_key: hash of its content.
        arm, fold, seed: which run it is. settings: everything that the arm was run with.
        status: "done" or "failed". error: of a failed run: kind, sentence, and the trace.
        pool, test: names of the cases. patients: case -> person.
        classes: names in the order of the schema. regions: names of nested regions, for evaluation only.
        ceiling: JSON of `effort.quantities.ResolutionCeiling` of the network grid; None without labels.
        batches, points: in order.
        shared_seconds: what the stem took that all arms start from.
        seconds: of the whole run. peak_memory_gb: of the process that ran it, which may have run others before.
        versions: package -> version. machine: "cpu", "threads", "device", "system".
        started, finished: UTC.
    """

    run: str
    plan: str
    plan_key: str
    arm: str
    fold: int
    seed: int
    settings: Mapping[str, Any]
    status: Status
    error: Mapping[str, str] = field(default_factory=dict)
    pool: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    patients: Mapping[str, str] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    ceiling: Mapping[str, Any] | None = None
    batches: tuple[Batch, ...] = ()
    points: tuple[Point, ...] = ()
    shared_seconds: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    peak_memory_gb: float = 0.0
    versions: Mapping[str, str] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict)
    started: str = ""
    finished: str = ""
    version: int = RECORD_VERSION

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary of JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RunRecord:
        """The inverse of `to_json`. ValueError, KeyError or TypeError where the data is no record."""
        if data.get("version") != RECORD_VERSION or {f.name for f in fields(cls)} - data.keys():
            raise ValueError("it is no record of this version")
        lists = {name: tuple(data[name]) for name in ("pool", "test", "classes", "regions")}
        batches = tuple(Batch.from_json(one) for one in data["batches"])
        return cls(**{**data, **lists, "batches": batches, "points": tuple(Point.from_json(one) for one in data["points"])})


def write_record(folder: Path, record: RunRecord) -> Path:
    """Write a record whole under the folder of a comparison. Raises: StorageError."""
    path = folder / RECORDS / f"{record.run}.json"
    write_text(path, json.dumps(record.to_json(), indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    return path


def read_record(path: Path) -> RunRecord:
    """Raises: InputError, naming the file, when it is no record."""
    try:
        return RunRecord.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is no record of a run: {error}.", hint="Delete it; the next `compare` makes it again.") from error


def read_records(folder: Path) -> Iterator[RunRecord]:
    """Every record under the folder of a comparison, by name. Raises: InputError, as `read_record`."""
    for path in sorted((folder / RECORDS).glob("*.json")):
        if not path.name.startswith("."):
            yield read_record(path)
