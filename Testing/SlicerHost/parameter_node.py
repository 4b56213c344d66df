"""`slicer.parameterNodeWrapper`: typed attributes that live in a `vtkMRMLScriptedModuleNode` and can be bound to widgets."""

from __future__ import annotations

import typing
import weakref
from typing import Any

import slicer.util
import vtk

from .parameter_values import (
    BoolSerializer,
    Choice,
    Default,
    Exclude,
    IsInstance,
    IsNone,
    Maximum,
    Minimum,
    NodeSerializer,
    NotNone,
    NumberSerializer,
    PathSerializer,
    Serializer,
    StringSerializer,
    ValidatedSerializer,
    Validator,
    WithinRange,
    createSerializer,
    parameterNodeSerializer,
    splitAnnotations,
    unannotatedType,
)
from .parameter_widgets import Connector, Decimals, SingleStep, createGuiConnector

__all__ = [
    "BoolSerializer",
    "Choice",
    "Decimals",
    "Default",
    "Exclude",
    "IsInstance",
    "IsNone",
    "Maximum",
    "Minimum",
    "NodeSerializer",
    "NotNone",
    "NumberSerializer",
    "PathSerializer",
    "Serializer",
    "SingleStep",
    "SlicerParameterNamePropertyName",
    "StringSerializer",
    "ValidatedSerializer",
    "Validator",
    "WithinRange",
    "createGuiConnector",
    "isParameterNodeWrapper",
    "parameterNodeSerializer",
    "parameterNodeWrapper",
    "splitAnnotations",
    "unannotatedType",
]

SlicerParameterNamePropertyName = "SlicerParameterName"


class _Parameter:
    def __init__(self, name: str, serializer: Any, default: Default, datatype: Any) -> None:
        self.name, self.serializer, self.default, self.datatype = name, serializer, default, datatype

    def read(self, node: Any) -> Any:
        if not self.serializer.isIn(node, self.name):
            self.serializer.write(node, self.name, self.default.value)
        return self.serializer.read(node, self.name)


class _Wrapper:
    """What the decorator adds to a class; none of these names may be a parameter."""

    allParameters: dict[str, _Parameter] = {}
    _is_parameter_node_wrapper = True

    def __init__(self, parameterNode: Any, prefix: str | None = None) -> None:
        self.parameterNode = parameterNode
        self._parameters = {
            name: _Parameter(f"{prefix or ''}{name}", one.serializer, one.default, one.datatype) for name, one in self.allParameters.items()
        }
        self._bound: dict[int, dict[str, Connector]] = {}
        self._tags: dict[int, int] = {}
        self._next, self._updating = 0, False
        self._known: dict[str, Any] = {}
        for parameter in self._parameters.values():
            parameter.read(parameterNode)
        # A plain bound method would keep the wrapper alive for as long as the node lives.
        myself = weakref.ref(self)

        def forget(caller: Any, event: str) -> None:
            if (wrapper := myself()) is not None:
                wrapper._known.clear()

        self._tag = parameterNode.AddObserver(vtk.vtkCommand.ModifiedEvent, forget, 1e6)

    def __del__(self) -> None:
        if hasattr(self, "_tag"):
            self.parameterNode.RemoveObserver(self._tag)

    def _parameter(self, name: str) -> _Parameter:
        if name not in self._parameters:
            raise ValueError(f"Cannot find a param with the given name: {name}; there are {', '.join(self._parameters)}")
        return self._parameters[name]

    def getValue(self, name: str) -> Any:
        parameter = self._parameter(name)
        if not parameter.serializer.supportsCaching():
            return parameter.read(self.parameterNode)
        if name not in self._known:
            self._known[name] = parameter.read(self.parameterNode)
        return self._known[name]

    def setValue(self, name: str, value: Any) -> None:
        parameter = self._parameter(name)
        with slicer.util.NodeModify(self.parameterNode):
            parameter.serializer.write(self.parameterNode, parameter.name, value)
            # Observers, which are called at the end, find the new value.
            self._known[name] = parameter.read(self.parameterNode)

    def default(self, name: str) -> Default:
        return self._parameter(name).default

    def isCached(self, name: str) -> bool:
        return bool(self._parameter(name).serializer.supportsCaching())

    @classmethod
    def dataType(cls, name: str) -> Any:
        if name not in cls.allParameters:
            raise ValueError(f"Cannot find a param with the given name: {name}")
        return cls.allParameters[name].datatype

    def connectGui(self, gui: Any) -> None:
        """Bind every widget with the property SlicerParameterName. Older Slicers return no tag for `disconnectGui`."""
        import qt

        is_widget = getattr(gui, "isWidgetType", lambda: False)()
        widgets = gui.findChildren(qt.QWidget) if is_widget else list(vars(gui).values())
        named = [(widget.property(SlicerParameterNamePropertyName), widget) for widget in widgets]
        self.connectParametersToGui({name: widget for name, widget in named if name})

    def connectParametersToGui(self, mapping: dict[str, Any]) -> int:
        """Bind widgets by the names of their parameters; returns a tag for `disconnectGui`."""
        for name in mapping:
            self._parameter(name)
        connectors = {
            name: one if isinstance(one, Connector) else createGuiConnector(one, self.dataType(name)) for name, one in mapping.items()
        }
        tag, self._next = self._next, self._next + 1
        self._bound[tag] = connectors
        for name, connector in connectors.items():
            connector.write(self.getValue(name))
            connector.onChanged(lambda name=name, connector=connector: self._onWidget(name, connector))
        self._tags[tag] = self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda caller, event: self._showAll())
        return tag

    def disconnectGui(self, guiTag: int) -> None:
        for connector in self._bound.pop(guiTag, {}).values():
            connector.onChanged(None)
        if guiTag in self._tags:
            self.RemoveObserver(self._tags.pop(guiTag))

    def _onWidget(self, name: str, connector: Connector) -> None:
        if not self._updating:
            with slicer.util.NodeModify(self):
                self.setValue(name, connector.read())

    def _showAll(self) -> None:
        if self._updating:
            return
        self._updating = True
        try:
            for connectors in self._bound.values():
                for name, connector in connectors.items():
                    connector.write(self.getValue(name))
        finally:
            self._updating = False

    def StartModify(self) -> Any:
        return self.parameterNode.StartModify()

    def EndModify(self, wasModified: Any) -> Any:
        return self.parameterNode.EndModify(wasModified)

    def AddObserver(self, event: Any, callback: Any, priority: float = 0.0) -> int:
        return int(self.parameterNode.AddObserver(event, callback, priority))

    def RemoveObserver(self, tag: int) -> None:
        self.parameterNode.RemoveObserver(tag)

    def Modified(self) -> None:
        self.parameterNode.Modified()


def parameterNodeWrapper(classtype: Any = None) -> Any:
    """Class decorator: annotated attributes are parameters."""
    return _wrap if classtype is None else _wrap(classtype)


def _wrap(cls: type) -> type:
    parameters = {}
    for name, hint in typing.get_type_hints(cls, include_extras=True).items():
        kind, notes = splitAnnotations(hint)
        try:
            serializer = createSerializer(kind, notes)
        except Exception as error:
            raise Exception(f"Unable to create serializer for {cls} member {name}") from error
        default = next((note for note in notes if isinstance(note, Default)), None)
        if hasattr(cls, name):
            default = Default(getattr(cls, name))
        parameters[name] = _Parameter(name, serializer, default or Default(serializer.default()), hint)
        setattr(cls, name, property(lambda self, name=name: self.getValue(name), lambda self, value, name=name: self.setValue(name, value)))
    for name, value in vars(_Wrapper).items():
        if name in ("__init__", "__del__") or not name.startswith("__"):
            if not name.startswith("_") and hasattr(cls, name):
                raise ValueError(f"Cannot use reserved name '{name}' in a parameterNodeWrapper")
            setattr(cls, name, value)
    cls.allParameters = parameters  # type: ignore[attr-defined]
    return cls


def isParameterNodeWrapper(classOrObj: Any) -> bool:
    return bool(getattr(classOrObj, "_is_parameter_node_wrapper", False))
