"""The results page as Markdown, for a repository."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from SuggestiveAnnotationLib.experiment.results import Results
from SuggestiveAnnotationLib.experiment.sections import Section
from SuggestiveAnnotationLib.report.tables import TableView


def markdown(results: Results, parts: Sequence[Section], commands: Sequence[str], *, figures: Mapping[str, str]) -> str:
    """The page as text.

    Args:
        figures: name of a panel -> path of its picture beside the page.
    """
    first, *others = results.verdict
    lines = [f"# {_plain(results.plan.name)}", "", f"> {_plain(results.plan.question)}", "", f"**{_plain(first)}**", ""]
    lines += [*(f"- {_plain(one)}" for one in others), "", "```", *commands, "```", ""]
    for part in parts:
        lines += [f"## {_plain(part.title)}", ""]
        for paragraph in (f"*Not shown.* {_plain(part.absent)}" if part.absent else "", _plain(part.read)):
            lines += [paragraph, ""] if paragraph else []
        for panel in part.panels:
            alt = _plain(panel.alt).replace("[", "(").replace("]", ")")
            lines += [f"![{alt}]({figures[panel.name]})", "", *([_plain(panel.caption), ""] if panel.caption else [])]
        for view in part.tables:
            lines += [*_table(view), ""]
        lines += [f"- {_plain(note)}" for note in part.notes] + ([""] if part.notes else [])
        if part.source:
            lines += [f"Numbers: `{part.source}` in [results.json](results.json), by `{commands[-1]}`", ""]
    return "\n".join(lines).rstrip() + "\n"


def _table(view: TableView) -> list[str]:
    rule = ["---" if place < view.numeric else "---:" for place in range(len(view.columns))]
    rows = [" | ".join(_cell(one) for one in row) for row in (view.columns, *view.rows)]
    return [_plain(view.caption), "", f"| {rows[0]} |", f"|{'|'.join(rule)}|", *(f"| {row} |" for row in rows[1:])]


def _cell(text: str) -> str:
    return _plain(text).replace("|", "\\|") or " "


def _plain(text: str) -> str:
    """On one line; what Markdown and HTML would read as their own is escaped."""
    line = " ".join(text.split())
    for mark in ("\\", "*", "_", "`", "<", "#"):
        line = line.replace(mark, f"\\{mark}" if mark != "<" else "&lt;")
    return line
