"""Section 2: train and suggest, in the background."""

from __future__ import annotations

import vtk
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import SlicerParameterNamePropertyName

from SuggestiveAnnotationLib.engine.settings import DEFAULT_STRATEGY, ManifoldOptions, RoundOptions, SuggestOptions
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.models.catalogue import WIDTHS
from SuggestiveAnnotationLib.strategies.registry import offered
from SuggestiveAnnotationLib.worker import protocol

from . import requirements, settings, state_style, strategy_needs
from .all_settings import AllSettings
from .connect import connect, guarded
from .import_model import ImportModel, firstBatch
from .option_fields import asWords, inWordsOfThePanel
from .section import Section

STRATEGIES = {entry.title: entry for entry in offered()}
"""Title -> what the catalogue says; strategies that need reference labels are not among them."""
DEFAULT_TITLE = next(title for title, one in STRATEGIES.items() if one.name == DEFAULT_STRATEGY)


def stageText(stage):
    """What a stage of the worker is called on the screen."""
    return {
        "check": _("read every file"),
        "evaluate": _("judge the model"),
        "export": _("write files"),
        "fill": _("fill between slices"),
        "fit manifold": _("learn what images look like"),
        "import model": _("take the model in"),
        "predict": _("pre-annotate"),
        "prepare": _("prepare the images"),
        "suggest": _("choose slices"),
        "train": _("train the segmentation network"),
    }.get(stage, stage)


class RoundSection(Section):
    """Strategy, size of the batch, Start, Cancel, progress."""

    name = "RoundSection"

    def __init__(self, workspace, resourcePath):
        self.title = _("2. Train and suggest")
        super().__init__(workspace, resourcePath)
        self._parameterNode = self._binding = None
        self._observations = ()
        self._stage = self._outcome = ""
        self._kept = {}
        ui = self.ui
        self.allSettings = AllSettings(ui.allSettingsRows, {"strategy", *self._ownRows()}, self._ownManifoldRows(), self._onSetting)
        ui.networkBox.toolTip = "\n".join(f"{name}: {line}" for name, line in WIDTHS.items())
        self.importModel = ImportModel(workspace, ui.importModelButton)
        connect(ui.strategyBox, "currentTextChanged(QString)", self._describeStrategy)
        connect(ui.defaultsButton, "clicked()", self._toDefaults)
        connect(ui.startButton, "clicked()", self.start)
        connect(ui.cancelButton, "clicked()", workspace.cancelTask)
        connect(ui.finishButton, "clicked()", self.finish)
        connect(ui.logButton, "toggled(bool)", self._showLog)
        state_style.showProblemsIn(ui.settingsProblem)
        ui.logText.hide()
        workspace.device = lambda: ui.deviceBox.currentText
        self._settingsOf = None
        self.follow(workspace.studyChanged, self._onStudy)
        self.follow(workspace.statesChanged, self.refresh)
        self.follow(workspace.taskChanged, self._onTask)
        self.follow(workspace.workerChanged, self._showWorker)
        self.follow(workspace.logChanged, self._onLog)
        self.refresh()

    def setParameterNode(self, parameterNode):
        """Strategy, budget and the advanced settings live in the scene."""
        if self._parameterNode is not None:
            self._parameterNode.disconnectGui(self._binding)
            for tag in self._observations:
                self._parameterNode.RemoveObserver(tag)
        self._parameterNode = parameterNode
        if parameterNode is not None:
            self._takeKnownStrategy()
            # Not `connectGui`: older Slicers return no tag for `disconnectGui`, and the widgets would stay bound to the old scene.
            named = [(widget.property(SlicerParameterNamePropertyName), widget) for widget in vars(self.ui).values()]
            self._binding = parameterNode.connectParametersToGui({name: widget for name, widget in named if name})
            # The first before the widgets, which it spares an error.
            observers = ((self._takeKnownStrategy, 1.0), (self._onParameters, 0.0))
            modified = vtk.vtkCommand.ModifiedEvent
            self._observations = [parameterNode.AddObserver(modified, guarded(call), priority) for call, priority in observers]
            self._showSettings(parameterNode.allSettings)

    def onSceneStartClose(self):
        """Remember what is set where a study stays open: it goes on with that in the next scene."""
        parameters = self._parameterNode if self.workspace.study is not None else None
        self._kept = {} if parameters is None else {name: getattr(parameters, name) for name in parameters.allParameters}

    def onSceneEndClose(self):
        """Set it in the new scene."""
        for name, value in self._kept.items():
            setattr(self._parameterNode, name, value)

    def _takeKnownStrategy(self):
        """A strategy that only another version has, in a scene that was saved with it, gives way to the default."""
        # From the node itself: what holds its values in Python may not have heard of the change yet.
        if self._parameterNode is not None and self._parameterNode.parameterNode.GetParameter("strategy") not in STRATEGIES:
            self._parameterNode.strategy = DEFAULT_TITLE

    def _describeStrategy(self, title):
        entry = STRATEGIES.get(title)
        self.ui.strategyHelp.text = entry.help if entry is not None else ""
        self.ui.strategyEvidence.text = entry.evidence if entry is not None else ""
        self.allSettings.setStrategy(entry.name if entry is not None else "")
        self._refreshSettings()

    # All settings

    def _onParameters(self):
        if self._parameterNode is not None and self._parameterNode.allSettings != self.allSettings.text:
            self._showSettings(self._parameterNode.allSettings)

    def _showSettings(self, text):
        self.allSettings.text = text
        self._refreshSettings()

    def _onSetting(self):
        if self._parameterNode is not None:
            self._parameterNode.allSettings = self.allSettings.text
        self._refreshSettings()

    def _toDefaults(self):
        self.allSettings.text = ""
        self._onSetting()

    def _refreshSettings(self):
        """Say what was changed, what is trained for the strategy, and what does not go together."""
        ui, changes = self.ui, self.allSettings.changes
        ui.allSettingsBox.title = _("All settings, {n} changed").format(n=changes) if changes else _("All settings")
        ui.defaultsButton.enabled = bool(self.allSettings.text)
        ui.defaultsButton.toolTip = (
            _("Set everything in this list to its default, also options of strategies that are not chosen now.")
            if ui.defaultsButton.enabled
            else _("Everything in this list is at its default.")
        )
        known = ui.strategyBox.currentText in STRATEGIES
        ui.strategyNeeds.text = strategy_needs.sentence(self._trainedFor()) if known else ""
        ui.settingsProblem.text = self._problem() if known else ""
        study = self.workspace.study
        if known and study is not None and study.current_round() is None:
            # What draws round 0 is the strategy's matter.
            self.guide(self._sentence(self.workspace.task is not None))
        for label in (ui.strategyNeeds, ui.settingsProblem):
            label.visible = bool(label.text)

    def _trainedFor(self):
        strategy = STRATEGIES[self.ui.strategyBox.currentText].name
        return strategy_needs.trainedFor(strategy, self.allSettings.strategyOptions(), self.allSettings.round())

    def _problem(self):
        """What is wrong with the settings together, as one sentence; empty where nothing is."""
        try:
            RoundOptions(**self.options())
            ManifoldOptions(**self.manifoldOptions())
        except InputError as error:
            return inWordsOfThePanel(str(error))
        return ""

    # State

    def _onStudy(self):
        self._outcome = ""
        study = self.workspace.study
        if study is not None and study.path != self._settingsOf:
            # A study may come with what suits its size, as the sample does.
            self._settingsOf = study.path
            self.ui.stepsBox.value = study.settings.get("round", {}).get("steps", self.ui.stepsBox.value)
            self.ui.manifoldStepsBox.value = study.settings.get("manifold", {}).get("manifold_steps", self.ui.manifoldStepsBox.value)
        self.refresh()

    def refresh(self):
        """Say what can be done now, and why not."""
        ui, study, busy = self.ui, self.workspace.study, self.workspace.task is not None
        self._showWorker()
        self._onTask(refreshed=True)
        ui.startButton.text = self._startText()
        sentence = self._sentence(busy)
        self.guide(sentence)
        ui.startButton.enabled = study is not None and not busy
        ui.startButton.toolTip = "" if ui.startButton.enabled else sentence
        current = study.current_round() if study is not None else None
        interrupted = self._interrupted(current)
        self.importModel.refresh(interrupted)
        if interrupted and not busy:
            ui.startButton.toolTip = self._beganWith(current)
        ui.finishButton.text = _("Drop round {n}").format(n=current.number) if interrupted else _("Finish round")
        ui.finishButton.enabled = not busy and current is not None and current.stage != "finished"
        if busy:
            ui.finishButton.toolTip = _("The worker is busy.")
        elif not ui.finishButton.enabled:
            ui.finishButton.toolTip = _("No round is open.")
        elif interrupted:
            ui.finishButton.toolTip = _("Give the round up; what was accepted stays, and the next round takes the settings above.")
        else:
            ui.finishButton.toolTip = _("Close the round without starting another; suggestions that wait expire, their drafts are kept.")

    def _startText(self):
        study = self.workspace.study
        if study is None:
            return _("Start round 0")
        if not self._prepared():
            return _("Prepare the images")
        text = _("Resume round {n}") if self._interrupted(study.current_round()) else _("Start round {n}")
        return text.format(n=self._number())

    def _sentence(self, busy):
        study = self.workspace.study
        if study is None:
            return _("Open a study first.")
        if busy:
            return _("The worker is busy; you can go on annotating meanwhile.")
        if not self._prepared():
            return _("The images are not prepared yet. Prepare them once; after that rounds can begin.")
        number, current = self._number(), study.current_round()
        if current is None:
            # The box is empty until it is bound to the scene.
            title = self.ui.strategyBox.currentText or DEFAULT_TITLE
            wanted = SuggestOptions(strategy=STRATEGIES[title].name, strategy_options=self.allSettings.strategyOptions())
            return firstBatch(study, title, wanted)
        if self._interrupted(current):
            text = _("Round {n} was interrupted. Resume goes on with what it began with: {began}. To change that, drop it.")
            return text.format(n=number, began=self._began(current))
        waiting = self._waiting()
        if waiting:
            return _("Still to answer in 3: {n}. You can start round {k} at any time.").format(n=waiting, k=number)
        return f"{self.workspace.answeredText()} {_('Start round {k}.').format(k=number)}"

    def _prepared(self):
        return self.workspace.study.frozen_record() is not None

    def _number(self):
        current = self.workspace.study.current_round()
        return 0 if current is None else current.number + (0 if self._interrupted(current) else 1)

    @staticmethod
    def _interrupted(current):
        return current is not None and current.stage not in ("annotating", "finished")

    @staticmethod
    def _began(current):
        """What matters most of the settings that a round began with, as words."""
        title = next((title for title, entry in STRATEGIES.items() if entry.name == current.strategy), current.strategy)
        text = _("{strategy}, {n} suggestions, {steps} steps")
        return text.format(strategy=title, n=current.budget, steps=current.settings.get("steps", "?"))

    @staticmethod
    def _beganWith(current):
        """Every setting that a round began with, one a line."""
        return "\n".join(f"{asWords(name)}: {value}" for name, value in current.settings.items() if name != "device")

    def _waiting(self):
        return sum(case.waiting for case in self.workspace.session.case_status())

    def _showWorker(self):
        self.ui.deviceLabel.text = self.workspace.workerText()

    def _onTask(self, refreshed=False):
        task = self.workspace.task
        ui = self.ui
        text = self._taskText(task, self.workspace.requests.waiting) if task is not None else self._outcome
        ui.progressBar.visible, ui.stageLabel.visible = task is not None, bool(text)
        ui.stageLabel.text = text
        ui.cancelButton.enabled = task is not None and not task.stopping
        ui.cancelButton.toolTip = "" if task is not None else _("Nothing is under way.")
        stage = "" if task is None else f"{task.title} {task.stage}"
        if stage != self._stage:
            self._stage = stage
            if not refreshed:
                # Another stage is another state of the round; within one only the bar moves.
                self.workspace.statesChanged()
        if task is not None:
            ui.progressBar.maximum = task.total
            ui.progressBar.value = min(task.done, task.total)

    @staticmethod
    def _taskText(task, waiting):
        parts = [task.title]
        if task.stopping:
            return _("{title} - stopping").format(title=task.title)
        if task.stage:
            parts.append(stageText(task.stage))
        if task.secondsLeft is not None and task.done < task.total:
            minutes, seconds = divmod(round(task.secondsLeft), 60)
            parts.append(_("{m}:{s:02d} left").format(m=minutes, s=seconds))
        if task.loss is not None:
            parts.append(_("loss {loss:.3f}").format(loss=task.loss))
        if waiting:
            parts.append(_("then {titles}").format(titles=", ".join(waiting)))
        return " - ".join(parts)

    def _onLog(self):
        if self.ui.logButton.checked:
            self._showLog(True)

    def _showLog(self, on):
        self.ui.logText.visible = on
        if on:
            self.ui.logText.setPlainText("\n".join(self.workspace.process.log) or _("The log is empty."))
            # The newest line is the one that is looked for.
            bar = self.ui.logText.verticalScrollBar()
            bar.value = bar.maximum

    # Doing

    def options(self):
        """What the widgets say, as `run_round` takes it."""
        own = {"strategy": STRATEGIES[self.ui.strategyBox.currentText].name, **self._ownRows()}
        ofStrategy = self.allSettings.strategyOptions()
        given = {"strategy_options": ofStrategy} if ofStrategy else {}
        return own | self.allSettings.round() | given | self._trainedFor()

    def manifoldOptions(self):
        """What the widgets say, as `fit_manifold` takes it."""
        return self._ownManifoldRows() | self.allSettings.manifold()

    def _ownManifoldRows(self):
        return {"manifold_steps": self.ui.manifoldStepsBox.value, "device": self.ui.deviceBox.currentText}

    def _ownRows(self):
        ui = self.ui
        budget = ui.budgetBox.value
        return {
            "budget": budget,
            "audit": round(budget * ui.auditBox.value / 100),
            "unit": ui.unitBox.currentText,
            "min_gap": ui.gapBox.value,
            "context": ui.contextBox.value,
            "seed": ui.seedBox.value,
            "steps": ui.stepsBox.value,
            "network": ui.networkBox.currentText,
            "device": ui.deviceBox.currentText,
            "warm_start": ui.warmStartBox.checked,
        }

    def start(self):
        """Finish the round that waits, after asking, and run the next one."""
        workspace = self.workspace
        if not workspace.ensure(requirements.PANEL, requirements.LEARNING):
            return
        if not self._prepared():
            command = protocol.Prepare(**settings.place(workspace.path).get("grid", {}))
            workspace.ask(command, lambda _data: workspace.studyChanged(), title=_("Prepare the images"))
            return
        number, current = self._number(), workspace.study.current_round()
        interrupted = self._interrupted(current)
        problem = self._problem()
        if problem and not interrupted:
            # Before anything is finished that could not be begun again.
            workspace.message("error", problem)
            return
        workspace.saveNow()
        finishes = None
        if current is not None and current.stage == "annotating":
            question = _(
                "{n} suggestions are not answered. They stay open until round {k} has suggestions of its own; drafts are kept. Start?"
            )
            if not self._agrees(question, number):
                return
            # By the worker: where it cannot work on the study, the round stays as it is.
            finishes = current.number
        self._outcome = ""
        # An interrupted round keeps the settings that it began with, except where it computes.
        options = {"device": self.ui.deviceBox.currentText} if interrupted else self.options()
        command = protocol.RunRound(options, self.manifoldOptions(), finishes)
        workspace.ask(command, self._onDone, title=_("Round {n}").format(n=number))
        workspace.statesChanged()

    def finish(self):
        """Close the round without starting another; one that was interrupted is dropped, after asking."""
        current = self.workspace.study.current_round()
        if self._interrupted(current):
            self._drop(current.number)
            return
        self.workspace.saveNow()
        if self._agrees(_("Suggestions not answered yet: {n}. They expire, and their drafts are kept. Finish the round?"), None):
            self.workspace.session.finish_round()
            self.workspace.statesChanged()

    def _drop(self, number):
        question = _("Drop round {n}? What was computed for it is not used; slices that were accepted stay.").format(n=number)
        if waiting := self._waiting():
            more = _("Suggestions of the round before that still wait, {k}, expire with it; their drafts are kept.")
            question = f"{question} {more.format(k=waiting)}"
        if self._stillWanted(question, _("Drop the round")):
            self._outcome = ""
            # By the worker, which alone works on the rounds of the study.
            done = lambda _data: self._onDropped(number)  # noqa: E731
            self.workspace.ask(protocol.DropRound(), done, title=_("Drop round {n}").format(n=number))
            self.workspace.statesChanged()

    def _onDropped(self, number):
        self.workspace.message("info", _("Round {n} was dropped.").format(n=number))
        self.workspace.statesChanged()

    def _agrees(self, question, number):
        waiting = self._waiting()
        return not waiting or self._stillWanted(question.format(n=waiting, k=number), _("Finish the round"))

    def _stillWanted(self, question, title):
        """Whether the person agrees, and the round is still as it was when that was asked."""
        before = self._round()
        return self.agrees(question, title) and self._round() == before

    def _round(self):
        current = self.workspace.study.current_round()
        return None if current is None else (current.number, current.stage)

    def _onDone(self, data):
        text = _("Round {n} suggests {k} slices.").format(n=data["round"], k=data["suggestions"])
        # It stays here while the message line goes on to the first slice.
        self._outcome = " ".join([text, *data["notes"]])
        self.workspace.message("info", self._outcome)
        self.workspace.statesChanged()
        if self.workspace.current is None and self.workspace.suggestions():
            self.workspace.nextSlice()
