"""`report`: the study as one self-contained HTML page."""

from __future__ import annotations

from pathlib import Path

from SuggestiveAnnotationLib.progress import CancelToken, ProgressCallback, Stage, no_progress
from SuggestiveAnnotationLib.report.collect import collect
from SuggestiveAnnotationLib.report.page import write_report
from SuggestiveAnnotationLib.report.redact import redacted as without_names
from SuggestiveAnnotationLib.strategies.registry import ENTRIES
from SuggestiveAnnotationLib.study.study import Study


def report(
    study: Study,
    path: Path,
    *,
    command: str = "",
    redacted: bool = False,
    progress: ProgressCallback = no_progress,
    cancel: CancelToken | None = None,
) -> Path:
    """Write the report.

    Args:
        study: in any state; what is missing is said on the page.
        path: of the page.
        command: that reproduces the study; those kept with the study when empty.
        redacted: names of people, cases, sites and folders are replaced by numbers, and the commands left out.

    Raises:
        StudyError: an annotation was measured in a way this version does not know.
        InputError: the slices of an annotated case are gone; `prepare` makes them again.
        StorageError: the page cannot be written.
    """
    stage = Stage("report", 1, progress=progress, cancel=cancel)
    evidence = {entry.name: entry.evidence for entry in ENTRIES}
    shown = "" if redacted else command or "\n".join(study.commands())
    content = collect(study, command=shown, evidence=evidence)
    write_report(path, without_names(content, study) if redacted else content)
    stage.advance()
    return path
