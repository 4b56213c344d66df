"""The resolution ceiling of a study's network grid: what a perfect network would reach."""

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
    """Labels of one case to the network grid and back, as a perfect network would return them."""

    def __init__(self, study: Study, case: str) -> None:
        slices = study.slices(case)
        self._schema = study.schema
        self._grid = NetworkGrid.of(study.record)
        self._place: dict[str, Any] = {"centre": np.asarray(slices.centre), "spacing": np.asarray(slices.spacing[1:])}

    def __call__(self, native: LabelArray) -> LabelArray:
        channels = self._grid.labels_to_network(torch.from_numpy(self._schema.to_channels(native))[None], **self._place)
        one_hot = torch.nn.functional.one_hot(channels.clamp(min=0), self._schema.channels).permute(0, 3, 1, 2).float()
        back = self._grid.to_native(one_hot, shape=(native.shape[0], native.shape[1]), **self._place)
        return self._schema.to_values(back.argmax(1)[0].numpy())
