"""Codes of structures as 3D Slicer writes them, and back."""

from __future__ import annotations

import pytest

from SuggestiveAnnotationLib.cohort.labels.schema import load_schema, shipped_schemas
from SuggestiveAnnotationLib.cohort.labels.terminology import category_of, from_slicer_entry, parse_code, slicer_entry


def test_an_entry_has_slicers_seven_parts():
    parts = slicer_entry("SCT^12738006^Brain").split("~")
    assert parts == [
        "Segmentation category and type - 3D Slicer General Anatomy list",
        "SCT^123037004^Anatomical Structure",
        "SCT^12738006^Brain",
        "^^",
        "Anatomic codes - DICOM master list",
        "^^",
        "^^",
    ]


def test_what_is_altered_has_that_category():
    assert category_of(parse_code("SCT^79654002^Edema")).value == "49755003"
    assert category_of(parse_code("99X^79654002^Edema")).value == "123037004"
    assert category_of(None).value == "85756007"


def test_codes_of_every_shipped_schema_survive():
    codes = [c.terminology for name in shipped_schemas() for c in load_schema(name).classes if c.terminology]
    assert len(codes) > 20
    assert [from_slicer_entry(slicer_entry(code)) for code in codes] == codes


@pytest.mark.parametrize("text", [None, "", "Brain", "SCT^1", "^1^Brain", "SCT^^Brain", "a^b^c^d", "SCT^85756007^Tissue"])
def test_what_says_nothing_is_no_code(text):
    assert parse_code(text) is None
    assert slicer_entry(text) is None


@pytest.mark.parametrize("entry", ["", "~", "~~", "a~b~c~d", "context~SCT^85756007^Tissue~SCT^85756007^Tissue~^^~~^^~^^"])
def test_entries_that_say_nothing(entry):
    assert from_slicer_entry(entry) is None
