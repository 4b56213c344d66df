"""A process to be killed: `python simulate_once.py STUDY` runs two tiny rounds to the end."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from SuggestiveAnnotationLib.engine.settings import ManifoldOptions, RoundOptions
from SuggestiveAnnotationLib.engine.simulate import simulate
from SuggestiveAnnotationLib.study.study import Study

OPTIONS = RoundOptions(network="tiny", steps=12, batch=4, budget=3, device="cpu", seed=3)
MANIFOLD = ManifoldOptions(manifold_network="tiny", manifold_steps=12, manifold_batch=4, manifold_pixels=32, latent_size=2, device="cpu")
ROUNDS = 2


def main() -> None:
    """Prepared study in, finished simulation out."""
    torch.set_num_threads(1)
    study = Study(Path(sys.argv[1]))
    print("ready", flush=True)
    with study.lock():
        simulate(study, rounds=ROUNDS, options=OPTIONS, manifold=MANIFOLD)
    print("done", flush=True)


if __name__ == "__main__":
    main()
