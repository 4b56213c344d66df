"""What the network is trained with because the chosen strategy could not work without it."""

from __future__ import annotations

from slicer.i18n import tr as _

from SuggestiveAnnotationLib.strategies.contract import Requirement
from SuggestiveAnnotationLib.strategies.registry import requirements

DROPOUT = 0.2


def trainedFor(strategy, strategyOptions, settings):
    """Settings of the training that a strategy needs and that are not set: name -> value."""
    needs, found = requirements(strategy, strategyOptions), {}
    if Requirement.DROPOUT in needs and not settings.get("dropout"):
        found["dropout"] = DROPOUT
    if Requirement.LOSS_HEAD in needs and not settings.get("loss_head"):
        found["loss_head"] = True
    return found


def sentence(added):
    """One sentence on what `trainedFor` adds, empty where it adds nothing."""
    if "dropout" in added and "loss_head" in added:
        return _("It needs a network with dropout that predicts its own loss: this one is trained with both.")
    if "dropout" in added:
        return _("It needs a network with dropout: this one is trained with a dropout of {p}.").format(p=added["dropout"])
    if "loss_head" in added:
        return _("It needs a network that predicts its own loss: this one is trained with a loss head.")
    return ""
