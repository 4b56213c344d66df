"""Label schemas as JSON files, and a first schema guessed from the labels that are there.

A schema file is one JSON object:

| key                         | content                                                                                        |
|-----------------------------|------------------------------------------------------------------------------------------------|
| `format`, `version`         | `"suggestive-annotation label schema"`, `1`                                                    |
| `name`                      | of the schema                                                                                  |
| `notes`                     | optional list of sentences: sources and choices; read by people only                           |
| `classes`                   | list of `{"value", "name", "colour": [r, g, b]}`, optional `"partner"` (a value) and           |
|                             | `"terminology"` (`"SCT^code^meaning"`)                                                         |
| `regions`                   | optional, for evaluation only: name -> list of values                                          |
| `ignore_value`              | optional, 255: pixels that enter no loss and no metric                                         |
| `merge`                     | optional: value of the schema, `"0"` or the ignore value -> list of values in the files;       |
|                             | a text such as `"100-207"` is a range                                                          |
| `merge_other`               | optional: what values in a file that `merge` does not list become; without it they are an error |
| `ignore_unlabelled_in_mask` | optional, false: unlabelled voxels inside the foreground mask become the ignore value          |
| `exclude_mask_edge`          | optional, false: contours on the edge of the foreground mask are left out of contour effort |
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.cohort.files.read import read_labels
from SuggestiveAnnotationLib.cohort.files.text_file import read_json_file
from SuggestiveAnnotationLib.cohort.labels.colours import distinct_colours
from SuggestiveAnnotationLib.cohort.labels.export_sidecar import export_sidecar
from SuggestiveAnnotationLib.cohort.labels.structures import Structure, schema_of
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.types import Case, LabelClass, LabelSchema

FORMAT = "suggestive-annotation label schema"
VERSION = 1
MAX_GUESSED = 300
"""More different values than this are taken for an image, not a labelmap."""

_SHIPPED = Path(__file__).parent / "schemas"
_FLAGS = ("ignore_unlabelled_in_mask", "exclude_mask_edge")
_KEYS = {"format", "version", "name", "notes", "classes", "regions", "ignore_value", "merge", "merge_other", *_FLAGS}
_CLASS_KEYS = {"value", "name", "colour", "partner", "terminology"}


def shipped_schemas() -> tuple[str, ...]:
    """Names that `load_schema` knows without a path."""
    return tuple(sorted(p.stem for p in _SHIPPED.glob("*.json")))


def load_schema(name_or_path: str | Path) -> LabelSchema:
    """The shipped schema of that name, or the schema file at that path.

    Raises:
        InputError: no such name or file, or the file breaks a rule of the format; names the file and the rule.
    """
    path = Path(name_or_path)
    if str(name_or_path) in shipped_schemas():
        path = _SHIPPED / f"{name_or_path}.json"
    elif not path.exists():
        raise InputError(
            f"There is no label schema {name_or_path}.",
            hint=f"Give the path of a schema file, or one of: {', '.join(shipped_schemas())}.",
        )
    data = read_json_file(path, "label schema")
    try:
        return schema_from_json(data)
    except ValueError as error:
        raise InputError(f"{path} is not a valid label schema: {error}.", hint="See the shipped schemas for examples.") from None


def save_schema(schema: LabelSchema, path: str | Path, *, notes: Sequence[str] = ()) -> None:
    """Write `schema` as a schema file that `load_schema` reads back equal.

    Raises:
        InputError: the file cannot be written.
    """
    try:
        Path(path).write_text(json.dumps(schema_to_json(schema, notes=notes), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}.", hint="Choose another folder.") from None


def schema_to_json(schema: LabelSchema, *, notes: Sequence[str] = ()) -> dict[str, Any]:
    """The content of a schema file."""
    classes = []
    for c in schema.classes:
        entry: dict[str, Any] = {"value": c.value, "name": c.name, "colour": list(c.colour)}
        if c.partner is not None:
            entry["partner"] = c.partner
        if c.terminology is not None:
            entry["terminology"] = c.terminology
        classes.append(entry)
    data: dict[str, Any] = {"format": FORMAT, "version": VERSION, "name": schema.name, "notes": list(notes), "classes": classes}
    if schema.regions:
        data["regions"] = {name: list(values) for name, values in schema.regions.items()}
    data["ignore_value"] = schema.ignore_value
    if schema.merge is not None:
        targets: dict[int, list[int]] = {}
        for source, target in schema.merge.items():
            targets.setdefault(target, []).append(source)
        data["merge"] = {str(target): sorted(sources) for target, sources in sorted(targets.items())}
        data["merge_other"] = schema.merge_other
    return data | {flag: getattr(schema, flag) for flag in _FLAGS}


def schema_from_json(data: Any) -> LabelSchema:
    """The schema of a file's content.

    Raises:
        ValueError: a rule of the format is broken; the text says which.
    """
    _need(isinstance(data, dict), "it is not a JSON object")
    _need(data.get("format") == FORMAT, f'"format" is not "{FORMAT}"')
    _need(data.get("version") == VERSION, f'"version" is {str(data.get("version"))[:40]}, this program reads {VERSION}')
    _need(not set(data) - _KEYS, f"unknown keys {sorted(set(data) - _KEYS)[:5]}")
    name = data.get("name")
    _need(_is_name(name), '"name" is missing')
    listed = data.get("classes")
    _need(isinstance(listed, list) and bool(listed), '"classes" is missing or empty')
    classes = tuple(_class_from_json(c) for c in listed)
    values = [c.value for c in classes]
    _need(len(set(values)) == len(values), f"value {_repeated(values)} is used twice")
    names = [c.name for c in classes]
    _need(len(set(names)) == len(names), f'name "{_repeated(names)}" is used twice')
    by_value = {c.value: c for c in classes}
    for c in classes:
        _need(c.partner is None or c.partner in by_value, f"partner {c.partner} of {c.name} is no class")
        _need(c.partner is None or by_value[c.partner].partner == c.value, f"partner of {c.name} does not name it in return")
    ignore = data.get("ignore_value", 255)
    _need(_is_label(ignore) and ignore not in (0, *values), f"ignore_value {ignore} is not free")
    regions = data.get("regions") or {}
    _need(isinstance(regions, dict), '"regions" is not an object')
    for region, members in regions.items():
        good = _is_name(region) and isinstance(members, list) and bool(members) and all(type(v) is int and v in by_value for v in members)
        _need(good, f'region "{region}" names values that are no class')
    other = data.get("merge_other")
    targets = {0, ignore, *values}
    _need(other is None or (_is_label(other) and other in targets), f"merge_other {other} is no value of the schema")
    flags = {flag: data.get(flag, False) for flag in _FLAGS}
    for flag, value in flags.items():
        _need(isinstance(value, bool), f'"{flag}" is neither true nor false')
    return LabelSchema(
        name=str(name),
        classes=classes,
        regions={region: tuple(members) for region, members in regions.items()},
        ignore_value=int(ignore),
        merge=_merge_from_json(data.get("merge"), targets),
        merge_other=other,
        **flags,
    )


def guess_schema(cases: Iterable[Case], *, name: str = "guessed from the labels") -> LabelSchema:
    """A schema with one class for every value found in the cases' label files, named `label 1` and so on.

    Where labelmaps are exports of this program, and what the JSON beside them tells fits all files, it is that. A file of 0 and 255 only,
    as paint programs write masks, becomes one class of value 1. A file that is no labelmap has no say; `prepare` excludes its case.

    Raises:
        InputError: no case has a readable label, all are empty, or there are more than `MAX_GUESSED` values.
    """
    cases = tuple(cases)
    if cases and all(case.role == "excluded" for case in cases):
        raise InputError(f"No case can be used: {cases[0].excluded_reason}")
    found: set[int] = set()
    found_alone: set[int] = {0}
    told: list[LabelSchema] = []
    files = 0
    refused: InputError | None = None
    for case in cases:
        if case.label is None or case.role == "excluded":
            continue
        try:
            values_here = set(value_counts(read_labels(case.label)[0]))
            _look_like_labels(values_here, case.label)
        except InputError as error:
            refused = refused or error
            continue
        files += 1
        found |= values_here
        _look_like_labels(found, case.label)
        if (exported := exported_schema(case.label)) is None:
            found_alone |= values_here
        else:
            told.append(exported)
    values = sorted(found - {0})
    if refused is not None and not files:
        raise refused
    known = set(told[0].values) if told else set()
    if told and all(one == told[0] for one in told) and found_alone <= known and found <= known | {told[0].ignore_value}:
        return told[0]
    if not values:
        raise InputError(
            "No labels to guess a schema from: " + ("every label file is empty." if files else "no case has a label file."),
            hint="Give a label schema (--schema).",
        )
    merge = {255: 1} if values == [255] else None
    values = [1] if merge else values
    colours = distinct_colours(len(values))
    return LabelSchema(
        name=name,
        classes=tuple(LabelClass(v, f"label {v}", colour) for v, colour in zip(values, colours, strict=True)),
        ignore_value=next(v for v in (255, 65535, 65534) if v not in values),
        merge=merge,
    )


def exported_schema(labelmap: str | Path) -> LabelSchema | None:
    """What the JSON beside a labelmap says of its values, where this program exported it; None for every other file."""
    try:
        told = export_sidecar(labelmap)["schema"]
        listed = [{k: v for k, v in c.items() if v is not None} for c in told["labels"]]
        kept = {"name": told["name"], "classes": listed, "ignore_value": told["ignore_value"]}
        schema = schema_from_json({"format": FORMAT, "version": VERSION, **kept})
    except (InputError, ValueError, KeyError, TypeError, AttributeError):
        return None
    structures = [Structure(c.value, c.name, c.colour, c.terminology) for c in schema.classes]
    return schema_of(structures, name=schema.name, ignore_value=schema.ignore_value)


def _look_like_labels(values: set[int], path: str) -> None:
    if len(values) > MAX_GUESSED or min(values) < 0 or max(values) > 65535:
        raise InputError(
            f"{path} does not look like a labelmap: {len(values)} values so far, from {min(values)} to {max(values)}.",
            hint="Name the label files yourself (--label), or give a label schema (--schema).",
        )


def value_counts(labels: NDArray[np.integer[Any]]) -> dict[int, int]:
    """How many voxels hold each value."""
    if labels.size and labels.min() >= 0 and labels.max() <= 65535:
        counts = np.bincount(labels.ravel())  # no sorting
        return {int(v): int(counts[v]) for v in counts.nonzero()[0]}
    values, numbers = np.unique(labels, return_counts=True)
    return dict(zip(values.tolist(), numbers.tolist(), strict=True))


def _class_from_json(data: Any) -> LabelClass:
    complete = isinstance(data, dict) and {"value", "name", "colour"} <= set(data) <= _CLASS_KEYS
    _need(complete, f"class {str(data)[:200]} is incomplete or has unknown keys")
    value, name, colour = data["value"], data["name"], data["colour"]
    _need(_is_label(value) and value > 0, f"class value {value} is not a whole number from 1 to 65535")
    _need(_is_name(name), f"class {value} has no name, or none that can be written")
    good = isinstance(colour, list) and len(colour) == 3 and all(type(c) is int and 0 <= c <= 255 for c in colour)
    _need(good, f'colour of "{name}" is not three whole numbers from 0 to 255')
    partner, terminology = data.get("partner"), data.get("terminology")
    _need(partner is None or type(partner) is int, f'partner of "{name}" is not a value')
    _need(
        terminology is None or (_is_name(terminology) and terminology.count("^") == 2),
        f'terminology of "{name}" is not scheme^code^meaning',
    )
    return LabelClass(value, name, (colour[0], colour[1], colour[2]), partner, terminology)


def _merge_from_json(data: Any, targets: set[int]) -> Mapping[int, int] | None:
    if data is None:
        return None
    _need(isinstance(data, dict), '"merge" is not an object')
    merge: dict[int, int] = {}
    for target, sources in data.items():
        known = str(target).isdecimal() and len(target) < 10 and int(target) in targets
        _need(known, f"merge target {target[:40]} is no value of the schema")
        _need(isinstance(sources, list), f"merge to {target} is not a list")
        for source in (v for s in sources for v in _range(s)):
            _need(source not in merge, f"merge lists the file value {source} twice")
            merge[source] = int(target)
    return merge


def _range(source: Any) -> range:
    if isinstance(source, str):
        first, dash, last = source.partition("-")
        if dash and first.strip().isdecimal() and last.strip().isdecimal():
            _need(len(source) < 40 and int(last) <= 65535, f"merge source {source[:40]!r} reaches beyond 65535")
            return range(int(first), int(last) + 1)
    elif _is_label(source):
        return range(source, source + 1)
    raise ValueError(f'merge source {repr(source)[:40]} is neither a value from 0 to 65535 nor a range like "100-207"')


def _is_name(value: Any) -> bool:
    """Text that says something, and that can be written into a file."""
    return isinstance(value, str) and bool(value.strip()) and len(value) <= 1000 and value.isprintable()


def _is_label(value: Any) -> bool:
    return type(value) is int and 0 <= value <= 65535


def _repeated(items: Sequence[Any]) -> Any:
    return next(item for i, item in enumerate(items) if item in items[:i]) if len(set(items)) < len(items) else None


def _need(condition: bool, text: str) -> None:
    if not condition:
        raise ValueError(text)
