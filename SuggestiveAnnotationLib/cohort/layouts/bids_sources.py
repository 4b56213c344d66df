"""Which image of a case a label or mask was made from, as far as their BIDS names say: of run 2, or of the acquisition called hires."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from SuggestiveAnnotationLib.cohort.layouts.bids_names import BidsName, parse
from SuggestiveAnnotationLib.cohort.layouts.listing import Given, Listing, Place

_ENTITIES = ("acq", "ce", "rec", "run", "echo")
"""Entities that tell images of one sequence and session apart, and that a derivative has from its image."""


def taken_for(made: BidsName, images: Iterable[Place]) -> tuple[Place, ...]:
    """Of the images of a case the one of every sequence that is taken where `made` says which: as ranked by `follow_labels`."""
    first: dict[str, Place] = {}
    for place in sorted(images, key=lambda p: (_image_rank(p, made), p.file.relative)):
        first.setdefault(place.name, place)
    return tuple(first.values())


def follow_labels(listing: Listing, given: Given) -> None:
    """Rank the images of every case first by the label that it has, else by the mask, and masks by the label.

    A label or mask whose name contradicts all images of its case is left out with a sentence; one that a person chose is used, with one.
    """
    by_case: dict[str, list[Place]] = defaultdict(list)
    for place in listing.places:
        by_case[place.case].append(place)
    named = {"label": given.label, "mask": given.mask}
    strangers: dict[str, list[Place]] = {kind: [] for kind in named}
    places: list[Place] = []
    for mine in by_case.values():
        images = [p for p in mine if p.kind == "image"]
        anchor: BidsName | None = None
        for kind, some in strangers.items():
            found = sorted((_ranked(p, images, anchor) for p in mine if p.kind == kind), key=lambda p: (p.rank, p.file.relative))
            if found and found[0].rank[0]:
                some.append(found[0])
                found = found if named[kind] else []
            places += found
            anchor = anchor or (parse(found[0].file) if found else None)
        places += [replace(p, rank=_image_rank(p, anchor)) for p in images]
    listing.places = places
    for kind, some in strangers.items():
        if some:
            files = "1 file names" if len(some) == 1 else f"{len(some)} files name"
            what = "used as it was chosen" if named[kind] else "left out"
            sentence = f"For {kind}, {files} another run or acquisition than the images of the case do"
            listing.warnings.append(f"{sentence}: {some[0].file.relative}, for example, is {what}.")


def _ranked(place: Place, images: Sequence[Place], anchor: BidsName | None) -> Place:
    """A label or mask, ranked first by what in its name contradicts the image that it fits best, then by the label it goes with."""
    name = parse(place.file)
    alike = [p for p in images if name is not None and p.rank[0] == name.template] or images
    least = min((_disagreement(name, parse(p.file))[0] for p in alike), default=0)
    return replace(place, rank=(least, *_disagreement(anchor, name), *place.rank))


def _image_rank(place: Place, made: BidsName | None) -> tuple[int | str, ...]:
    """As before, but first by what `made` says, in its own space or the same template."""
    template, *rest = place.rank
    return (template, *_disagreement(made, parse(place.file)), *rest)


def _disagreement(made: BidsName | None, image: BidsName | None) -> tuple[int, int]:
    """How many entities of a derivative have another value in the name of an image, and how many the image does not name."""
    if made is None or image is None:
        return 0, 0
    named = [key for key in _ENTITIES if key in made.entities]
    there = [key for key in named if key in image.entities]
    return sum(_plain(made.entities[key]) != _plain(image.entities[key]) for key in there), len(named) - len(there)


def _plain(value: str) -> str:
    """Run 01 is run 1."""
    return value.lstrip("0") if value.isdecimal() else value
