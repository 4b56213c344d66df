"""Colours for structures that a colour-blind reader can tell apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

OKABE_ITO = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167))
"""The palette of Okabe and Ito (2008) without black, which is lost on a dark image."""


def distinct_colours(count: int) -> tuple[tuple[int, int, int], ...]:
    """`count` different colours (red, green, blue, 0 to 255): Okabe and Ito's, then always the one farthest from all before it.

    Distances are Euclidean in CIELAB; colours too dark or too pale for an overlay on a grey image are left out. The same count
    gives the same colours, and a smaller count their beginning.
    """
    chosen = [tuple(c) for c in OKABE_ITO[:count]]
    levels = 9
    while len(chosen) < count:
        steps = np.linspace(0, 255, levels).round()
        candidates = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
        lab = _lab(candidates)
        usable = (lab[:, 0] > 25) & (lab[:, 0] < 92) & (np.hypot(lab[:, 1], lab[:, 2]) > 15)
        candidates, lab = candidates[usable], lab[usable]
        distance = np.full(len(lab), np.inf)
        for colour in _lab(np.asarray(chosen, float)):
            distance = np.minimum(distance, np.linalg.norm(lab - colour, axis=1))
        while len(chosen) < count and distance.max() > 0:
            best = int(distance.argmax())
            red, green, blue = (int(c) for c in candidates[best])
            chosen.append((red, green, blue))
            distance = np.minimum(distance, np.linalg.norm(lab - lab[best], axis=1))
        levels = 2 * levels - 1
    return tuple((r, g, b) for r, g, b in chosen)


def _lab(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """CIELAB (D65) of sRGB values 0 to 255, `(n, 3)`; IEC 61966-2-1 and CIE 15."""
    c = rgb / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = linear @ to_xyz.T / np.array([0.95047, 1.0, 1.08883])
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)
