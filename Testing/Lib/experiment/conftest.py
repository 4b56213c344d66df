"""A comparison small enough for a test: phantoms of eight slices, the tiny network, a few steps."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from SuggestiveAnnotationLib.experiment.plan import Plan
from SuggestiveAnnotationLib.experiment.plan_file import read_plan

TINY = """
name = "tiny"
question = "Does the runner keep its promises?"
seeds = 1
first_batch = 4
budget = 2
rounds = 1
volume_metrics = "none"

[cohort]
folder = "${DATA}/phantoms"
label = "*_label*"
plane = "axial"
pixels = 32

[split]
folds = 2

[training]
network = "tiny"
steps = 3
batch = 4
device = "cpu"

[manifold]
manifold_network = "tiny"
manifold_steps = 3
manifold_batch = 4
manifold_pixels = 32
latent_size = 2
device = "cpu"

[[arms]]
name = "random"
strategy = "random"

[[arms]]
name = "guided"
strategy = "gradient-guided"

[primary]
arm = "guided"
against = "random"
"""


@pytest.fixture
def data(tmp_path: Path, write_phantoms: Callable[..., Path]) -> Path:
    write_phantoms(tmp_path / "data" / "phantoms", cases=4)
    return tmp_path / "data"


@pytest.fixture
def plan_text() -> str:
    return TINY


@pytest.fixture
def write_plan(tmp_path: Path) -> Callable[..., Path]:
    """`write_plan(text, old="...", new="...")` writes a plan with one thing changed."""

    def write(text: str = TINY, *, old: str = "", new: str = "") -> Path:
        if old:
            assert old in text
            text = text.replace(old, new, 1)
        path = tmp_path / "plan.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def plan(write_plan: Callable[..., Path]) -> Plan:
    return read_plan(write_plan())


@pytest.fixture
def shipped() -> dict[str, dict[str, Any]]:
    """Plans that the repository brings, by file name."""
    folder = Path(__file__).parents[3] / "Resources" / "Plans"
    return {path.name: tomllib.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.toml"))}
