"""A network that was trained in another study: the button that takes it in, and what it means for the first batch."""

from __future__ import annotations

from pathlib import Path

import qt
from slicer.i18n import tr as _

from SuggestiveAnnotationLib.engine.first_batch import imported_model, out_of_reach
from SuggestiveAnnotationLib.worker import protocol

from . import requirements, settings
from .connect import connect
from .option_fields import asWords


def firstBatch(study, title, options):
    """What draws round 0, as one sentence; `title` and `options` are those of the chosen strategy."""
    annotated = study.is_annotated("pool")
    imported = None if annotated else imported_model(study)
    lacks = out_of_reach(options, imported)
    if annotated:
        text = _("Start round 0: a model learns from what is annotated already, then {strategy} chooses slices.")
    elif imported is not None and lacks:
        text = _("Start round 0: evenly spaced slices, as the imported model lacks what {strategy} needs; it outlines them.")
    elif imported is not None:
        text = _("Start round 0: {strategy} chooses the first slices, and the imported model outlines them.")
    elif lacks:
        text = _("Start round 0: evenly spaced slices to annotate first; nothing is trained yet.")
    else:
        text = _("Start round 0: {strategy} chooses the first slices; nothing is trained yet.")
    return text.format(strategy=title)


class ImportModel:
    """Asks for the file of a network and has the worker take it into the open study.

    Args:
        workspace: of the panel.
        button: which asks.
    """

    def __init__(self, workspace, button):
        self._workspace, self._button = workspace, button
        connect(button, "clicked()", self.choose)

    def refresh(self, interrupted):
        """Offer it where it is possible, and say why not elsewhere; `interrupted`: a round goes on with the model that it has."""
        workspace, button = self._workspace, self._button
        if workspace.study is None:
            why = _("Open a study first.")
        elif workspace.task is not None:
            why = _("The worker is busy.")
        elif workspace.study.frozen_record() is None:
            why = _("Prepare the images first.")
        elif interrupted:
            why = _("Resume or drop the round that was interrupted first.")
        else:
            why = ""
        button.enabled = not why
        button.toolTip = why or _(
            "Take the network of another study: a .safetensors file with the .json file of the same name beside it. "
            "It can choose and outline the first slices, and training can go on from it."
        )

    def choose(self):
        """Ask for the file, and take it."""
        workspace = self._workspace
        path = qt.QFileDialog.getOpenFileName(None, _("Model of another study"), settings.studiesFolder(), "*.safetensors")
        if path and workspace.ensure(requirements.PANEL, requirements.LEARNING):
            study = workspace.path
            done = lambda data: self._onImported(study, path, data)  # noqa: E731
            workspace.ask(protocol.ImportModel(path), done, title=_("Import the model"))

    def _onImported(self, study, path, data):
        if study != self._workspace.path:
            return
        kind = ", ".join(f"{asWords(name)} {value}" for name, value in data["options"].items() if name != "warm_start")
        said = _("The model {file} is in the study.") if data["new"] else _("The model {file} was in the study already.")
        training = _("Training goes on from it with Warm start under Advanced and these settings: {kind}.")
        parts = [said.format(file=Path(path).name), *data["notes"], training.format(kind=kind)]
        self._workspace.message("warning" if data["notes"] else "info", " ".join(parts))
        self._workspace.statesChanged()
