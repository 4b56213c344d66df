"""The page: one HTML file with everything in it. It asks for nothing from outside and holds no script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from SuggestiveAnnotationLib.files import write_text
from SuggestiveAnnotationLib.report.data import GalleryItem, ReportData
from SuggestiveAnnotationLib.report.figures.effort import MEASURES, effort_panels
from SuggestiveAnnotationLib.report.figures.gallery import slice_panel
from SuggestiveAnnotationLib.report.figures.latent import latent_panels
from SuggestiveAnnotationLib.report.figures.learning import CLASSES_TOGETHER, class_panels, cost_panels
from SuggestiveAnnotationLib.report.figures.training import loss_panels, seconds_panel
from SuggestiveAnnotationLib.report.headline import COMPARED_WITH, caveats, grid_ceiling, headline
from SuggestiveAnnotationLib.report.numbers import decimal, percent, quantities
from SuggestiveAnnotationLib.report.style import MOST_CLASSES, Panel, mark, png_uri, svg_uri
from SuggestiveAnnotationLib.report.tables import TableView, effort_tables, facts_table, rounds_table
from SuggestiveAnnotationLib.report.templates import template

MISSING = {
    "learning": "No test case has labels, or no model has been evaluated yet, so there is no Dice.",
    "contour": "No slice has been drawn with contour lengths yet, so Dice is not shown over contour length.",
    "minutes": "No annotation times are known, so Dice is not shown over minutes.",
    "effort": "No annotated slice had a pre-annotation to compare with; the first batch never has one.",
    "ceiling": "The ceiling of the network grid was not measured: it takes reference labels.",
    "audit": "No audit slice has been drawn without its pre-annotation, so retained contour has nothing independent beside it.",
    "latents": "No manifold has been trained: only gradient-guided and cluster strategies need one.",
    "gallery": "No slice has been annotated after a suggestion yet.",
    "training": "No model has been trained yet, or its card holds no losses.",
    "seconds": "No stage has been timed yet.",
    "rounds": "No round has been run yet.",
}
"""Why a part may be absent, unless the collector knows better."""

_SHAPES = {  # the markers of `style.MARKERS`, as paths in a box of 12
    "o": "M6 1.5a4.5 4.5 0 1 0 0 9a4.5 4.5 0 1 0 0-9z",
    "s": "M2 2h8v8H2z",
    "^": "M6 1l5 9.5H1z",
    "D": "M6 .7L11.3 6L6 11.3L.7 6z",
    "v": "M6 11L1 1.5h10z",
    "P": "M4.2 1h3.6v3.2H11v3.6H7.8V11H4.2V7.8H1V4.2h3.2z",
    "X": "M3.2 1L6 3.8L8.8 1L11 3.2L8.2 6L11 8.8L8.8 11L6 8.2L3.2 11L1 8.8L3.8 6L1 3.2z",
}


@dataclass(frozen=True)
class Picture:
    """A panel as the template needs it."""

    uri: str
    alt: str
    caption: str = ""


@dataclass(frozen=True)
class Card:
    """A slice of the gallery as the template needs it."""

    picture: Picture
    title: str
    facts: tuple[str, ...]
    sentence: str


@dataclass(frozen=True)
class KeyEntry:
    """One entry of a legend: its name, colour and shape."""

    name: str
    colour: str
    path: str


@dataclass(frozen=True)
class EffortView:
    """The figures of one quantity."""

    title: str
    meaning: str
    pictures: tuple[Picture, ...]
    table: TableView


def render(data: ReportData) -> str:
    """The page as text. All words from the study are escaped."""
    seconds = seconds_panel(data.rounds)
    return template("page.html").render(
        data=data,
        headline=headline(data),
        caveats=caveats(data),
        key=_key(data),
        together=len(data.classes) <= CLASSES_TOGETHER,
        most_classes=MOST_CLASSES,
        measures=MEASURES,
        cost=_pictures(cost_panels(data)) if data.dice else (),
        by_class=_pictures(class_panels(data)) if data.dice else (),
        efforts=_efforts(data),
        latents=_pictures(latent_panels(data.latents)) if data.latents is not None and len(data.latents.points) else (),
        ceiling=percent(grid_ceiling(data)),
        gallery=tuple(_card(item, data) for item in data.gallery),
        losses=_pictures(loss_panels(data)),
        seconds=_pictures([seconds]) if seconds else (),
        rounds=rounds_table(data),
        settings=facts_table("settings", "Settings of the study", tuple(data.settings.items())),
        seeds=facts_table("seeds", "Seeds", tuple((name, str(seed)) for name, seed in data.seeds.items())),
        versions=facts_table("versions", "Versions", tuple(data.versions.items())),
        missing=missing(data),
    )


def write_report(path: Path, data: ReportData) -> None:
    """Write the page whole: what was at `path` before stays until the new one is complete.

    Raises:
        StorageError: the folder is read-only or the disk is full.
    """
    write_text(Path(path), render(data))


def missing(data: ReportData) -> dict[str, str]:
    """Part of the page -> why it is not there. Parts that are there are not listed."""
    blind = any(row.audit or row.quantity == "Saved effort" for row in data.effort)
    present = {
        "learning": bool(data.dice),
        "contour": not data.dice or any(r.contour_mm is not None for r in data.rounds),
        "minutes": not data.dice or any(r.minutes is not None for r in data.rounds),
        "effort": bool(data.effort),
        "ceiling": not data.effort or any(c.exact is not None for c in data.ceilings),
        "audit": not data.effort or blind,
        "latents": data.latents is not None and len(data.latents.points) > 0,
        "gallery": bool(data.gallery),
        "training": bool(data.losses),
        "seconds": any(any(r.seconds.values()) for r in data.rounds),
        "rounds": bool(data.rounds),
    }
    return {part: data.missing.get(part, MISSING[part]) for part, there in present.items() if not there}


def _pictures(panels: Sequence[Panel]) -> tuple[Picture, ...]:
    return tuple(Picture(svg_uri(p.figure), p.alt, p.caption) for p in panels)


def _key(data: ReportData) -> tuple[KeyEntry, ...]:
    looks = [(name, mark(i)) for i, name in enumerate(data.classes)]
    return tuple(KeyEntry(name, look.colour, _SHAPES[look.marker]) for name, look in looks)


def _efforts(data: ReportData) -> tuple[EffortView, ...]:
    tables = effort_tables(data)
    views = []
    for (quantity, audit), table in zip(quantities(data), tables, strict=True):
        title = f"{quantity} on audit slices" if audit else quantity
        meaning = f"How much of {COMPARED_WITH[quantity]} was already in the pre-annotation."
        if audit:
            meaning += " These slices were drawn without seeing it."
        views.append(EffortView(title, meaning, _pictures(effort_panels(data, quantity, audit=audit)), table))
    return tuple(views)


def _card(item: GalleryItem, data: ReportData) -> Card:
    panel = slice_panel(item, data.classes)
    facts = [f"round {item.round}"]
    if item.provenance:
        facts.append(item.provenance)
    if item.effort is not None and item.effort.exact is None:
        facts.append(f"{item.quantity.lower()} undefined: no contour")
    elif item.effort is not None:
        facts.append(f"{item.quantity.lower()} {percent(item.effort.exact)} exact, {percent(item.effort.within_1px)} within 1 px")
    if item.minutes is not None:
        facts.append(f"{decimal(item.minutes, 1)} min")
    title = f"case {item.case}, slice {item.slice_number}"
    return Card(Picture(png_uri(panel.figure, dpi=130), panel.alt), title, tuple(facts), item.sentence)
