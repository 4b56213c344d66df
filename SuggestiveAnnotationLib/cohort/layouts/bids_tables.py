"""The tables beside a BIDS dataset: names and colours of structures (`*_dseg.tsv`), and who was scanned where (`participants.tsv`).

After the Brain Imaging Data Structure, chapters "Imaging data types" of the derivatives ("Common image-derived labels") and "Participants
file"; which table holds for a file follows the inheritance principle.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from SuggestiveAnnotationLib.cohort.labels.structures import Structure
from SuggestiveAnnotationLib.errors import InputError

_SITES = ("site", "site_id", "centre", "center", "institution", "institution_name", "scanner", "scanner_id")
_STANDARD = {
    1: "SCT^389081007^Grey matter",
    2: "SCT^389080008^White matter",
    3: "SCT^65216001^Cerebrospinal fluid",
    7: "SCT^52988006^Lesion",
    8: "SCT^40146001^Cerebral cortex",
    10: "SCT^119238007^Brain stem",
    11: "SCT^113305005^Cerebellum",
}
"""Column `mapping`: the standard labels of BIDS that have one code, with it."""


def lookup_table(labels: Path, top: Path) -> Path | None:
    """The `*_dseg.tsv` that holds for a label file, None where there is none.

    That is the nearest one, in its folder or one above up to `top`, whose entities the label file all has; of two in one folder the one
    with more entities.
    """
    name = labels.name[: labels.name.lower().rindex(".nii")]
    mine = set(name.split("_")[:-1])
    folder = labels.parent
    while True:
        fitting = [t for t in sorted(_tables(folder)) if set(t.stem.split("_")[:-1]) <= mine]
        if fitting:
            return max(fitting, key=lambda t: len(t.stem.split("_")))
        if folder == top or top not in folder.parents:
            return None
        folder = folder.parent


def _tables(folder: Path) -> Iterator[Path]:
    return (path for path in folder.glob("*dseg.tsv") if path.stem.split("_")[-1] == "dseg" and path.is_file())


def read_lookup(table: Path) -> tuple[Structure, ...]:
    """The structures of a look-up table, background (0) left out.

    Raises:
        InputError: it cannot be read, has no column `index` or `name`, or an index is no whole number from 0 to 65535, or stands twice.
    """
    rows = list(_rows(table))
    hint = "See the columns of a look-up table in the BIDS specification: index, name, abbreviation, color, mapping."
    if not rows or not {"index", "name"} <= rows[0][1].keys():
        raise InputError(f"{table} has no columns index and name, or no rows.", hint=hint)
    found: dict[int, Structure] = {}
    for line, row in rows:
        text = row["index"].removesuffix(".0")
        if not re.fullmatch(r"\d{1,5}", text) or int(text) > 65535:
            raise InputError(f'{table}, line {line}: index "{row["index"]}" is not a whole number from 0 to 65535.', hint=hint)
        if int(text) in found:
            raise InputError(f"{table}, line {line}: index {text} stands twice.", hint="Give every structure an index of its own.")
        name = row["name"] or row.get("abbreviation", "") or f"label {text}"
        found[int(text)] = Structure(int(text), name, _colour(row.get("color", "")), _code(row))
    found.pop(0, None)
    return tuple(found.values())


def sites(root: Path) -> tuple[dict[str, str], str]:
    """Subject (`sub-01`) -> site, by the first of the columns site, centre, institution and scanner; and a warning, or nothing."""
    table = root / "participants.tsv"
    if not table.is_file():
        return {}, ""
    try:
        rows = list(_rows(table))
    except InputError as error:
        return {}, str(error)
    column = next((name for name in _SITES if rows and name in rows[0][1]), None)
    if column is None:
        return {}, ""
    found = {}
    for _, row in rows:
        if (person := row.get("participant_id", "")) and row[column] and row[column].casefold() != "n/a":
            found[f"sub-{person.removeprefix('sub-')}"] = row[column]
    return found, ""


def conflict(known: Mapping[int, Structure], more: Iterable[Structure]) -> str:
    """What two tables call differently, as part of a sentence; empty where they agree."""
    for one in more:
        other = known.get(one.value)
        if other is not None and other.name.casefold() != one.name.casefold():
            return f'{one.value} "{one.name}", others "{other.name}"'
    return ""


def _rows(table: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells by column (lower case), stripped."""
    try:
        lines = table.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise InputError(f"{table} cannot be read: {error.strerror}.", hint="Check its permissions.") from None
    except UnicodeDecodeError:
        raise InputError(f"{table} is not text in UTF-8.", hint="Save it with UTF-8 encoding.") from None
    try:
        reader = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
        header = [name.strip().casefold() for name in next(reader, [])]
        for cells in reader:
            if any(cell.strip() for cell in cells):
                padded = [*cells, *[""] * (len(header) - len(cells))]
                yield reader.line_num, {name: cell.strip() for name, cell in zip(header, padded, strict=False)}
    except csv.Error as error:
        raise InputError(f"{table} is no table: {error}.", hint="Tabs go between its columns.") from None


def _colour(text: str) -> tuple[int, int, int] | None:
    found = re.fullmatch(r"#?([0-9a-fA-F]{2})([0-9a-fA-F]{2})([0-9a-fA-F]{2})(?:[0-9a-fA-F]{2})?", text)
    return (int(found[1], 16), int(found[2], 16), int(found[3], 16)) if found else None


def _code(row: Mapping[str, str]) -> str | None:
    """The code in a column `terminology`, which this program's export has, else the one of the standard label."""
    given, mapping = row.get("terminology", ""), row.get("mapping", "")
    if given.count("^") == 2:
        return given
    return _STANDARD.get(int(mapping)) if re.fullmatch(r"\d{1,3}", mapping) else None
