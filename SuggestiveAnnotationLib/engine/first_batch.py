"""What draws the first batch. While nothing is annotated nothing can be trained, and only a model from another study can be there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from SuggestiveAnnotationLib.engine.settings import SuggestOptions
from SuggestiveAnnotationLib.strategies.contract import Requirement
from SuggestiveAnnotationLib.strategies.registry import requirements

if TYPE_CHECKING:
    from SuggestiveAnnotationLib.study.records import Model
    from SuggestiveAnnotationLib.study.study import Study


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
    network = model.card.get("network", {})
    if Requirement.DROPOUT in requires and not network.get("dropout"):
        return "a network with dropout"
    if Requirement.LOSS_HEAD in requires and not network.get("loss_head"):
        return "a network that predicts its own loss"
    return ""
