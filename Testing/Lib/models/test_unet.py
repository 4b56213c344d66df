"""The vanilla U-Net."""

from __future__ import annotations

import torch
from torch import nn

from SuggestiveAnnotationLib.models.unet import UNet, probabilities


def test_the_papers_filters_and_blocks():
    net = UNet(channels=4, classes=5, size="paper")
    blocks = [net.first, *net.down]
    assert [[c.out_channels for c in b.modules() if isinstance(c, nn.Conv2d)] for b in blocks] == [[w, w] for w in (32, 64, 128, 256, 512)]
    assert all(c.kernel_size == (3, 3) for b in blocks for c in b.modules() if isinstance(c, nn.Conv2d))
    up = [m for m in net.modules() if isinstance(m, nn.ConvTranspose2d)]
    assert [(m.in_channels, m.out_channels) for m in up] == [(512, 256), (256, 128), (128, 64), (64, 32)]
    assert sum(isinstance(m, nn.MaxPool2d) for m in net.modules()) == 4
    assert sum(isinstance(m, nn.BatchNorm2d) for m in net.modules()) == 18
    assert sum(isinstance(m, nn.ReLU) for m in net.modules()) == 18


def test_logits_for_every_class_at_every_pixel():
    net = UNet(channels=2, classes=4, size="tiny").eval()
    logits = net(torch.randn(3, 2, 32, 48))
    assert logits.shape == (3, 4, 32, 48)
    torch.testing.assert_close(probabilities(logits).sum(1), torch.ones(3, 32, 48))


def test_bottleneck_features_are_one_vector_a_slice():
    net = UNet(channels=1, classes=2, size="tiny").eval()
    x = torch.randn(3, 1, 32, 48)
    assert net.levels(x)[-1].shape == (3, 8, 2, 3)
    torch.testing.assert_close(net.bottleneck_features(x), net.levels(x)[-1].mean((2, 3)))


def test_probabilities_are_float32_whatever_the_logits():
    assert probabilities(torch.zeros(1, 2, 4, 4, dtype=torch.bfloat16)).dtype == torch.float32
