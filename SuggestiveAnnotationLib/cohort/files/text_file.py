"""Text and JSON files that a person gave: read as far as such files ever go, and refused with a sentence that names them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from SuggestiveAnnotationLib.cohort.files.bytes_in import regular_file
from SuggestiveAnnotationLib.errors import InputError

MAX_BYTES = 2**26
"""A table or a JSON file is never larger."""


def read_text_file(path: str | Path, what: str) -> str:
    """The text of a small file in UTF-8, with or without a byte order mark.

    Args:
        path: of the file.
        what: what it is for, for the sentence, for example "table".

    Raises:
        InputError: it is missing, no regular file, larger than `MAX_BYTES`, or no text in UTF-8.
    """
    file = Path(path)
    if regular_file(file).st_size > MAX_BYTES:
        raise InputError(f"{file} has more than {MAX_BYTES // 2**20} MiB, too much for a {what}.", hint="Check that it is the right file.")
    try:
        with file.open("rb") as opened:
            text = opened.read(MAX_BYTES + 1).decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"The {what} {file} cannot be read: {error.strerror}.", hint="Check its permissions.") from None
    except UnicodeDecodeError:
        raise InputError(f"The {what} {file} is not text in UTF-8.", hint="Save it with UTF-8 encoding.") from None
    if "\0" in text:
        raise InputError(f"The {what} {file} is not text: it holds bytes of value 0.", hint="Save it as plain text in UTF-8.")
    return text


def read_json_file(path: str | Path, what: str) -> Any:
    """The content of a small JSON file.

    Raises:
        InputError: as `read_text_file`; it is no JSON, holds NaN or infinity, or is nested too deep.
    """
    text = read_text_file(path, what)
    try:
        return json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deep" if isinstance(error, RecursionError) else error
        raise InputError(f"{path} is not a JSON file that can be read: {reason}.", hint="Correct it at that place.") from None


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number in JSON")
