"""What the worker does for each command: one engine verb each. torch is imported by the verbs that need it."""

from __future__ import annotations

import dataclasses
import logging
import traceback
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast, get_args

from SuggestiveAnnotationLib.engine import settings
from SuggestiveAnnotationLib.errors import InputError, StorageError, StudyError
from SuggestiveAnnotationLib.files import storage_error
from SuggestiveAnnotationLib.progress import CancelToken, ProgressCallback
from SuggestiveAnnotationLib.types import AnnotatedRule, Plane, SliceRef, content_key, slice_number
from SuggestiveAnnotationLib.worker import protocol

if TYPE_CHECKING:
    from SuggestiveAnnotationLib.engine.predict import NewestModel
    from SuggestiveAnnotationLib.study.location import WorkerLock
    from SuggestiveAnnotationLib.study.records import Round
    from SuggestiveAnnotationLib.study.study import Study

OptionsKind = TypeVar("OptionsKind", bound=settings.Options)
Data = dict[str, Any]
_BEGUN = "creation under way"
"""Property: the hash of the command that makes the study, until it is prepared."""
LOG_BYTES = 1_000_000
"""The log is put aside when it is as long as this; three old ones are kept."""
LEARNING = (
    protocol.FitManifold,
    protocol.Train,
    protocol.Suggest,
    protocol.RunRound,
    protocol.Evaluate,
    protocol.PredictSlice,
    protocol.PredictCase,
    protocol.DecodeLatent,
    protocol.ImportModel,
)
"""What needs torch."""


class Verbs:
    """Carries out commands on the open study, of which it is the one worker."""

    def __init__(self) -> None:
        self._study: Study | None = None
        self._lock: WorkerLock | None = None
        self._log: logging.Handler | None = None
        self._newest: NewestModel | None = None
        self._context: dict[str, Any] = {}
        self._verbs: Mapping[type[protocol.Command], Callable[[Any], Data]] = {
            protocol.FindCohort: self._find_cohort,
            protocol.FindSeries: self._find_series,
            protocol.PlanSeries: self._plan_series,
            protocol.PlanVolumes: self._plan_volumes,
            protocol.CreateStudy: self._create_study,
            protocol.CreateSample: self._create_sample,
            protocol.OpenStudy: lambda c: self._open(Path(c.study)),
            protocol.CloseStudy: lambda _: self.close(),
            protocol.CheckStudy: lambda _: self._check(),
            protocol.Prepare: self._prepare,
            protocol.FitManifold: self._fit_manifold,
            protocol.Train: self._train,
            protocol.Suggest: self._suggest,
            protocol.RunRound: self._run_round,
            protocol.DropRound: lambda _: self._drop_round(),
            protocol.Evaluate: self._evaluate,
            protocol.PredictSlice: self._predict_slice,
            protocol.PredictCase: self._predict_case,
            protocol.LoadCase: self._load_case,
            protocol.LatentView: self._latent_view,
            protocol.DecodeLatent: self._decode_latent,
            protocol.ImportLabels: self._import_labels,
            protocol.ImportModel: self._import_model,
            protocol.Export: self._export,
            protocol.WriteReport: self._report,
        }

    @property
    def study_path(self) -> Path | None:
        """Folder of the open study."""
        return None if self._study is None else self._study.path

    def run(self, command: protocol.Command, *, progress: ProgressCallback, cancel: CancelToken) -> Data:
        """Carry out a command and return what it returns. Raises: SuggestiveAnnotationError and whatever the libraries raise."""
        outer, self._context = self._context, {"progress": progress, "cancel": cancel}
        try:
            return self._verbs[type(command)](command)
        finally:
            self._context = outer

    @property
    def models(self) -> int:
        """Networks that are kept in memory."""
        return int(self._newest is not None)

    def release(self) -> None:
        """Let go of networks; the next command that needs one loads it again."""
        self._newest = None

    def close(self) -> Data:
        """Give the study free."""
        self.release()
        if self._study is not None:
            self._study.close()
        if self._lock is not None:
            self._lock.release()
        if self._log is not None:
            logging.getLogger().removeHandler(self._log)
            self._log.close()
        self._study = self._lock = self._log = None
        return {}

    @property
    def study(self) -> Study:
        """The open study. Raises: StudyError, when none is."""
        if self._study is None:
            raise StudyError("No study is open.", hint="Open or create one first.")
        return self._study

    # Studies

    def _find_cohort(self, command: protocol.FindCohort) -> Data:
        from SuggestiveAnnotationLib.cohort.recognise import layout_of
        from SuggestiveAnnotationLib.engine.cohort import find, with_guessed_schema

        folder = Path(command.folder)
        layout = command.layout or layout_of(folder)
        if layout == "dicom":
            # Which series is which sequence is for a person to say.
            return {"plan": None, **self._find_series(protocol.FindSeries(command.folder))}
        return {"plan": with_guessed_schema(find(folder, layout=layout, **self._context)).to_json()}

    def _find_series(self, command: protocol.FindSeries) -> Data:
        from SuggestiveAnnotationLib.engine.dicom import find_series_groups

        folder = None if command.folder is None else Path(command.folder)
        groups = find_series_groups(folder, files=command.files or None, **self._context)
        shared = ("description", "modality", "cases", "slices")
        return {
            "series": [{**{name: getattr(g, name) for name in shared}, "sequence": g.name, "use": g.used, "note": g.reason} for g in groups]
        }

    def _plan_series(self, command: protocol.PlanSeries) -> Data:
        from SuggestiveAnnotationLib.engine.cohort import with_guessed_schema
        from SuggestiveAnnotationLib.engine.dicom import plan_series

        folder = None if command.folder is None else Path(command.folder)
        chosen = {sequence: tuple(descriptions.split("\n")) for sequence, descriptions in command.images.items()}
        plan = plan_series(folder, files=command.files or None, chosen=chosen, patient_ids=command.patient_ids, **self._context)
        return {"plan": with_guessed_schema(plan).to_json()}

    def _plan_volumes(self, command: protocol.PlanVolumes) -> Data:
        from SuggestiveAnnotationLib.engine.cohort import GivenVolume, plan_from_files, with_guessed_schema

        try:
            volumes = [GivenVolume(**one) for one in command.volumes]
        except TypeError as error:
            raise InputError(f"A volume is not described as it should be: {error}.") from error
        return {"plan": with_guessed_schema(plan_from_files(volumes, reference=command.reference)).to_json()}

    def _create_study(self, command: protocol.CreateStudy) -> Data:
        from SuggestiveAnnotationLib.cohort.plan import CohortPlan
        from SuggestiveAnnotationLib.engine.cohort import create_from_plan
        from SuggestiveAnnotationLib.study.study import remove_new

        self.close()
        path, asked = Path(command.study), content_key(dataclasses.asdict(command))
        if not _begun(path, asked):
            study = create_from_plan(path, plan=CohortPlan.from_json(command.plan), name=command.title, **self._context)
            study.set_property(_BEGUN, asked)
            study.close()
        opened = self._open(path)
        problems = self._check()["problems"]
        try:
            prepared = self._prepare(command)
        except InputError as error:
            if self.study.frozen_record() is None:
                # The person chooses anew, for the same folder. Some systems delete no file that a frame still maps.
                self.close()
                traceback.clear_frames(error.__traceback__)
                with suppress(StorageError):
                    remove_new(path)
            raise
        self.study.set_property(_BEGUN, None)
        return {**opened, "prepared": True, "problems": problems, "taken": prepared["taken"], "left_out": prepared["left_out"]}

    def _create_sample(self, command: protocol.CreateSample) -> Data:
        from SuggestiveAnnotationLib.engine.sample import create_sample

        self.close()
        return self._open(create_sample(Path(command.folder), seed=command.seed, **self._context))

    def _open(self, path: Path) -> Data:
        from SuggestiveAnnotationLib.engine.estimate import measured_round
        from SuggestiveAnnotationLib.study.study import Study

        self.close()
        study = Study(path)
        self._study = study
        try:
            self._lock = study.lock()
            self._log_into(path / "logs")
        except BaseException:
            self.close()
            raise
        return {
            "study": str(path),
            "title": study.name,
            "prepared": study.frozen_record() is not None,
            "estimate": measured_round(study),
        }

    def _log_into(self, folder: Path) -> None:
        try:
            folder.mkdir(exist_ok=True)
            self._log = RotatingFileHandler(folder / "worker.log", maxBytes=LOG_BYTES, backupCount=3, encoding="utf-8")
        except OSError as error:
            raise storage_error(error, folder) from error
        self._log.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logging.getLogger().addHandler(self._log)

    def _check(self) -> Data:
        from SuggestiveAnnotationLib.engine.check import check

        return {"problems": {case: list(found) for case, found in check(self.study, **self._context).items()}}

    def _prepare(self, command: protocol.Prepare | protocol.CreateStudy) -> Data:
        from SuggestiveAnnotationLib.engine.prepare import prepare

        if command.plane not in get_args(Plane):
            raise InputError(f"There is no plane {command.plane}.", hint=f"Choose one of {', '.join(get_args(Plane))}.")
        # The command always names a plane and a grid, and means them for a study that has none yet.
        asked: Data = {"plane": command.plane, "pixels": command.pixels, "spacing": command.spacing}
        wanted = {} if self.study.frozen_record() else asked
        # One process: inside Slicer there is no way to start more.
        prepared = prepare(self.study, **wanted, processes=1, **self._context)
        return {
            "built": prepared.built,
            "kept": prepared.kept,
            "excluded": dict(prepared.excluded),
            "slices": prepared.slices,
            "taken": prepared.taken,
            "left_out": list(prepared.left_out),
        }

    # Learning

    def _fit_manifold(self, command: protocol.FitManifold) -> Data:
        from SuggestiveAnnotationLib.engine.manifold import fit_manifold

        options = options_from(settings.ManifoldOptions, command.options)
        return {"model": fit_manifold(self.study, options=options, seed=command.seed, **self._context).id}

    def _train(self, command: protocol.Train) -> Data:
        from SuggestiveAnnotationLib.engine.train import train

        options = options_from(settings.TrainingOptions, command.options)
        return {"model": train(self.study, options=options, seed=command.seed, **self._context).id}

    def _suggest(self, command: protocol.Suggest) -> Data:
        from SuggestiveAnnotationLib.engine.suggest import suggest

        return self._of_round(suggest(self.study, options=options_from(settings.RoundOptions, command.options), **self._context))

    def _run_round(self, command: protocol.RunRound) -> Data:
        from SuggestiveAnnotationLib.engine.run_round import run_round

        options = options_from(settings.RoundOptions, command.options)
        manifold = options_from(settings.ManifoldOptions, command.manifold)
        given, finishes = tuple(command.options), command.finishes
        return self._of_round(run_round(self.study, options=options, given=given, manifold=manifold, finishes=finishes, **self._context))

    def _import_model(self, command: protocol.ImportModel) -> Data:
        from SuggestiveAnnotationLib.engine.import_model import import_model

        done = import_model(self.study, Path(command.path), **self._context)
        return {"model": done.model.id, "new": done.new, "options": dict(done.options), "notes": list(done.notes)}

    def _drop_round(self) -> Data:
        current = self.study.current_round()
        if current is None or current.stage in ("annotating", "finished"):
            raise StudyError("No round was interrupted, so there is none to drop.", hint="Start the next round.")
        self.study.finish_round(current.number)
        return {}

    def _of_round(self, round_: Round) -> Data:
        return {
            "round": round_.number,
            "suggestions": len(self.study.suggestion_states(round_.number)),
            "notes": list(round_.notes),
            "seconds": dict(round_.seconds),
        }

    def _evaluate(self, command: protocol.Evaluate) -> Data:
        from SuggestiveAnnotationLib.engine.evaluate import evaluate

        # A round that has begun without a model of its own is not what is judged.
        newest = self.study.latest_model("segmentation")
        found = evaluate(self.study, number=None if newest is None else newest.round, device=command.device, **self._context)
        return {"metrics": sum(len(dice) for dice in found.values())}

    # Looking

    def _predict_slice(self, command: protocol.PredictSlice) -> Data:
        from SuggestiveAnnotationLib.engine.predict import predict_slice

        ref = SliceRef(command.case, command.axis, command.native_index)
        return {"prediction": predict_slice(self.study, ref, newest=self._newest_on(command.device)).id}

    def _predict_case(self, command: protocol.PredictCase) -> Data:
        from SuggestiveAnnotationLib.engine.predict import predict_case

        return {"path": str(predict_case(self.study, command.case, newest=self._newest_on(command.device), **self._context))}

    def _newest_on(self, device: str) -> NewestModel:
        """The newest model, whose network stays on the device from one command to the next."""
        from SuggestiveAnnotationLib.engine.predict import NewestModel
        from SuggestiveAnnotationLib.training.device import pick_device

        if self._newest is None or self._newest.device != pick_device(device):
            self._newest = NewestModel(self.study, device=device)
        return self._newest

    def _load_case(self, command: protocol.LoadCase) -> Data:
        from SuggestiveAnnotationLib.engine.display import load_case

        shown = load_case(self.study, command.case, **self._context)
        return {"case": shown.case, "geometry": shown.geometry.to_json(), "modalities": {m: str(p) for m, p in shown.modalities.items()}}

    def _latent_view(self, command: protocol.LatentView) -> Data:
        from SuggestiveAnnotationLib.engine.latents import latent_view

        return {"path": str(latent_view(self.study, method=command.method))}

    def _decode_latent(self, command: protocol.DecodeLatent) -> Data:
        from SuggestiveAnnotationLib.engine.latents import decode_latent

        ref = SliceRef(command.case, command.axis, command.native_index)
        path, values = decode_latent(self.study, ref, axis=command.latent_axis, count=command.count)
        return {"path": str(path), "values": list(values)}

    # Giving out

    def _import_labels(self, command: protocol.ImportLabels) -> Data:
        from SuggestiveAnnotationLib.engine.annotations import import_annotations

        if command.rule is not None and command.rule not in get_args(AnnotatedRule):
            raise InputError(f"There is no rule {command.rule}.", hint=f"Choose one of {', '.join(get_args(AnnotatedRule))}.")
        done = import_annotations(
            self.study,
            Path(command.path),
            case=command.case,
            annotator=command.annotator,
            slices=command.slices or None,
            rule=cast(AnnotatedRule | None, command.rule),
            as_="accepted" if command.accepted else "pre-annotation",
            **self._context,
        )
        return {"slices": [slice_number(ref) for ref in done.refs], "notes": list(done.notes)}

    def _export(self, command: protocol.Export) -> Data:
        from SuggestiveAnnotationLib.engine.export import export

        done = export(
            self.study,
            Path(command.folder),
            format=command.format,
            cases=command.cases,
            states=command.states,
            overwrite=command.overwrite,
            **self._context,
        )
        return {"files": [str(f) for f in done.files], "left_out": list(done.left_out)}

    def _report(self, command: protocol.WriteReport) -> Data:
        from SuggestiveAnnotationLib.engine.report import report

        return {"path": str(report(self.study, Path(command.path), redacted=command.redacted, **self._context))}


def _begun(path: Path, asked: str) -> bool:
    """Whether a study lies there that the same command made and did not prepare to the end."""
    from SuggestiveAnnotationLib.study.study import DATABASE_NAME, Study

    if not (path / DATABASE_NAME).exists():
        return False
    with closing(Study(path)) as study:
        return study.properties().get(_BEGUN) == asked


def options_from(kind: type[OptionsKind], given: Mapping[str, Any]) -> OptionsKind:
    """Options by name. Raises: InputError, naming an unknown option or a value of the wrong type."""
    known = {f.name: f for f in dataclasses.fields(kind)}
    values = dict(given)
    for name, value in values.items():
        if name not in known:
            raise InputError(f"There is no option {name}.", hint=f"Known are: {', '.join(known)}.")
        default = known[name].default
        fits = isinstance(value, Mapping) if default is dataclasses.MISSING else _fits(value, default)
        if not fits:
            raise InputError(f"The option {name} cannot be {value!r}.", hint=f"An example is {default!r}.")
    return kind(**values)


def _fits(value: object, default: object) -> bool:
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, float):
        return isinstance(value, int | float)
    return isinstance(value, type(default))
