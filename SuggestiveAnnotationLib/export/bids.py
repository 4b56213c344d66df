"""A BIDS derivative dataset of discrete segmentations.

Written after the Brain Imaging Data Structure, chapters "Derivatives: Imaging data types" (masks, discrete segmentations, common
image-derived labels), "Common data types and metadata" (spatial references) and "Dataset description" of version 1.9.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from SuggestiveAnnotationLib.export.assemble import storage_type
from SuggestiveAnnotationLib.export.bids_names import bids_names
from SuggestiveAnnotationLib.export.case_images import earlier_readers, no_case
from SuggestiveAnnotationLib.export.content import CaseContent, Exported, StudyContent
from SuggestiveAnnotationLib.export.sidecar import describe_annotations
from SuggestiveAnnotationLib.export.volume_file import write_volume
from SuggestiveAnnotationLib.export.whole_folder import whole_folder, written
from SuggestiveAnnotationLib.progress import Stage
from SuggestiveAnnotationLib.types import LabelSchema

FOLDER = "suggestive-annotation"
MARKER = "suggestive-annotation-bids.json"
BIDS_VERSION = "1.9.0"


def write(folder: Path, content: StudyContent, *, overwrite: bool, stage: Stage) -> Exported:
    """Write the derivative dataset `suggestive-annotation` into `folder`, which may be the `derivatives` of a BIDS dataset.

    Each case has a segmentation and a mask of its annotated slices on its own grid; `dseg.tsv` at the root says what the values mean.
    What nobody annotated has the schema's ignore value, which the table lists.

    Args:
        folder: where the dataset goes; made if it is absent.
        content: what goes out.
        overwrite: an earlier export there is replaced.
        stage: advanced by one a case.

    Raises:
        InputError: something else is there, or NIfTI cannot hold the grid of a case.
        StorageError: the folder cannot be written.
    """
    if not content.cases:
        raise no_case(())
    target = Path(folder) / FOLDER
    names = bids_names([one.case for one in content.cases])
    with whole_folder(target, marker=MARKER, overwrite=overwrite) as scratch:
        for one in content.cases:
            _write_case(scratch, target, content, one, names[one.case.name])
            stage.advance()
        _write_json(scratch / "dataset_description.json", _description(content))
        (scratch / "dseg.tsv").write_text(_table(content.schema), encoding="utf-8")
        _write_json(scratch / "dseg.json", {"terminology": {"Description": "Code of the structure: coding scheme^code^meaning."}})
        (scratch / "descriptions.tsv").write_text(
            "desc_id\tdescription\nannotated\tSlices that a reader accepted; the mask is 1 on them.\n", encoding="utf-8"
        )
        (scratch / ".bidsignore").write_text(f"{MARKER}\n", encoding="utf-8")
        (scratch / "README").write_text(_readme(content), encoding="utf-8")
    return Exported(written(target), earlier_readers(content))


def _write_case(scratch: Path, target: Path, content: StudyContent, one: CaseContent, name: str) -> None:
    place = scratch.joinpath(*(part for part in name.split("_") if part.startswith(("sub-", "ses-"))), "anat")
    place.mkdir(parents=True, exist_ok=True)
    labels, mask = one.volume()
    stem = f"{name}_space-orig_desc-annotated"
    volumes = {"dseg": labels.astype(storage_type(content.schema)), "mask": mask}
    for suffix, volume in volumes.items():
        # Names the case in sentences; the folder it is said to be in exists.
        final = target.parent / f"{target.name}: {stem}_{suffix}.nii.gz"
        write_volume(place / f"{stem}_{suffix}.nii.gz", final, volume, one.grid.geometry)
    shown = one.shown()
    about = {
        "SpatialReference": "orig",
        # Work that began with the output of a model is neither manual nor automatic in the sense of the field.
        **({"Manual": True} if {a.provenance for a in shown.values()} <= {"from scratch"} else {}),
    }
    entries = describe_annotations(one.annotations, shown, suggestions=one.suggestions, models=one.models)
    study = {
        "Study": content.title,
        "Case": one.case.name,
        "Role": one.case.role,
        "Plane": content.record.plane,
        "ReferenceModality": content.reference,
        "Slices": one.grid.frame.count,
        "IgnoreValue": content.schema.ignore_value,
        "SchemaKey": content.schema.key,
        "Annotations": entries,
    }
    what = (
        f"Slices that a reader accepted. All others have the value {content.schema.ignore_value}, which means that nobody annotated them."
    )
    _write_json(place / f"{stem}_dseg.json", {"Description": what, **about, "SuggestiveAnnotation": study})
    _write_json(place / f"{stem}_mask.json", {"Description": "1 on slices that a reader accepted, else 0.", "Type": "ROI", **about})


def _table(schema: LabelSchema) -> str:
    """The look-up table: index, name, color and terminology, as tab-separated values."""
    rows = [("index", "name", "color", "terminology"), ("0", "background", "#000000", "n/a")]
    for c in schema.classes:
        rows.append((str(c.value), c.name, "#{:02x}{:02x}{:02x}".format(*c.colour), c.terminology or "n/a"))
    rows.append((str(schema.ignore_value), "ignore", "#ffffff", "n/a"))
    return "".join("\t".join(re.sub(r"\s+", " ", cell) for cell in row) + "\n" for row in rows)


def _description(content: StudyContent) -> dict[str, Any]:
    made_by = {"Name": "SuggestiveAnnotation", "Description": "Slices that readers annotated and accepted, suggested by a strategy."}
    if content.version:
        made_by["Version"] = content.version
    return {
        "Name": f"{content.title}: annotated slices",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [made_by],
    }


def _readme(content: StudyContent) -> str:
    return (
        f"Annotated slices of the study {content.title}.\n\n"
        "Only some slices of a case are annotated: those where its desc-annotated mask is 1. All other voxels of a segmentation have\n"
        f"the value {content.schema.ignore_value}. dseg.tsv says what the values mean. The JSON beside a segmentation lists who accepted\n"
        "which slice, when, and why it was suggested. Voxel grids are those of the images that were annotated.\n"
    )


def _write_json(path: Path, data: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
