"""What draws the first batch. While nothing is annotated nothing can be trained, and only a model from another study can be there."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from SuggestiveAnnotationLib.engine.settings import SuggestOptions
from SuggestiveAnnotationLib.strategies.contract import Requirement
from SuggestiveAnnotationLib.strategies.registry import requirements

if TYPE_CHECKING:
    from SuggestiveAnnotationLib.study.records import Model
    from SuggestiveAnnotationLib.study.study import Study

OF_NETWORKS = {Requirement.DROPOUT: "a network with dropout", Requirement.LOSS_HEAD: "a network that predicts its own loss"}
"""What strategies may require of the segmentation network itself, in a few words."""


def imported_model(study: Study) -> Model | None:
    """The newest segmentation model, where it was imported from another study."""
    model = study.latest_model("segmentation")
    return None if model is None or model.imported_from is None else model


def out_of_reach(options: SuggestOptions, model: Model | None) -> str:
    """What the strategy needs and cannot have while nothing is annotated, in a few words; "" where it can draw the first batch.

    A manifold takes no annotations, but without a model to look through as well, the first batch stays evenly spread.

    Args:
        options: with the strategy.
        model: as of `imported_model`.
    """
    requires = requirements(options.strategy, options.strategy_options)
    if not requires:
        return ""
    if model is None:
        return "a model"
    if Requirement.COMMITTEE in requires:
        return "networks trained on annotated slices"
    lack = network_lacks(requires, model.card.get("network", {}))
    return "" if lack is None else OF_NETWORKS[lack]


def network_lacks(requires: Collection[Requirement], network: Mapping[str, Any]) -> Requirement | None:
    """The first of `OF_NETWORKS` that a strategy requires and the network does not have.

    Args:
        requires: of the strategy.
        network: its `dropout` and whether it has a `loss_head`, as of a network's spec or of `TrainingOptions`.
    """
    has = {Requirement.DROPOUT: network.get("dropout"), Requirement.LOSS_HEAD: network.get("loss_head")}
    return next((one for one in OF_NETWORKS if one in requires and not has[one]), None)
