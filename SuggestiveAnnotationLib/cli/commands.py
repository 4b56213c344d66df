"""What each command does: call one verb of the engine and put its result into words. Heavy imports wait until a command needs them."""

from __future__ import annotations

import argparse
import shlex
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from SuggestiveAnnotationLib.cli.console import show
from SuggestiveAnnotationLib.cli.options import given_settings, merged, read_settings
from SuggestiveAnnotationLib.cohort.plan import CohortPlan
from SuggestiveAnnotationLib.engine.settings import DeviceOptions, ManifoldOptions, RoundOptions, SuggestOptions, TrainingOptions
from SuggestiveAnnotationLib.errors import InputError, StorageError, StudyError
from SuggestiveAnnotationLib.progress import CancelToken, ProgressCallback
from SuggestiveAnnotationLib.report.numbers import count
from SuggestiveAnnotationLib.study.records import Round
from SuggestiveAnnotationLib.study.study import Study, record_json
from SuggestiveAnnotationLib.types import LabelUse, slice_number


@dataclass(frozen=True)
class Context:
    """What every command is given. `command` is the line a person typed."""

    progress: ProgressCallback
    cancel: CancelToken
    command: str

    def keywords(self) -> dict[str, Any]:
        """As the verbs take them."""
        return {"progress": self.progress, "cancel": self.cancel}

    @contextmanager
    def changing(self, path: Path, *, locked: bool = True) -> Iterator[Study]:
        """A study that this command changes. Once it is done, the study keeps the command, for the report to show.

        Args:
            locked: hold the study as its one worker. People annotate without, while a worker may be busy.
        """
        study = Study(path)
        with study.lock() if locked else nullcontext():
            yield study
            self.remember_in(study)

    def remember_in(self, study: Study) -> None:
        """Keep the command in the study. The work is done: no room for this line must not call it a failure."""
        with suppress(StorageError):
            study.record_command(self.command)


@dataclass(frozen=True)
class Result:
    """The same result for programs and for people, and the exit code of the command."""

    data: dict[str, Any]
    lines: list[str]
    exit_code: int = 0

    def print(self, *, as_json: bool) -> None:
        """Write it to standard output."""
        show(self.data, as_json=as_json, lines=self.lines)


Command = Callable[[argparse.Namespace, Context], Result]


def study_create(arguments: argparse.Namespace, context: Context) -> Result:
    """`study create`."""
    from SuggestiveAnnotationLib.engine.cohort import create, find, with_labels_as

    plan = find(
        arguments.cohort, layout=arguments.layout, images=merged(arguments.image), label=_none(arguments.label),
        mask=_none(arguments.mask), table=arguments.table, reference=arguments.reference, patient_ids=arguments.patient_ids,
        **context.keywords(),
    )  # fmt: skip
    if arguments.labels_as or arguments.annotated_slices:
        use = arguments.labels_as or plan.labels_as
        plan = with_labels_as(plan, use, rule=arguments.annotated_slices, by=arguments.labels_by)
    lines = plan.describe().splitlines()
    data: dict[str, Any] = {"cases": [c.name for c in plan.cases], "modalities": list(plan.modalities), "warnings": list(plan.warnings)}
    data["excluded"] = {c.name: c.excluded_reason for c in plan.cases if c.role == "excluded"}
    if arguments.dry_run:
        return _dry_run(arguments, plan, data)
    study = create(
        arguments.study, plan=plan, name=arguments.name, schema=arguments.schema, test=arguments.test, validation=arguments.validation,
        seed=arguments.seed, **context.keywords(),
    )  # fmt: skip
    context.remember_in(study)
    roles = Counter(case.role for case in study.cases())
    if plan.held_out and (arguments.test or arguments.validation):
        lines.append("Note: --test and --validation were not used, because the table names the held-out cases.")
    lines += ["", f"Study {study.name} at {study.path}: " + ", ".join(f"{n} {role}" for role, n in roles.items()) + "."]
    lines.append(_next("prepare", study))
    return Result({**data, "study": str(study.path), "roles": dict(roles)}, lines)


def _dry_run(arguments: argparse.Namespace, plan: CohortPlan, data: dict[str, Any]) -> Result:
    """What `study create` would make of a plan, or why it would make nothing."""
    from SuggestiveAnnotationLib.engine.cohort import as_created

    try:
        plan = as_created(plan, schema=arguments.schema, test=arguments.test, validation=arguments.validation, seed=arguments.seed)
    except InputError as error:
        lines = [*plan.describe().splitlines(), "", f"As it stands no study would be made: {error}"]
        return Result({**data, "study": None, "refused": str(error)}, lines)
    roles = Counter(case.role for case in plan.cases)
    lines = plan.describe().splitlines()
    if plan.schema is not None:
        lines.append(f"Schema {plan.schema.name}: " + ", ".join(f"{c.value} {c.name}" for c in plan.schema.classes) + ".")
    if any(case.label for case in plan.usable):
        lines.append(_LABELS_AS[plan.labels_as].format(rule=plan.annotated_slices, by=plan.labels_by or "existing labels"))
    lines += ["", f"Nothing was written. Without --dry-run this makes a study at {arguments.study}."]
    schema = None if plan.schema is None else plan.schema.name
    return Result({**data, "study": None, "roles": dict(roles), "schema": schema, "labels_as": plan.labels_as}, lines)


_LABELS_AS: dict[LabelUse, str] = {
    "reference": "The labels are references (--labels-as reference): models are judged by them, and none is taken for an annotation.",
    "validation": "Cases with labels are held out (--labels-as validation): they say when training stops.",
    "first-batch": "`prepare` takes the labels of pool cases as accepted slices by {by} (--labels-as first-batch, slices: {rule}).",
    "pre-annotation": "`prepare` takes the labels of pool cases as outlines to correct (--labels-as pre-annotation, slices: {rule}).",
}
"""What becomes of the labels that a cohort brings."""


def study_check(arguments: argparse.Namespace, context: Context) -> Result:
    """`study check`."""
    from SuggestiveAnnotationLib.engine.check import check

    study = Study(arguments.study)
    found = check(study, **context.keywords())
    total = len(study.cases())
    fine = total - len(found)
    lines = [f"{name}: {sentence}" for name, sentences in found.items() for sentence in sentences]
    if fine:
        lines.append(f"{fine} of {count(total, 'case')} {'has' if fine == 1 else 'have'} no problem.")
    else:
        lines.append(
            f"No case is without a problem (of {total}). Mend the files, or create a study with another --schema, --label or --image."
        )
    data = {"problems": {name: list(sentences) for name, sentences in found.items()}, "cases": total}
    return Result(data, lines, exit_code=0 if fine else StudyError.exit_code)


def study_show(arguments: argparse.Namespace, context: Context) -> Result:
    """`study show`."""
    study = Study(arguments.study)
    done = Counter(ref.case for ref in study.annotated_refs())
    cases = study.cases()
    record = study.frozen_record()
    rounds = [_round_data(study, r) for r in study.rounds()]
    data = {
        "name": study.name,
        "schema": {"name": study.schema.name, "classes": [c.name for c in study.schema.classes]},
        "modalities": list(study.modalities),
        "preprocessing": None if record is None else record_json(record),
        "cases": [
            {
                "name": c.name,
                "patient": c.patient,
                "role": c.role,
                "annotated": done[c.name],
                "excluded": c.excluded_reason,
                "problems": list(c.problems),
            }
            for c in cases
        ],
        "rounds": rounds,
        "models": [{"id": m.id, "kind": m.kind, "round": m.round} for m in study.models()],
    }
    lines = [f"{study.name}: {len(cases)} cases, {', '.join(study.modalities)}; schema {study.schema.name}", ""]
    width = max(len(c.name) for c in cases)
    lines.append(f"{'case':<{width}}  {'role':<10}  {'annotated':>9}  problems")
    lines += [f"{c.name:<{width}}  {c.role:<10}  {done[c.name]:>9}  {c.excluded_reason or '; '.join(c.problems) or '-'}" for c in cases]
    lines.append("")
    lines += [f"model {m.id}: {m.kind}" + ("" if m.round is None else f", round {m.round}") for m in study.models()]
    lines += [f"round {r['number']}: {r['stage']}, {r['strategy']}, {r['answered']} of {r['suggested']} slices answered" for r in rounds]
    return Result(data, lines)


def prepare(arguments: argparse.Namespace, context: Context) -> Result:
    """`prepare`."""
    from SuggestiveAnnotationLib.engine.prepare import prepare as verb

    with context.changing(arguments.study) as study:
        done = verb(study, plane=arguments.plane, pixels=arguments.pixels, processes=arguments.processes, **context.keywords())
    rows, columns = done.record.size
    lines = [
        f"{count(done.slices, f'{done.record.plane} slice')} ({done.blank} blank).",
        f"Network grid: {rows} x {columns} pixels of {done.record.spacing[0]:.2f} mm.",
        *(f"excluded {name}: {reason}" for name, reason in done.excluded.items()),
        *(f"note on {name}: {sentence}" for name, sentence in done.warnings.items()),
        *([f"Took {count(done.taken, 'slice')} of existing labels."] if done.taken else []),
        *(f"Left out: {sentence}" for sentence in done.left_out),
        _next("run-round", study),
    ]
    return Result({**asdict(done), "record": record_json(done.record)}, lines)


def fit_manifold(arguments: argparse.Namespace, context: Context) -> Result:
    """`fit-manifold`."""
    from SuggestiveAnnotationLib.engine.manifold import fit_manifold as verb

    with context.changing(arguments.study) as study:
        model = verb(study, options=read_settings(ManifoldOptions, arguments), seed=arguments.seed, **context.keywords())
    return _model_result(model)


def train(arguments: argparse.Namespace, context: Context) -> Result:
    """`train`."""
    from SuggestiveAnnotationLib.engine.train import train as verb

    with context.changing(arguments.study) as study:
        model = verb(study, options=read_settings(TrainingOptions, arguments), seed=arguments.seed, **context.keywords())
    return _model_result(model)


def suggest(arguments: argparse.Namespace, context: Context) -> Result:
    """`suggest`."""
    from SuggestiveAnnotationLib.engine.suggest import suggest as verb

    device = read_settings(DeviceOptions, arguments).device
    chosen = {**asdict(read_settings(SuggestOptions, arguments)), "device": device, "seed": arguments.seed}
    with context.changing(arguments.study) as study:
        return _round_result(study, verb(study, options=RoundOptions(**chosen), **context.keywords()))


def evaluate(arguments: argparse.Namespace, context: Context) -> Result:
    """`evaluate`."""
    from SuggestiveAnnotationLib.engine.evaluate import evaluate as verb

    device = read_settings(DeviceOptions, arguments).device
    with context.changing(arguments.study) as study:
        newest = study.latest_model("segmentation")
        number = None if newest is None else newest.round
        found = verb(study, number=number, device=device, **context.keywords())
    rows = [{"case": case, "label": label, "value": value} for case, dice in found.items() for label, value in dice.items()]
    lines = [f"{r['case']}  {r['label']}: {'undefined' if r['value'] is None else format(r['value'], '.3f')}" for r in rows]
    if rows and number is None:
        lines.append("The model belongs to no round: these numbers are not kept.")
    return Result({"round": number, "dice_3d": rows}, lines or ["There is no test case with labels."])


def predict(arguments: argparse.Namespace, context: Context) -> Result:
    """`predict`."""
    from SuggestiveAnnotationLib.engine.predict import predict_case, predict_into

    study = Study(arguments.study)
    # A name that is not there is told before the first case takes its time.
    names = [study.case(name).name for name in arguments.case or ()] or [c.name for c in study.cases() if c.role != "excluded"]
    device = read_settings(DeviceOptions, arguments).device
    with study.lock():
        if arguments.out is None:
            paths = {name: str(predict_case(study, name, device=device, **context.keywords())) for name in names}
        else:
            files = predict_into(study, names, arguments.out, device=device, overwrite=arguments.overwrite, **context.keywords())
            paths = {name: str(path) for name, path in files.items()}
    return Result({"predictions": paths}, [f"{name}: {path}" for name, path in paths.items()])


def run_round(arguments: argparse.Namespace, context: Context) -> Result:
    """`run-round`."""
    from SuggestiveAnnotationLib.engine.run_round import run_round as verb

    with context.changing(arguments.study) as study:
        done = verb(
            study, options=read_settings(RoundOptions, arguments), given=given_settings(RoundOptions, arguments),
            manifold=read_settings(ManifoldOptions, arguments), **context.keywords(),
        )  # fmt: skip
        return _round_result(study, done)


def finish_round(arguments: argparse.Namespace, context: Context) -> Result:
    """`finish-round`."""
    from SuggestiveAnnotationLib.session import Session

    with context.changing(arguments.study, locked=arguments.abandon) as study:
        current = study.current_round()
        dropped = False
        if arguments.abandon and current is not None and current.stage != "finished":
            study.finish_round(current.number)
            dropped = True
        else:
            Session(study, annotator="command line").finish_round()
        data = _round_data(study, study.rounds()[-1])
        accepted = sum(row.state == "accepted" for row in study.suggestion_states(data["number"]))
    open_ = data["suggested"] - data["answered"]
    if dropped:
        stay = f"; {count(accepted, 'slice')} accepted in it {'stays' if accepted == 1 else 'stay'}" if accepted else ""
        line = f"Round {data['number']} was dropped{stay}."
    else:
        left = f"; {count(open_, 'suggestion')} {'was' if open_ == 1 else 'were'} left unanswered" if open_ else ""
        line = f"Round {data['number']} is finished: {data['answered']} of {count(data['suggested'], 'slice')} answered{left}."
    return Result({**data, "dropped": dropped, "unanswered": open_}, [line, _next("run-round", study)])


def strategies(arguments: argparse.Namespace, context: Context) -> Result:
    """`strategies`."""
    from SuggestiveAnnotationLib.strategies.registry import ENTRIES, offered

    shown = ENTRIES if arguments.all else offered()
    lines = [f"{e.name}\n  {e.help}\n  Evidence: {e.evidence}" for e in shown]
    data = [{"name": e.name, "help": e.help, "evidence": e.evidence, "requires": sorted(r.value for r in e.requires)} for e in shown]
    return Result({"strategies": data}, lines)


def annotations_import(arguments: argparse.Namespace, context: Context) -> Result:
    """`annotations import`."""
    from SuggestiveAnnotationLib.engine.annotations import import_annotations

    with context.changing(arguments.study, locked=False) as study:
        done = import_annotations(
            study, arguments.labelmap, case=arguments.case, annotator=arguments.annotator, slices=arguments.slices, mask=arguments.mask,
            rule=arguments.rule, as_=arguments.as_, **context.keywords(),
        )  # fmt: skip
    slices = count(len(done.refs), "slice")
    what = f"Accepted {slices}" if arguments.as_ == "accepted" else f"Took {slices} as pre-annotation"
    lines = [f"{what} of case {arguments.case} by {arguments.annotator}.", *(f"Note: {note}" for note in done.notes)]
    lines.append(_next_of_people(study))
    return Result({"case": arguments.case, "slices": [slice_number(ref) for ref in done.refs], "notes": list(done.notes)}, lines)


def annotations_undo(arguments: argparse.Namespace, context: Context) -> Result:
    """`annotations undo`."""
    from SuggestiveAnnotationLib.session import Session

    with context.changing(arguments.study, locked=False) as study:
        refs = sorted(Session(study, annotator=arguments.annotator).undo())
    numbers = [slice_number(ref) for ref in refs]
    slices = f"{count(len(refs), 'slice')} of case {refs[0].case} ({', '.join(map(str, numbers))})"
    line = f"{slices} accepted by {arguments.annotator} {'is' if len(refs) == 1 else 'are'} taken back; what was there before counts again."
    return Result({"case": refs[0].case, "slices": numbers}, [line])


def annotations_review(arguments: argparse.Namespace, context: Context) -> Result:
    """`annotations review`."""
    from SuggestiveAnnotationLib.export.read_back import parse_slice_numbers
    from SuggestiveAnnotationLib.session import Session
    from SuggestiveAnnotationLib.types import SliceRef

    with context.changing(arguments.study, locked=False) as study:
        frame = study.frame(arguments.case)
        refs = [SliceRef(arguments.case, frame.axis, index) for index in parse_slice_numbers(arguments.slices, count=frame.count)]
        Session(study, annotator=arguments.reviewer).review(refs, verdict=arguments.verdict, note=arguments.note)
    data = {"case": arguments.case, "slices": [slice_number(ref) for ref in refs], "verdict": arguments.verdict}
    return Result(data, [f"{arguments.reviewer} {arguments.verdict} {count(len(refs), 'slice')} of case {arguments.case}."])


def advice(arguments: argparse.Namespace, context: Context) -> Result:
    """`advice`."""
    from SuggestiveAnnotationLib.report.rounds import advice as verb
    from SuggestiveAnnotationLib.report.rounds import round_points

    study = Study(arguments.study)
    said, points = verb(study), round_points(study)
    lines = [
        f"{'round':>5}  {'slices':>6}  {'audit':>5}  {'agreement on audit':>18}  {'held-out Dice':>13}  {'retained':>8}  {'minutes':>7}"
    ]
    for p in points:
        numbers = (p.audit_dice, p.held_out_dice, p.retained)
        audit, held_out, retained = ("-" if value is None else f"{value:.3f}" for value in numbers)
        minutes = "-" if p.minutes is None else f"{p.minutes:.1f}"
        lines.append(f"{p.round:>5}  {p.slices:>6}  {p.audit_slices:>5}  {audit:>18}  {held_out:>13}  {retained:>8}  {minutes:>7}")
    return Result({"advice": asdict(said), "rounds": [asdict(p) for p in points]}, [*(lines if points else []), said.sentence])


def export(arguments: argparse.Namespace, context: Context) -> Result:
    """`export`."""
    from SuggestiveAnnotationLib.engine.export import export as verb

    done = verb(
        Study(arguments.study), arguments.out, format=arguments.format, cases=arguments.case, states=arguments.states,
        completed=arguments.completed, overwrite=arguments.overwrite, **context.keywords(),
    )  # fmt: skip
    lines = [f"Wrote {count(len(done.files), 'file')} to {arguments.out}."]
    lines += [f"Left out: {sentence}" for sentence in done.left_out]
    return Result({"files": [str(f) for f in done.files], "left_out": list(done.left_out)}, lines)


def report(arguments: argparse.Namespace, context: Context) -> Result:
    """`report`."""
    from SuggestiveAnnotationLib.engine.report import report as verb

    path = verb(Study(arguments.study), arguments.out, redacted=arguments.redacted, **context.keywords())
    return Result({"report": str(path)}, [f"Wrote {path}."])


def simulate(arguments: argparse.Namespace, context: Context) -> Result:
    """`simulate`."""
    from SuggestiveAnnotationLib.engine.simulate import simulate as verb

    with context.changing(arguments.study) as study:
        summary = verb(
            study, rounds=arguments.rounds, first_batch=arguments.first_batch, options=read_settings(RoundOptions, arguments),
            manifold=read_settings(ManifoldOptions, arguments), **context.keywords(),
        )  # fmt: skip
    lines = _summary_lines(summary)
    if arguments.report:
        from SuggestiveAnnotationLib.engine.report import report as write

        lines.append(f"Report: {write(study, arguments.report, **context.keywords())}")
    return Result(summary, lines)


def demo(arguments: argparse.Namespace, context: Context) -> Result:
    """`demo`."""
    from SuggestiveAnnotationLib.engine.demo import demo as verb

    summary = verb(arguments.out, seed=arguments.seed, **context.keywords())
    return Result(summary, [*_summary_lines(summary), f"Open {arguments.out / 'report.html'} in a browser."])


def _next(verb: str, study: Study, *words: str) -> str:
    """The line on which command comes next."""
    return "Next: " + shlex.join(["suggestive-annotation", *verb.split(), str(study.path), *words])


def _next_of_people(study: Study) -> str:
    """What comes after somebody annotated: the rest of the round, its end, or the next round."""
    current = study.current_round()
    if current is None or current.stage != "annotating":
        return _next("run-round", study)
    waiting = sum(row.state in ("suggested", "draft") for row in study.suggestion_states(current.number))
    wait = f" ({count(waiting, 'suggestion')} of round {current.number} {'waits' if waiting == 1 else 'wait'} until then)"
    return _next("finish-round", study) + (wait if waiting else "")


def _none(pattern: str | None) -> str | None:
    """What the person calls none is an empty pattern to the cohort."""
    return "" if pattern == "none" else pattern


def _round_data(study: Study, round_: Round) -> dict[str, Any]:
    rows = study.suggestions(round_.number)
    answered = sum(row.state in ("accepted", "skipped", "unreadable") for row in rows)
    data = asdict(replace(round_, notes=tuple(round_.notes)))
    return {**data, "notes": list(round_.notes), "suggested": len(rows), "answered": answered}


def _round_result(study: Study, round_: Round) -> Result:
    rows = study.suggestions(round_.number)
    suggestions: list[dict[str, Any]] = [
        {
            "rank": r.suggestion.rank, "case": r.suggestion.ref.case, "slice": slice_number(r.suggestion.ref), "kind": r.suggestion.kind,
            "state": r.state, "rationale": r.suggestion.rationale.to_json(),
        }
        for r in rows
    ]  # fmt: skip
    lines = [f"{s['rank'] + 1:>3}. case {s['case']}, slice {s['slice']} ({s['kind']}): {s['rationale']['sentence']}" for s in suggestions]
    lines += [f"Note: {note}" for note in round_.notes]
    lines.append(f"Round {round_.number} waits for annotations of {count(len(rows), 'slice')}.")
    if suggestions:
        case = suggestions[0]["case"]
        slices = ",".join(str(s["slice"]) for s in suggestions if s["case"] == case)
        lines.append(_next("annotations import", study, "LABELMAP", "--case", case, "--annotator", "NAME", "--slices", slices))
    return Result({**_round_data(study, round_), "suggestions": suggestions}, lines)


def _model_result(model: Any) -> Result:
    card = {key: value for key, value in model.card.items() if key != "losses"}
    return Result(
        {"model": model.id, "kind": model.kind, "path": str(model.path), "card": card},
        [f"Model {model.id} ({model.kind}) is published: {model.path}", *(f"  {k}: {v}" for k, v in card.get("metrics", {}).items())],
    )


def _summary_lines(summary: dict[str, Any]) -> list[str]:
    lines = []
    for r in summary["rounds"]:
        dice = ", ".join(f"{name} {'undefined' if value is None else format(value, '.3f')}" for name, value in r["dice"].items())
        lines.append(
            f"model {r['model']}: {count(r['annotated_slices'], 'annotated slice')}; Dice {dice or 'not measured (no held-out cases)'}"
        )
    return lines
