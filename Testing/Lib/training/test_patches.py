"""Patches of slices, drawn alike from all classes."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from SuggestiveAnnotationLib.training.patches import PatchSettings, sample_patches


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(n: int, size: tuple[int, int]) -> torch.Tensor:
    """Every pixel of every slice has a number of its own."""
    return torch.arange(float(n * size[0] * size[1])).reshape(n, 1, *size) + 1


def test_middle_pixels_come_alike_from_all_classes_of_a_slice_and_never_from_ignored_ones() -> None:
    labels = torch.zeros(1, 20, 30, dtype=torch.int16)
    labels[0, 5, 5:8] = 1
    labels[0, 10:15, 10:20] = 2
    labels[0, :, 25:] = -1
    settings = PatchSettings(5, 3000, middle=True)
    _, drawn = sample_patches(numbered(1, (20, 30)), labels, settings=settings, generator=generator())
    counts = torch.bincount(drawn.flatten().long(), minlength=3)
    assert (counts / 3000).tolist() == pytest.approx([1 / 3] * 3, abs=0.03)


def test_a_patch_lies_around_its_middle_with_zeros_outside() -> None:
    images, labels = numbered(2, (9, 11)), torch.arange(99).remainder(3).reshape(1, 9, 11).repeat(2, 1, 1)
    patches, drawn = sample_patches(images, labels, settings=PatchSettings(5, 40, middle=True), generator=generator())
    assert patches.shape == (80, 1, 5, 5)
    assert drawn.shape == (80, 1, 1)
    padded = functional.pad(images, (2, 2, 2, 2))
    for patch, label in zip(patches, drawn, strict=True):
        place = (images[:, 0] == patch[0, 2, 2]).nonzero()[0].tolist()
        assert labels[tuple(place)] == label
        index, row, column = place
        assert torch.equal(padded[index, :, row : row + 5, column : column + 5], patch)


def test_whole_patches_lie_inside_and_bring_the_labels_of_their_pixels() -> None:
    images = numbered(2, (20, 26))
    labels = (images[:, 0] % 7).long()
    patches, drawn = sample_patches(images, labels, settings=PatchSettings(8, 50), generator=generator())
    assert patches.shape == (100, 1, 8, 8)
    assert torch.equal((patches[:, 0] % 7).long(), drawn)
    assert (patches > 0).all()
    assert patches[:50].max() <= 520 < patches[50:].min()


def test_rare_classes_are_in_as_many_patches_as_common_ones() -> None:
    labels = torch.zeros(1, 64, 64, dtype=torch.int16)
    labels[0, 30, 30] = 1
    _, drawn = sample_patches(numbered(1, (64, 64)), labels, settings=PatchSettings(8, 400), generator=generator())
    assert ((drawn == 1).flatten(1).any(1)).float().mean().item() == pytest.approx(0.5, abs=0.1)


def test_a_slice_no_larger_than_a_patch_is_taken_whole() -> None:
    images, labels = numbered(3, (6, 8)), torch.zeros(3, 6, 8, dtype=torch.int16)
    patches, drawn = sample_patches(images, labels, settings=PatchSettings(8, 4), generator=generator())
    assert patches is images
    assert drawn is labels


def test_a_slice_that_is_narrow_but_tall_gives_patches_of_its_width() -> None:
    patches, drawn = sample_patches(
        numbered(1, (30, 6)), torch.zeros(1, 30, 6, dtype=torch.int16), settings=PatchSettings(8, 4), generator=generator()
    )
    assert patches.shape == (4, 1, 8, 6)
    assert drawn.shape == (4, 8, 6)


def test_a_slice_whose_pixels_were_all_moved_out_of_sight_gives_ignored_labels() -> None:
    _, drawn = sample_patches(
        numbered(1, (20, 20)), torch.full((1, 20, 20), -1), settings=PatchSettings(5, 3, middle=True), generator=generator()
    )
    assert (drawn == -1).all()


def test_the_same_generator_draws_the_same_patches() -> None:
    images, labels = numbered(2, (40, 40)), torch.zeros(2, 40, 40, dtype=torch.int16)
    one, two, other = (sample_patches(images, labels, settings=PatchSettings(8, 5), generator=generator(s))[0] for s in (1, 1, 2))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
