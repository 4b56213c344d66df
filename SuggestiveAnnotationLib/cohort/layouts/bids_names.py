"""BIDS file names: entities, suffix and datatype; and what `.bidsignore` leaves out.

After the Brain Imaging Data Structure, chapters "Common principles" (file names, `.bidsignore` in "Filesystem structure") and
"Magnetic Resonance Imaging".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from SuggestiveAnnotationLib.cohort.layouts.naming import ImageFile

_MODALITIES = {"T1w": "T1", "T2w": "T2", "PDw": "PD", "FLAIR": "FLAIR", "swi": "SWI"}
_NOT_IMAGES = {"dseg", "probseg", "mask", "defacemask", "roi"}
_OWN_SPACES = {"", "orig", "individual", "native", "scanner", "anat", *map(str.casefold, _MODALITIES)}
"""Spaces of the person's own images; others are templates."""

DATATYPES = frozenset({"anat", "func", "dwi", "fmap", "perf", "pet", "meg", "eeg", "ieeg", "beh", "micr", "nirs", "motion", "mrs"})


@dataclass(frozen=True)
class BidsName:
    """What the path of a file says.

    Attributes:
        file: it.
        entities: `sub`, `ses`, `acq`, ... -> value, in the order of the name.
        suffix: the last part, `T1w` or `dseg`.
        datatype: folder that it lies in, `anat`; empty in others.
        pipeline: folders between `derivatives` and the subject, with `/`; None in a raw dataset, empty in `derivatives` itself.
    """

    file: ImageFile
    entities: Mapping[str, str]
    suffix: str
    datatype: str
    pipeline: str | None = None

    @property
    def subject(self) -> str:
        """`sub-01`."""
        return f"sub-{self.entities['sub']}"

    @property
    def case(self) -> str:
        """`sub-01_ses-02`, or `sub-01` without sessions."""
        return f"{self.subject}_ses-{self.entities['ses']}" if "ses" in self.entities else self.subject

    @property
    def modality(self) -> str | None:
        """`T1` of T1w, `T1c` where a contrast agent was given; None of what is no image."""
        if self.suffix in _NOT_IMAGES:
            return None
        return _MODALITIES.get(self.suffix, self.suffix) + ("c" if "ce" in self.entities else "")

    @property
    def template(self) -> str:
        """The template space that it was brought into; empty in the person's own space."""
        space = self.entities.get("space", "")
        return "" if space.casefold() in _OWN_SPACES else space

    @property
    def sort(self) -> str:
        """The name as a pattern for files of this sort of any case and any run, without `.nii`: `*_acq-mprage_T1w`."""
        kept = [f"{key}-{'*' if key in ('run', 'echo') else value}" for key, value in self.entities.items() if key not in ("sub", "ses")]
        return "_".join(["*", *kept, self.suffix])

    @property
    def glob(self) -> str:
        """The same with `.nii` or `.nii.gz`."""
        return self.sort + self.file.path[self.file.path.lower().rindex(".nii") :]

    def number(self, entity: str) -> int:
        """Of a run or an echo; 0 where there is none, or no number."""
        value = self.entities.get(entity, "0")
        return int(value) if value.isdecimal() else 0


def parse(file: ImageFile) -> BidsName | None:
    """The name of a NIfTI file taken apart; None where it is no BIDS name of a subject's file.

    A file that lies in the folder of another subject or session than it names is none either.
    """
    if not file.path.lower().endswith((".nii", ".nii.gz")):
        return None
    parts = file.stem.split("_")
    pairs = [part.partition("-") for part in parts[:-1]]
    if not pairs or pairs[0][0] != "sub" or not all(key.isalnum() and dash and value for key, dash, value in pairs):
        return None
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]*", parts[-1]):
        return None
    entities = {key: value for key, _, value in pairs}
    folders = file.components[:-1]
    subjects = [i for i, folder in enumerate(folders) if folder.startswith("sub-")]
    if subjects and folders[subjects[-1]] != f"sub-{entities['sub']}":
        return None
    if any(folder.startswith("ses-") and folder != f"ses-{entities.get('ses')}" for folder in folders):
        return None
    pipeline = None
    if "derivatives" in folders:
        first = folders.index("derivatives") + 1
        pipeline = "/".join(folders[first : subjects[-1] if subjects else len(folders)])
    datatype = folders[-1] if folders and folders[-1] in DATATYPES else ""
    return BidsName(file, entities, parts[-1], datatype, pipeline)


def ignored(root: Path) -> Callable[[str], bool]:
    """Whether `.bidsignore` leaves out a path inside the dataset (with `/`); nothing is left out without that file.

    The syntax is that of `.gitignore`: `*`, `?`, `**`, a leading `/` for the top folder, a trailing one for folders, `!` to take back.
    """
    try:
        lines = (root / ".bidsignore").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return lambda path: False
    rules = []
    for line in map(str.strip, lines):
        if line and not line.startswith("#"):
            rules.append((not line.startswith("!"), re.compile(_regex(line.removeprefix("!")))))

    def left_out(path: str) -> bool:
        out = False
        for leaves_out, pattern in rules:
            if pattern.fullmatch(path):
                out = leaves_out
        return out

    return left_out


def _regex(pattern: str) -> str:
    """The regular expression for a line, which also fits all below a folder that it names."""
    folder = pattern.endswith("/")
    body = pattern.strip("/")
    anchored = "/" in body or pattern.startswith("/")
    text = ""
    for piece in re.split(r"(\*\*/|/\*\*|\*|\?)", body):
        text += {"**/": "(?:.*/)?", "/**": "/.*", "*": "[^/]*", "?": "[^/]"}.get(piece, re.escape(piece))
    return ("" if anchored else "(?:.*/)?") + text + ("/.*" if folder else "(?:/.*)?")
