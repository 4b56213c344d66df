"""A process to be killed: accepts slices for ever and says which after each commit. `python accept_forever.py STUDY SEED`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from SuggestiveAnnotationLib.study.annotation_rows import NewAnnotation
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import SliceRef


def main() -> None:
    """Every accept takes three slices of one case, all filled with the same value, so that half an accept would show."""
    study, seed = Study(Path(sys.argv[1])), int(sys.argv[2])
    rng = np.random.default_rng(seed)
    print("ready", flush=True)
    while True:
        case, fill = f"case{rng.integers(3)}", int(rng.integers(1, 3))
        indices = rng.choice(8, 3, replace=False)
        labels = np.full((24, 20), fill, np.uint16)
        refs = [SliceRef(case, 0, int(k)) for k in indices]
        batch = study.accept([NewAnnotation(ref, labels, "from scratch") for ref in refs], annotator="killed")
        print(batch, case, fill, *(ref.native_index for ref in refs), flush=True)
        if rng.random() < 0.2:
            study.undo_accept(batch, annotator="killed")
            print("undone", batch, flush=True)


if __name__ == "__main__":
    main()
