"""One training step, augmentation included, against a plain MONAI loop over the same slices in the same run.

MONAI: CacheDataset, RandFlipd, RandScaleIntensityd, Rand2DElasticd, DataLoader without workers, BasicUNet of the same width, norm and
activation as ours, DiceLoss, Adam, float32. Ours: `train_segmentation` with its default augmentation (mirror, affine, elastic, contrast,
brightness, gamma) on the device, channels last, bfloat16 where the device has it. The two take turns; medians of the time a step.

    OMP_NUM_THREADS=1 python Testing/Benchmarks/bench_training_step.py
    python Testing/Benchmarks/bench_training_step.py --threads 0      # torch's default
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import torch
from monai.data import CacheDataset, DataLoader
from monai.losses import DiceLoss
from monai.networks.nets import BasicUNet
from monai.transforms import Compose, Rand2DElasticd, RandFlipd, RandScaleIntensityd
from monai.utils import set_determinism

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "Support"))

from tensor_images import TensorImages

from SuggestiveAnnotationLib.models.unet import WIDTHS
from SuggestiveAnnotationLib.progress import ProgressEvent
from SuggestiveAnnotationLib.training.augment import AugmentSettings
from SuggestiveAnnotationLib.training.device import autocast_dtype, describe_device, pick_device
from SuggestiveAnnotationLib.training.segmentation import SegmentationSettings, train_segmentation

TARGETS = {64: 2.0, 128: 2.5}
CLASSES = 4


def monai_steps(images: torch.Tensor, labels: torch.Tensor, *, batch: int, size: str, device: torch.device) -> Callable[[int], list[float]]:
    """A function that takes n steps and returns their seconds."""
    side = images.shape[-1]
    transform = Compose(
        [
            RandFlipd(["image", "label"], prob=0.5, spatial_axis=1),
            RandScaleIntensityd("image", factors=0.2, prob=1.0),
            Rand2DElasticd(
                ["image", "label"],
                spacing=(side // 6, side // 6),
                magnitude_range=(1, 2),
                prob=0.5,
                mode=("bilinear", "nearest"),
                padding_mode="zeros",
            ),
        ]
    )
    items = [{"image": x, "label": y[None].float()} for x, y in zip(images, labels, strict=True)]
    loader = DataLoader(CacheDataset(items, transform, progress=False), batch_size=batch, shuffle=True, num_workers=0)
    widths = WIDTHS[size]
    network = BasicUNet(2, images.shape[1], CLASSES, (*widths, widths[0]), act="relu", norm="batch").to(device)
    loss_function = DiceLoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)

    def take(steps: int) -> list[float]:
        seconds: list[float] = []
        while True:
            start = time.perf_counter()
            for data in loader:
                optimiser.zero_grad()
                loss = loss_function(network(data["image"].to(device)), data["label"].to(device))
                loss.backward()
                optimiser.step()
                loss.item()
                now = time.perf_counter()
                seconds.append(now - start)
                start = now
                if len(seconds) == steps:
                    return seconds

    return take


def our_steps(images: torch.Tensor, labels: torch.Tensor, *, batch: int, size: str, device: torch.device) -> Callable[[int], list[float]]:
    """A function that takes n steps and returns their seconds."""
    spec = {"network": "unet", "size": size, "channels": images.shape[1], "classes": CLASSES}
    source, on_device = TensorImages(images.half().to(device)), labels.to(device)

    def take(steps: int) -> list[float]:
        marks: list[float] = []

        def progress(event: ProgressEvent) -> None:
            marks.append(time.perf_counter())

        # The first step also builds the network: it is run beside the others and left out.
        settings = SegmentationSettings(steps=steps + 1, batch_size=batch, augment=AugmentSettings(flip=True))
        train_segmentation(spec, source, on_device, settings=settings, progress=progress)
        return [b - a for a, b in pairwise(marks[1:])]

    return take


def measure(side: int, *, batch: int, slices: int, size: str, device: torch.device, rounds: int, steps: int) -> dict[str, object]:
    """Both loops in turns on slices of `side` pixels."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(slices, 1, side, side, generator=generator)
    labels = torch.randint(0, CLASSES, (slices, side // 8, side // 8), generator=generator).repeat_interleave(8, 1).repeat_interleave(8, 2)
    runs = {make: make(images, labels, batch=batch, size=size, device=device) for make in (monai_steps, our_steps)}
    seconds: dict[object, list[float]] = {make: [] for make in runs}
    for run in runs.values():
        run(1)
    for _ in range(rounds):
        for make, run in runs.items():
            seconds[make] += run(steps)
    monai, ours = (1e3 * statistics.median(seconds[make]) for make in (monai_steps, our_steps))
    return {
        "name": f"training step, {side} px, U-Net {size}",
        "pixels": side,
        "batch": batch,
        "monai_ms": round(monai, 1),
        "ours_ms": round(ours, 1),
        "ratio": round(monai / ours, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="thin", choices=sorted(WIDTHS), help="width of both networks")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--slices", type=int, default=32)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="0: torch's default")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=4, help="a round")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", module="monai")
    set_determinism(0)
    if options.threads:
        torch.set_num_threads(options.threads)
    device = pick_device(options.device)
    print(f"{describe_device(device)}; U-Net {options.size} {WIDTHS[options.size]}, batch {options.batch} of {options.slices} slices")
    rows = []
    for side, target in TARGETS.items():
        row = measure(
            side,
            batch=options.batch,
            slices=options.slices,
            size=options.size,
            device=device,
            rounds=options.rounds,
            steps=options.steps,
        )
        row["target"] = target if autocast_dtype(device) is not None else None
        rows.append(row)
        print(f"{side:>4} px: MONAI {row['monai_ms']} ms, ours {row['ours_ms']} ms a step, ratio {row['ratio']} (target {row['target']})")
    print(json.dumps({"benchmark": "training step", "threads": torch.get_num_threads(), "size": options.size, "results": rows}))


if __name__ == "__main__":
    main()
