from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from SuggestiveAnnotationLib.cohort.labels.colours import OKABE_ITO, distinct_colours
from SuggestiveAnnotationLib.cohort.labels.schema import (
    exported_schema,
    guess_schema,
    load_schema,
    save_schema,
    schema_from_json,
    schema_to_json,
    shipped_schemas,
)
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.export.sidecar import describe_schema
from SuggestiveAnnotationLib.types import Case, LabelClass, LabelSchema

RULES: dict[str, Any] = {
    "format": "suggestive-annotation label schema",
    "version": 1,
    "name": "two",
    "classes": [
        {"value": 1, "name": "left", "colour": [1, 2, 3], "partner": 2},
        {"value": 2, "name": "right", "colour": [4, 5, 6], "partner": 1, "terminology": "SCT^1^x"},
    ],
    "regions": {"both": [1, 2]},
    "merge": {"0": [9], "1": ["100-103", 7], "255": [8]},
    "merge_other": 2,
}


def test_every_shipped_schema_loads_by_name_and_by_path() -> None:
    tumours, brains = ("brats", "brats-2017", "brats-2023"), ("ibsr-tissue", "malc-25", "malc-tissue", "mrbrains18", "ms-lesions")
    assert shipped_schemas() == (*tumours, *brains, "promise12", "wmh-2017")
    for name in shipped_schemas():
        assert load_schema(name).name == name


def test_a_schema_comes_back_equal_from_its_file(tmp_path: Path) -> None:
    for name in shipped_schemas():
        schema = load_schema(name)
        save_schema(schema, tmp_path / "x.json", notes=["why"])
        again = load_schema(tmp_path / "x.json")
        assert again == schema
        assert again.key == schema.key


def test_ranges_and_lists_of_merge_become_one_entry_per_file_value() -> None:
    schema = schema_from_json(RULES)
    assert schema.merge == {9: 0, 100: 1, 101: 1, 102: 1, 103: 1, 7: 1, 8: 255}
    assert schema.merge_other == 2
    assert schema.channel_partner == (0, 2, 1)
    assert schema.classes[1].terminology == "SCT^1^x"
    assert schema_from_json(schema_to_json(schema)) == schema


def broken(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(RULES), **changes}


def with_class(**changes: Any) -> dict[str, Any]:
    data = copy.deepcopy(RULES)
    data["classes"][0].update(changes)
    return data


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ([], "not a JSON object"),
        (broken(format="x"), '"format" is not'),
        (broken(version=2), '"version" is 2'),
        (broken(colour="red"), "unknown keys .*colour"),
        (broken(name=" "), '"name" is missing'),
        (broken(classes=[]), '"classes" is missing or empty'),
        (with_class(value=2), "value 2 is used twice"),
        (with_class(value=0), "class value 0"),
        (with_class(value=True), "class value True"),
        (with_class(value=70000), "class value 70000"),
        (with_class(name="right"), '"right" is used twice'),
        (with_class(colour=[1, 2, 300]), "three whole numbers"),
        (with_class(partner=5), "partner 5 of left is no class"),
        (with_class(partner=None), "partner of right does not name it in return"),
        (with_class(terminology="brain"), "scheme.code.meaning"),
        (with_class(size=3), "incomplete or has unknown keys"),
        (broken(ignore_value=1), "ignore_value 1 is not free"),
        (broken(regions={"all": [1, 3]}), 'region "all" names values'),
        (broken(merge={"3": [4]}), "merge target 3 is no value"),
        (broken(merge={"1": [4], "2": [4]}), "file value 4 twice"),
        (broken(merge={"1": ["a-b"]}), "neither a value"),
        (broken(merge_other=7), "merge_other 7"),
        (broken(ignore_unlabelled_in_mask="yes"), "neither true nor false"),
    ],
)
def test_a_file_that_breaks_a_rule_is_refused_with_the_rule(tmp_path: Path, data: Any, says: str) -> None:
    path = tmp_path / "s.json"
    path.write_text(json.dumps(data))
    with pytest.raises(InputError, match=rf"s\.json is not a valid label schema: .*{says}"):
        load_schema(path)


def test_unknown_names_and_files_that_are_no_json_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no label schema prostate\. .*malc-tissue"):
        load_schema("prostate")
    (tmp_path / "s.json").write_text("{")
    with pytest.raises(InputError, match="not a JSON file"):
        load_schema(tmp_path / "s.json")


def test_malc_25_has_25_structures_and_every_side_its_partner() -> None:
    schema = load_schema("malc-25")
    assert len(schema.classes) == 25
    assert sum(c.partner is None for c in schema.classes) == 3
    for c in schema.classes:
        if c.partner is not None:
            other = next(o for o in schema.classes if o.value == c.partner)
            assert {c.name.split()[0], other.name.split()[0]} == {"left", "right"}
            assert c.name.split()[1:] == other.name.split()[1:]
    assert schema.merge is not None
    assert all(schema.merge[v] == (3 if v % 2 else 4) for v in range(100, 208))
    # Brain stem, left hippocampus, right thalamus, left inferior horn, vermis, ventral diencephalon.
    assert [schema.merge[v] for v in (35, 48, 59, 50, 72, 61)] == [25, 19, 12, 5, 0, 0]


def test_the_regions_of_brats_are_nested() -> None:
    regions = load_schema("brats").regions
    assert regions == {"whole tumour": (1, 2, 3, 4), "tumour core": (1, 3, 4), "enhancing tumour": (4,)}


def label_case(path: Path | None) -> Case:
    return Case("a", "a", "pool", {}, label=str(path) if path else None)


def test_a_schema_is_guessed_from_the_values_of_all_cases(write_image: Callable[..., Path], labels: np.ndarray) -> None:
    schema = guess_schema([label_case(write_image("a.nii.gz", labels)), label_case(write_image("b.nii.gz", labels * 4)), label_case(None)])
    assert [c.value for c in schema.classes] == [1, 2, 3, 4, 8, 12]
    assert schema.classes[0].name == "label 1"
    assert len({c.colour for c in schema.classes}) == 6
    assert schema_from_json(schema_to_json(schema)) == schema


def test_a_mask_of_0_and_255_becomes_one_class(write_image: Callable[..., Path], labels: np.ndarray) -> None:
    schema = guess_schema([label_case(write_image("a.nii.gz", (labels > 0).astype(np.uint8) * 255))])
    assert [c.value for c in schema.classes] == [1]
    assert schema.merge == {255: 1}


def test_255_among_other_labels_is_a_class_and_not_ignored(write_image: Callable[..., Path], labels: np.ndarray) -> None:
    schema = guess_schema([label_case(write_image("a.nii.gz", np.where(labels == 3, 255, labels)))])
    assert [c.value for c in schema.classes] == [1, 2, 255]
    assert schema.ignore_value == 65535


def export(path: Path, told: Any, **changes: object) -> None:
    """The JSON beside an exported labelmap, as far as it tells of values."""
    data = {"format": "SuggestiveAnnotation export", "version": 1, "kind": "annotation", "schema": told, **changes}
    path.with_name(path.name.replace(".nii.gz", ".json")).write_text(json.dumps(data), encoding="utf-8")


LESION = LabelSchema(
    "lesions", (LabelClass(1, "lesion", (9, 8, 7), None, "SCT^1^Lesion"), LabelClass(2, "left rim", (1, 2, 3))), ignore_value=255
)


def test_the_schema_of_an_export_is_taken_with_its_ignore_value(write_image: Callable[..., Path], labels: np.ndarray) -> None:
    exported = [write_image(f"{n}_annotation.nii.gz", np.where(labels == 3, 255, labels)) for n in "ab"]
    for path in exported:
        export(path, describe_schema(LESION))
    assert guess_schema([label_case(path) for path in exported]) == LESION
    # Labels without such a file may lie among them as long as their values are known.
    other = write_image("c.nii.gz", (labels > 0).astype(np.uint8))
    assert guess_schema([label_case(path) for path in (*exported, other)]) == LESION
    other = write_image("c.nii.gz", labels)
    assert [c.value for c in guess_schema([label_case(path) for path in (*exported, other)]).classes] == [1, 2, 3, 255]
    export(exported[1], describe_schema(replace(LESION, ignore_value=254)))
    assert [c.value for c in guess_schema([label_case(path) for path in exported]).classes] == [1, 2, 255]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-2, 300) | st.text(max_size=4),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["value", "name", "colour", "labels"]), inner, max_size=4)
        ),
        max_leaves=8,
    )
)
def test_a_json_beside_a_labelmap_that_is_no_export_tells_nothing(tmp_path_factory: pytest.TempPathFactory, anything: object) -> None:
    path = tmp_path_factory.getbasetemp() / "x_annotation.nii.gz"
    assert exported_schema(path.with_name("absent.nii.gz")) is None
    good = describe_schema(LESION)
    export(path, good)
    assert exported_schema(path) == LESION
    export(path, good, format="other")
    assert exported_schema(path) is None
    for key in ("labels", "ignore_value", "name"):
        if anything != good[key]:
            export(path, {**good, key: anything})
            found = exported_schema(path)
            assert found is None or schema_from_json(schema_to_json(found)) == found
    export(path, anything)
    assert exported_schema(path) is None


def test_guessing_without_labels_or_from_an_image_is_refused(write_image: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match="no case has a label file"):
        guess_schema([label_case(None)])
    with pytest.raises(InputError, match="every label file is empty"):
        guess_schema([label_case(write_image("a.nii.gz", np.zeros((5, 6, 7), np.uint8)))])
    with pytest.raises(InputError, match="does not look like a labelmap: 400 values"):
        guess_schema([label_case(write_image("b.nii.gz", np.arange(400, dtype=np.int16).reshape(10, 5, 8)))])
    with pytest.raises(InputError, match="from -1 to 1"):
        guess_schema([label_case(write_image("c.nii.gz", np.resize(np.array([-1, 0, 1], np.int16), (5, 6, 7))))])


@given(count=st.sampled_from([0, 1, 7, 8, 25, 140, 400]))
def test_colours_are_all_different_and_begin_with_okabe_and_itos(count: int) -> None:
    colours = distinct_colours(count)
    assert len(set(colours)) == count
    assert colours[:7] == OKABE_ITO[:count]
    assert colours == distinct_colours(count + 3)[:count]
