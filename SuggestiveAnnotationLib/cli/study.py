"""Commands on a study as a whole: create, check, show."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import Any, get_args

from SuggestiveAnnotationLib.cli.command import Commands, Context, Result, add_command, next_line, round_data
from SuggestiveAnnotationLib.cli.options import merged, name_pattern
from SuggestiveAnnotationLib.cohort.plan import CohortPlan, Layout
from SuggestiveAnnotationLib.errors import InputError, StudyError
from SuggestiveAnnotationLib.report.numbers import count
from SuggestiveAnnotationLib.study.study import Study, record_json
from SuggestiveAnnotationLib.types import AnnotatedRule, LabelUse


def add_commands(sub: Commands) -> None:
    """Add them to the parser."""
    group = sub.add_parser("study", help="create, check or show a study")
    verbs = group.add_subparsers(metavar="VERB", required=True)
    command = add_command(verbs, "create", study_create, "Find the cases of a cohort and make a study of them.")
    command.add_argument(
        "--cohort",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder with the cohort: volumes, DICOM (or a DICOMDIR), BIDS, nnU-Net, ...",
    )
    command.add_argument("--layout", choices=get_args(Layout), default="", help="kind of folder (default: recognised)")
    command.add_argument(
        "--image", action="append", type=name_pattern, metavar="NAME=PATTERN",
        help="images of one modality, by file name or, for DICOM, by series description (default: guessed)",
    )  # fmt: skip
    command.add_argument("--label", metavar='"*PATTERN*"', help="reference labels; guessed when not given, 'none' for none")
    command.add_argument("--mask", metavar='"*PATTERN*"', help="foreground masks; guessed when not given, 'none' for none")
    command.add_argument("--table", type=Path, metavar="CSV", help="table with columns case, patient, site, role")
    command.add_argument("--schema", metavar="NAME|FILE", help="shipped schema or JSON file (default: guessed from the labels)")
    command.add_argument("--reference", metavar="MODALITY", help="modality whose voxel grid is annotated (default: the first)")
    command.add_argument("--patient-ids", action="store_true", help="name DICOM cases by the patient's ID instead of a pseudonym")
    command.add_argument(
        "--labels-as", choices=get_args(LabelUse), help="what the labels are for (default: references that models are judged by)"
    )
    command.add_argument(
        "--annotated-slices", choices=get_args(AnnotatedRule),
        help="slices of the labels that count: all, those that hold a label, the span of these, all but those marked ignore (default all)",
    )  # fmt: skip
    command.add_argument("--labels-by", metavar="NAME", help="who drew the labels, when they become accepted slices")
    command.add_argument("--name", default="", help="name of the study (default: the folder's)")
    command.add_argument("--test", type=float, default=0, metavar="N", help="held out for testing, a number or a share below 1")
    command.add_argument("--validation", type=float, default=0, metavar="N", help="held out to choose the best weights, number or share")
    command.add_argument("--seed", type=int, default=0, help="of the split (default 0)")
    command.add_argument("--dry-run", action="store_true", help="only show what was found and what would be made of it")
    add_command(verbs, "check", study_check, "Read every file and say what is wrong; exit code 3 when every case has a problem.")
    add_command(verbs, "show", study_show, "Show cases, rounds, models and annotations.")


def study_create(arguments: argparse.Namespace, context: Context) -> Result:
    """`study create`."""
    from SuggestiveAnnotationLib.engine.cohort import create, find, with_labels_as

    plan = find(
        arguments.cohort, layout=arguments.layout, images=merged(arguments.image), label=_none(arguments.label),
        mask=_none(arguments.mask), table=arguments.table, reference=arguments.reference, patient_ids=arguments.patient_ids,
        **context.keywords(),
    )  # fmt: skip
    if arguments.labels_as or arguments.annotated_slices or arguments.labels_by:
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
        why = "the cases with labels are held out" if plan.labels_as == "validation" else "the cohort names the held-out cases"
        lines.append(f"Note: --test and --validation were not used, because {why}.")
    lines += ["", f"Study {study.name} at {study.path}: " + ", ".join(f"{n} {role}" for role, n in roles.items()) + "."]
    lines.append(next_line("prepare", study))
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
    "validation": "Cases with labels are held out (--labels-as validation): they say which weights of a training are kept.",
    "first-batch": "`prepare` takes the labels of pool cases as accepted slices by {by} (--labels-as first-batch, slices: {rule}).",
    "pre-annotation": "`prepare` takes the labels of pool cases as outlines to correct (--labels-as pre-annotation, slices: {rule}).",
}
"""What becomes of the labels that a cohort brings."""


def _none(pattern: str | None) -> str | None:
    """What the person calls none is an empty pattern to the cohort."""
    return "" if pattern == "none" else pattern


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
    rounds = [round_data(study, r) for r in study.rounds()]
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
