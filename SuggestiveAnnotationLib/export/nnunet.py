"""An nnU-Net v2 raw dataset in which everything that nobody annotated carries the ignore label.

Layout and `dataset.json` as in nnU-Net's documentation (reference/dataset-format.md), the ignore label as in ignore_label.md: it is named
`ignore` and is the highest label. Regions as in region_based_training.md, where the schema has them. Splits as `nnUNetTrainer.do_split`
reads them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.cohort.files.text_file import read_json_file
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.export.case_images import cases_with, earlier_readers, image_on_grid, no_case, write_image
from SuggestiveAnnotationLib.export.content import CaseContent, Exported, StudyContent
from SuggestiveAnnotationLib.export.names import ascii_letters, file_names
from SuggestiveAnnotationLib.export.volume_file import write_volume
from SuggestiveAnnotationLib.export.whole_folder import datasets, listing, mend, whole_folder, written
from SuggestiveAnnotationLib.progress import Stage
from SuggestiveAnnotationLib.types import LabelSchema

MARKER = "suggestive-annotation-nnunet.json"
FIRST_ID, LAST_ID = 501, 999
FOLDS = 5

_ENDING = ".nii.gz"
_FOLDER = re.compile(r"\.?Dataset(\d{3})_")


def write(folder: Path, content: StudyContent, *, overwrite: bool, stage: Stage) -> Exported:
    """Write `Dataset<id>_<name>` into `folder`, which may be `nnUNet_raw`.

    Cases of role pool and validation train (`imagesTr`, `labelsTr`), test cases go into `imagesTs` and `labelsTs`. Every modality is on
    the grid of the reference. The id is the smallest free one from 501; with `overwrite` an earlier dataset of the same study is replaced.

    Args:
        folder: where the dataset folder goes; made if it is absent.
        content: what goes out.
        overwrite: as above.
        stage: advanced by one a case.

    Raises:
        InputError: no case to train on, an image is gone or has changed, or no id is free.
        StorageError: the folder cannot be written.
    """
    cases, left_out = _usable(content)
    if not any(one.case.role != "test" for one in cases):
        raise no_case((*left_out, "nnU-Net needs at least one case that is not a test case."))
    names = file_names(one.case.name for one in cases)
    train = {names[one.case.name]: one.case.patient for one in cases if one.case.role != "test"}
    folds = splits(train)
    if not folds:
        left_out += ("No splits are written because all training cases are of one person; nnU-Net can train on them with fold `all` only.",)
    mend(folder)
    own = [path for path in datasets(folder, MARKER, study=content.key) if _FOLDER.match(path.name)] if overwrite else []
    target = own[0] if own else _free_place(Path(folder), content.title)
    if content.schema.regions and _regions(content.schema) is None:
        names_of = ", ".join(content.schema.regions)
        left_out += (f"The regions {names_of}: nnU-Net trains by regions only where they tell all structures apart.",)
    if overwrite:
        left_out += _others_of(Path(folder), content.title, own)
    with whole_folder(target, marker=MARKER, overwrite=overwrite, study=content.key) as scratch:
        for part in ("imagesTr", "labelsTr", *(("imagesTs", "labelsTs") if len(train) < len(cases) else ())):
            (scratch / part).mkdir()
        for one in content.cases:
            if one.case.name in names:
                _write_case(scratch, target, content, one, names[one.case.name])
            stage.advance()
        _write_json(scratch / "dataset.json", _dataset_json(content, len(train)))
        _write_json(scratch / "label_values.json", _mapping(content.schema, names))
        if folds:
            _write_json(scratch / "splits_final.json", folds)
        (scratch / "README.md").write_text(_readme(content, target.name, len(folds)), encoding="utf-8")
    return Exported(written(target), (*earlier_readers(content), *left_out))


def label_values(schema: LabelSchema) -> dict[int, int]:
    """Schema value -> nnU-Net's label: background 0, the structures 1..K in the schema's order, ignore K + 1."""
    return {value: label for label, value in enumerate((*schema.values, schema.ignore_value))}


def _regions(schema: LabelSchema) -> tuple[dict[str, int | list[int]], list[int]] | None:
    """Name -> nnU-Net's labels of every region, the larger first, and the label that each one writes over those before it.

    None where that does not give every structure its own label, or no region has several.
    """
    label = label_values(schema)
    ordered = sorted(((name, set(members)) for name, members in schema.regions.items()), key=lambda region: -len(region[1]))
    last = {value: index for index, (_, members) in enumerate(ordered) for value in members}
    single = [tuple(members) for _, members in ordered if len(members) == 1]
    if len(single) == len(ordered) or len(set(single)) < len(single) or len(set(last.values())) < len(schema.classes):
        return None
    written = {index: value for value, index in last.items()}
    found: dict[str, int | list[int]] = {}
    for name, members in ordered:
        free = f"{name} (region)" if name.strip().casefold() in ("background", "ignore") else name
        values = sorted(label[value] for value in members)
        # nnU-Net miscounts its outputs where a region of one label is a list.
        found[free] = values if len(values) > 1 else values[0]
    return found, [label[written.get(index, min(members))] for index, (_, members) in enumerate(ordered)]


def splits(patients: Mapping[str, str], *, folds: int = FOLDS) -> list[dict[str, list[str]]]:
    """Folds of a cross-validation, as nnU-Net's `splits_final.json` holds them; all cases of a person are on one side.

    The same cases give the same folds. Persons with most cases are dealt out first, each to the fold with the fewest cases so far.

    Args:
        patients: case -> person.
        folds: at most so many; not more than there are persons.

    Returns:
        `train` and `val` of every fold; empty when there is only one person.
    """
    of: dict[str, list[str]] = {}
    for case in sorted(patients):
        of.setdefault(patients[case], []).append(case)
    count = min(folds, len(of))
    if count < 2:
        return []
    held_out: list[list[str]] = [[] for _ in range(count)]
    for person in sorted(of, key=lambda p: (-len(of[p]), p)):
        min(held_out, key=len).extend(of[person])
    return [{"train": sorted(set(patients) - set(val)), "val": sorted(val)} for val in held_out]


def _usable(content: StudyContent) -> tuple[tuple[CaseContent, ...], tuple[str, ...]]:
    cases, left_out = cases_with(content, content.modalities)
    good = []
    for one in cases:
        if one.case.role == "excluded":
            left_out += (f"Case {one.case.name} is left out: it is excluded from the study.",)
        elif all((a.labels == content.schema.ignore_value).all() for a in one.shown().values()):
            left_out += (f"Case {one.case.name} is left out: every annotated pixel is marked to be ignored.",)
        else:
            good.append(one)
    return tuple(good), left_out


def _free_place(folder: Path, title: str) -> Path:
    # An export that is under way counts too: its hidden folder bears the id.
    taken = {int(found[1]) for p in listing(folder) if (found := _FOLDER.match(p.name))}
    free = next((i for i in range(FIRST_ID, LAST_ID + 1) if i not in taken), None)
    if free is None:
        raise InputError(f"{folder} holds a dataset for every id from {FIRST_ID} to {LAST_ID}.", hint="Choose another folder.")
    name = re.sub(r"[^A-Za-z0-9]+", "-", ascii_letters(title)).strip("-")[:40].strip("-")
    return folder / f"Dataset{free}_{name or 'Study'}"


def _others_of(folder: Path, title: str, own: Collection[Path]) -> tuple[str, ...]:
    """A sentence on datasets of this study's title that are not known to be its own, and therefore stay."""
    names = [path.name for path in listing(folder) if _FOLDER.match(path.name) and path not in own and _title(path) == title]
    return tuple(f"{name} in {folder} has the title of this study, but is not known to be its export: it stays." for name in names)


def _title(dataset: Path) -> str | None:
    try:
        name = read_json_file(dataset / "dataset.json", "description of a dataset")["name"]
    except (InputError, KeyError, TypeError):
        return None
    return str(name)


def _write_case(scratch: Path, target: Path, content: StudyContent, one: CaseContent, name: str) -> None:
    part = "Ts" if one.case.role == "test" else "Tr"
    for channel, modality in enumerate(content.modalities):
        image = image_on_grid(one, modality, reference=content.reference)
        write_image(scratch / f"images{part}" / f"{name}_{channel:04d}{_ENDING}", target, image, one.grid.geometry)
    labels, _ = one.volume()
    final = target.parent / f"{target.name}: {name}{_ENDING}"  # names the case in sentences; its folder exists
    write_volume(scratch / f"labels{part}" / f"{name}{_ENDING}", final, _converted(labels, content.schema), one.grid.geometry)


def _converted(labels: NDArray[np.uint16], schema: LabelSchema) -> NDArray[Any]:
    table = np.zeros(65536, np.uint8 if len(schema.classes) + 1 <= 255 else np.uint16)
    for value, label in label_values(schema).items():
        table[value] = label
    converted: NDArray[Any] = table[labels]
    return converted


def _label_names(schema: LabelSchema) -> dict[int, str]:
    """nnU-Net's label -> name; `background` and `ignore` mean something to nnU-Net and are kept for that."""
    names = {0: "background"}
    for label, one in enumerate(schema.classes, start=1):
        taken = one.name in {*names.values(), "ignore"}
        names[label] = f"{one.name} ({one.value})" if taken else one.name
    return {**names, len(schema.classes) + 1: "ignore"}


def _dataset_json(content: StudyContent, training: int) -> dict[str, Any]:
    names = _label_names(content.schema)
    labels: dict[str, Any] = {"labels": {name: label for label, name in names.items()}}
    if (by_region := _regions(content.schema)) is not None:
        regions, order = by_region
        labels = {"labels": {"background": 0, **regions, "ignore": max(names)}, "regions_class_order": order}
        # Not of nnU-Net: labels that occur in regions only have no name there.
        labels["label_names"] = {str(label): name for label, name in names.items() if 0 < label < max(names)}
    return {
        "channel_names": {str(i): modality for i, modality in enumerate(content.modalities)},
        **labels,
        "numTraining": training,
        "file_ending": _ENDING,
        "name": content.title,
        "description": "Slices that a reader accepted; all others carry the label `ignore`.",
        "licence": "not stated",
        "reference": f"exported by SuggestiveAnnotation {content.version}".strip(),
        "splits": "Copy splits_final.json into the dataset's folder in nnUNet_preprocessed before training; see README.md.",
    }


def _mapping(schema: LabelSchema, names: Mapping[str, str]) -> dict[str, Any]:
    label = label_values(schema)
    structures = [{"value": c.value, "name": c.name, "nnunet_label": label[c.value], "terminology": c.terminology} for c in schema.classes]
    return {
        "schema": schema.name,
        "background": {"value": 0, "nnunet_label": 0},
        "structures": structures,
        "regions": [{"name": name, "nnunet_labels": [label[v] for v in members]} for name, members in schema.regions.items()],
        "ignore": {"value": schema.ignore_value, "nnunet_label": label[schema.ignore_value]},
        "cases": dict(sorted(names.items())),
    }


def _write_json(path: Path, data: Mapping[str, Any] | Sequence[Any]) -> None:
    # ASCII only: nnU-Net reads with the encoding of the system, which on Windows is not UTF-8.
    path.write_text(json.dumps(data, indent=2, allow_nan=False) + "\n", encoding="ascii")


def _readme(content: StudyContent, name: str, folds: int) -> str:
    number = name[len("Dataset") :][:3]
    lines = [
        f"# {name}",
        "",
        f"nnU-Net v2 dataset of the study {content.title}. Slices that nobody accepted carry the label `ignore`, from which nnU-Net does",
        "not learn. `label_values.json` says which label stands for which structure, and which file for which case.",
        "",
        "1. Put this folder into `nnUNet_raw`.",
        f"2. `nnUNetv2_plan_and_preprocess -d {number} --verify_dataset_integrity`",
    ]
    if folds:
        lines += [
            f"3. Copy `splits_final.json` into `nnUNet_preprocessed/{name}`: {folds} folds in which all cases of a person are on one side.",
            f"4. `nnUNetv2_train {number} 3d_fullres 0` and so on, for folds 0 to {folds - 1}.",
        ]
    else:
        lines += [f"3. `nnUNetv2_train {number} 3d_fullres all`: all cases are of one person, so there are no splits."]
    return "\n".join(lines) + "\n"
