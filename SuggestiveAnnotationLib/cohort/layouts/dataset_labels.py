"""What a `dataset.json` says about sequences and structures, for nnU-Net (versions 1 and 2) and the Medical Segmentation Decathlon.

After nnU-Net's documentation, `dataset_format.md`, `region_based_training.md` and `ignore_label.md`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from SuggestiveAnnotationLib.cohort.labels.structures import IGNORE, Structure, schema_of
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.types import LabelSchema

_NUMBER = re.compile("[0-9]{1,6}")


def load_description(file: Path) -> dict[str, Any]:
    """The content of a `dataset.json`.

    Raises:
        InputError: it cannot be read, or is no JSON object.
    """
    try:
        data = json.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}.", hint="Check its permissions.") from None
    except (ValueError, RecursionError) as error:  # ValueError: no UTF-8, no JSON, or a number with thousands of digits
        raise InputError(f"{file} is not a JSON file that can be read: {error}.", hint="Correct it at that place.") from None
    if not isinstance(data, dict):
        raise broken(file, "it is not a JSON object")
    return data


def broken(file: Path, rule: str) -> InputError:
    """The error for a file that breaks a rule."""
    return InputError(f"{file} does not describe a dataset: {rule}.", hint="Compare it with nnU-Net's description of the format.")


def channel_names(file: Path, data: Mapping[str, Any]) -> tuple[str, ...]:
    """Sequences in channel order; one whose name stands twice gets its channel added.

    Raises:
        InputError: none are named, or the channels are not 0, 1, 2, ...
    """
    listed = data.get("channel_names", data.get("modality"))
    if not isinstance(listed, dict) or not listed:
        raise broken(file, 'neither "channel_names" nor "modality" names a sequence')
    if sorted(listed) != sorted(map(str, range(len(listed)))):
        raise broken(file, f"its channels are {', '.join(list(listed)[:9])} and not 0, 1, 2, ...")
    names = [listed[key] for key in sorted(listed, key=int)]
    if not all(isinstance(name, str) and name.strip() for name in names):
        raise broken(file, "a sequence has no name")
    twice = {name for name, count in Counter(n.strip() for n in names).items() if count > 1}
    return tuple(f"{name.strip()} {i}" if name.strip() in twice else name.strip() for i, name in enumerate(names))


def dataset_schema(file: Path, data: Mapping[str, Any], *, name: str) -> LabelSchema:
    """The structures. `ignore` becomes the ignore value; a list of values is a region, for evaluation.

    A value is called as `label_names` says, value -> name, which exports of this program have; else one that only occurs in regions after
    the smallest of them.

    Raises:
        InputError: `labels` is missing, names nothing, or a value is used twice or is none from 0 to 65535.
    """
    labels = data.get("labels")
    if not isinstance(labels, dict) or not labels:
        raise broken(file, '"labels" is missing or empty')
    if all(_NUMBER.fullmatch(key) and len(key) < 20 for key in labels) and all(isinstance(text, str) for text in labels.values()):
        # Version 1 and the Decathlon write value -> name.
        labels = {f"{text.strip() or 'label'}\0{key}": int(key) for key, text in labels.items()}
    ignore: int | None = None
    single: dict[int, str] = {}
    regions: dict[str, tuple[int, ...]] = {}
    for key, given in labels.items():
        text = key.partition("\0")[0].strip() or "label"
        values = [_value(file, text, v) for v in (given if isinstance(given, list) else [given])]
        if text.casefold() == IGNORE:
            if isinstance(given, list) or values[0] == 0:
                raise broken(file, f'"{IGNORE}" is not one value above 0')
            ignore = values[0]
        elif isinstance(given, list):
            if not values or 0 in values:
                raise broken(file, f'region "{text}" is empty or contains the background')
            regions[text] = tuple(sorted(set(values)))
        elif values[0]:
            if values[0] in single:
                raise broken(file, f'value {values[0]} is both "{single[values[0]]}" and "{text}"')
            single[values[0]] = text
    told = data.get("label_names")
    named = {key: text.strip() for key, text in told.items() if isinstance(text, str)} if isinstance(told, dict) else {}
    return _schema(file, single, regions, named, ignore, name)


def _schema(
    file: Path,
    single: Mapping[int, str],
    regions: Mapping[str, tuple[int, ...]],
    named: Mapping[str, str],
    ignore: int | None,
    name: str,
) -> LabelSchema:
    values = {*single, *(v for members in regions.values() for v in members)}
    if not values:
        raise broken(file, '"labels" names no structure but the background')
    if ignore in values:
        raise broken(file, f'value {ignore} is both "{IGNORE}" and a structure')
    structures = []
    for value in sorted(values):
        # Of nested regions the smallest says most about a value.
        around = min((r for r, members in regions.items() if value in members), key=lambda r: len(regions[r]), default="")
        called = named.get(str(value)) or single.get(value) or (around if regions[around] == (value,) else f"{around}, value {value}")
        structures.append(Structure(value, called))
    nested = {**regions, **{text: (value,) for value, text in single.items()}} if regions else {}
    return schema_of(structures, name=name, regions=nested, ignore_value=ignore)


def _value(file: Path, text: str, given: Any) -> int:
    if type(given) is str and _NUMBER.fullmatch(given.strip()):
        given = int(given)
    if type(given) is not int or not 0 <= given <= 65535:
        raise broken(file, f'"{text}" has the value {given!r} and not a whole number from 0 to 65535')
    return int(given)
