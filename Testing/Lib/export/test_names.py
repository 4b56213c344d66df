"""Case names as file names."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from SuggestiveAnnotationLib.export.names import LONGEST, file_names


@pytest.mark.parametrize("name", ["sub-10", "visit_2.b", "A1"])
def test_a_plain_name_stays(name):
    assert file_names([name]) == {name: name}


@pytest.mark.parametrize(
    "name", ["a/b", "../x", "a\\b", ".hidden", "a b", "-x", "Müller", "日本", "", "x" * 300, "nul", "COM1.x", "a.", "\ud800"]
)
def test_other_names_are_changed_and_bear_a_hash(name):
    made = file_names([name])[name]
    assert made != name
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*-[0-9a-f]{8}", made)


def test_a_plain_name_is_never_lost_to_a_changed_one():
    changed = file_names(["a b"])["a b"]
    made = file_names(["a b", changed])
    assert made[changed] == changed
    assert made["a b"] != changed


@given(st.lists(st.text(max_size=6) | st.sampled_from(["a", "A", "a-1", "x" * 90, "x" * 91]), unique=True, max_size=30))
def test_names_are_safe_and_never_meet(names):
    made = file_names(names)
    assert made.keys() == set(names)
    assert len({m.casefold() for m in made.values()}) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", m) and len(m) <= LONGEST for m in made.values())
    assert file_names(reversed(names)) == made
