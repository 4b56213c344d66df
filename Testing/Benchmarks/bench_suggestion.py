"""Gradient-guided suggestion against entropy over a pool of 4,000 slices: the same thin U-Net, pool, batch size and process.

Gradient-guided sampling needs gradients of the annotated slices (20 here) and one neighbour search; entropy needs the model over the whole
pool. The latents of the pool exist from the fitted VAE; encoding them once is no part of a suggestion, its time is printed beside.

Run:
    python Testing/Benchmarks/bench_suggestion.py
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from SuggestiveAnnotationLib.models.unet import UNet
from SuggestiveAnnotationLib.models.vae import VAE
from SuggestiveAnnotationLib.strategies.access import ModelAccess, VaeAccess
from SuggestiveAnnotationLib.strategies.contract import Pool, Query
from SuggestiveAnnotationLib.strategies.registry import strategy
from SuggestiveAnnotationLib.types import LabelClass, LabelSchema, SliceRef

TARGET = 10.0
SCHEMA = LabelSchema("three", tuple(LabelClass(k, str(k), (0, 0, 0)) for k in (1, 2, 3)))


def build_query(options: argparse.Namespace) -> tuple[Query, float]:
    """The query both strategies answer, and the seconds it took to encode the pool."""
    rng = np.random.default_rng(0)
    size, slices = options.size, options.slices
    refs = tuple(SliceRef(f"case {k // 100}", 0, k % 100) for k in range(slices))
    labelled = np.zeros(slices, bool)
    labelled[rng.choice(slices, options.sources, replace=False)] = True
    never = np.zeros(slices, bool)
    coarse = torch.from_numpy(rng.standard_normal((slices, 1, 8, 8))).float()
    images = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bilinear").half()
    labels = np.zeros((size, size), np.int16)
    labels[size // 4 : size // 2, size // 4 : size // 2] = 1
    labels[size // 2 : 3 * size // 4, size // 4 : size // 2] = 2
    torch.manual_seed(0)
    network = UNet(channels=1, classes=SCHEMA.channels, size="thin").eval()
    vae = VAE(channels=1, latent_size=3, grid_size=(size, size), input_size=(64, 64), size="thin").eval()
    begin = time.perf_counter()
    with torch.inference_mode():
        latents = np.concatenate([vae.encode(batch.float())[0].numpy() for batch in images.split(64)])
    encoding = time.perf_counter() - begin
    model = ModelAccess(network, lambda i: images[list(i)], lambda i: labels if labelled[i] else None, SCHEMA, batch_size=20)
    pool = Pool(refs, np.ones(slices), never, labelled, never)
    return Query(pool, SCHEMA, budget=options.sources, seed=0, model=model, manifold=VaeAccess(vae, latents)), encoding


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=4000)
    parser.add_argument("--sources", type=int, default=20)
    parser.add_argument("--size", type=int, default=64, help="of the network grid, pixels; a multiple of 16")
    options = parser.parse_args()
    query, encoding = build_query(options)
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))

    def seconds(name: str, **changes: str) -> float:
        begin = time.perf_counter()
        answer = strategy(name, **changes).suggest(query)
        assert len(answer.suggestions) == options.sources, answer.shortfall
        return time.perf_counter() - begin

    variants: dict[str, dict[str, str]] = {
        "gradient-guided": {},
        "gradient-guided, finite difference": {"derivative": "finite difference"},
        "gradient-guided, manifold": {"direction": "manifold"},
    }
    times: dict[str, list[float]] = {name: [] for name in variants}
    for repeat in range(4):  # the first is a warm-up
        for name, changes in variants.items():
            taken = seconds("gradient-guided", **changes)
            if repeat:
                times[name].append(taken)
    entropy = min(seconds("entropy") for _ in range(2))
    medians = {name: float(np.median(t)) for name, t in times.items()}
    print(f"{options.slices} slices of {options.size} x {options.size}, {options.sources} annotated, {torch.get_num_threads()} thread(s)")
    for name, median in medians.items():
        print(f"{name:38s} {1e3 * median:9.1f} ms   {entropy / median:6.1f} times faster than entropy")
    print(f"{'entropy':38s} {1e3 * entropy:9.1f} ms")
    print(f"{'encoding the pool, once a manifold':38s} {1e3 * encoding:9.1f} ms")
    ours = medians["gradient-guided"]
    result = {
        "benchmark": f"gradient-guided suggestion from {options.sources} of {options.slices} slices",
        "ours_ms": round(1e3 * ours, 1),
        "baseline": "entropy over the pool",
        "baseline_ms": round(1e3 * entropy, 1),
        "ratio": round(entropy / ours, 1),
        "target": TARGET,
    }
    print(json.dumps(result))
    return 0 if entropy / ours >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
