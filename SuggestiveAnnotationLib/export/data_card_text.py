"""The data card for people: the content of `data_card.json` as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#])")


def as_markdown(card: Mapping[str, Any]) -> str:
    """`DATA_CARD.md`; single slices are in the JSON only.

    Args:
        card: see `data_card.data_card`.
    """
    counts, labels = card["counts"], card["existing_labels"]
    roles = ", ".join(f"{number} {role}" for role, number in counts["roles"].items())
    parts = [
        f"# Data card: {_plain(card['title'])}",
        f"**{card['notice']}**",
        f"{_count(counts['annotated_slices'], 'annotated slice')} of {_count(counts['cases'], 'case')} ({roles}) of "
        f"{_count(counts['patients'], 'patient')}" + (f" from {_count(counts['sites'], 'site')}" if counts["sites"] else "") + "; "
        f"{_count(counts['annotations'], 'annotation')} in the states {' and '.join(card['states'])}. Each slice with its annotator, "
        "suggestion, model and hash is in `data_card.json`.",
        "## Structures",
        f"Schema {_plain(card['schema']['name'])}; pixels with the value {card['schema']['ignore_value']} count for nothing.",
        _table(
            ("value", "structure", "terminology"),
            ((one["value"], one["name"], one["terminology"]) for one in card["schema"]["labels"]),
        ),
        *_regions(card["schema"]["regions"]),
        "## Cases",
        _table(
            ("case", "patient", "site", "role", "slices", "annotated", "SHA-256 of the sources"),
            (
                (c["case"], c["patient"], c["site"], c["role"], c["slices"], c["annotated_slices"], _short(c["source_sha256"]))
                for c in card["cases"]
            ),
        ),
        "## Who annotated",
        _table(
            ("annotator", "slices", "how", "rounds", "reviewed", "minutes"),
            (
                (a["annotator"], a["slices"], _numbers(a["provenance"]), ", ".join(map(str, a["rounds"])), a["reviewed"], a["minutes"])
                for a in card["annotators"]
            ),
        ),
        *([_table(("reviewer", "approved"), ((r["reviewer"], r["approved"]) for r in card["reviewers"]))] if card["reviewers"] else []),
        f"Labels that were there before the study: used as {_plain(labels['use'])}, slices that count: {_plain(labels['rule'])}"
        + (f", drawn by {_plain(labels['by'])}." if labels["by"] else "."),
        "## Rounds",
        _table(
            ("round", "strategy", "unit", "budget", "seed", "models", "annotations"),
            (
                (
                    r["round"], r["strategy"], r["unit"], r["budget"], r["seed"], ", ".join(map(str, r["models"])),
                    sum(a["round"] == r["round"] for a in card["annotations"]),
                )
                for r in card["rounds"]
            ),
        ),
        "## Models",
        _table(
            ("model", "kind", "round", "seed", "trained on", "SHA-256 of the weights", "of the card"),
            (
                (
                    m["model"], m["kind"], m["round"], m["seed"],
                    None if m["trained_on"] is None else _count(len(m["trained_on"]), "slice"),
                    _short(m["weights_sha256"]), _short(m["card_sha256"]),
                )
                for m in card["models"]
            ),
        ),
        "## Preprocessing",
        _table(("what", "value"), ((name.replace("_", " "), _value(value)) for name, value in card["preprocessing"].items())),
        "## Versions",
        _table(("library", "version"), card["versions"].items()),
        "## Left out",
        "\n".join(f"- {_plain(sentence)}" for sentence in card["left_out"]) or "Nothing that was accepted.",
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _regions(regions: Mapping[str, Sequence[int]]) -> list[str]:
    if not regions:
        return []
    return [_table(("region", "values"), ((name, ", ".join(map(str, values))) for name, values in regions.items()))]


def _table(header: Sequence[str], rows: Iterable[Iterable[Any]]) -> str:
    lines = [header, ["---"] * len(header), *([_plain(cell) for cell in row] for row in rows)]
    if len(lines) == 2:
        return "None."
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(text: Any) -> str:
    """Text that Markdown shows as it is, on one line."""
    return "" if text is None else _SPECIAL.sub(r"\\\1", " ".join(str(text).split()))


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _numbers(counted: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counted.items())


def _value(value: Any) -> str:
    return ", ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in value) if isinstance(value, list) else str(value)


def _short(digest: str | None) -> str | None:
    return None if digest is None else f"{digest[:16]}..."
