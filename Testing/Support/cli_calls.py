"""Calling the command line in tests: a small cohort on disk, a command that must work, a command that must be refused."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from SuggestiveAnnotationLib.cli.main import main
from SuggestiveAnnotationLib.cohort.labels.schema import save_schema
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import LabelClass, LabelSchema

Capture = pytest.CaptureFixture[str]

TINY = ["--network", "tiny", "--steps", "4", "--batch", "2", "--device", "cpu"]
TINY_VAE = ["--manifold-network", "tiny", "--manifold-steps", "4", "--manifold-pixels", "32", "--latent-size", "2"]
PREPARE = ["--pixels", "32", "--processes", "1"]
SCHEMA = LabelSchema("two lobes", (LabelClass(1, "left", (230, 159, 0)), LabelClass(2, "right", (86, 180, 233))))
SHAPE = (6, 24, 20)
BAD = "case1"


def lobes(seed: int, shape: tuple[int, int, int] = SHAPE) -> tuple[np.ndarray, np.ndarray]:
    z, y, x = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    inside = (z / 1.2) ** 2 + y**2 + x**2 < 0.9
    labels = (inside & (x > 0.2)) * 1 + (inside & (x < -0.2)) * 2
    noise = np.random.default_rng(seed).normal(0, 4, shape)
    return (inside * (100 + 40 * (labels == 1) + 25 * (labels == 2) + noise)).astype(np.float32), labels.astype(np.uint8)


def write(path: Path, array: np.ndarray, *, origin: tuple[float, float, float] = (0, 0, 0)) -> None:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((1, 1, 2))
    image.SetOrigin(origin)
    sitk.WriteImage(image, str(path))


def schema_file(folder: Path) -> Path:
    path = folder / "schema.json"
    save_schema(SCHEMA, path)
    return path


def done(capsys: Capture, *arguments: str | Path) -> Any:
    """What a command that works prints."""
    code = main([*map(str, arguments), "--json", "--quiet"])
    shown = capsys.readouterr()
    assert code == 0, shown.err
    return json.loads(shown.out)


def refused(capsys: Capture, *arguments: str | Path, code: int) -> str:
    """The one sentence (and what to do) of a command that is refused."""
    assert main([*map(str, arguments), "--quiet"]) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    return plain(shown.err)


def plain(text: str) -> str:
    """One line that says what is wrong, then what to do."""
    assert text.count("\n") <= 1, text
    assert "Traceback" not in text
    assert "Error" not in text
    assert re.search(r"[.:] [A-Z]", text.strip()), f"says nothing of what to do: {text}"
    assert text.strip().endswith(".")
    return text.strip()


def first_batch(capsys: Capture, study: Path, *, budget: int = 2) -> list[dict[str, Any]]:
    return list(done(capsys, "run-round", study, "--budget", str(budget), *TINY, *TINY_VAE)["suggestions"])


def annotate(capsys: Capture, study: Path) -> list[dict[str, Any]]:
    """A first batch, accepted from the reference labels, and its round finished."""
    rows = first_batch(capsys, study)
    for row in rows:
        label = Study(study).case(row["case"]).label
        done(capsys, "annotations", "import", study, str(label), "--case", row["case"], "--annotator", "A", "--slices", str(row["slice"]))
    done(capsys, "finish-round", study)
    return rows


@contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """Writes beyond `size` bytes fail, as on a full disk (EFBIG; Python ignores the signal)."""
    resource = pytest.importorskip("resource", reason="no limits on file sizes here")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def truncate(path: Path, share: float = 0.5) -> None:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
