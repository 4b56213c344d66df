"""The module in 3D Slicer: suggests slices to annotate, pre-annotates them, measures how much of each outline was already right."""

from __future__ import annotations

import os
import sys
from typing import Annotated, get_args

import qt
import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import Choice, Default, WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

if sys.version_info < (3, 11):  # noqa: UP036
    # Slicer's log then says this instead of what the first import does not find.
    raise ImportError("Suggestive Annotation needs a 3D Slicer with Python 3.11 or newer: take 5.12 or newer.")

try:
    import SuggestiveAnnotationLib  # noqa: F401
except ModuleNotFoundError:
    # In a source checkout only this folder is on the path; an installed extension has the library beside the module.
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from SuggestiveAnnotationPanel import connect as connecting
from SuggestiveAnnotationPanel import state_style
from SuggestiveAnnotationPanel.annotate_section import AnnotateSection
from SuggestiveAnnotationPanel.case_scene import CaseScene, removeRowsWithoutNodes
from SuggestiveAnnotationPanel.export_section import ExportSection
from SuggestiveAnnotationPanel.label_sync import LabelSync
from SuggestiveAnnotationPanel.layout import Layout, registerLayout
from SuggestiveAnnotationPanel.option_fields import inWordsOfThePanel
from SuggestiveAnnotationPanel.review_section import ReviewSection
from SuggestiveAnnotationPanel.round_section import DEFAULT_TITLE, STRATEGIES, RoundSection
from SuggestiveAnnotationPanel.section import takeWidthThatIs
from SuggestiveAnnotationPanel.shortcuts import Shortcuts, withKeys
from SuggestiveAnnotationPanel.study_section import StudySection
from SuggestiveAnnotationPanel.suggestions_section import SuggestionsSection
from SuggestiveAnnotationPanel.workspace import Workspace

from SuggestiveAnnotationLib.engine.settings import NetworkSize

SECTIONS = (StudySection, RoundSection, SuggestionsSection, AnnotateSection, ReviewSection, ExportSection)
MESSAGE_COLOURS = {"info": "#0072B2", "warning": "#B35900", "error": state_style.PROBLEM}


class SuggestiveAnnotation(ScriptedLoadableModule):
    """Name, category and help of the module."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Suggestive Annotation")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = ["Segmentations", "SegmentEditor"]
        self.parent.contributors = ["The SuggestiveAnnotation contributors"]
        about = _(
            "Suggests which slices of a cohort of medical volumes to annotate next and says why, pre-annotates them, lets you correct "
            "them in the Segment Editor, and measures how much of each outline was already right. Work through the sections "
            "from top to bottom; each says in one line what to do next. It helps a reader work; it is not a diagnostic device. Nothing "
            "leaves this computer. When Slicer asks at quitting whether to save the scene, its list names the annotation of the open case: "
            "that is safe in the study and needs no saving. Keys while the module is open: Ctrl+Return accepts and goes on, N and P go to "
            "the next and the previous suggestion, J goes back to the suggested slice, K shows another sequence beside it, M shows or "
            "hides the model's own outline."
        )
        self.parent.helpText = withKeys(about)
        self.parent.acknowledgementText = _(
            "Gradient-guided sampling: Dai et al., MICCAI 2020 and Medical Image Analysis 2022. The README of the extension lists all "
            "sources."
        )
        # A scene that was saved with the module open names the layout, and may be loaded before the module is opened.
        connecting.connect(slicer.app, "startupCompleted()", registerLayout)


@parameterNodeWrapper
class SuggestiveAnnotationParameterNode:
    """What is set in section 2; kept in the scene."""

    strategy: Annotated[str, Choice(list(STRATEGIES)), Default(DEFAULT_TITLE)]
    budget: Annotated[int, WithinRange(1, 500), Default(10)]
    auditShare: Annotated[int, WithinRange(0, 100), Default(20)]
    unit: Annotated[str, Choice(["slice", "case"]), Default("slice")]
    minimumGap: Annotated[int, WithinRange(0, 50), Default(1)]
    context: Annotated[int, WithinRange(0, 3), Default(0)]
    steps: Annotated[int, WithinRange(1, 100000), Default(300)]
    manifoldSteps: Annotated[int, WithinRange(1, 100000), Default(1500)]
    network: Annotated[str, Choice(list(get_args(NetworkSize))), Default("thin")]
    device: Annotated[str, Choice(["auto", "cpu", "cuda"]), Default("auto")]
    seed: Annotated[int, WithinRange(0, 1000000), Default(0)]
    warmStart: Annotated[bool, Default(False)]
    # Values of many kinds, of which only those that differ from their default are kept: one text holds them.
    allSettings: Annotated[str, Default("")]


class SuggestiveAnnotationWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Composes the panel from its sections."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.workspace = self.logic = None
        self._level = "info"
        self.sections = []

    def setup(self):
        """Build the panel. Nothing is imported or installed here beyond what Slicer brings."""
        ScriptedLoadableModuleWidget.setup(self)
        self.logic = SuggestiveAnnotationLogic()
        self.workspace = workspace = Workspace()
        # Before anything else that saves, whose errors are new.
        workspace.leavingSlice.connect(self._forgetError)
        workspace.scene = CaseScene(workspace)
        workspace.views = Layout(workspace)
        workspace.sync = LabelSync(workspace)
        self.messageLabel = qt.QLabel()
        self.messageLabel.wordWrap = True
        takeWidthThatIs(self.messageLabel)
        self.messageLabel.objectName = "messageLabel"
        # Sentences name files and cases, in which "<" is no markup.
        self.messageLabel.textFormat = qt.Qt.PlainText
        self.messageLabel.hide()
        self.layout.addWidget(self.messageLabel)
        workspace.message.connect(self.showMessage)
        connecting.reportErrorsTo(workspace.message)
        self.sections = [section(workspace, self.resourcePath) for section in SECTIONS]
        for section in self.sections:
            self.layout.addWidget(section.widget)
        self.layout.addStretch(1)
        for section in self.sections[4:]:
            section.widget.collapsed = True
        annotate = self.section(AnnotateSection)
        self.shortcuts = Shortcuts(
            [
                ("Ctrl+Return", _("accept and next"), annotate.acceptAndNext),
                ("N", _("next suggestion"), workspace.nextSlice),
                ("P", _("previous suggestion"), workspace.previousSlice),
                ("J", _("back to the suggested slice, with every structure"), workspace.views.returnToSuggested),
                ("K", _("another sequence beside it"), workspace.views.cycleSequence),
                ("M", _("show or hide the model's outline"), workspace.scene.toggleModelOutline),
            ],
            repeating=("N", "P"),
            say=lambda sentence: workspace.message("info", sentence),
        )
        workspace.settingsChanged.connect(self._updateShortcuts)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self.onSceneEndImport)
        removeRowsWithoutNodes()
        self.initializeParameterNode()

    def section(self, kind):
        """The section of a class."""
        return next(section for section in self.sections if isinstance(section, kind))

    def showMessage(self, level, text):
        """One sentence at the top of the panel, its level as a word and a colour."""
        word = {"info": "", "warning": _("Note: "), "error": _("Error: ")}[level]
        colour = state_style.readable(MESSAGE_COLOURS[level], self.messageLabel.palette)
        self._level = level
        self.messageLabel.setStyleSheet(f"color: {colour}; padding: 2px")
        self.messageLabel.text = word + inWordsOfThePanel(text)
        self.messageLabel.visible = bool(text)

    def _forgetError(self):
        """A person's next step begins: what went wrong before it was read."""
        if self._level == "error":
            self.showMessage("info", "")

    def enter(self):
        """The user opened the module."""
        # Whatever became of the views: sections and keys have to be there.
        connecting.guarded(self.workspace.views.enter)()
        for section in self.sections:
            section.enter()
        # The scene may have been closed, or lost nodes of the case, while another module was open.
        self.workspace.scene.restore()
        self.shortcuts.install()

    def _updateShortcuts(self):
        self.shortcuts.remove()
        if self.parent.isEntered:
            self.shortcuts.install()

    def exit(self):
        """The user left the module: work is saved, keys and layout are given back."""
        self.workspace.saveNow()
        self.shortcuts.remove()
        for section in self.sections:
            section.exit()
        self.workspace.views.exit()

    def cleanup(self):
        """Slicer quits, or the module is reloaded."""
        self.removeObservers()
        if self.workspace is None:
            return
        self.shortcuts.remove()
        self.workspace.cleanup()
        for section in self.sections:
            section.setParameterNode(None)
            section.cleanup()
        self.workspace.sync.cleanup()
        self.workspace.views.cleanup()
        self.workspace.scene.cleanup()
        connecting.reportErrorsTo(None)

    def onSceneStartClose(self, _caller, _event):
        """The scene is about to close: save, then let its nodes go."""
        self.workspace.saveNow()
        self.workspace.sync.detach()
        self.workspace.scene.dropReferences()
        self.workspace.views.forget()
        for section in self.sections:
            section.onSceneStartClose()
            section.setParameterNode(None)

    def onSceneEndClose(self, _caller, _event):
        """The scene is closed: bring back what was open."""
        self.initializeParameterNode()
        for section in self.sections:
            section.onSceneEndClose()
        if self.parent.isEntered:
            self.workspace.views.enter()
            self.workspace.scene.restore()

    def onSceneEndImport(self, _caller, _event):
        """A scene was loaded or added."""
        removeRowsWithoutNodes()

    def initializeParameterNode(self):
        """Bind the widgets to the parameter node of the scene."""
        parameterNode = self.logic.getParameterNode()
        for section in self.sections:
            section.setParameterNode(parameterNode)

    def onReload(self):
        """Reload the panel and the library with the module; the study that was open is opened again."""
        path = self.workspace.path
        for name in [name for name in sys.modules if name.partition(".")[0] in ("SuggestiveAnnotationPanel", "SuggestiveAnnotationLib")]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)
        widget = slicer.util.getModuleWidget(self.moduleName)
        if self.parent.isEntered:
            widget.enter()
        if path is not None:
            widget.workspace.openStudy(path)


class SuggestiveAnnotationLogic(ScriptedLoadableModuleLogic):
    """What scripts use without the panel."""

    def getParameterNode(self):
        """What is set in section 2."""
        return SuggestiveAnnotationParameterNode(super().getParameterNode())

    @staticmethod
    def openStudy(path):
        """The study in a folder, as `SuggestiveAnnotationLib.study.study.Study`; needs no torch."""
        from pathlib import Path

        from SuggestiveAnnotationLib.study.study import Study

        return Study(Path(path))


class SuggestiveAnnotationTest(ScriptedLoadableModuleTest):
    """The self test that Slicer runs: what works without installing anything."""

    def setUp(self):
        """Begin with an empty scene."""
        slicer.mrmlScene.Clear(0)

    def runTest(self):
        """Run every check."""
        self.setUp()
        self.test_sections_say_what_to_do_first()
        self.setUp()
        self.test_segments_take_labels_and_give_them_back()
        self.setUp()
        self.test_keys_are_free()

    def test_sections_say_what_to_do_first(self):
        """Without a study every section says so, and the layout is the module's own."""
        slicer.util.selectModule("SuggestiveAnnotation")
        widget = slicer.util.getModuleWidget("SuggestiveAnnotation")
        for section in widget.sections:
            self.assertTrue(section.ui.guidance.text)
        self.assertFalse(widget.section(AnnotateSection).ui.acceptButton.enabled)

    def test_segments_take_labels_and_give_them_back(self):
        """Labels go into a segmentation and come back voxel by voxel, also after one slice was replaced."""
        import numpy as np
        from SuggestiveAnnotationPanel import segments

        from SuggestiveAnnotationLib.geometry import Geometry
        from SuggestiveAnnotationLib.types import LabelClass, LabelSchema

        schema = LabelSchema("test", (LabelClass(1, "one", (230, 159, 0)), LabelClass(4, "four", (86, 180, 233))))
        geometry = Geometry((20, 18, 12), (1.0, 1.0, 2.0), (5.0, -4.0, 3.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
        labels = np.random.default_rng(0).choice([0, 1, 4, 255], geometry.shape).astype(np.uint16)
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
        segments.addSegments(node, schema)
        segments.importVolume(node, labels, geometry, schema)
        self.assertTrue((segments.readVolume(node, geometry, schema) == labels).all())
        labels[5] = 4
        segments.writeSlice(node, geometry, schema, 0, 5, labels[5])
        self.assertTrue((segments.readVolume(node, geometry, schema) == labels).all())

    def test_keys_are_free(self):
        """No key of the module is one that Slicer has."""
        self.assertEqual(slicer.util.getModuleWidget("SuggestiveAnnotation").shortcuts.collisions(), [])
