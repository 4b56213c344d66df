"""`demo`: the whole job on the embedded cohort, from nothing to labelmaps and a report."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

from SuggestiveAnnotationLib.cohort.embedded.cohort import EmbeddedCohort, embedded_schema, write_embedded_cohort
from SuggestiveAnnotationLib.cohort.split import assign_roles
from SuggestiveAnnotationLib.engine.export import export
from SuggestiveAnnotationLib.engine.manifold import fit_manifold
from SuggestiveAnnotationLib.engine.prepare import prepare
from SuggestiveAnnotationLib.engine.report import report
from SuggestiveAnnotationLib.engine.settings import ManifoldOptions, RoundOptions
from SuggestiveAnnotationLib.engine.simulate import simulate
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.files import write_text
from SuggestiveAnnotationLib.progress import CancelToken, ProgressCallback, no_progress
from SuggestiveAnnotationLib.study.study import DATABASE_NAME, Study

MARK = "demo seed"
"""By this setting a demo's study is known."""

SUBJECTS = 14
TEST_SUBJECTS = 4
PIXELS = 80
STEPS = 200
MANIFOLD_STEPS = 800
ROUNDS = 3
BUDGET = 20


def demo(out: Path, *, seed: int = 0, progress: ProgressCallback = no_progress, cancel: CancelToken | None = None) -> dict[str, Any]:
    """Make the embedded cohort, then a first batch and three gradient-guided rounds with a simulated annotator.

    Interrupted, the same call resumes. A demo that is complete is made anew.

    Args:
        out: gets `cohort/`, `study/`, `labelmaps/`, `report.html` and `summary.json`.
        seed: of everything.

    Returns:
        The content of `summary.json`.
    """
    started = time.monotonic()
    context: dict[str, Any] = {"progress": progress, "cancel": cancel}
    _make_room(out, seed)
    cohort = EmbeddedCohort(subjects=SUBJECTS, seed=seed)
    cases = write_embedded_cohort(out / "cohort", cohort, **context)
    seconds = {"make cohort": time.monotonic() - started}
    if (out / "study" / DATABASE_NAME).exists():
        study = Study(out / "study")
    else:
        study = Study.create(
            out / "study",
            name="Embedded cohort",
            cases=assign_roles(cases, test=TEST_SUBJECTS, validation=0, seed=seed),
            schema=embedded_schema(),
            modalities=cohort.modalities,
            reference=cohort.modalities[0],
            settings={MARK: seed},
        )
        study.record_command(f"suggestive-annotation demo --seed {seed}")
    with study.lock():
        since = time.monotonic()
        prepare(study, plane="axial", pixels=PIXELS, processes=2, **context)
        seconds["prepare"] = time.monotonic() - since
        since = time.monotonic()
        manifold = ManifoldOptions(manifold_steps=MANIFOLD_STEPS)
        if study.latest_model("manifold") is None:
            fit_manifold(study, options=manifold, seed=seed, **context)
        seconds["fit manifold"] = time.monotonic() - since
        options = RoundOptions(strategy="gradient-guided", budget=BUDGET, min_gap=1, steps=STEPS, seed=seed)
        summary = simulate(study, rounds=ROUNDS, options=options, manifold=manifold, **context)
        export(study, out / "labelmaps", overwrite=True, **context)
        report(study, out / "report.html", **context)
    seconds["total"] = time.monotonic() - started
    summary = {**summary, "seconds": {name: round(value, 1) for name, value in seconds.items()}}
    write_text(out / "summary.json", json.dumps(summary, indent=2))
    return summary


def _make_room(out: Path, seed: int) -> None:
    """A complete demo makes way for a new one; an interrupted one with the same seed goes on; anything else is left alone.

    Raises:
        InputError: the folder holds something that no demo of this seed made.
    """
    there = [name for name in ("study", "labelmaps", "report.html", "summary.json") if (out / name).exists()]
    if not there:
        return
    study = Study(out / "study") if (out / "study" / DATABASE_NAME).exists() else None
    if study is None or MARK not in study.settings:
        raise InputError(f"{out} already has {there[0]}, which no demo made.", hint="Choose another folder with --out.")
    if not (out / "summary.json").exists():
        if study.settings[MARK] != seed:
            sentence = f"{out} holds an unfinished demo with seed {study.settings[MARK]}."
            raise InputError(sentence, hint="Choose another folder with --out, or that seed.")
        return
    with study.lock():
        study.close()
        (out / "summary.json").unlink()
        # Without its database nobody can begin to work on the study once the lock, which Windows would not delete, is free.
        (out / "study" / DATABASE_NAME).unlink()
    for name in ("study", "labelmaps"):
        if (out / name).exists():
            shutil.rmtree(out / name)
