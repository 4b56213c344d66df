"""Names of cases as parts of file names that every system and every tool takes."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable

LONGEST = 80

_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)


def file_names(names: Iterable[str]) -> dict[str, str]:
    """Name -> part of a file name: ASCII letters, digits, `.`, `_` and `-`, at most `LONGEST` characters.

    A name that is one already stays as it is; others get a hash. No two meet, not even where upper and lower case are the same.
    """
    made: dict[str, str] = {}
    taken: set[str] = set()
    plain = {name: _plain(name) for name in names}
    # Names that may stay come first, so that none loses its own to one that is changed.
    for name in sorted(plain, key=lambda n: (not n or plain[n] != n, n)):
        wanted = name if name and plain[name] == name else _hashed(plain[name], name, 8)
        if wanted.casefold() in taken:
            wanted = _hashed(plain[name], name, 8)
        if wanted.casefold() in taken:
            wanted = _hashed("", name, 64)
        made[name] = wanted
        taken.add(wanted.casefold())
    return made


def ascii_letters(text: str) -> str:
    """The text with accents taken off and everything that is not ASCII left out."""
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")


def digest(text: str, length: int) -> str:
    """The first `length` hexadecimal digits of a hash of the text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:length]


def _plain(name: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", ascii_letters(name)).strip(".-")[:LONGEST]
    return "" if _RESERVED.fullmatch(plain) else plain


def _hashed(plain: str, name: str, length: int) -> str:
    return f"{plain[: LONGEST - length - 1] or 'case'}-{digest(name, length)}"
