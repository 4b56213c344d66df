"""The catalogue of segmentation networks: what each of them is, how large, and what the widths are for. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Network:
    """One segmentation network of the catalogue.

    Attributes:
        name: as `--architecture` and checkpoints name it.
        help: one line, what it is, whose, and what it needs.
        parameters: width -> how many, for one image channel and two classes.
    """

    name: str
    help: str
    parameters: Mapping[str, int]


NETWORKS: tuple[Network, ...] = (
    Network(
        "unet",
        "The vanilla U-Net of the gradient-guided papers (Dai et al., 2020 and 2022), on whole slices; only this one takes a loss head.",
        {"thin": 1_942_306, "paper": 7_762_498, "small": 486_418, "tiny": 7_972},
    ),
    Network(
        "u-shape-patches",
        "The U-shape network of the effort paper (arXiv 1901.02355, 2019), on patches of 64 pixels of the network grid; it needs a grid as "
        "fine as the scans to see what the paper's sees.",
        {"thin": 1_940_834, "paper": 31_030_658, "small": 485_682, "tiny": 13_386},
    ),
    Network(
        "voxresnet",
        "VoxResNet in 2D (Chen et al., NeuroImage 2018), which the effort paper compares with: residual modules on whole slices, each of "
        "its four depths held to the labels too.",
        {"thin": 483_976, "paper": 1_932_552, "small": 121_416, "tiny": 30_568},
    ),
    Network(
        "multi-scale-patches",
        "The network of Moeskops et al. (IEEE TMI 2016), which the effort paper compares with: each pixel from patches of 25, 51 and 75 "
        "pixels of the network grid around it; it needs a grid as fine as the scans.",
        {"thin": 89_534, "paper": 568_058, "small": 36_238, "tiny": 10_806},
    ),
)

WIDTHS: Mapping[str, str] = MappingProxyType(
    {
        "thin": "For computers without a GPU: a half to a quarter of the papers' filters.",
        "paper": "As the papers have it, for GPUs.",
        "small": "For comparisons of many runs on computers without a GPU: a third to an eighth of the papers' filters.",
        "tiny": "For tests alone: too small to segment well.",
    }
)
"""Width -> one line, what it is for; the VAE has the same ones."""
