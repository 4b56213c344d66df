"""Who is held out, when nobody has said: whole patients, drawn by a seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.types import Case, Role


def assign_roles(cases: Sequence[Case], *, test: float | int, validation: float | int, seed: int) -> tuple[Case, ...]:
    """The cases with roles pool, validation and test; all cases of a patient share one. Excluded cases stay excluded.

    Only patients whose cases all have reference labels are held out, since nothing can be measured on the others. Earlier roles are
    replaced. The order of `cases` is kept and does not influence the draw.

    Args:
        cases: of the cohort.
        test, validation: number of patients (int) or share of all patients (float from 0 to below 1; at least one patient when above 0).
        seed: of the draw.

    Raises:
        InputError: not enough patients, or not enough of them labelled.
    """
    patients: dict[str, list[Case]] = {}
    for case in cases:
        if case.role != "excluded":
            patients.setdefault(case.patient, []).append(case)
    wanted = {"test": _number(test, len(patients), "test"), "validation": _number(validation, len(patients), "validation")}
    held_out = sum(wanted.values())
    labelled = sorted(p for p, mine in patients.items() if all(c.label is not None for c in mine))
    if held_out >= len(patients) and (held_out or not patients):
        raise InputError(
            f"{held_out} of {len(patients)} patients are to be held out, which leaves none to annotate.",
            hint="Ask for fewer test and validation patients.",
        )
    if held_out > len(labelled):
        raise InputError(
            f"{held_out} patients are to be held out, but only {len(labelled)} have reference labels for all their cases.",
            hint="Ask for fewer test and validation patients, or add labels.",
        )
    drawn = [labelled[i] for i in np.random.default_rng(seed).permutation(len(labelled))]
    role: dict[str, Role] = dict.fromkeys(drawn[: wanted["test"]], "test")
    role.update(dict.fromkeys(drawn[wanted["test"] : held_out], "validation"))
    return tuple(c if c.role == "excluded" else replace(c, role=role.get(c.patient, "pool")) for c in cases)


def _number(wanted: float | int, patients: int, what: str) -> int:
    if isinstance(wanted, bool) or not np.isfinite(wanted) or wanted < 0 or (isinstance(wanted, float) and wanted >= 1):
        raise InputError(f"{wanted} is no number of {what} patients.", hint="Give a whole number, or a share from 0 to below 1.")
    if isinstance(wanted, int):
        return wanted
    return max(1, round(wanted * patients)) if wanted > 0 and patients else 0
