"""Every annotated slice as pictures, with an index and the meaning of the values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from SuggestiveAnnotationLib.export.case_images import earlier_readers
from SuggestiveAnnotationLib.export.content import Exported, StudyContent
from SuggestiveAnnotationLib.export.sidecar import describe_schema
from SuggestiveAnnotationLib.export.slice_pictures import ABOUT_WINDOW, PictureFiles, describe_picture, orientation
from SuggestiveAnnotationLib.export.whole_folder import whole_folder, written
from SuggestiveAnnotationLib.progress import Stage
from SuggestiveAnnotationLib.types import LabelSchema

FOLDER = "png-slices"
MARKER = "suggestive-annotation-png.json"


def write(folder: Path, content: StudyContent, *, overwrite: bool, stage: Stage) -> Exported:
    """Write the folder `png-slices`: `images/<modality>/`, `labels/`, `index.json` and `palette.json`.

    Images have 8 bits of grey. Labels hold the schema's values, ignore included, in 8 bits where all fit, else in 16. Pixels are those of
    the reference modality, not resampled: where rows and columns differ in spacing they are not square.

    Args:
        folder: where `png-slices` goes; made if it is absent.
        content: what goes out.
        overwrite: an earlier export there is replaced.
        stage: advanced by one a case.

    Raises:
        InputError: something else is there, or an image is gone or has changed.
        StorageError: the folder cannot be written.
    """
    files = PictureFiles(content, labels=True)
    target = Path(folder) / FOLDER
    with whole_folder(target, marker=MARKER, overwrite=overwrite) as scratch:
        slices: list[dict[str, Any]] = [
            {**describe_picture(one, picture, content), "images": dict(picture.images), "labels": picture.labels}
            for one, picture in files.write(scratch, target, stage=stage)
        ]
        index = {
            "format": "SuggestiveAnnotation slices",
            "version": 1,
            "study": content.title,
            "modalities": list(content.modalities),
            "reference": content.reference,
            **orientation(content),
            "window": ABOUT_WINDOW,
            "schema": describe_schema(content.schema),
            "slices": slices,
        }
        for name, data in (("index.json", index), ("palette.json", palette(content.schema))):
            text = json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False)
            (scratch / name).write_text(text + "\n", encoding="utf-8")
    return Exported(written(target), (*earlier_readers(content), *files.left_out))


def palette(schema: LabelSchema) -> list[dict[str, Any]]:
    """Value, name and colour (red, green, blue) of everything a label picture can hold; ignore is white."""
    structures = [{"value": c.value, "name": c.name, "colour": list(c.colour)} for c in schema.classes]
    background = {"value": 0, "name": "background", "colour": [0, 0, 0]}
    return [background, *structures, {"value": schema.ignore_value, "name": "ignore", "colour": [255, 255, 255]}]
