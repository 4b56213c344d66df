"""The module in 3D Slicer. It shows how to use the command line; annotating inside Slicer needs the panel, which is not part of it yet."""

from __future__ import annotations

import qt
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import ScriptedLoadableModule, ScriptedLoadableModuleTest, ScriptedLoadableModuleWidget


class SuggestiveAnnotation(ScriptedLoadableModule):
    """Name, category and help of the module."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Suggestive Annotation")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = []
        self.parent.contributors = ["The SuggestiveAnnotation contributors"]
        self.parent.helpText = _(
            "Suggests which slices of a cohort of MR volumes are worth annotating next and says why, pre-annotates them, "
            "and measures how much contour work the pre-annotation saved."
        )
        self.parent.acknowledgementText = _("The strategies follow published methods; the README of the extension lists them.")


class SuggestiveAnnotationWidget(ScriptedLoadableModuleWidget):
    """One paragraph that points to the command line."""

    def setup(self):
        """Build the panel."""
        ScriptedLoadableModuleWidget.setup(self)
        self.message = qt.QLabel(
            _(
                "This version works on the command line: run <code>suggestive-annotation --help</code> in an environment in which the "
                "library is installed. It exports labelmaps on each volume's own grid, which Slicer opens as segmentations."
            )
        )
        self.message.wordWrap = True
        self.layout.addWidget(self.message)
        self.layout.addStretch(1)


class SuggestiveAnnotationTest(ScriptedLoadableModuleTest):
    """The self test that Slicer runs."""

    def runTest(self):
        """Run every check."""
        self.test_message_names_the_command()

    def test_message_names_the_command(self):
        """The panel names the command a person has to type."""
        from slicer.util import getModuleWidget

        self.assertIn("suggestive-annotation --help", getModuleWidget("SuggestiveAnnotation").message.text)
