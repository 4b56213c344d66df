"""Annotated slices as a COCO dataset: one picture a slice, one annotation for every structure in it.

COCO's format (cocodataset.org, "Data format"): an annotation's `segmentation` is an object of run lengths, `size` (height, width) and
`counts`, which run down the columns and begin with the pixels outside. Every annotation has `iscrowd` 0: in COCO a crowd is neither trained
on nor counted, whereas a structure here is. Pixels that nobody may learn from have no place in COCO; they are the field `ignore` of
their image, run lengths too.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.export.case_images import earlier_readers
from SuggestiveAnnotationLib.export.content import CaseContent, Exported, StudyContent
from SuggestiveAnnotationLib.export.slice_pictures import (
    ABOUT_WINDOW,
    PictureFiles,
    SlicePicture,
    describe_picture,
    orientation,
)
from SuggestiveAnnotationLib.export.whole_folder import whole_folder, written
from SuggestiveAnnotationLib.progress import Stage
from SuggestiveAnnotationLib.types import LabelSchema

FOLDER = "coco"
MARKER = "suggestive-annotation-coco.json"


def write(folder: Path, content: StudyContent, *, overwrite: bool, stage: Stage) -> Exported:
    """Write the folder `coco`: `annotations.json` and `images/<modality>/`.

    `file_name` is the picture of the reference modality, `modalities` of an image names all. An annotated slice without a structure is
    an image without annotations. Category ids are the values of the schema.

    Args:
        folder: where `coco` goes; made if it is absent.
        content: what goes out.
        overwrite: an earlier export there is replaced.
        stage: advanced by one a case.

    Raises:
        InputError: something else is there, or an image is gone or has changed.
        StorageError: the folder cannot be written.
    """
    files = PictureFiles(content, labels=False)
    target = Path(folder) / FOLDER
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    with whole_folder(target, marker=MARKER, overwrite=overwrite) as scratch:
        for one, picture in files.write(scratch, target, stage=stage):
            labels = picture.annotation.labels
            image = _image(one, picture, content, labels, identifier=len(images) + 1)
            images.append(image)
            annotations += [
                {"id": len(annotations) + number, "image_id": image["id"], **found}
                for number, found in enumerate(_structures(labels, content.schema), start=1)
            ]
        data = {
            "info": _info(content),
            "licenses": [],
            "images": images,
            "annotations": annotations,
            "categories": [
                {
                    "id": c.value,
                    "name": c.name,
                    "supercategory": content.schema.name,
                    "colour": list(c.colour),
                    "terminology": c.terminology,
                }
                for c in content.schema.classes
            ],
        }
        (scratch / "annotations.json").write_text(json.dumps(data, allow_nan=False) + "\n", encoding="ascii")
    left_out = files.left_out
    ignored = sum("ignore" in image for image in images)
    if ignored:
        slices = "1 slice has" if ignored == 1 else f"{ignored} slices have"
        left_out += (f"{slices} pixels to ignore, which COCO cannot say; they are in the field `ignore` of the image.",)
    return Exported(written(target), (*earlier_readers(content), *left_out))


def run_lengths(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """A mask `(row, column)` as COCO's uncompressed run lengths: down the columns, the first run outside (perhaps of length 0)."""
    flat = np.asarray(mask, bool).ravel(order="F")
    ends = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff(np.concatenate([[0], ends, [flat.size]])).tolist()
    return {"counts": [0, *counts] if flat[:1].any() else counts, "size": list(mask.shape)}


def _structures(labels: NDArray[np.uint16], schema: LabelSchema) -> list[dict[str, Any]]:
    found = []
    for value in (v for v in schema.values[1:] if (labels == v).any()):
        mask = labels == value
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        found.append(
            {
                "category_id": value,
                "segmentation": run_lengths(mask),
                "area": int(mask.sum()),
                "bbox": [int(columns[0]), int(rows[0]), int(columns[-1] - columns[0] + 1), int(rows[-1] - rows[0] + 1)],
                "iscrowd": 0,
            }
        )
    return found


def _image(
    one: CaseContent, picture: SlicePicture, content: StudyContent, labels: NDArray[np.uint16], *, identifier: int
) -> dict[str, Any]:
    ignored = labels == content.schema.ignore_value
    return {
        "id": identifier,
        "file_name": picture.images[content.reference],
        "height": labels.shape[0],
        "width": labels.shape[1],
        "modalities": dict(picture.images),
        **describe_picture(one, picture, content),
        **({"ignore": run_lengths(ignored)} if ignored.any() else {}),
    }


def _info(content: StudyContent) -> dict[str, Any]:
    accepted = [a.accepted_at for one in content.cases for a in one.annotations]
    return {
        "description": f"Annotated slices of the study {content.title}. Pixels to ignore are the field ignore of an image.",
        "version": "1",
        "year": int(max(accepted)[:4]) if max(accepted)[:4].isdecimal() else 0,
        "contributor": f"SuggestiveAnnotation {content.version}".strip(),
        "date_created": max(accepted),
        "window": ABOUT_WINDOW,
        **orientation(content),
    }
