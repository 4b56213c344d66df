"""Section 5: why each slice was chosen, how the rounds went, whether another one pays."""

from __future__ import annotations

import numpy as np
import qt
from slicer.i18n import tr as _

from SuggestiveAnnotationLib.worker import protocol
from SuggestiveAnnotationLib.worker.client import GONE

from . import pictures, review_text, settings
from .connect import connect
from .curves_plot import CurvesPlot, measures
from .latent_plot import LatentPlot
from .option_fields import inWordsOfThePanel
from .section import Section

PICTURE, LARGE = 50, 150
"""Sides of the decoded images, pixels."""
IMAGES = 7


class ReviewSection(Section):
    """Latent plot, rationale, decoded images, curves, advice."""

    name = "ReviewSection"

    def __init__(self, workspace, resourcePath):
        self.title = _("5. Review")
        super().__init__(workspace, resourcePath)
        ui = self.ui
        self._viewOf = self._source = None
        self._decoded, self._values = None, ()
        self.latentPlot = LatentPlot(workspace)
        self.curves = CurvesPlot(ui.curvesPlace)
        self._colours = {_("state"): "state", _("case"): "case", _("round"): "round", _("largest structure"): "class"}
        self._methods = {_("automatic"): "auto", _("PCA"): "pca", _("t-SNE"): "t-sne"}
        self._measures = {name: key for key, (name, _title, _missing) in measures().items()}
        ui.colourBox.addItems(list(self._colours))
        ui.methodBox.addItems(list(self._methods))
        ui.curveBox.addItems(list(self._measures))
        self._makePictures()
        connect(ui.colourBox, "currentTextChanged(QString)", self._onColour)
        connect(ui.methodBox, "currentTextChanged(QString)", self._onMethod)
        connect(ui.everyWayBox, "toggled(bool)", self._onEveryWay)
        connect(ui.curveBox, "currentTextChanged(QString)", self._onCurve)
        connect(ui.updateButton, "clicked()", self.update)
        connect(ui.sourceButton, "clicked()", self._openSource)
        connect(ui.decodeButton, "clicked()", self.decode)
        connect(ui.valueSlider, "valueChanged(int)", self._showValue)
        connect(self.widget, "contentsCollapsed(bool)", self._onCollapsed)
        self.follow(workspace.studyChanged, self._onStudy)
        self.follow(workspace.statesChanged, self.refresh)
        self.follow(workspace.sliceChanged, self._onSlice)
        self.refresh()

    def _makePictures(self):
        """A row of small images, each with its place on the axis below it, and a large one of the place that the slider is at."""
        grid = qt.QGridLayout(self.ui.decodePlace)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(2)
        self._pictures, self._captions = [], []
        for column in range(IMAGES):
            for row, labels in enumerate((self._pictures, self._captions)):
                label = qt.QLabel()
                label.setAlignment(qt.Qt.AlignCenter)
                grid.addWidget(label, row, column)
                labels.append(label)
        self.ui.valueSlider.setMaximum(IMAGES - 1)
        self.ui.valueSlider.setValue(IMAGES // 2)

    def enter(self):
        """Draw what may have changed."""
        self.refresh()

    def onSceneStartClose(self):
        """The plots' nodes go with the scene."""
        self.latentPlot.forget()
        self.curves.forget()

    def onSceneEndClose(self):
        """Draw again."""
        self.refresh()

    def _onStudy(self):
        self._viewOf = None
        self.latentPlot.reset()
        self._forgetDecoded()
        self.refresh()

    def _onCollapsed(self, collapsed):
        if not collapsed:
            self.refresh()

    # What is there

    @property
    def _manifold(self):
        """The newest model of the latent space; None before there is one."""
        study = self.workspace.study
        if study is None or study.frozen_record() is None:
            return None
        return study.latest_model("manifold")

    def refresh(self):
        """Read the rounds again; ask for the latent view when there is a new manifold or a new round."""
        study, manifold = self.workspace.study, self._manifold
        self._guide()
        for widget in (self.ui.colourBox, self.ui.methodBox, self.ui.updateButton, self.ui.everyWayBox):
            widget.enabled = manifold is not None
        self.ui.methodLabel.text = self.latentPlot.content.method
        if manifold is not None:
            key = (study.path, manifold.id, study.newest_round_with_suggestions())
            if key != self._viewOf:
                self._viewOf = key
                self.update()
        self._drawLatents()
        self._onSlice()
        if not self.widget.collapsed:
            self._showRounds()

    def _guide(self):
        if self.workspace.study is None:
            self.guide(_("Open a study first."))
        elif self._manifold is None:
            self.guide(_("The latent space is learnt by the first round of a strategy that needs it. Start one in 2."))
        elif self.latentPlot.empty:
            self.guide(_("The slices are being placed in the latent space."))
        else:
            self.guide(_("Click a point of the plot to open its slice and read why it was chosen; rest the mouse on it for its state."))

    def _showRounds(self):
        study = self.workspace.study
        for widget in (self.ui.roundsGroup, self.ui.effortGroup):
            widget.visible = study is not None
        if study is None:
            return
        from SuggestiveAnnotationLib.report.collect_effort import not_excluded
        from SuggestiveAnnotationLib.report.rounds import advice, round_points

        self._rounds = round_points(study)
        self.ui.adviceLabel.text = inWordsOfThePanel(advice(study).sentence)
        table = review_text.effortTable(not_excluded(study), settings.timing())
        nothing = _("Nothing is accepted yet.")
        meaning = _("Retained contour is the part of the accepted contour that the pre-annotation already had; it says nothing about time.")
        self.ui.effortLabel.text = f"{table}<p>{meaning}</p>" if table else nothing
        self._onCurve()

    # The latent view

    def update(self):
        """Ask the worker to place the slices."""
        if self.workspace.study is not None:
            path, method = self.workspace.path, self._methods[self.ui.methodBox.currentText]
            self.workspace.ask(protocol.LatentView(method), lambda data: self._onView(path, data), self._onNoView)

    def _onView(self, path, data):
        if self.workspace.path != path:
            return
        self.latentPlot.read(data["path"])
        points = self.latentPlot.content
        chosen = max(0, self.ui.axisBox.currentIndex)
        self.ui.axisBox.clear()
        self.ui.axisBox.addItems([_("latent axis {n}").format(n=i + 1) for i in range(points.latentSize)])
        self.ui.axisBox.setCurrentIndex(min(chosen, points.latentSize - 1))
        self.ui.methodLabel.text = points.method
        self._guide()
        self._drawLatents()
        self._onSlice()

    def _onNoView(self, error):
        if error.kind in (GONE, "cancelled"):
            # The next change of the study asks again.
            self._viewOf = None
        else:
            self.workspace.message("error", str(error))

    def _drawLatents(self):
        views = self.workspace.views
        if views is not None and views.active:
            self.latentPlot.draw(self._colours[self.ui.colourBox.currentText])
        self.ui.legendLabel.text = review_text.legendText(self.latentPlot.legend)
        self.ui.legendLabel.visible = bool(self.latentPlot.legend)

    def _onColour(self, _text):
        self._drawLatents()

    def _onMethod(self, _text):
        self.update()

    def _onEveryWay(self, on):
        self.latentPlot.everyWay = on
        self.latentPlot.mark()

    # The rounds

    def _onCurve(self, _text=None):
        if self.workspace.study is None or self.widget.collapsed:
            return
        measure = self._measures[self.ui.curveBox.currentText]
        drawn = self.curves.draw(self._rounds, measure)
        self.ui.curvesPlace.visible = drawn
        self.ui.curveHint.text = "" if drawn else measures()[measure][2]
        self.ui.curveHint.visible = not drawn

    # The open slice

    def _onSlice(self):
        ref, session = self.workspace.current, self.workspace.session
        known = session is not None and ref is not None
        row = session.study.newest_suggestions(ref.case).get(ref) if known else None
        unmarked = known and review_text.isUnmarked(row, session.status(ref), session.withheld())
        self.ui.rationaleLabel.text = review_text.rationaleText(ref if known else None, row, unmarked)
        numbers = review_text.numbersText(row, unmarked)
        self.ui.numbersLabel.text = numbers
        self.ui.numbersLabel.visible = bool(numbers)
        self._source = row.suggestion.rationale.source if row is not None and not unmarked else None
        self.ui.sourceButton.visible = self._source is not None
        self._enableDecoding(ref)
        self.latentPlot.mark()

    def _openSource(self):
        self.workspace.openSlice(self._source)

    # Decoding

    def _enableDecoding(self, ref):
        """Another slice has another place, so images of the one before go; what is disabled says why."""
        if self._decoded is not None and self._decodedOf != ref:
            self._forgetDecoded()
        if self.latentPlot.empty:
            why = _("There is no latent space yet.")
        elif ref is None:
            why = _("Open a slice first: the images start from its place.")
        elif ref not in self.latentPlot.refs:
            why = _("The open slice has no place in the latent space: its case takes no part in training.")
        else:
            why = ""
        self.ui.decodeButton.enabled = self.ui.axisBox.enabled = not why
        if self._decoded is None:
            self.ui.decodeLabel.text = why or _("Shows what changes in the image along one axis, starting from the open slice.")

    def decode(self):
        """Show what changes along a latent axis."""
        ref = self.workspace.current
        command = protocol.DecodeLatent(ref.case, ref.axis, ref.native_index, max(0, self.ui.axisBox.currentIndex), IMAGES)
        self.workspace.ask(command, lambda data: self._onDecoded(ref, command.latent_axis, data))

    def _onDecoded(self, ref, axis, data):
        if ref != self.workspace.current:
            return
        images = np.load(data["path"], allow_pickle=False)
        # One scale for all, so that a darker image is darker.
        self._decoded, self._values, self._decodedOf = pictures.shades(images, bright=99), data["values"], ref
        for label, caption, image, value in zip(self._pictures, self._captions, self._decoded, self._values, strict=True):
            label.setPixmap(self._scaled(image, PICTURE))
            caption.text = _("{value:+.1f} SD").format(value=value)
        text = _("Along latent axis {n}, in standard deviations from the mean of all slices; the other units are those of {slice}.")
        self.ui.decodeLabel.text = text.format(n=axis + 1, slice=review_text.describe(ref))
        self._showValue(self.ui.valueSlider.value)

    def _showValue(self, place):
        shown = self._decoded is not None
        self.ui.valueSlider.visible = self.ui.largePicture.visible = self.ui.decodePlace.visible = shown
        if shown:
            self.ui.largePicture.setPixmap(self._scaled(self._decoded[place], LARGE))
            text = _("{value:+.1f} standard deviations").format(value=self._values[place])
            self.ui.largePicture.setToolTip(text)

    @staticmethod
    def _scaled(image, side):
        return pictures.pixmap(image).scaled(side, side, qt.Qt.KeepAspectRatio, qt.Qt.SmoothTransformation)

    def _forgetDecoded(self):
        self._decoded, self._decodedOf = None, None
        self._showValue(0)

    def cleanup(self):
        """Remove the plots' nodes."""
        self.latentPlot.cleanup()
        self.curves.cleanup()
        super().cleanup()
