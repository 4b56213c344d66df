"""`slicer.ScriptedLoadableModule`: the base classes of a scripted module, as in Base/Python/slicer/ScriptedLoadableModule.py."""

from __future__ import annotations

import logging
import os
import unittest
from typing import Any

import slicer
import slicer.util

__all__ = ["ScriptedLoadableModule", "ScriptedLoadableModuleLogic", "ScriptedLoadableModuleTest", "ScriptedLoadableModuleWidget"]


class ScriptedLoadableModule:
    """The module as the application knows it; `parent` is its C++ side."""

    def __init__(self, parent: Any) -> None:
        self.parent = parent
        self.moduleName = self.__class__.__name__
        parent.title, parent.categories, parent.dependencies, parent.contributors = "", [], [], []
        parent.helpText = parent.acknowledgementText = ""
        icons = os.path.join(os.path.dirname(parent.path), "Resources", "Icons")
        import qt

        for ending in (".svg", ".png"):
            if os.path.isfile(os.path.join(icons, self.moduleName + ending)):
                parent.icon = qt.QIcon(os.path.join(icons, self.moduleName + ending))
                break
        if not hasattr(slicer, "selfTests"):
            slicer.selfTests = {}
        slicer.selfTests[self.moduleName] = self.runTest

    def resourcePath(self, filename: str) -> str:
        return os.path.join(os.path.dirname(self.parent.path), "Resources", filename)

    def getDefaultModuleDocumentationLink(self, docPage: str | None = None) -> str:
        url = slicer.app.documentationBaseUrl + docPage if docPage else slicer.app.moduleDocumentationUrl(self.moduleName)
        return f'<p>For more information, see the <a href="{url}">online documentation</a>.</p>'

    def runTest(self, msec: int = 100, **options: Any) -> None:
        import importlib

        python = importlib.import_module(self.__module__)
        case = getattr(python, self.moduleName + "Test")()
        case.messageDelay = msec
        case.runTest(**options)


class ScriptedLoadableModuleWidget:
    """The module's panel; `parent` is the widget of Slicer that holds it."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__()
        self.moduleName = self.__class__.__name__.removesuffix("Widget")
        self.developerMode = slicer.util.settingsValue("Developer/DeveloperMode", False, converter=slicer.util.toBool)
        self.parent = parent
        self.layout = parent.layout()
        slicer.app.moduleManager().connect("moduleAboutToBeUnloaded(QString)", self._onModuleAboutToBeUnloaded)

    def resourcePath(self, filename: str) -> str:
        return os.path.join(os.path.dirname(slicer.util.modulePath(self.moduleName)), "Resources", filename)

    def cleanup(self) -> None:
        """Called before the module is unloaded or reloaded."""

    def _onModuleAboutToBeUnloaded(self, moduleName: str) -> None:
        if moduleName == self.moduleName:
            self.cleanup()
            slicer.app.moduleManager().disconnect("moduleAboutToBeUnloaded(QString)", self._onModuleAboutToBeUnloaded)

    def setup(self) -> None:
        if self.developerMode:
            self._setupDeveloperSection()

    def _setupDeveloperSection(self) -> None:
        import ctk
        import qt

        self.reloadCollapsibleButton = ctk.ctkCollapsibleButton()
        self.reloadCollapsibleButton.text = "Reload && Test"
        self.layout.addWidget(self.reloadCollapsibleButton)
        self.reloadButton = qt.QPushButton("Reload")
        qt.QFormLayout(self.reloadCollapsibleButton).addRow(self.reloadButton)
        self.reloadButton.connect("clicked()", self.onReload)

    def onReload(self) -> None:
        """Read the module's file again and build its panel anew."""
        slicer.util.reloadScriptedModule(self.moduleName)

    def onTest(self, **options: Any) -> None:
        slicer.selfTests[self.moduleName](msec=0, **options)

    def onReloadAndTest(self, **options: Any) -> None:
        self.onReload()
        self.onTest(**options)


class ScriptedLoadableModuleLogic:
    """Keeps the module's parameters in the scene."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__()
        self.moduleName = self.__class__.__name__.removesuffix("Logic")
        self.isSingletonParameterNode = True

    def getParameterNode(self) -> Any:
        """The node of this module; made when there is none."""
        if self.isSingletonParameterNode:
            node = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
            if node is not None:
                # Closing the scene may take the attribute away.
                if node.GetAttribute("ModuleName") != self.moduleName:
                    node.SetAttribute("ModuleName", self.moduleName)
                return node
        nodes = self.getAllParameterNodes()
        return nodes[0] if nodes else slicer.mrmlScene.AddNode(self.createParameterNode())

    def getAllParameterNodes(self) -> list[Any]:
        nodes = slicer.util.getNodesByClass("vtkMRMLScriptedModuleNode")
        return [node for node in nodes if node.GetAttribute("ModuleName") == self.moduleName]

    def createParameterNode(self) -> Any:
        node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
        node.UnRegister(None)
        if self.isSingletonParameterNode:
            node.SetSingletonTag(self.moduleName)
        node.SetAttribute("ModuleName", self.moduleName)
        node.SetName(slicer.mrmlScene.GenerateUniqueName(self.moduleName))
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    """The module's self test."""

    messageDelay: int | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # TestCase does not pass the call on, which mixins of modules' tests need.
        super(unittest.TestCase, self).__init__()
        self.moduleTestNames = [name for name in dir(self) if "test" in name and callable(getattr(self, name))]

    def delayDisplay(self, message: str, requestedDelay: int | None = None, msec: int | None = None) -> None:
        delay = next((one for one in (self.messageDelay, msec, requestedDelay) if one is not None), 100)
        slicer.util.delayDisplay(message, delay)

    def runTest(self) -> None:
        for name in self.moduleTestNames:
            self.setUp()
            logging.info("Running %s", name)
            getattr(self, name)()
            self.tearDown()
