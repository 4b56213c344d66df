"""The data card against the study it is of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from exported_study import BY, READER, SECOND, exported_study

from SuggestiveAnnotationLib.engine.export import content_of, export
from SuggestiveAnnotationLib.errors import ExistsError
from SuggestiveAnnotationLib.export.data_card import card_hash, data_card
from SuggestiveAnnotationLib.study.study import IDENTITIES, Study

MakeStudy = Callable[..., Study]


@pytest.fixture
def study(make_study: MakeStudy, tmp_path: Path) -> Study:
    study = exported_study(make_study, tmp_path)
    study.set_property(IDENTITIES, {"p0": {"PatientName": "Doe^Jane", "PatientID": "MRN-4711"}})
    return Study(study.path)


@pytest.fixture
def card(study: Study, tmp_path: Path) -> dict[str, Any]:
    document, text = export(study, tmp_path / "out", format="data-card").files
    assert [document.name, text.name] == ["data_card.json", "DATA_CARD.md"]
    return json.loads(document.read_text(encoding="utf-8"))


def test_the_file_is_the_card_and_its_keys_are_those_described(study: Study, card: dict[str, Any]) -> None:
    assert card == json.loads(json.dumps(data_card(content_of(study))))
    assert list(card) == [
        "format", "version", "notice", "title", "states", "existing_labels", "counts", "cases", "schema", "preprocessing", "annotators",
        "reviewers", "annotations", "rounds", "models", "seeds", "hashes", "versions", "left_out",
    ]  # fmt: skip
    from SuggestiveAnnotationLib.export import data_card as module

    documented = str(module.__doc__)
    for name in card:
        assert f"`{name}`" in documented
    for part in ("cases", "annotators", "reviewers", "annotations", "rounds", "models"):
        for name in card[part][0]:
            assert f"`{name}`" in documented
    assert "not for diagnosis" in card["notice"]


def test_cases_people_and_schema_are_those_of_the_study(study: Study, card: dict[str, Any]) -> None:
    assert card["counts"] == {"cases": 2, "patients": 2, "sites": 0, "annotated_slices": 3, "annotations": 4, "roles": {"pool": 2}}
    assert [(c["case"], c["patient"], c["slices"], c["annotated_slices"]) for c in card["cases"]] == [
        ("case0", "p0", study.frame("case0").count, 2), ("case1", "p1", study.frame("case1").count, 1),
    ]  # fmt: skip
    image = sitk.ReadImage(study.case("case0").images["t1"])
    assert card["cases"][0]["size"] == list(image.GetSize())
    assert card["cases"][0]["spacing_mm"] == list(image.GetSpacing())
    assert [(one["value"], one["name"]) for one in card["schema"]["labels"]] == [(1, "left lobe"), (2, "right lobe")]
    assert card["schema"]["regions"] == {"both": [1, 2]}
    assert (card["preprocessing"]["key"], card["preprocessing"]["size"]) == (study.record.key, [32, 32])
    assert card["existing_labels"] == {"use": "pre-annotation", "rule": "labelled", "by": BY}
    assert card["annotators"] == [
        {
            "annotator": READER, "annotations": 3, "slices": 3, "in_labelmap": 2,
            "provenance": {"corrected": 1, "empty": 1, "from scratch": 1}, "rounds": [0], "minutes": None, "reviewed": 1,
        },
        {
            "annotator": SECOND, "annotations": 1, "slices": 1, "in_labelmap": 1, "provenance": {"from scratch": 1},
            "rounds": [0], "minutes": None, "reviewed": 0,
        },
    ]  # fmt: skip
    assert card["reviewers"] == [{"reviewer": SECOND, "approved": 1}]


def test_every_slice_has_its_suggestion_model_seed_and_hash(study: Study, card: dict[str, Any]) -> None:
    imported, trained = study.models()
    kept = {a.id: a for a in study.all_annotations()}
    assert [(a["case"], a["slice"]) for a in card["annotations"]] == [("case0", 3), ("case0", 6), ("case0", 6), ("case1", 7)]
    for one in card["annotations"]:
        labels = kept[one["annotation"]].labels
        expected = b"".join(int(v).to_bytes(2, "little") for v in labels.ravel())
        assert one["labels_sha256"] == hashlib.sha256(expected).hexdigest()
        assert one["seed"] == 7
    first, *_, audit = card["annotations"]
    assert first["suggestion"] == {"strategy": "random", "kind": "suggested", "rank": 0, "score": 0.25, "sentence": "Drawn at random."}
    assert (first["model"], first["model_kind"], first["card_sha256"]) == (imported.id, "imported", card_hash(imported))
    assert (first["state"], first["reviewer"], first["in_labelmap"]) == ("reviewed", SECOND, True)
    assert (audit["suggestion"]["kind"], audit["model"], audit["card_sha256"]) == ("audit", None, None)
    assert card["seeds"] == {"study": 5, "rounds": {"0": 7}, "models": {str(imported.id): None, str(trained.id): 11}}
    assert [(r["round"], r["strategy"], r["seed"], r["models"]) for r in card["rounds"]] == [(0, "random", 7, [trained.id])]


def test_hashes_are_those_of_the_files(study: Study, card: dict[str, Any], tmp_path: Path) -> None:
    trained = study.models("segmentation")[0]
    by_id = {m["model"]: m for m in card["models"]}
    assert by_id[trained.id]["weights_sha256"] == hashlib.sha256(trained.path.read_bytes()).hexdigest()
    assert by_id[trained.id]["data_hash"] == trained.card["data_hash"]
    assert by_id[trained.id]["trained_on"] == trained.card["annotations"]
    imported = by_id[study.models("imported")[0].id]
    assert (imported["weights_sha256"], imported["network"], list(imported["labels"])) == (None, None, ["case0", "case1"])
    text = json.dumps(trained.card, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert by_id[trained.id]["card_sha256"] == hashlib.sha256(text.encode()).hexdigest()
    labelmap = next(f for f in export(study, tmp_path / "maps", format="nrrd").files if f.name == "case0_annotation.nrrd")
    volume = sitk.GetArrayFromImage(sitk.ReadImage(str(labelmap)))
    assert card["cases"][0]["labels_sha256"] == hashlib.sha256(volume.astype("<u2").tobytes()).hexdigest()
    digest = hashlib.sha256()
    case = study.case("case0")
    for name, path in (("image t1", case.images["t1"]), ("label", case.label)):
        digest.update(name.encode() + hashlib.sha256(Path(path).read_bytes()).digest())
    assert card["cases"][0]["source_sha256"] == digest.hexdigest()


def test_no_path_and_no_identity_is_in_it(study: Study, card: dict[str, Any], tmp_path: Path) -> None:
    both = json.dumps({**card, "left_out": []}) + (tmp_path / "out" / "DATA_CARD.md").read_text(encoding="utf-8").split("## Left out")[0]
    folders = {str(Path(path).parent) for path in (study.path / "x", *study.case("case0").images.values())}
    for secret in (*folders, "Doe", "MRN-4711", ".nii", ".safetensors", "case2"):
        assert secret not in both


def test_what_was_left_out_is_said_in_both(card: dict[str, Any], tmp_path: Path) -> None:
    assert card["left_out"] == ["1 draft that nobody accepted.", "1 accepted slice of case case2, which is excluded."]
    text = (tmp_path / "out" / "DATA_CARD.md").read_text(encoding="utf-8")
    for sentence in card["left_out"]:
        assert f"- {sentence}" in text


def test_people_read_the_same_as_markdown_and_names_break_no_table(card: dict[str, Any], tmp_path: Path) -> None:
    text = (tmp_path / "out" / "DATA_CARD.md").read_text(encoding="utf-8")
    lines = text.splitlines()
    assert lines[0] == "# Data card: made-once"
    assert "3 annotated slices of 2 cases (2 pool) of 2 patients; 4 annotations in the states accepted and reviewed." in text
    assert r"| Dr \| Two | 1 | 1 from scratch | 0 | 0 |  |" in lines
    rows = [line for line in lines if line.startswith("|")]
    assert len(rows) > 20
    header = 0
    for line in lines:
        cells = line.replace(r"\|", "").count("|")
        header = cells if header == 0 else header
        assert cells in (header, 0)
        header = cells
    assert f"| 0 | random | slice | 2 | 7 | {card['rounds'][0]['models'][0]} | 4 |" in lines


def test_nothing_is_replaced_unasked(study: Study, card: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "DATA_CARD.md").unlink()
    with pytest.raises(ExistsError, match=r"already has data_card\.json"):
        export(study, out, format="data-card")
    assert not (out / "DATA_CARD.md").exists()
    export(study, out, format="data-card", overwrite=True)
    assert (out / "DATA_CARD.md").exists()
    assert not [path for path in out.iterdir() if path.name.startswith(".")]


def test_minutes_are_summed_where_all_are_known(make_study: MakeStudy) -> None:
    from SuggestiveAnnotationLib.session import Session
    from SuggestiveAnnotationLib.types import SliceRef

    study = make_study(prepared=True, cases=1)
    refs = [SliceRef("case0", 0, k) for k in (2, 3)]
    Session(study, annotator="a").accept(
        {ref: np.zeros((24, 20), np.uint16) for ref in refs}, minutes=dict(zip(refs, (1.25, 0.5), strict=True))
    )
    (reader,) = data_card(content_of(study))["annotators"]
    assert (reader["minutes"], reader["provenance"]) == (1.75, {"empty": 2})
