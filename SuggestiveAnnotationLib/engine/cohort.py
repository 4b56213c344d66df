"""`study create`: find the cases, say what was guessed, make the study."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from SuggestiveAnnotationLib.cohort.discover import discover
from SuggestiveAnnotationLib.cohort.plan import CohortPlan
from SuggestiveAnnotationLib.cohort.schema import guess_schema, load_schema
from SuggestiveAnnotationLib.cohort.split import assign_roles
from SuggestiveAnnotationLib.study.study import Study


def find(
    cohort: Path,
    *,
    images: Mapping[str, str] | None = None,
    label: str | None = None,
    mask: str | None = None,
    table: Path | None = None,
    reference: str | None = None,
) -> CohortPlan:
    """What `create` would take from a folder, for the person to confirm. Arguments as in `cohort.discover.discover`."""
    return discover(cohort, images=images, label=label, mask=mask, table=table, reference=reference)


def create(
    path: Path,
    *,
    plan: CohortPlan,
    name: str = "",
    schema: str | Path | None = None,
    test: float = 0,
    validation: float = 0,
    seed: int = 0,
) -> Study:
    """Make a study from a cohort.

    Args:
        path: folder of the new study.
        plan: from `find`.
        name: of the study; the folder's when empty.
        schema: shipped name or JSON file; guessed from the labels when not given.
        test, validation: cases to hold out, patient-wise, when the table names none: a share below 1, else a number.
        seed: of the split.

    Raises:
        InputError: an unknown schema, or more people to hold out than there are.
        StudyError: the folder is not empty.
    """
    cases = plan.cases
    if (test or validation) and not plan.held_out:
        cases = assign_roles(cases, test=_count(test), validation=_count(validation), seed=seed)
    return Study.create(
        path,
        name=name or path.resolve().name,
        cases=cases,
        schema=guess_schema(cases) if schema is None else load_schema(schema),
        modalities=plan.modalities,
        reference=plan.reference,
        settings={"seed": seed, "warnings": list(plan.warnings)},
    )


def _count(held_out: float) -> float | int:
    """A number of people from 1 on, else a share of them."""
    return int(held_out) if held_out >= 1 else held_out
