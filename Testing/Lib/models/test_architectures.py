"""The networks that the papers use and compare with: shapes, sizes, how far they see, checkpoints."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from SuggestiveAnnotationLib.engine.settings import Architecture, NetworkSize
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.models.checkpoint import load_checkpoint, save_checkpoint
from SuggestiveAnnotationLib.models.multi_scale import PATCHES
from SuggestiveAnnotationLib.models.registry import build_network, network_spec

NAMES = get_args(Architecture)


def network(name: str, **changes: object) -> nn.Module:
    return build_network({"network": name, "size": "tiny", "channels": 2, "classes": 4, **changes}, seed=1).eval()


def seen_from_the_middle(model: nn.Module, side: int, *, images: int = 1) -> tuple[int, int]:
    """First and last row, counted from the middle pixel, that the logits of the middle pixel depend on in any of some random images."""
    x = torch.randn(images, 2, side, side, generator=torch.Generator().manual_seed(0)).requires_grad_()
    model(x)[:, :, side // 2, side // 2].sum().backward()
    assert x.grad is not None
    rows = x.grad.abs().sum((0, 1, 3)).nonzero()[:, 0] - side // 2
    return int(rows.min()), int(rows.max())


@pytest.mark.parametrize("name", NAMES)
class TestEveryArchitecture:
    @pytest.mark.parametrize("size", [(16, 16), (48, 32), (37, 21), (70, 101)])
    def test_logits_for_every_class_at_every_pixel_of_any_size(self, name: str, size: tuple[int, int]) -> None:
        if name == "unet" and size == (37, 21):
            size = (37, 35)  # four times halved, something must be left
        model = network(name)
        with torch.no_grad():
            assert model(torch.randn(3, 2, *size)).shape == (3, 4, *size)
            assert model.bottleneck_features(torch.randn(3, 2, *size)).shape[0] == 3

    def test_the_last_layer_is_linear_in_every_pixel_by_itself(self, name: str) -> None:
        model, x = network(name), torch.randn(2, 2, 32, 32)
        with torch.no_grad():
            features = model.pixel_features(x)
            torch.testing.assert_close(model.classify(features), model(x))
            a, b, zero = (model.classify(f) for f in (features, 2 * features, 0 * features))
            torch.testing.assert_close(b - a, a - zero, rtol=1e-4, atol=1e-4)
            moved = model.classify(features.roll(5, -1))
        torch.testing.assert_close(moved, a.roll(5, -1), rtol=1e-4, atol=1e-5)

    def test_a_slice_does_not_depend_on_its_batch(self, name: str) -> None:
        model, x = network(name), torch.randn(3, 2, 80, 80)
        with torch.no_grad():
            torch.testing.assert_close(model(x)[1:2], model(x[1:2]), rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(model.bottleneck_features(x)[1:2], model.bottleneck_features(x[1:2]), rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("changes", [{}, {"dropout": 0.25}])
    def test_a_checkpoint_gives_the_network_back(self, name: str, changes: dict[str, float], tmp_path) -> None:  # type: ignore[no-untyped-def]
        model, x = network(name, **changes), torch.randn(1, 2, 32, 32)
        assert network_spec(model) == {"network": name, "size": "tiny", "channels": 2, "classes": 4, **changes}
        save_checkpoint(tmp_path / "m", model, {"record_key": "r"})
        again, _ = load_checkpoint(tmp_path / "m", record_key="r")
        with torch.no_grad():
            assert torch.equal(again(x), model(x))

    def test_every_size_a_person_can_choose_is_there(self, name: str) -> None:
        counts = [sum(p.numel() for p in network(name, size=size).parameters()) for size in ("paper", "thin", "small", "tiny")]
        assert counts == sorted(counts, reverse=True)
        assert set(get_args(NetworkSize)) == {"paper", "thin", "small", "tiny"}

    @pytest.mark.parametrize("dropout", [-0.1, 1.0, float("nan"), "much"])
    def test_a_dropout_that_is_no_probability_below_one_is_refused(self, name: str, dropout: object) -> None:
        with pytest.raises(InputError, match="cannot be built"):
            network(name, dropout=dropout)


def test_only_the_u_net_has_a_loss_head() -> None:
    assert network_spec(network("unet", loss_head=True))["loss_head"] is True
    with pytest.raises(InputError, match="cannot be built"):
        network("voxresnet", loss_head=True)


class TestUShape:
    def test_the_papers_number_of_parameters(self) -> None:
        """3.1e7. By hand: convolutions a*b*9+b of 1-64-64-128-128-256-256-512-512-1024-1024, back, 2x2 ones a*b*4+b, and 64*4+4."""

        def pair(a: int, b: int) -> int:
            return 9 * a * b + b + 9 * b * b + b

        widths = (64, 128, 256, 512, 1024)
        expected = sum(pair(a, b) for a, b in zip((1, *widths), widths, strict=False)) + 64 * 4 + 4
        expected += sum(4 * 2 * b * b + b + pair(2 * b, b) for b in widths[:-1])
        model = network("u-shape-patches", size="paper", channels=1)
        assert sum(p.numel() for p in model.parameters()) == expected == 31_030_788

    def test_it_has_no_normalisation(self) -> None:
        assert not any("Norm" in type(m).__name__ for m in network("u-shape-patches").modules())

    def test_a_pixel_is_seen_in_the_patches_of_64_that_hold_it(self) -> None:
        """Patches of the middle pixel (100 of 200) begin at 64 and 96: rows 64 to 159."""
        assert seen_from_the_middle(network("u-shape-patches"), 200) == (-36, 59)

    def test_a_patch_is_seen_whole_and_by_itself(self) -> None:
        model, x = network("u-shape-patches"), torch.randn(1, 2, 64, 64)
        with torch.no_grad():
            assert torch.equal(model.pixel_features(x), model._of_patch(x))


class TestVoxResNet:
    def test_the_papers_layers(self) -> None:
        model = network("voxresnet", size="paper")
        assert [m.out_channels for m in model.modules() if isinstance(m, nn.Conv2d) and m.stride == (2, 2)] == [64, 64, 64]
        assert sum(type(m).__name__ == "Residual" for m in model.modules()) == 6
        assert [m.stride for m in model.modules() if isinstance(m, nn.ConvTranspose2d)] == [(2, 2), (4, 4), (8, 8)]

    def test_how_far_it_sees(self) -> None:
        """5 at full size, 7 and +16, 27 and +32, 67 and +64 = 131 for a coarsest pixel; a pixel mixes two of them, 8 apart: 139."""
        first, last = seen_from_the_middle(network("voxresnet"), 224)
        assert last - first + 1 == 139

    def test_the_output_is_the_sum_of_the_depths(self) -> None:
        model, x = network("voxresnet"), torch.randn(2, 2, 24, 40)
        with torch.no_grad():
            depths = model.depths(model.pixel_features(x))
            torch.testing.assert_close(torch.stack(depths).sum(0), model(x))
        assert len(depths) == 4


class TestMultiScale:
    def test_each_branch_sees_its_patch_and_all_of_it(self) -> None:
        model = network("multi-scale-patches")
        for branch, patch in zip(model.branches, PATCHES, strict=True):
            model.classify = lambda x: x
            model.pixel_features = branch.everywhere
            assert seen_from_the_middle(model, 77, images=16) == (-(patch // 2), patch // 2)

    def test_one_pass_over_a_slice_gives_what_the_patches_give(self) -> None:
        model = network("multi-scale-patches")
        x: Tensor = torch.randn(1, 2, 90, 83)
        padded = nn.functional.pad(x, (37, 37, 37, 37))
        with torch.no_grad():
            everywhere = model(x)
            for row, column in ((0, 0), (45, 40), (46, 41), (89, 82), (3, 77)):
                patch = padded[..., row : row + 75, column : column + 75]
                torch.testing.assert_close(model.of_patches(patch)[..., 0, 0], everywhere[..., row, column], rtol=1e-4, atol=1e-5)

    def test_the_parameters_by_hand(self) -> None:
        """Convolutions of 6, 3, 3 | 8, 5, 4 | 10, 6, 5 with 24, 32 and 48 filters; what is left of a patch is 1, 3 and 5 wide."""
        expected = 768 * 4 + 4
        for kernels, left in (((6, 3, 3), 1), ((8, 5, 4), 3), ((10, 6, 5), 5)):
            for (a, b), k in zip(((1, 24), (24, 32), (32, 48)), kernels, strict=True):
                expected += a * b * k * k + b
            expected += 48 * 256 * left * left + 256
        assert sum(p.numel() for p in network("multi-scale-patches", size="paper", channels=1).parameters()) == expected
