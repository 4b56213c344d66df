"""The sample study: synthetic brains, small enough that a round on a processor takes about a minute."""

from __future__ import annotations

from pathlib import Path

from SuggestiveAnnotationLib.cohort.embedded.cohort import EmbeddedCohort, write_embedded_cohort
from SuggestiveAnnotationLib.cohort.split import assign_roles
from SuggestiveAnnotationLib.engine.prepare import prepare
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.progress import CancelToken, ProgressCallback, no_progress
from SuggestiveAnnotationLib.study.study import DATABASE_NAME, Study
from SuggestiveAnnotationLib.types import LabelClass, LabelSchema

SUBJECTS = 8
TEST_SUBJECTS = 2
PIXELS = 80
MARK = "sample seed"
"""By this setting a sample study is known."""
ROUND = {"steps": 150}
MANIFOLD = {"manifold_steps": 300}
"""Options with which a round of the sample takes about a minute on one core; kept among the study's settings, for the panel to offer."""
SCHEMA = LabelSchema(
    "sample",
    (
        LabelClass(1, "brain", (230, 159, 0), terminology="SCT^12738006^Brain"),
        LabelClass(2, "oedema", (0, 158, 115), terminology="SCT^79654002^Edema"),
        LabelClass(3, "tumour core", (204, 121, 167), terminology="SCT^108369006^Neoplasm"),
    ),
    regions={"whole tumour": (2, 3)},
    merge={0: 0, 1: 1, 2: 1, 3: 1, 4: 2, 5: 3, 6: 3},
)
"""Few structures, so that a slice is drawn in a minute or two; every slice of the brain shows one."""


def create_sample(
    folder: Path,
    *,
    seed: int = 0,
    subjects: int = SUBJECTS,
    progress: ProgressCallback = no_progress,
    cancel: CancelToken | None = None,
) -> Path:
    """Make `cohort/` and a prepared `study/` in a folder. Interrupted, the same call resumes; complete, it changes nothing.

    Args:
        folder: created if missing.
        seed: of the brains, and of who is held out for judging the model.
        subjects: how many brains, at least four.

    Returns:
        Folder of the study.

    Raises:
        InputError: `folder/study` is there and is no sample of that seed.
    """
    path = folder / "study"
    cohort = EmbeddedCohort(subjects=subjects, seed=seed, lesions=1.0)
    if (path / DATABASE_NAME).exists():
        study = Study(path)
        if study.settings.get(MARK) != seed:
            raise InputError(f"{path} is no sample study with seed {seed}.", hint="Choose another folder.")
    else:
        cases = write_embedded_cohort(folder / "cohort", cohort, progress=progress, cancel=cancel)
        study = Study.create(
            path,
            name="Sample study",
            cases=assign_roles(cases, test=TEST_SUBJECTS, validation=0, seed=seed),
            schema=SCHEMA,
            modalities=cohort.modalities,
            reference=cohort.modalities[0],
            settings={MARK: seed, "round": ROUND, "manifold": MANIFOLD},
        )
    with study.lock():
        prepare(study, plane="axial", pixels=PIXELS, progress=progress, cancel=cancel)
    study.close()
    return path
