"""The data card: what a data set is, who annotated what with which suggestion and model, seeds and hashes.

`data_card.json` for machines, `DATA_CARD.md` for people. They name cases, patients, sites and annotators as the study does (pseudonyms),
and hold no path and nothing that identifies a patient. Keys of `data_card.json`; lists are in a stable order, `null` is unknown or does not
apply, times are UTC in ISO 8601:

- `format`, `version`, `notice`, `title`, `states` (of the annotations in it: accepted, reviewed), `existing_labels` (`use`, `rule`, `by`:
  what labels that the study began with are for, which of their slices count, and who drew them).
- `counts`: `cases`, `patients`, `sites`, `annotated_slices`, `annotations`, `roles` (role -> cases).
- `cases`: `case`, `patient`, `site`, `role`, `size` and `spacing_mm` (i, j, k), `slices`, `annotated_slices`, `source_sha256`,
  `labels_sha256`.
- `schema`: `name`, `key`, `ignore_value`, `background`, `labels` (`value`, `name`, `colour`, `terminology`), `regions` (name -> values).
- `preprocessing`: the frozen record with its `key`; `modalities` in channel order, `reference` the one whose grid annotations live on.
- `annotators`: `annotator`, `annotations`, `slices`, `in_labelmap`, `provenance` (kind -> annotations), `rounds`, `minutes` (`null` unless
  known of all), `reviewed`. `reviewers`: `reviewer`, `approved`.
- `annotations`: `annotation` (number), `case`, `slice` (from 1), `native_index` (from 0), `axis`, `annotator`, `provenance`, `state`,
  `reviewer`, `accepted_at`, `in_labelmap`, `round`, `seed` (of the round), `suggestion` (`strategy`, `kind`, `rank`, `score`, `sentence`),
  `prediction`, `model`, `model_kind`, `card_sha256` (of that model), `labels_sha256`.
- `rounds`: `round`, `stage`, `strategy`, `unit`, `budget`, `seed`, `settings`, `models` (trained in it), `started`, `finished`, `notes`.
- `models`: `model`, `kind` (segmentation, manifold; imported: labels that were there before, no weights), `round`, `created`, `seed`,
  `network`, `preprocessing` (key), `data_hash`, `trained_on` (numbers of annotations), `labels` (of an imported one: exported case ->
  hashes), `imported_from` (of a network that another study trained: `file`, `weights_sha256`, `trained_on`), `weights_sha256`,
  `card_sha256`, `versions`.
- `seeds`: `study`, `rounds` (number -> seed), `models` (number -> seed).
- `hashes`: what each kind of hash is taken over. `versions`: of this library and those it works with, at the time of the export.
- `left_out`: sentences on what of the study is not in the data set.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from SuggestiveAnnotationLib.export.content import CaseContent, Exported, StudyContent
from SuggestiveAnnotationLib.export.data_card_text import as_markdown
from SuggestiveAnnotationLib.export.sidecar import describe_schema, describe_suggestion, name_slice
from SuggestiveAnnotationLib.export.tables import state_of
from SuggestiveAnnotationLib.files import refuse_present, whole_file
from SuggestiveAnnotationLib.progress import Stage
from SuggestiveAnnotationLib.study.records import Model, Round
from SuggestiveAnnotationLib.types import LabelArray

VERSION = 1
NOTICE = (
    "Research data. Neither the labels nor the software they were made with is a medical device; they are not for diagnosis or treatment. "
    "Slices that nobody accepted carry no label."
)
HASHES = {
    "labels_sha256 of an annotation": "SHA-256 of the slice's schema values, little-endian uint16, row by row in canonical orientation",
    "labels_sha256 of a case": "SHA-256 of the label volume (k, j, i), the ignore value where nothing was accepted, little-endian uint16",
    "source_sha256": "SHA-256 over names and SHA-256 digests of the source files of the case: images, labels and mask where there are, "
    "and the files of their voxels where headers name some",
    "weights_sha256": "SHA-256 of the file of weights",
    "card_sha256": "SHA-256 of the model's card as JSON in UTF-8, keys sorted, no white space",
    "data_hash": "hash over the source hashes of all cases of the study when the model was trained",
}
_PACKAGES = ("numpy", "scipy", "SimpleITK", "SQLAlchemy")


def write(folder: Path, content: StudyContent, *, overwrite: bool, stage: Stage) -> Exported:
    """Write both files, together or not at all. See `formats.Writer`.

    Raises:
        ExistsError: one of them is there and `overwrite` is off.
        StorageError: the folder is read-only or the disk is full.
    """
    document, text = Path(folder) / "data_card.json", Path(folder) / "DATA_CARD.md"
    refuse_present((document, text), overwrite=overwrite)
    card = data_card(content, stage=stage)
    with ExitStack() as stack:
        text_file, document_file = (stack.enter_context(whole_file(path)) for path in (text, document))
        document_file.write_text(json.dumps(card, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
        text_file.write_text(as_markdown(card), encoding="utf-8")
    return Exported((document, text))


def data_card(content: StudyContent, *, stage: Stage | None = None) -> dict[str, Any]:
    """The content of `data_card.json`."""
    cases, annotations = [], []
    for case in content.cases:
        cases.append(_case(case))
        annotations += _annotations(case, content)
        if stage is not None:
            stage.advance()
    settings = content.settings
    return {
        "format": "SuggestiveAnnotation data card",
        "version": VERSION,
        "notice": NOTICE,
        "title": content.title,
        "states": list(content.states),
        "existing_labels": {
            "use": settings.get("labels_as", "reference"),
            "rule": settings.get("annotated_slices", "all"),
            "by": settings.get("labels_by"),
        },
        "counts": {
            "cases": len(cases),
            "patients": len({one["patient"] for one in cases}),
            "sites": len({one["site"] for one in cases if one["site"]}),
            "annotated_slices": sum(one["annotated_slices"] for one in cases),
            "annotations": len(annotations),
            "roles": dict(sorted(Counter(one["role"] for one in cases).items())),
        },
        "cases": cases,
        "schema": {
            **describe_schema(content.schema),
            "regions": {name: list(values) for name, values in content.schema.regions.items()},
        },
        "preprocessing": {**_json(asdict(content.record)), "key": content.record.key},
        "annotators": _annotators(annotations, content),
        "reviewers": [
            {"reviewer": name, "approved": number}
            for name, number in sorted(Counter(one["reviewer"] for one in annotations if one["reviewer"] is not None).items())
        ],
        "annotations": annotations,
        "rounds": [_round(one, content.models) for one in content.rounds],
        "models": [_model(one, {case["case"] for case in cases}) for one in content.models],
        "seeds": {
            "study": settings.get("seed"),
            "rounds": {str(one.number): one.seed for one in content.rounds},
            "models": {str(one.id): one.card.get("seed") for one in content.models},
        },
        "hashes": dict(HASHES),
        "versions": {"SuggestiveAnnotationLib": content.version, "Python": platform.python_version(), **_versions()},
        "left_out": list(content.left_out),
    }


def card_hash(model: Model) -> str:
    """See `HASHES`."""
    text = json.dumps(model.card, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def labels_hash(labels: LabelArray) -> str:
    """See `HASHES`."""
    return hashlib.sha256(np.ascontiguousarray(labels, np.dtype("<u2")).tobytes()).hexdigest()


def _case(case: CaseContent) -> dict[str, Any]:
    grid, row = case.grid, case.case
    return {
        "case": row.name,
        "patient": row.patient,
        "site": row.site,
        "role": row.role,
        "size": list(grid.geometry.size),
        "spacing_mm": list(grid.geometry.spacing),
        "slices": grid.frame.count,
        "annotated_slices": len(case.shown()),
        "source_sha256": case.source_sha256,
        "labels_sha256": labels_hash(case.volume()[0]),
    }


def _annotations(case: CaseContent, content: StudyContent) -> list[dict[str, Any]]:
    shown = case.shown()
    seeds = {one.number: one.seed for one in content.rounds}
    models = {one.id: one for one in content.models}
    out = []
    for one in sorted(case.annotations, key=lambda a: (a.ref, a.id)):
        suggestion = case.suggestions.get(one.ref)
        model = models.get(case.models.get(one.prediction_id, -1)) if one.prediction_id is not None else None
        out.append(
            {
                "annotation": one.id,
                "case": one.ref.case,
                **name_slice(one.ref),
                "axis": one.ref.axis,
                "annotator": one.annotator,
                "provenance": one.provenance,
                **state_of(one, content),
                "accepted_at": one.accepted_at,
                "in_labelmap": shown[one.ref].id == one.id,
                "round": one.round,
                "seed": None if one.round is None else seeds.get(one.round),
                "suggestion": None if suggestion is None else describe_suggestion(suggestion),
                "prediction": one.prediction_id,
                "model": None if model is None else model.id,
                "model_kind": None if model is None else model.kind,
                "card_sha256": None if model is None else card_hash(model),
                "labels_sha256": labels_hash(one.labels),
            }
        )
    return out


def _annotators(annotations: Sequence[Mapping[str, Any]], content: StudyContent) -> list[dict[str, Any]]:
    minutes = {a.id: a.minutes for case in content.cases for a in case.annotations}
    out = []
    for name in sorted({one["annotator"] for one in annotations}):
        own = [one for one in annotations if one["annotator"] == name]
        spent = [minutes[one["annotation"]] for one in own]
        known = [m for m in spent if m is not None]
        out.append(
            {
                "annotator": name,
                "annotations": len(own),
                "slices": len({(one["case"], one["native_index"]) for one in own}),
                "in_labelmap": sum(one["in_labelmap"] for one in own),
                "provenance": dict(sorted(Counter(one["provenance"] for one in own).items())),
                "rounds": sorted({one["round"] for one in own if one["round"] is not None}),
                "minutes": round(sum(known), 2) if len(known) == len(spent) else None,
                "reviewed": sum(one["state"] == "reviewed" for one in own),
            }
        )
    return out


def _round(one: Round, models: Sequence[Model]) -> dict[str, Any]:
    return {
        "round": one.number,
        "stage": one.stage,
        "strategy": one.strategy,
        "unit": one.unit,
        "budget": one.budget,
        "seed": one.seed,
        "settings": _json(dict(one.settings)),
        "models": [model.id for model in models if model.round == one.number],
        "started": one.started,
        "finished": one.finished,
        "notes": list(one.notes),
    }


def _model(one: Model, cases: Collection[str]) -> dict[str, Any]:
    labels = one.card.get("labels")
    return {
        "model": one.id,
        "kind": one.kind,
        "round": one.round,
        "created": one.created,
        "seed": one.card.get("seed"),
        "network": one.card.get("network"),
        "preprocessing": one.record_key,
        "data_hash": one.card.get("data_hash"),
        "trained_on": one.card.get("annotations"),
        "labels": None if labels is None else {case: about for case, about in labels.items() if case in cases},
        "imported_from": one.imported_from,
        "weights_sha256": one.card.get("weights_sha256"),
        "card_sha256": card_hash(one),
        "versions": one.card.get("versions"),
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _json(data: Mapping[str, Any]) -> dict[str, Any]:
    """Tuples as lists, as a reader of the file gets them."""
    out: dict[str, Any] = json.loads(json.dumps(data))
    return out
