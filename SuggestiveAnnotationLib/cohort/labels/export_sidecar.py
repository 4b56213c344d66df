"""What the JSON beside labels that this program exported says of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.cohort.files.rawheader import check_size
from SuggestiveAnnotationLib.cohort.files.read import SUFFIXES, Volume
from SuggestiveAnnotationLib.cohort.files.resample import resample_onto
from SuggestiveAnnotationLib.cohort.files.text_file import read_json_file
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.files import sha256_of
from SuggestiveAnnotationLib.geometry import Geometry

EXPORT_FORMAT = "SuggestiveAnnotation export"
"""Of such a JSON."""


def export_sidecar(labels: str | Path) -> dict[str, Any]:
    """The content of the JSON beside a file of labels; empty where there is none, or it is not from an export of this program."""
    path = Path(labels)
    suffix = next((s for s in (".seg.nrrd", *SUFFIXES) if path.name.lower().endswith(s)), path.suffix)
    own, shared = (path.with_name(f"{name}.json") for name in (path.name, path.name[: len(path.name) - len(suffix)]))
    try:
        # Where exports in several formats lie side by side, each has its own.
        data = read_json_file(own if own.is_file() else shared, "description of labels")
    except (InputError, ValueError):
        return {}
    return data if isinstance(data, dict) and data.get("format") == EXPORT_FORMAT else {}


def looked_at_in_export(labels: str | Path, geometry: Geometry) -> tuple[NDArray[np.bool_] | None, str]:
    """Voxels on `geometry`, `(k, j, i)`, of the slices that were annotated when the labels were exported, and what to say of them.

    None where that is not known: the file is no export of annotations, or no longer what was exported, which the sentence says.
    """
    path, data = Path(labels), export_sidecar(labels)
    try:
        kept = [one["sha256"] for one in data["files"].values() if one["name"] == path.name]
        if data["kind"] != "annotation" or not kept:
            return None, ""
        if kept[0] != sha256_of(path):
            return None, f"{path} has changed since it was exported: which of its slices were annotated is not known any more."
        grid, axis = Geometry.from_json(data["grid"]), int(data["axis"])
        check_size(path, grid.size, 1)
        voxels = np.zeros(grid.shape, np.uint8)
        np.moveaxis(voxels, axis, 0)[[int(one["native_index"]) for one in data["annotations"] if one["in_labelmap"]]] = 1
        return resample_onto(Volume(voxels, grid, str(path)), geometry, labels=True).array > 0, ""
    except (InputError, OSError, ValueError, LookupError, TypeError, AttributeError):
        return None, ""
