"""The messages between a program and its worker, as frozen dataclasses; one JSON object a line. `PROTOCOL.md` is generated from them.

Commands go to the worker's standard input, events come from its standard output (`lines` writes and reads them). Arrays never travel
through the pipe: results name files or rows of the study.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field
from typing import Any, ClassVar

PROTOCOL_VERSION = 2
PIXELS = 128
"""Side of the network grid of whoever does not choose another, or its spacing."""


def _says(text: str, default: Any = MISSING, **more: Any) -> Any:
    if isinstance(default, dict):
        return field(default_factory=dict, metadata={"help": text}, **more)
    return field(metadata={"help": text}, **({} if default is MISSING else {"default": default}), **more)


_DEVICE = "where the network runs: auto, cpu, cuda or cuda:N"
_ROUND = "`round`: its number; `suggestions`: how many; `notes`: sentences of the strategy; `seconds`: stage -> how long it took"


# --- commands


@dataclass(frozen=True)
class Command:
    """Base of every command. `quick` ones are answered while a long one runs."""

    name: ClassVar[str] = ""
    quick: ClassVar[bool] = False
    returns: ClassVar[str] = "nothing"


@dataclass(frozen=True)
class FindCohort(Command):
    """Look for cases, modalities, labels and masks in a folder. Changes nothing."""

    name: ClassVar[str] = "find_cohort"
    returns: ClassVar[str] = (
        "`plan`: what was found and guessed, to be confirmed and given to `create_study`; for a folder of DICOM files null, and `series` "
        "as of `find_series`"
    )
    folder: str = _says("folder of the cohort")
    layout: str = _says("kind of folder, by name; recognised when empty", "")


@dataclass(frozen=True)
class FindSeries(Command):
    """Look for DICOM series. Changes nothing."""

    name: ClassVar[str] = "find_series"
    returns: ClassVar[str] = (
        "`series`: one entry for every series description: `description`, `modality`, `cases`, `slices`, `sequence` (guessed), `use`, "
        "`note`"
    )
    folder: str | None = _says("folder or DICOMDIR; null when `files` are given", None)
    files: tuple[str, ...] = _says("DICOM files, for example from Slicer's DICOM database", ())


@dataclass(frozen=True)
class PlanSeries(Command):
    """Make a plan of the DICOM series that a person confirmed. Changes nothing."""

    name: ClassVar[str] = "plan_series"
    returns: ClassVar[str] = "`plan`, as of `find_cohort`"
    folder: str | None = _says("as of `find_series`", None)
    files: tuple[str, ...] = _says("as of `find_series`", ())
    images: Mapping[str, str] = _says("sequence -> series descriptions that are it, one a line", {})
    patient_ids: bool = _says("name cases by the patient's ID instead of a pseudonym", False)


@dataclass(frozen=True)
class PlanVolumes(Command):
    """Make a plan from volumes that a person named. Changes nothing."""

    name: ClassVar[str] = "plan_volumes"
    returns: ClassVar[str] = "`plan`, as of `find_cohort`"
    volumes: tuple[Mapping[str, Any], ...] = _says("each with `path`, `case`, `modality`, `labels`")
    reference: str | None = _says("modality whose grid annotations live on; the first when null", None)


@dataclass(frozen=True)
class CreateStudy(Command):
    """Create a study from a confirmed plan, check every file, prepare it, and open it. Interrupted, it resumes; refused, it leaves no
    study.
    """

    name: ClassVar[str] = "create_study"
    returns: ClassVar[str] = "as `open_study`, and `problems`: case -> sentences; `taken`, `left_out`: as of `prepare`"
    study: str = _says("folder of the new study, absent or empty")
    plan: Mapping[str, Any] = _says("plan as `find_cohort` gives it, confirmed by a person")
    title: str = _says("what the study is called")
    plane: str = _says("as of `prepare`", "axial")
    pixels: int | None = _says("as of `prepare`", PIXELS)
    spacing: float | str | None = _says("as of `prepare`", None)


@dataclass(frozen=True)
class CreateSample(Command):
    """Make the sample cohort and a prepared study of it, and open it. Interrupted, it resumes."""

    name: ClassVar[str] = "create_sample"
    returns: ClassVar[str] = "as `open_study`"
    folder: str = _says("gets `cohort/` and `study/`")
    seed: int = _says("of the synthetic brains", 0)


@dataclass(frozen=True)
class OpenStudy(Command):
    """Open a study and become its one worker; an open one is closed first."""

    name: ClassVar[str] = "open_study"
    returns: ClassVar[str] = "`study`: its folder; `title`; `prepared`: whether it is; `estimate`: one sentence on how long a round takes"
    study: str = _says("folder of the study")


@dataclass(frozen=True)
class CloseStudy(Command):
    """Give the study free."""

    name: ClassVar[str] = "close_study"


@dataclass(frozen=True)
class CheckStudy(Command):
    """Read every file of the study."""

    name: ClassVar[str] = "check_study"
    returns: ClassVar[str] = "`problems`: case -> sentences"


@dataclass(frozen=True)
class Prepare(Command):
    """Write the slice store and freeze the preprocessing."""

    name: ClassVar[str] = "prepare"
    returns: ClassVar[str] = (
        "`built`, `kept`: numbers of cases; `excluded`: case -> reason; `slices`: how many; `taken`: slices of existing labels that became "
        "annotations or pre-annotations; `left_out`: sentences on those that did not"
    )
    plane: str = _says("anatomical plane of the slices", "axial")
    pixels: int | None = _says("side of the network grid, a multiple of 16; null with a spacing: as wide as the widest foreground", PIXELS)
    spacing: float | str | None = _says(
        'of the network grid, millimetres, or "native"; null: the widest foreground fits into `pixels`', None
    )


@dataclass(frozen=True)
class FitManifold(Command):
    """Train the VAE and encode every slice of the pool."""

    name: ClassVar[str] = "fit_manifold"
    returns: ClassVar[str] = "`model`: its id"
    options: Mapping[str, Any] = _says("fields of `ManifoldOptions` by name", {})
    seed: int = _says("of all randomness", 0)


@dataclass(frozen=True)
class Train(Command):
    """Train the segmentation network on what is accepted."""

    name: ClassVar[str] = "train"
    returns: ClassVar[str] = "`model`: its id"
    options: Mapping[str, Any] = _says("fields of `TrainingOptions` by name", {})
    seed: int = _says("of all randomness", 0)


@dataclass(frozen=True)
class Suggest(Command):
    """Open a round with the models that are there, suggest, and predict every suggested and context slice."""

    name: ClassVar[str] = "suggest"
    returns: ClassVar[str] = _ROUND
    options: Mapping[str, Any] = _says("fields of `RoundOptions` by name", {})


@dataclass(frozen=True)
class RunRound(Command):
    """Train, suggest and predict; a round that was interrupted goes on at its stage."""

    name: ClassVar[str] = "run_round"
    returns: ClassVar[str] = _ROUND
    options: Mapping[str, Any] = _says("fields of `RoundOptions` by name", {})
    manifold: Mapping[str, Any] = _says("fields of `ManifoldOptions` by name", {})
    finishes: int | None = _says("number of the round that is closed first where it waits for annotations", None)


@dataclass(frozen=True)
class DropRound(Command):
    """Close a round that was interrupted, without suggestions; what people accepted stays."""

    name: ClassVar[str] = "drop_round"


@dataclass(frozen=True)
class Evaluate(Command):
    """Judge the newest model on test cases that have labels."""

    name: ClassVar[str] = "evaluate"
    returns: ClassVar[str] = "`metrics`: how many were measured"
    device: str = _says(_DEVICE, "auto")


@dataclass(frozen=True)
class PredictSlice(Command):
    """Predict one slice with the newest published model."""

    name: ClassVar[str] = "predict_slice"
    quick: ClassVar[bool] = True
    returns: ClassVar[str] = "`prediction`: id of its row"
    case: str = _says("name of the case")
    axis: int = _says("axis of the native array `(k, j, i)`")
    native_index: int = _says("0-based position on that axis")
    device: str = _says(_DEVICE, "auto")


@dataclass(frozen=True)
class PredictCase(Command):
    """Predict a whole case with the newest published model into a file."""

    name: ClassVar[str] = "predict_case"
    returns: ClassVar[str] = "`path`: `.npy`, native grid `(k, j, i)`, schema values"
    case: str = _says("name of the case")
    device: str = _says(_DEVICE, "auto")


@dataclass(frozen=True)
class LoadCase(Command):
    """Put the images of a case on the grid that annotations live on, as files that map into memory."""

    name: ClassVar[str] = "load_case"
    quick: ClassVar[bool] = True
    returns: ClassVar[str] = "`case`; `geometry`: grid in LPS; `modalities`: name -> path of a `.npy`, `(k, j, i)`"
    case: str = _says("name of the case")


@dataclass(frozen=True)
class LatentView(Command):
    """Place every encoded slice on a plane."""

    name: ClassVar[str] = "latent_view"
    returns: ClassVar[str] = "`path`: `.npz` of slices, coordinates, axis names and arrows"
    method: str = _says("auto, pca or t-sne; latents of two numbers are shown as they are", "auto")


@dataclass(frozen=True)
class DecodeLatent(Command):
    """Decode images along one axis of the latent space, through the latent of a slice."""

    name: ClassVar[str] = "decode_latent"
    quick: ClassVar[bool] = True
    returns: ClassVar[str] = "`path`: `.npy` `(count, row, column)`; `values`: standard deviations along the axis"
    case: str = _says("name of the case")
    axis: int = _says("axis of the native array `(k, j, i)`")
    native_index: int = _says("0-based position on that axis")
    latent_axis: int = _says("0-based axis of the latent space", 0)
    count: int = _says("how many images", 7)


@dataclass(frozen=True)
class ImportLabels(Command):
    """Take slices of a case from a label file that was drawn elsewhere."""

    name: ClassVar[str] = "import_labels"
    returns: ClassVar[str] = "`slices`: their numbers, 1-based; `notes`: sentences on what they replaced and how they were chosen"
    path: str = _says("labelmap, .seg.nrrd or DICOM SEG")
    case: str = _says("name of the case")
    annotator: str = _says("who drew it")
    rule: str | None = _says("which slices count: all, labelled, span, marked; null: told by the file", None)
    slices: str = _says('which slices, 1-based, for example "10,12,20-25"; empty: by the rule', "")
    accepted: bool = _says("as accepted slices; otherwise as a pre-annotation to correct", True)


@dataclass(frozen=True)
class ImportModel(Command):
    """Take a segmentation network that was trained in another study; it becomes the newest model."""

    name: ClassVar[str] = "import_model"
    returns: ClassVar[str] = (
        "`model`: its id; `new`: false where it was in the study already; `options`: what a round is given to go on from it in training; "
        "`notes`: sentences"
    )
    path: str = _says("`.safetensors` file with its `.json` card beside it, or the folder of the other study")


@dataclass(frozen=True)
class Export(Command):
    """Write what was accepted, in one of the formats that `export --help` lists."""

    name: ClassVar[str] = "export"
    returns: ClassVar[str] = "`files`: what was written; `left_out`: sentences on what was not, and why"
    folder: str = _says("created if missing")
    format: str = _says("name of the format", "nii.gz")
    cases: tuple[str, ...] | None = _says("names; every annotated case when null", None)
    states: tuple[str, ...] = _says("which annotations: accepted, reviewed", ("accepted", "reviewed"))
    overwrite: bool = _says("replace files that are there; without, an error of kind `exists`", False)


@dataclass(frozen=True)
class WriteReport(Command):
    """Write the study as one self-contained HTML page."""

    name: ClassVar[str] = "write_report"
    returns: ClassVar[str] = "`path`"
    path: str = _says("of the page")
    redacted: bool = _says("without names of people, cases and folders", True)


@dataclass(frozen=True)
class Cancel(Command):
    """Stop a command within about a second. The study stays consistent; the same command resumes."""

    name: ClassVar[str] = "cancel"
    quick: ClassVar[bool] = True
    target: int | None = _says("id of the command; null: the one at work and everything that waits", None)


@dataclass(frozen=True)
class Status(Command):
    """What the worker is doing."""

    name: ClassVar[str] = "status"
    quick: ClassVar[bool] = True
    returns: ClassVar[str] = (
        "`study`: its folder or null; `running`: name of the long command or null; `waiting`: names; `models`: networks kept in memory; "
        "`memory_mib`: largest so far; `device_memory_mib`: held on the GPU"
    )


@dataclass(frozen=True)
class Release(Command):
    """Take the models off the device; the next command that needs one loads it again."""

    name: ClassVar[str] = "release"


@dataclass(frozen=True)
class Shutdown(Command):
    """Cancel what runs, give the study free and end. The end of standard input does the same."""

    name: ClassVar[str] = "shutdown"
    quick: ClassVar[bool] = True


# --- events


@dataclass(frozen=True)
class Event:
    """Base of every event."""

    name: ClassVar[str] = ""


@dataclass(frozen=True)
class Ready(Event):
    """The worker reads commands."""

    name: ClassVar[str] = "ready"
    versions: Mapping[str, str] = _says("python, library and the packages that are installed")
    missing: tuple[str, ...] = _says("packages that training needs and that are not installed")
    schema: int = _says("version of the study database")
    process: int = _says("process id")


@dataclass(frozen=True)
class Device(Event):
    """Where the networks run; known once torch is imported, some seconds after `ready`."""

    name: ClassVar[str] = "device"
    device: str = _says("name of the processor or graphics card")
    accelerated: bool = _says("whether it is a graphics card")
    memory_gib: float = _says("memory of the device, GiB")
    sentence: str = _says("the same for a person")


@dataclass(frozen=True)
class Progress(Event):
    """How far a command has come."""

    name: ClassVar[str] = "progress"
    id: int = _says("of the command")
    stage: str = _says("what is being done")
    done: int = _says("units done")
    total: int = _says("units in all")
    seconds_left: float | None = _says("estimate from the pace so far", None)
    loss: float | None = _says("current training loss", None)
    message: str = _says("one sentence", "")


@dataclass(frozen=True)
class Result(Event):
    """A command is done."""

    name: ClassVar[str] = "result"
    id: int = _says("of the command")
    data: Mapping[str, Any] = _says("what the command returns, by name", {})


@dataclass(frozen=True)
class Error(Event):
    """A command could not be done."""

    name: ClassVar[str] = "error"
    id: int | None = _says("of the command; null when the line was no command")
    kind: str = _says("input, study, locked, storage, cancelled, missing, memory, protocol, internal; worker gone comes from the client")
    sentence: str = _says("what is wrong")
    hint: str = _says("what to do about it", "")

    def __str__(self) -> str:
        return f"{self.sentence} {self.hint}".strip()


COMMANDS: dict[str, type[Command]] = {c.name: c for c in Command.__subclasses__()}
EVENTS: dict[str, type[Event]] = {e.name: e for e in Event.__subclasses__()}
