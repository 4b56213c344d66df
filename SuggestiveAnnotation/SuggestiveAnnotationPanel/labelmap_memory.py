"""What the labelmaps of a segmentation held at the last look, so that only what differs has to be translated again."""

from __future__ import annotations

import numpy as np

from . import segments


class LabelmapMemory:
    """Compares labelmaps as they are, which takes a tenth of the time of translating them to the values of a schema.

    Each is kept on the whole grid of the image: the extents of Slicer's own grow and shrink with what is drawn.
    """

    def __init__(self):
        self._kept = None

    def forget(self):
        """The next comparison finds everything changed."""
        self._kept = None

    def changed(self, node, geometry, schema):
        """First and last native `k` that differ from what was kept, as a slice; an empty one where nothing does."""
        found = _layers(node, geometry, schema)
        if not self._comparable(found):
            return slice(0, geometry.shape[0])
        rows = [k for layer, kept in zip(found, self._kept, strict=True) for k in _differing(layer, kept)]
        return slice(min(rows), max(rows) + 1) if rows else slice(0, 0)

    def keep(self, node, geometry, schema, rows):
        """Remember the labelmaps as they are now; `rows` is what `changed` has just found."""
        found = _layers(node, geometry, schema)
        if found is None:
            self._kept = None
            return
        if not self._comparable(found):
            rows = slice(0, geometry.shape[0])
            self._kept = [(valueOf, place, np.zeros(geometry.shape, voxels.dtype)) for valueOf, place, voxels in found]
        for (_valueOf, (depth, *plane), voxels), (_sameValueOf, _place, array) in zip(found, self._kept, strict=True):
            array[rows] = 0
            first, stop = max(rows.start, depth.start), min(rows.stop, depth.stop)
            if first < stop:
                array[(slice(first, stop), *plane)] = voxels[first - depth.start : stop - depth.start]
        self._kept = [(valueOf, place, array) for (valueOf, place, _voxels), (_v, _p, array) in zip(found, self._kept, strict=True)]

    def _comparable(self, found):
        if found is None or self._kept is None:
            return False
        return [(valueOf, one.dtype) for valueOf, _place, one in found] == [(valueOf, one.dtype) for valueOf, _place, one in self._kept]


def _layers(node, geometry, schema):
    """`(label -> value, place, voxels)` of each labelmap: where it lies in the grid of the image as three slices, and what of it does."""
    raw = segments.rawLayers(node, geometry, schema)
    if raw is None:
        return None
    found = []
    for (i0, i1, j0, j1, k0, k1), valueOf, voxels in raw:
        # A brush may reach beyond the image.
        limits = [(max(a, 0), min(b + 1, n), a) for (a, b), n in zip(((k0, k1), (j0, j1), (i0, i1)), geometry.shape, strict=True)]
        if voxels is None or any(stop <= start for start, stop, _a in limits):
            found.append((valueOf, (slice(0, 0),) * 3, np.zeros((0, 0, 0), np.uint8 if voxels is None else voxels.dtype)))
            continue
        place = tuple(slice(start, stop) for start, stop, _a in limits)
        found.append((valueOf, place, voxels[tuple(slice(start - a, stop - a) for start, stop, a in limits)]))
    return found


def _differing(layer, kept):
    """Native `k` at which a labelmap differs from what was kept of it."""
    (_valueOf, (depth, *plane), voxels), (_sameValueOf, (depthBefore, *planeBefore), array) = layer, kept
    shrunk = any(now.start > before.start or now.stop < before.stop for now, before in zip(plane, planeBefore, strict=True))
    for k in range(min(depth.start, depthBefore.start), max(depth.stop, depthBefore.stop)):
        if not depth.start <= k < depth.stop:
            differs = array[k].any()
        else:
            there = array[(k, *plane)]
            differs = not np.array_equal(voxels[k - depth.start], there)
            differs = differs or (shrunk and np.count_nonzero(there) != np.count_nonzero(array[k]))
        if differs:
            yield k
