"""`slicer.i18n`: translations through `slicer.app.translate`, refused when they lose a placeholder."""

from __future__ import annotations

import inspect
import os
import re

import slicer

from .connections import mistake


def translate(context: str, text: str) -> str:
    """The text in the language of the application."""
    return str(slicer.app.translate(context, text))


def getContext(sourceFile: str) -> str:
    """Package and module of a file, as lupdate names them."""
    name = os.path.splitext(os.path.basename(sourceFile))[0]
    folder = os.path.dirname(sourceFile)
    return f"{os.path.basename(folder)}.{name}" if os.path.isfile(os.path.join(folder, "__init__.py")) else name


def tr(text: str) -> str:
    """The translation in the context of the calling file."""
    frame = inspect.currentframe()
    assert frame is not None and frame.f_back is not None
    if not isinstance(text, str):
        mistake(f"tr() takes a text, not {text!r}")
    translated = translate(getContext(frame.f_back.f_code.co_filename), text)
    return text if _placeholders(text) != _placeholders(translated) else translated


def _placeholders(text: str) -> set[str]:
    return set(re.findall(r"(?<!\{)\{([^{}]+)\}(?!\})", text))
