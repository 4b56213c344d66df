"""Commands on what people drew: import, take back, review, weigh, export, report."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import get_args

from SuggestiveAnnotationLib.cli.command import Commands, Context, Result, add_command, next_line
from SuggestiveAnnotationLib.export.formats import FORMATS
from SuggestiveAnnotationLib.report.numbers import count
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import AnnotatedRule, slice_number


def add_commands(sub: Commands) -> None:
    """Add them to the parser."""
    group = sub.add_parser("annotations", help="import annotations, take them back, review them")
    verbs = group.add_subparsers(metavar="VERB", required=True)
    command = add_command(verbs, "import", annotations_import, "Take slices of a label file that was drawn elsewhere.")
    command.add_argument("labelmap", type=Path, help="labelmap with values of the study's schema, .seg.nrrd or DICOM SEG")
    command.add_argument("--case", required=True, help="case that it belongs to")
    command.add_argument("--annotator", required=True, help="who drew it")
    command.add_argument("--slices", metavar="10,12,20-25", help="slices that it covers, 1-based")
    command.add_argument("--mask", type=Path, help="volume that is not 0 on the slices covered")
    command.add_argument(
        "--rule", choices=get_args(AnnotatedRule),
        help="slices that it covers: all, those that hold a label, their span, or those not marked ignore (default: told by the file)",
    )  # fmt: skip
    command.add_argument(
        "--as", dest="as_", choices=("accepted", "pre-annotation"), default="accepted", help="slices are accepted, or to be corrected"
    )

    command = add_command(verbs, "undo", annotations_undo, "Take back an annotator's last accept or import of the last day.")
    command.add_argument("--annotator", required=True, help="whose last accept or import to take back")

    command = add_command(verbs, "review", annotations_review, "Approve or return slices that another reader accepted.")
    command.add_argument("--case", required=True, help="case that they belong to")
    command.add_argument("--slices", required=True, metavar="10,12,20-25", help="which slices, 1-based")
    command.add_argument("--reviewer", required=True, help="who reviews; not who drew them")
    command.add_argument("--verdict", required=True, choices=("approved", "returned"), help="returned slices are no longer trained on")
    command.add_argument("--note", default="", help="for who drew them")
    add_command(sub, "advice", advice, "How the rounds went, and whether another one pays, from audit slices.")

    command = add_command(sub, "export", export, "Write what was accepted, in one of many formats.")
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the files")
    command.add_argument("--case", action="append", metavar="NAME", help="may be given several times (default: every annotated case)")
    command.add_argument(
        "--states", nargs="+", choices=("accepted", "reviewed"), default=["accepted", "reviewed"], help="slices to write (default: both)"
    )
    listed = "; ".join(f"{one.name}: {one.help}" for one in FORMATS)
    command.add_argument("--format", choices=[one.name for one in FORMATS], default="nii.gz", help=f"{listed} (default nii.gz)")
    command.add_argument("--completed", action="store_true", help="also write volumes completed by the model, marked as such")
    command.add_argument("--overwrite", action="store_true", help="replace files that are there")

    command = add_command(sub, "report", report, "Write the study's report, one self-contained HTML page.")
    command.add_argument("--out", type=Path, required=True, metavar="FILE", help="the page")
    command.add_argument("--redacted", action="store_true", help="without the names of people, cases, sites and folders")


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


def _next_of_people(study: Study) -> str:
    """What comes after somebody annotated: the rest of the round, its end, or the next round."""
    current = study.current_round()
    if current is None or current.stage != "annotating":
        return next_line("run-round", study)
    waiting = sum(row.state in ("suggested", "draft") for row in study.suggestion_states(current.number))
    wait = f" ({count(waiting, 'suggestion')} of round {current.number} {'waits' if waiting == 1 else 'wait'} until then)"
    return next_line("finish-round", study) + (wait if waiting else "")


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
