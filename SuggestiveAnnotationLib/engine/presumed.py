"""Where gradients start from while nothing is annotated: evenly spread slices with the model's own labels.

The gradient is that of the loss against the label which the model itself gives, a hypothetical one, as in BADGE (Ash et al., ICLR 2020).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from SuggestiveAnnotationLib.engine.settings import FIRST_BATCH
from SuggestiveAnnotationLib.models.segmentation import SegmentationNetwork
from SuggestiveAnnotationLib.strategies.access import Images
from SuggestiveAnnotationLib.strategies.contract import Answer, Query
from SuggestiveAnnotationLib.strategies.registry import strategy
from SuggestiveAnnotationLib.types import Suggestion

_OF_SOURCE = " Nobody has annotated the slice that this starts from: its labels are the model's own."


class PresumedLabels:
    """Labels of the slices that the first batch's own strategy would pick, `(rows, columns)` channels on the network grid, as asked for.

    Args:
        query: of the round, in which nothing is annotated.
        network: whose labels they are, on `device`.
        images: of pool slices.

    Attributes:
        sources: pool indices of the slices, ascending.
    """

    def __init__(self, query: Query, network: SegmentationNetwork, images: Images, *, device: torch.device) -> None:
        self._spread = strategy(FIRST_BATCH).suggest(query)
        place = {ref: index for index, ref in enumerate(query.pool.refs)}
        self.sources = tuple(sorted(place[one.ref] for one in self._spread.suggestions))
        self._refs = {query.pool.refs[index] for index in self.sources}
        self._network, self._images, self._device = network, images, device
        self._labels: dict[int, NDArray[np.int16]] = {}

    def __call__(self, index: int) -> NDArray[np.int16] | None:
        """See `strategies.access.Accepted`."""
        if index not in self.sources:
            return None
        if index not in self._labels:
            with torch.inference_mode():
                logits = self._network(self._images([index]).to(self._device, torch.float32))
            self._labels[index] = logits[0].argmax(0).to("cpu", torch.int16).numpy()
        return self._labels[index]

    def told(self, answer: Answer) -> Answer:
        """An answer that says where its gradients started from; the evenly spread slices themselves where the model finds nothing there."""
        if not self._labels:
            return answer
        if not any(labels.any() for labels in self._labels.values()):
            note = "The imported model finds nothing on evenly spread slices, so gradients have nowhere to start: these are suggested."
            return replace(self._spread, warnings=(note,))
        note = (
            "Nothing is annotated yet: gradients start from evenly spread slices, with the imported model's own labels in place of "
            "annotations."
        )
        return replace(answer, suggestions=tuple(map(self._of_source, answer.suggestions)), warnings=(*answer.warnings, note))

    def _of_source(self, suggestion: Suggestion) -> Suggestion:
        reason = suggestion.rationale
        if reason.source not in self._refs:
            return suggestion
        details = {**reason.details, "presumed_labels": True}
        return replace(suggestion, rationale=replace(reason, sentence=reason.sentence + _OF_SOURCE, details=details))
