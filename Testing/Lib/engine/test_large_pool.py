"""A pool of 39,000 four-channel 240x240 slices stays out of memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SLICES_A_CASE = 155
CASES = 252  # 39,060 slices; the arrays are sparse files, so no 18 GB are written

CODE = """
import sys
from pathlib import Path
import numpy as np
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.training.data import NetworkSlices
study = Study(Path(sys.argv[1]))
refs = study.pool_refs()
images = NetworkSlices(study, refs, cache_bytes=2**28)
assert not images.cached
rng = np.random.default_rng(0)
for _ in range(40):
    batch = images.images(rng.choice(len(refs), 32, replace=False))
assert batch.shape == (32, 4, 64, 64)
kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in open("/proc/self/status") if "kB" in line}
print(len(refs), kilobytes["RssAnon"] / 1e6)
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc and needs sparse files")
def test_39000_slices_are_read_at_random_under_one_gigabyte(tmp_path: Path) -> None:
    import numpy as np

    from SuggestiveAnnotationLib.geometry import Geometry
    from SuggestiveAnnotationLib.study.study import Study
    from SuggestiveAnnotationLib.types import Case, LabelClass, LabelSchema, PreprocessingRecord

    modalities = ("t1", "t1c", "t2", "flair")
    geometry = Geometry((240, 240, SLICES_A_CASE), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    cases = [Case(f"c{i:03}", f"c{i:03}", "pool", {m: f"{m}.nii.gz" for m in modalities}, geometry=geometry) for i in range(CASES)]
    schema = LabelSchema("one", (LabelClass(1, "tumour", (200, 50, 50)),))
    study = Study.create(tmp_path / "study", name="large", cases=cases, schema=schema, modalities=modalities, reference="t1")
    study.freeze_record(PreprocessingRecord("axial", modalities, "t1", (3.0, 3.0), (64, 64), schema.key))
    folder = study.slice_store.folder
    folder.mkdir(parents=True)
    note = {
        "stamps": {},
        "content": "",
        "hashes": {},
        "spacing": [1, 1, 1],
        "box": [20, 220, 20, 220],
        "foreground_fraction": [0.5] * SLICES_A_CASE,
    }
    for case in cases:
        np.lib.format.open_memmap(folder / f"{case.name}.npy", mode="w+", dtype=np.float16, shape=(SLICES_A_CASE, 4, 240, 240))
        (folder / f"{case.name}.json").write_text(json.dumps(note))
    study.close()
    done = subprocess.run([sys.executable, "-c", CODE, str(study.path)], capture_output=True, text=True, check=True)
    slices, gigabytes = done.stdout.split()
    assert int(slices) >= 39_000
    assert float(gigabytes) < 1.0
