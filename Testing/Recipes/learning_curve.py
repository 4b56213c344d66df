"""How far a training recipe gets with a few slices and with many, on the synthetic brains that comparisons are tuned on.

A comparison of strategies says something only where the choice of slices matters: Dice must grow with the number of slices, and not be
held back by the training. One line a recipe, number of slices and seed: Dice of every structure over all test slices, on the network grid.
Random slices, no strategy; people 0, 3, 6, ... are tested, the others give slices.

Run:
    python Testing/Recipes/learning_curve.py --slices 4 16 200 --network thin --steps 300 --rate 3e-3 --batch 8
    python Testing/Recipes/learning_curve.py --slices 4 8 16 32 --steps 150 --rate 5e-3 --warm-start
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from SuggestiveAnnotationLib.cohort.embedded.cohort import EmbeddedCohort, embedded_schema, write_embedded_cohort
from SuggestiveAnnotationLib.engine.prepare import prepare
from SuggestiveAnnotationLib.engine.train import LOSSES, augmentation
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.training.data import ChosenImages, NetworkSlices, network_labels
from SuggestiveAnnotationLib.training.losses import IGNORE
from SuggestiveAnnotationLib.training.predict import predict_probabilities
from SuggestiveAnnotationLib.training.segmentation import SegmentationSettings, train_segmentation

Part = tuple[NetworkSlices, Tensor]


def part_of(study: Study, cases: Sequence[str]) -> Part:
    """Every slice of the cases that shows something, with its reference labels `(n, H, W)` on the network grid."""
    refs, drawn = [], []
    for case in cases:
        blank, labels = study.slices(case).blank, study.reference_labels(case)
        for ref in study.frame(case).refs(case):
            if not blank[ref.native_index]:
                refs.append(ref)
                drawn.append(np.array(labels[ref.native_index]))
    cpu = torch.device("cpu")
    return NetworkSlices(study, refs, device=cpu), network_labels(study, study.schema, refs, drawn, device=cpu)


def dice(network: nn.Module, tested: Part, channels: int) -> list[float]:
    """Dice of every structure over all pixels of the tested slices."""
    images, labels = tested
    both, total = torch.zeros(channels), torch.zeros(channels)
    for index, probabilities in predict_probabilities(network, images, np.arange(len(images))):
        truth = labels[torch.from_numpy(index)].long()
        guess, truth = probabilities.argmax(1)[truth != IGNORE], truth[truth != IGNORE]
        both += torch.bincount(truth[guess == truth], minlength=channels)
        total += torch.bincount(truth, minlength=channels) + torch.bincount(guess, minlength=channels)
    score: list[float] = (2 * both / total)[1:].tolist()
    return score


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, nargs="+", default=[4, 16, 200], help="numbers of annotated slices, growing sets")
    parser.add_argument("--network", default="thin", help="width: thin, small, tiny or paper")
    parser.add_argument("--steps", type=int, default=300, help="optimiser steps")
    parser.add_argument("--rate", type=float, default=3e-3, help="learning rate of Adam")
    parser.add_argument("--batch", type=int, default=8, help="slices a step")
    parser.add_argument("--balance", type=float, default=0.5, help="exponent of the class weights")
    parser.add_argument("--warm-start", action="store_true", help="each number goes on from the network of the one before")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1], help="of slices, weights and augmentation")
    parser.add_argument("--people", type=int, default=18, help="how many are made, of seed 100 as in Resources/Plans")
    parser.add_argument("--pixels", type=int, default=64, help="side of the network grid")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        cases = write_embedded_cohort(
            Path(folder) / "made", EmbeddedCohort(subjects=given.people, seed=100, modalities=("t1", "flair"), lesions=0.6)
        )
        schema = embedded_schema(lesions=True)
        with closing(
            Study.create(Path(folder) / "study", name="made", cases=cases, schema=schema, modalities=("t1", "flair"), reference="t1")
        ) as study:
            prepare(study, plane="axial", pixels=given.pixels)
            names = sorted(case.name for case in cases)
            tested = part_of(study, names[::3])
            images, labels = part_of(study, [name for name in names if name not in names[::3]])
            print(f"{len(images)} slices to draw from, {len(tested[0])} tested; {', '.join(one.name for one in schema.classes)}")
            for seed in given.seeds:
                order, network = np.random.default_rng(seed).permutation(len(images)), None
                for count in given.slices:
                    began, chosen = time.monotonic(), sorted(order[:count].tolist())
                    settings = SegmentationSettings(
                        steps=given.steps, batch_size=given.batch, learning_rate=given.rate, balance=given.balance, loss=LOSSES["dice+ce"],
                        augment=augmentation(schema, study.record.plane), seed=seed,
                    )  # fmt: skip
                    spec = {"network": "unet", "size": given.network, "channels": 2, "classes": schema.channels}
                    start = network if given.warm_start and network is not None else spec
                    network = train_segmentation(start, ChosenImages(images, chosen), labels[chosen], settings=settings).model
                    scores = dice(network, tested, schema.channels)
                    each = " ".join(f"{score:.2f}" for score in scores)
                    print(
                        f"{len(chosen):4d} slices, seed {seed}: {np.nanmean(scores):.3f} ({each}) {time.monotonic() - began:.0f} s",
                        flush=True,
                    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
