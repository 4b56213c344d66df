"""A label schema from a list of values and names, as look-up tables and dataset descriptions give it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from SuggestiveAnnotationLib.cohort.labels.colours import distinct_colours
from SuggestiveAnnotationLib.types import LabelClass, LabelSchema

IGNORE = "ignore"
"""Name of what counts for nothing, by nnU-Net's convention."""

_OTHER_SIDE = {
    "left": "right", "lh": "rh", "l": "r", "lt": "rt",
    "sinister": "dexter", "sinistra": "destra", "sinistro": "destro", "sin": "dex", "sx": "dx",
    "links": "rechts", "linke": "rechte", "linker": "rechter", "linkes": "rechtes", "li": "re",
    "gauche": "droite", "izquierdo": "derecho", "izquierda": "derecha",
}  # fmt: skip
_OTHER_SIDE |= {other: side for side, other in _OTHER_SIDE.items()} | {"droit": "gauche", "dextra": "sinistra"}
_WORD = re.compile(r"[^\W_]+")
_HUMP = re.compile(r"(?<=[a-zß-öø-ÿ])(?=[A-ZÀ-ÖØ-Þ])|(?<=[A-ZÀ-ÖØ-Þ])(?=[A-ZÀ-ÖØ-Þ][a-zß-öø-ÿ])")
_GLUED = str.maketrans("LRlr", "RLrl")
# Beginnings of words. A left part of an organ that lies once is no right part in the mirror.
_LIES_ONCE = ("heart", "herz", "cardi", "myocard", "coronar", "aort", "liver", "leber", "hepat")
_CHAMBER = ("ventric", "ventríc", "ventrik", "atri", "vorh", "kammer", "oreillette")
_BRAIN = (
    "brain", "hirn", "cereb", "third", "fourth", "3rd", "4th", "putamen", "caudat", "pallid", "thalam", "hippocamp", "amygdal",
    "accumbens", "callosum", "gyr", "csf", "matter",
)  # fmt: skip
_UNNAMED = re.compile(r"label \d+")


@dataclass(frozen=True)
class Structure:
    """One value and what it means. Colour is red, green, blue, 0 to 255; terminology as in `LabelClass`."""

    value: int
    name: str
    colour: tuple[int, int, int] | None = None
    terminology: str | None = None


def schema_of(
    structures: Sequence[Structure], *, name: str, regions: Mapping[str, tuple[int, ...]] | None = None, ignore_value: int | None = None
) -> LabelSchema:
    """The schema of structures with different values from 1 to 65535, in order of value.

    A name that stands twice gets its value added. Structures without a colour get one that no other has. Two names that differ in the side
    only (`Left-Putamen` and `Right-Putamen`, `ctx-lh-cuneus` and `ctx-rh-cuneus`, `LeftLung` and `RightLung`, `Eye_AL` and `Eye_AR`) are
    partners. Not so parts of an organ that lies once: a mirrored left ventricle of the heart stays one. Ventricles are the brain's where
    their own name or another one says so.

    Args:
        structures: at least one.
        name: of the schema.
        regions: name -> values, for evaluation.
        ignore_value: of pixels that count for nothing; the first free of 255, 65535, 65534 where None.
    """
    ordered = sorted(structures, key=lambda s: s.value)
    twice = {n for n, count in Counter(s.name for s in ordered).items() if count > 1}
    names = [f"{s.name} ({s.value})" if s.name in twice else s.name for s in ordered]
    by_name = {n: s.value for n, s in zip(names, ordered, strict=True)}
    given = {s.colour for s in ordered if s.colour}
    free = (c for c in distinct_colours(len(ordered) + len(given)) if c not in given)
    classes = tuple(
        LabelClass(s.value, n, s.colour or next(free), _partner(n, by_name), s.terminology) for n, s in zip(names, ordered, strict=True)
    )
    values = {s.value for s in ordered}
    ignore = ignore_value if ignore_value is not None else next(v for v in (255, 65535, 65534) if v not in values)
    return LabelSchema(name=name, classes=classes, regions=dict(regions or {}), ignore_value=ignore)


def may_be_mirrored(schema: LabelSchema) -> bool:
    """Whether the labels of a mirrored slice stay true once partners are swapped.

    They do not where a class is of one side by its name and has no partner, nor, for all that is known, where several classes have no name
    of their own (`schema.guess_schema`).
    """
    names = [c.name for c in schema.classes]
    unnamed = len(names) > 1 and all(_UNNAMED.fullmatch(name) for name in names)
    return not unnamed and not any(c.partner is None and _mirrored(c.name, names) != c.name for c in schema.classes)


def _partner(name: str, values: Mapping[str, int]) -> int | None:
    mirrored = _mirrored(name, values)
    there_and_back = mirrored != name and _mirrored(mirrored, values) == name
    return values.get(mirrored) if there_and_back and _lies_twice(name, values) else None


def _mirrored(name: str, names: Collection[str]) -> str:
    """The name of the other side. A letter at the end of a word counts as a side only where the other letter makes another of the names."""
    mirrored = _WORD.sub(lambda found: "".join(map(_other_side, _HUMP.split(found[0]))), name)
    if mirrored != name:
        return mirrored
    glued = name[:-1] + name[-1:].translate(_GLUED)
    return glued if glued in names else name


def _other_side(word: str) -> str:
    other = _OTHER_SIDE.get(word.casefold())
    if other is None:
        return word
    return other.upper() if word.isupper() else other.capitalize() if word[0].isupper() else other


def _lies_twice(name: str, names: Collection[str]) -> bool:
    """The structure has a like one on the other side, for all that the names say."""
    if _speaks_of(_LIES_ONCE, [name]):
        return False
    if not _speaks_of(_CHAMBER, [name]) or _speaks_of(("lateral", *_BRAIN), [name]):
        return True
    return _speaks_of(_BRAIN, names) and not _speaks_of(_LIES_ONCE, names)


def _speaks_of(beginnings: tuple[str, ...], names: Collection[str]) -> bool:
    words = (word for name in names for whole in _WORD.findall(name) for word in _HUMP.split(whole))
    return any(word.casefold().startswith(beginnings) for word in words)
