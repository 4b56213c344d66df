"""The catalogue of networks says what they are: every choice of the settings has its line, and the numbers are those of the networks."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from typing import get_args

import pytest

from SuggestiveAnnotationLib.engine.settings import Architecture, ManifoldOptions, NetworkSize, TrainingOptions
from SuggestiveAnnotationLib.models.catalogue import NETWORKS, WIDTHS
from SuggestiveAnnotationLib.models.multi_scale import PATCHES
from SuggestiveAnnotationLib.models.registry import build_network
from SuggestiveAnnotationLib.models.u_shape import PATCH


def test_every_choice_of_the_settings_has_a_line_and_nothing_else_has() -> None:
    assert tuple(one.name for one in NETWORKS) == get_args(Architecture)
    assert tuple(WIDTHS) == get_args(NetworkSize)
    every = (*fields(TrainingOptions), *fields(ManifoldOptions))
    lines = {one.name: one.metadata["lines"] for one in every if "lines" in one.metadata}
    assert lines == {"architecture": {one.name: one.help for one in NETWORKS}, "network": WIDTHS, "manifold_network": WIDTHS}
    for line in (*WIDTHS.values(), *(one.help for one in NETWORKS)):
        assert line.endswith(".")
        assert "\n" not in line


@pytest.mark.parametrize("one", NETWORKS, ids=lambda one: one.name)
def test_its_parameters_are_those_of_the_network(one) -> None:
    for width in get_args(NetworkSize):
        built = build_network({"network": one.name, "size": width, "channels": 1, "classes": 2})
        assert one.parameters[width] == sum(weights.numel() for weights in built.parameters())


def test_the_patches_are_those_of_the_networks() -> None:
    named = {one.name: one.help for one in NETWORKS}
    assert f"patches of {PATCH} pixels of the network grid" in named["u-shape-patches"]
    assert "patches of {}, {} and {} pixels of the network grid".format(*PATCHES) in named["multi-scale-patches"]


def test_reading_it_imports_no_torch() -> None:
    code = "import sys; sys.modules['torch'] = None; from SuggestiveAnnotationLib.models.catalogue import NETWORKS"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
