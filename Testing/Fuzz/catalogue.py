"""Every format that is tried."""

from __future__ import annotations

from formats import Format


def all_formats() -> list[Format]:
    from documents import document_formats
    from images import image_formats
    from studies import study_formats

    return [*image_formats(), *document_formats(), *study_formats()]


def by_name(name: str) -> Format:
    return next(one for one in all_formats() if one.name == name)
