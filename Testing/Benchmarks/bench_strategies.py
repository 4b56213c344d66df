"""Latency of a suggestion, strategy by strategy, over pools of 1,000, 10,000 and 39,000 slices (BraTS 2019), against `random`.

The networks are hand-made: what they say of a slice is looked up in arrays, so that the time is the strategy's own: scoring, searching,
clustering. Running a network over the pool comes on top and is the same for every strategy that does it (`bench_suggestion.py`). Reading
the pool's refs is part of every strategy and of `random`, whose time is the unit. Memory is the most that one suggestion allocates in
numpy (torch's is not counted). One thread.

Run:
    python Testing/Benchmarks/bench_strategies.py
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from SuggestiveAnnotationLib.strategies.contract import Pool, Query
from SuggestiveAnnotationLib.strategies.registry import ENTRIES, strategy
from SuggestiveAnnotationLib.types import LabelClass, LabelSchema, SliceRef

SCHEMA = LabelSchema("three", tuple(LabelClass(k, str(k), (0, 0, 0)) for k in (1, 2, 3)))
SLICES_A_CASE, BATCH, PATTERNS = 150, 64, 64
GRID, FEATURES, EMBEDDING, LATENT = 16, 512, 4 * 32, 3
TARGET_S = 60.0
"""A suggestion must not take longer than this, without the network, on the largest pool."""


class Model:
    """Looks everything up: probabilities of 64 patterns in turn, features and embeddings of every slice."""

    def __init__(self, slices: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        given = torch.from_numpy(rng.standard_normal((PATTERNS, SCHEMA.channels, GRID, GRID), dtype=np.float32))
        self._patterns = torch.softmax(3 * given, dim=1)
        self._passes = torch.softmax(3 * given[None] + torch.randn(8, *given.shape, generator=torch.Generator().manual_seed(seed)), dim=2)
        self._features = torch.from_numpy(rng.standard_normal((slices, FEATURES), dtype=np.float32)).relu()
        self._embeddings = torch.from_numpy(rng.standard_normal((slices, EMBEDDING), dtype=np.float32))
        self._losses = torch.from_numpy(rng.random(slices, dtype=np.float32))
        self._project = torch.from_numpy(rng.standard_normal((GRID * GRID, FEATURES), dtype=np.float32)) / GRID
        self._images = torch.from_numpy(rng.standard_normal((PATTERNS, 1, GRID, GRID), dtype=np.float32))

    def probabilities(self, indices: Sequence[int]) -> Iterator[Any]:
        return ((i, self._patterns[i % PATTERNS]) for i in _batches(indices))

    def sampled_probabilities(self, indices: Sequence[int], *, passes: int, seed: int) -> Iterator[Any]:
        return ((i, self._passes[:passes, i % PATTERNS]) for i in _batches(indices))

    augmented_probabilities = sampled_probabilities

    def features(self, indices: Sequence[int]) -> Iterator[Any]:
        return ((i, self._features[i]) for i in _batches(indices))

    def gradient_embeddings(self, indices: Sequence[int]) -> Iterator[Any]:
        return ((i, self._embeddings[i]) for i in _batches(indices))

    def predicted_losses(self, indices: Sequence[int]) -> Iterator[Any]:
        return ((i, self._losses[i]) for i in _batches(indices))

    def feature_map(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1) @ self._project

    def loss_gradients(self, indices: Sequence[int]) -> Iterator[Any]:
        return ((i, self._images[i % PATTERNS], self._losses[i], self._images[(i + 1) % PATTERNS]) for i in _batches(indices))

    def class_gradients(self, indices: Sequence[int]) -> Iterator[Any]:
        return self._several(indices, len(SCHEMA.classes))

    def varied_gradients(self, indices: Sequence[int], *, by: str, passes: int, noise: float, seed: int) -> Iterator[Any]:
        return self._several(indices, passes)

    def _several(self, indices: Sequence[int], count: int) -> Iterator[Any]:
        for i in _batches(indices):
            gradients = torch.stack([self._images[(i + k) % PATTERNS] for k in range(count)])
            yield i, self._images[i % PATTERNS], self._losses[i].expand(count, -1), gradients


class Manifold:
    """Linear maps."""

    def __init__(self, slices: int) -> None:
        rng = np.random.default_rng(9)
        # Slices of a case lie on a line, as they do for people.
        ends = rng.standard_normal((-(-slices // SLICES_A_CASE), 2, LATENT))
        along = np.linspace(0, 1, SLICES_A_CASE)[:, None]
        lines = ends[:, :1] * (1 - along) + ends[:, 1:] * along
        self.latents = (lines.reshape(-1, LATENT)[:slices] + 0.02 * rng.standard_normal((slices, LATENT))).astype(np.float32)
        self._map = torch.from_numpy(rng.standard_normal((GRID * GRID, LATENT), dtype=np.float32))

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1) @ self._map

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        return (latents @ self._map.T).reshape(-1, 1, GRID, GRID)


class Reference:
    """Sixteen label images in turn, every fourth of them empty."""

    def __init__(self) -> None:
        rng = np.random.default_rng(1)
        self._labels = rng.integers(0, 4, (16, GRID, GRID)).astype(np.int16)
        self._labels[::4] = 0

    def channels(self, index: int) -> Any:
        return self._labels[index % 16]


def _batches(indices: Sequence[int]) -> Iterator[np.ndarray]:
    return (np.asarray(indices[k : k + BATCH], np.intp) for k in range(0, len(indices), BATCH))


def build_query(slices: int, budget: int) -> Query:
    """A pool with 5 % blank and 2 % annotated slices."""
    rng = np.random.default_rng(0)
    refs = tuple(SliceRef(f"case {k // SLICES_A_CASE}", 0, k % SLICES_A_CASE) for k in range(slices))
    draw = rng.random(slices)
    pool = Pool(refs, np.ones(slices), blank=draw < 0.05, labelled=(draw >= 0.05) & (draw < 0.07), closed=np.zeros(slices, bool))
    members = tuple(Model(slices, seed) for seed in range(4))
    return Query(pool, SCHEMA, budget, 0, model=members[0], committee=members, manifold=Manifold(slices), reference=Reference())


def seconds(name: str, query: Query) -> float:
    """One suggestion, checked to be a whole batch."""
    begin = time.perf_counter()
    answer = strategy(name).suggest(query)
    taken = time.perf_counter() - begin
    if len(answer.suggestions) != query.budget:
        raise SystemExit(f"{name}: {answer.shortfall}")
    return taken


def megabytes(name: str, query: Query) -> float:
    """The most memory that a suggestion allocates on top of what there is."""
    tracemalloc.start()
    strategy(name).suggest(query)
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    return peak


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, nargs="+", default=[1000, 10_000, 39_000])
    parser.add_argument("--budget", type=float, default=0.01, help="share of the pool that is asked for (2022 paper: 0.01)")
    parser.add_argument("--only", nargs="*", help="names of strategies; default: all")
    parser.add_argument("--repeats", type=int, default=3, help="of which the fastest counts; slow ones run once")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    names = [e.name for e in ENTRIES if not options.only or e.name in (*options.only, "random")]

    small = build_query(300, 3)
    for name in names:  # what is imported and compiled at first use
        seconds(name, small)
    times: dict[str, list[float]] = {name: [] for name in names}
    memory: dict[str, float] = {}
    for slices in options.slices:
        query = build_query(slices, max(1, round(options.budget * slices)))
        for name in names:
            runs = [seconds(name, query)]
            while len(runs) < options.repeats and sum(runs) < 2:
                runs.append(seconds(name, query))
            times[name].append(min(runs))
            memory[name] = megabytes(name, query)
    width = max(map(len, names))
    print(f"ms a suggestion, and how many times random's; budget {100 * options.budget:g} % of the pool; megabytes at the largest pool")
    print(" " * width + "".join(f"{n:>22,}" for n in options.slices) + f"{'MB':>9}")
    for name in names:
        cells = (f"{1e3 * t:>12.1f} {t / r:>8.1f}x" for t, r in zip(times[name], times["random"], strict=True))
        print(f"{name:{width}s}" + "".join(cells) + f"{memory[name]:>9.0f}")
    slowest = max(names, key=lambda name: times[name][-1])
    results = [
        {
            "name": f"slowest strategy ({slowest}) over {options.slices[-1]} slices, seconds",
            "ratio": round(times[slowest][-1], 2),
            "target": TARGET_S,
            "better": "lower",
        },
        *(
            {"name": f"{name} over random, {options.slices[-1]} slices", "ratio": round(times[name][-1] / times["random"][-1], 1)}
            for name in names
            if name != "random"
        ),
    ]
    print(json.dumps(results))
    return int(times[slowest][-1] > TARGET_S)


if __name__ == "__main__":
    sys.exit(main())
