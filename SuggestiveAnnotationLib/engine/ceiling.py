"""The resolution ceiling of a study's network grid: what a network that knew the share of every class in every pixel would reach."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from SuggestiveAnnotationLib.effort.ceiling import resolution_ceiling
from SuggestiveAnnotationLib.effort.quantities import ResolutionCeiling
from SuggestiveAnnotationLib.models.grid import NetworkGrid
from SuggestiveAnnotationLib.study.contours import excluded_mask
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import LabelArray, SliceRef

CEILING = "resolution ceiling"
EVERY = 10
"""Neighbouring slices say the same."""


def measure_ceiling(study: Study) -> None:
    """Measure the ceiling on every tenth labelled slice of all cases with a reference, and keep it with the study. Once."""
    if CEILING in study.properties():
        return
    values, ignore = study.schema.values[1:], study.schema.ignore_value
    parts = []
    for case in study.cases():
        if case.role == "excluded" or case.label is None:
            continue
        labels = study.reference_labels(case.name)
        held = [k for k in range(len(labels)) if np.isin(labels[k], values).any()][::EVERY]
        if held:
            references = [np.array(labels[k]) for k in held]
            masks = [excluded_mask(study, SliceRef(case.name, study.frame(case.name).axis, k)) for k in held]
            parts.append(
                resolution_ceiling(
                    references,
                    _RoundTrip(study, case.name),
                    values=values,
                    spacing=study.slices(case.name).spacing[1:],
                    ignore_value=ignore,
                    exclude_edges_of=masks,
                )
            )
    study.set_property(CEILING, ResolutionCeiling.total(parts).to_json() if parts else None)


class _RoundTrip:
    """Labels of one case to the network grid and back, as a network would whose probabilities are the shares of classes in each pixel.

    Probabilities come back with contours between network pixels, so labels that take one class for a whole pixel would keep less.
    """

    def __init__(self, study: Study, case: str) -> None:
        slices = study.slices(case)
        self._schema = study.schema
        self._grid = NetworkGrid.of(study.record)
        self._place: dict[str, Any] = {"centre": np.asarray(slices.centre), "spacing": np.asarray(slices.spacing[1:])}

    def __call__(self, native: LabelArray) -> LabelArray:
        channels = torch.from_numpy(self._schema.to_channels(native))
        one_hot = torch.stack([channels == channel for channel in range(self._schema.channels)])[None].float()
        shares = self._grid.to_network(one_hot, **self._place)
        # Ignored pixels have no say; where nothing has, all is background.
        known = shares.sum(1, keepdim=True)
        shares = torch.where(known > 0, shares / known, 0.0)
        shares[:, :1] += known <= 0
        back = self._grid.to_native(shares, shape=(native.shape[0], native.shape[1]), **self._place)
        return self._schema.to_values(back.argmax(1)[0].numpy())
