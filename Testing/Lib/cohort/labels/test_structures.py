from __future__ import annotations

import pytest

from SuggestiveAnnotationLib.cohort.labels.schema import schema_from_json, schema_to_json
from SuggestiveAnnotationLib.cohort.labels.structures import Structure, may_be_mirrored, schema_of
from SuggestiveAnnotationLib.types import LabelClass, LabelSchema


@pytest.mark.parametrize(
    ("one", "other", "partners"),
    [
        ("Left-Putamen", "Right-Putamen", True),
        ("ctx-lh-cuneus", "ctx-rh-cuneus", True),
        ("HIPPOCAMPUS_L", "HIPPOCAMPUS_R", True),
        ("left caudate", "right caudate", True),
        ("left caudate", "right putamen", False),
        ("lEFT x", "right x", False),
        ("core", "rim", False),
        ("LeftLung", "RightLung", True),
        ("lungLeft", "lungRight", True),
        ("LPutamen", "RPutamen", True),
        ("PutamenL", "PutamenR", True),
        ("HIPPOCAMPUSL", "HIPPOCAMPUSR", True),
        ("putamenl", "putamenr", True),
        ("Eye_AL", "Eye_AR", True),
        ("Lt Putamen", "Rt Putamen", True),
        ("Ren sin", "Ren dex", True),
        ("rene sx", "rene dx", True),
        ("Niere li", "Niere re", True),
        ("vertebra L1", "vertebra R1", False),
        ("Left-Lateral-Ventricle", "Right-Lateral-Ventricle", True),
        ("left ventricle", "right ventricle", False),
        ("heart_atrium_left", "heart_atrium_right", False),
        ("LeftVentricle", "RightVentricle", False),
        ("linker Ventrikel", "rechter Ventrikel", False),
        ("left lobe of the liver", "right lobe of the liver", False),
    ],
)
def test_names_that_differ_in_the_side_are_partners(one: str, other: str, partners: bool) -> None:
    schema = schema_of([Structure(2, other), Structure(1, one)], name="x")
    assert [(c.value, c.partner) for c in schema.classes] == ([(1, 2), (2, 1)] if partners else [(1, None), (2, None)])
    assert schema_from_json(schema_to_json(schema)) == schema


@pytest.mark.parametrize(("other", "partners"), [("3rd Ventricle", True), ("white matter", True), ("myocardium", False), ("scar", False)])
def test_ventricles_are_partners_where_other_names_are_of_the_brain(other: str, partners: bool) -> None:
    """A mirrored left ventricle of the heart stays one."""
    names = ["left ventricle", "right ventricle", other]
    schema = schema_of([Structure(i, n) for i, n in enumerate(names, 1)], name="x")
    assert schema.channel_partner == ((0, 2, 1, 3) if partners else (0, 1, 2, 3))
    assert may_be_mirrored(schema) is partners


def test_ventricles_of_a_body_with_brain_and_heart_are_no_partners() -> None:
    names = ["brain", "heart", "ventricle_left", "ventricle_right"]
    assert schema_of([Structure(i, n) for i, n in enumerate(names, 1)], name="x").channel_partner == (0, 1, 2, 3, 4)


def test_partners_that_a_schema_names_stay() -> None:
    classes = (LabelClass(1, "left ventricle", (1, 1, 1), 2), LabelClass(2, "right ventricle", (2, 2, 2), 1))
    assert may_be_mirrored(LabelSchema("x", classes))


def test_colours_differ_and_given_ones_stay() -> None:
    given = [Structure(v, f"s{v}", (230, 159, 0) if v == 3 else None) for v in range(1, 30)]
    schema = schema_of(given, name="x")
    assert schema.classes[2].colour == (230, 159, 0)
    assert len({c.colour for c in schema.classes}) == 29


def test_a_name_that_stands_twice_gets_its_value() -> None:
    schema = schema_of([Structure(1, "lesion"), Structure(4, "lesion"), Structure(2, "core")], name="x")
    assert [c.name for c in schema.classes] == ["lesion (1)", "core", "lesion (4)"]


def test_the_ignore_value_is_free() -> None:
    assert schema_of([Structure(1, "a")], name="x").ignore_value == 255
    assert schema_of([Structure(255, "a")], name="x").ignore_value == 65535
    assert schema_of([Structure(1, "a")], name="x", ignore_value=2).ignore_value == 2


@pytest.mark.parametrize(
    ("names", "true"),
    [
        (["tumour", "oedema"], True),
        (["left caudate", "right caudate", "tumour"], True),
        (["linkes Putamen", "rechtes Putamen"], True),
        (["left caudate", "tumour"], False),
        (["hippocampus L", "tumour"], False),
        (["hippocampe droit", "hippocampe gauche"], False),
        (["LeftLung", "tumour"], False),
        (["Lt Putamen"], False),
        (["Ren sin", "Ren dextra"], False),
        (["left atrium", "tumour"], False),
        (["left ventricle", "right ventricle"], False),
        (["VENTRICLEL", "VENTRICLER"], False),
        (["bowel", "tumour"], True),
        (["LV", "RV", "MYO"], True),
        (["label 1", "label 2"], False),
        (["label 1"], True),
        (["label 1", "necrosis"], True),
    ],
)
def test_slices_are_mirrored_only_where_labels_stay_true(names: list[str], true: bool) -> None:
    assert may_be_mirrored(schema_of([Structure(i, n) for i, n in enumerate(names, 1)], name="x")) is true
