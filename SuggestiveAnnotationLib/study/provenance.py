"""What a model's numbers depend on, as a hash."""

from __future__ import annotations

from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import content_key


def data_hash(study: Study) -> str:
    """Hash over the source files of every usable case."""
    return content_key([[case.name, study.slices(case.name).content] for case in study.cases() if case.role != "excluded"])
