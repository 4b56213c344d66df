"""`study create`: find the cases, say what was guessed, make the study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from SuggestiveAnnotationLib.cohort.convert import convert, paths_of
from SuggestiveAnnotationLib.cohort.files.read import read_geometry
from SuggestiveAnnotationLib.cohort.labels.label_file import read_label_file
from SuggestiveAnnotationLib.cohort.labels.schema import guess_schema, load_schema
from SuggestiveAnnotationLib.cohort.labels.segment_values import schema_of_classes
from SuggestiveAnnotationLib.cohort.plan import CohortPlan
from SuggestiveAnnotationLib.cohort.recognise import plan_folder
from SuggestiveAnnotationLib.cohort.split import assign_roles
from SuggestiveAnnotationLib.cohort.table import check_split, folded
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.progress import CancelToken, ProgressCallback, no_progress
from SuggestiveAnnotationLib.session import reader_name
from SuggestiveAnnotationLib.study.study import CONVERTED, Study, check_free
from SuggestiveAnnotationLib.types import AnnotatedRule, Case, LabelClass, LabelSchema, LabelUse, Role

find = plan_folder
"""What `create` would take from a folder, for the person to confirm."""


def create(
    path: Path,
    *,
    plan: CohortPlan,
    name: str = "",
    schema: str | Path | None = None,
    test: float = 0,
    validation: float = 0,
    seed: int = 0,
    progress: ProgressCallback = no_progress,
    cancel: CancelToken | None = None,
) -> Study:
    """Make a study from a cohort.

    Args:
        path: folder of the new study.
        plan: from `find`.
        name: of the study; the folder's when empty.
        schema: shipped name or JSON file; that of the plan, else guessed from the labels, when not given.
        test, validation: cases to hold out, patient-wise, when the plan names none: a share below 1, else a number.
        seed: of the split.

    Raises:
        InputError: as `as_created`.
        StudyError: the folder is not empty.
        Cancelled: while images were converted; called again with the same plan it resumes.
    """
    check_free(path)
    plan = as_created(plan, schema=schema, test=test, validation=validation, seed=seed)
    return _make(path, plan, name=name, settings={"seed": seed}, progress=progress, cancel=cancel)


def as_created(plan: CohortPlan, *, schema: str | Path | None = None, test: float = 0, validation: float = 0, seed: int = 0) -> CohortPlan:
    """The plan with the schema and the roles that `create` gives it. Arguments as of `create`; nothing is written.

    Raises:
        InputError: an unknown schema, labels that tell none, a number to hold out that is not whole or more people than there are, none
            left to annotate, or a person in two roles.
    """
    if schema is not None:
        plan = replace(plan, schema=load_schema(schema))
    elif plan.schema is None:
        plan = replace(plan, schema=_named_structures(plan) or guess_schema(plan.cases))
    plan = with_labels_as(plan, plan.labels_as)
    if (test or validation) and not plan.held_out:
        plan = replace(plan, cases=assign_roles(plan.cases, test=_count(test), validation=_count(validation), seed=seed))
    check_split(plan.cases)
    _need_a_pool(plan)
    return plan


def with_labels_as(plan: CohortPlan, use: LabelUse, *, rule: AnnotatedRule | None = None, by: str | None = None) -> CohortPlan:
    """The plan with another use of its labels; for validation, the cases that have labels are held out for it.

    Raises: InputError, when the name of who drew them is no text.
    """
    cases = plan.cases
    if use == "validation":
        cases = tuple(replace(c, role="validation") if c.label is not None and c.role == "pool" else c for c in cases)
    drawn_by = reader_name(by or plan.labels_by)
    return replace(plan, cases=cases, labels_as=use, annotated_slices=rule or plan.annotated_slices, labels_by=drawn_by)


@dataclass(frozen=True)
class GivenVolume:
    """A volume that a person named, for example one that is open in Slicer.

    Attributes:
        path: of its file.
        case: name of the case it belongs to.
        modality: name of the sequence; empty for a labelmap.
        labels: it is the case's labelmap.
    """

    path: str
    case: str
    modality: str = ""
    labels: bool = False


def plan_from_files(volumes: Sequence[GivenVolume], *, reference: str | None = None) -> CohortPlan:
    """A plan from volumes that a person named, in the order given.

    Raises:
        InputError: no image, two files for one modality of a case, or an unknown reference.
    """
    images: dict[str, dict[str, str]] = {}
    labels: dict[str, str] = {}
    for one in volumes:
        place, key = (labels, one.case) if one.labels else (images.setdefault(one.case, {}), one.modality)
        if key in place:
            what = "labelmaps" if one.labels else f"images {one.modality}"
            raise InputError(f"Case {one.case} has two {what}: {place[key]} and {one.path}.", hint="Give each volume a place of its own.")
        place[key] = one.path
    modalities = tuple(dict.fromkeys(one.modality for one in volumes if not one.labels))
    if not modalities:
        raise InputError("No image was chosen.", hint="Choose at least one volume.")
    chosen = reference or modalities[0]
    if chosen not in modalities:
        raise InputError(f"There is no modality {chosen}.", hint=f"Chosen are: {', '.join(modalities)}.")
    found = (Case(name=name, patient=name, role="pool", images=files, label=labels.get(name)) for name, files in images.items())
    cases = [_on_grid(case, modalities, chosen) for case in found]
    return CohortPlan(
        folder="",
        cases=tuple(cases),
        modalities=modalities,
        reference=chosen,
        patterns={m: "chosen by hand" for m in modalities},
        label_pattern="chosen by hand" if labels else None,
    )


def with_guessed_schema(plan: CohortPlan) -> CohortPlan:
    """The plan with the structures that its labels hold; without labels, or with unreadable ones, a person has to name them."""
    if plan.schema is not None or not any(c.label for c in plan.usable):
        return plan
    try:
        return replace(plan, schema=_named_structures(plan) or guess_schema(plan.cases))
    except InputError as error:
        return replace(plan, warnings=(*plan.warnings, error.sentence))


def _named_structures(plan: CohortPlan) -> LabelSchema | None:
    """A schema of the structures that segmentation files name; None where no label is such a file.

    Raises:
        InputError: there are such files, and none can be read.
    """
    found: list[Sequence[LabelClass]] = []
    damaged: list[InputError] = []
    for case in plan.usable:
        if case.label is not None and case.label in plan.sources:
            try:
                found.append(read_label_file(plan.sources[case.label].files[0]).classes)
            except InputError as error:
                # Its case is excluded with the reason when the file is converted.
                damaged.append(error)
    if damaged and not found:
        raise damaged[0]
    return schema_of_classes(found)


def create_from_plan(
    path: Path, *, plan: CohortPlan, name: str = "", progress: ProgressCallback = no_progress, cancel: CancelToken | None = None
) -> Study:
    """Make a study from a plan that a person confirmed and may have changed, schema included.

    The grid of every case is read anew from its reference image, which the person may have changed; a case that lacks a modality or cannot
    be read is excluded with the reason.

    Raises:
        InputError: the plan names no structure, no modality or no usable case, none to annotate, an unknown reference or role, or two
            cases alike, be it but for capitals.
        StudyError: the folder is not empty.
        Cancelled: while images were converted; called again with the same plan it resumes.
    """
    check_free(path)
    if plan.schema is None or not plan.schema.classes:
        raise InputError("The plan names no structure to annotate.", hint="Add at least one structure with a name and a value.")
    if not plan.modalities or len(set(plan.modalities)) < len(plan.modalities):
        raise InputError("Every modality of the plan needs a name of its own.", hint="Name at least one, and none twice.")
    if plan.reference not in plan.modalities:
        raise InputError(f"There is no modality {plan.reference}.", hint=f"Chosen are: {', '.join(plan.modalities)}.")
    names = [case.name for case in plan.cases]
    twice = next((one for i, one in enumerate(names) if one in names[:i]), None)
    if twice is not None:
        raise InputError(f"Two cases are called {twice}.", hint="Give every case a name of its own.")
    known: dict[str, str] = {}
    for one in [case.name for case in plan.cases if case.role != "excluded"]:
        if (twin := known.setdefault(folded(one), one)) != one:
            sentence = f"Two cases are called {twin} and {one}, which some systems take for one name."
            raise InputError(sentence, hint="Give every case a name that differs in more than capitals.")
    strange = next((case for case in plan.cases if case.role not in get_args(Role)), None)
    if strange is not None:
        raise InputError(f"Case {strange.name} cannot have the role {strange.role}.", hint=f"Choose from {', '.join(get_args(Role))}.")
    plan = with_labels_as(plan, plan.labels_as)
    check_split(plan.cases)
    _need_a_pool(plan)
    # The grid of an image that is still to be converted is read then.
    cases = [
        case
        if case.role == "excluded" or case.images.get(plan.reference) in plan.sources
        else _on_grid(case, plan.modalities, plan.reference)
        for case in plan.cases
    ]
    _need_a_case(cases)
    used = [replace(case, images={m: case.images[m] for m in plan.modalities if m in case.images}) for case in cases]
    return _make(path, replace(plan, cases=tuple(used)), name=name, settings={}, progress=progress, cancel=cancel)


def _make(
    path: Path, plan: CohortPlan, *, name: str, settings: Mapping[str, Any], progress: ProgressCallback, cancel: CancelToken | None
) -> Study:
    """The study of a plan whose schema is known; what cannot be used as it stands is converted first."""
    if plan.schema is None:
        raise ValueError("the plan has no schema")
    cases = convert(
        plan.cases, plan.sources, path / CONVERTED, reference=plan.reference, schema=plan.schema, progress=progress, cancel=cancel
    )
    # Only now is there an image to read the grid of.
    cases = tuple(
        _on_grid(c, plan.modalities, plan.reference) if c.images != p.images else c for c, p in zip(cases, plan.cases, strict=True)
    )
    _need_a_case(cases)
    labels = {"labels_as": plan.labels_as, "annotated_slices": plan.annotated_slices, "labels_by": plan.labels_by}
    return Study.create(
        path,
        name=name or path.resolve().name,
        cases=cases,
        schema=plan.schema,
        modalities=plan.modalities,
        reference=plan.reference,
        settings={**settings, **labels, "layout": plan.layout, "warnings": list(plan.warnings)},
        identities=plan.identities,
        said_of_sources={
            case.name: case.problems
            for case, planned in zip(cases, plan.cases, strict=True)
            if case.role != "excluded" and case.problems and not plan.sources.keys().isdisjoint(paths_of(planned))
        },
    )


def _need_a_pool(plan: CohortPlan) -> None:
    if not plan.usable or any(case.role == "pool" for case in plan.usable):
        return
    if plan.labels_as == "validation":
        hint = "Use the labels for something else, or add cases without labels."
        raise InputError("Cases with labels are held out for validation, and every case has labels: none is left to annotate.", hint=hint)
    raise InputError("Every case is held out for testing or validation: none is left to annotate.", hint="Give some the role pool.")


def _need_a_case(cases: Sequence[Case]) -> None:
    if all(case.role == "excluded" for case in cases):
        reason = cases[0].excluded_reason if cases else "there is none"
        raise InputError(f"No case can be used: {reason}", hint="Look at the images, or choose other files.")


def _on_grid(case: Case, modalities: Sequence[str], reference: str) -> Case:
    """The case with the grid of its reference image, or excluded with the reason."""
    missing = next((m for m in modalities if m not in case.images), None)
    if missing is not None:
        return replace(case, role="excluded", geometry=None, excluded_reason=f"It has no {missing} image.")
    try:
        return replace(case, geometry=read_geometry(case.images[reference]))
    except InputError as error:
        return replace(case, role="excluded", geometry=None, excluded_reason=str(error), problems=(*case.problems, str(error)))


def _count(held_out: float) -> float | int:
    """A number of people from 1 on, else a share of them; what is neither is left for `assign_roles` to refuse."""
    return int(held_out) if held_out >= 1 and held_out % 1 == 0 else held_out
