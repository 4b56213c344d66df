"""How parameters are kept in a `vtkMRMLScriptedModuleNode`: one serializer per type, validators in front of it.

Texts, numbers, truth values, paths, enums and nodes are kept as in Slicer's `parameterNodeWrapper/serializers.py`; lists, dictionaries,
unions and packs are not here, and a parameter of such a type is refused.
"""

from __future__ import annotations

import enum
import pathlib
import typing
from typing import Any

import slicer

PATHS = (pathlib.Path, pathlib.PosixPath, pathlib.WindowsPath, pathlib.PurePath, pathlib.PurePosixPath, pathlib.PureWindowsPath)


class Default:
    """Value of a parameter that was never set; `generator` is called each time instead."""

    def __init__(self, value: Any = None, *, generator: Any = None) -> None:
        self._value, self._generator = value, generator

    @property
    def value(self) -> Any:
        return self._generator() if self._generator else self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Default) and (self._value, self._generator) == (other._value, other._generator)

    __hash__ = None  # type: ignore[assignment]


# Validators


class Validator:
    """Raises an error for a value that may not be kept."""

    def validate(self, value: Any) -> None:
        raise NotImplementedError


class NotNone(Validator):
    def validate(self, value: Any) -> None:
        if value is None:
            raise ValueError("Value must not be None")


class IsNone(Validator):
    def validate(self, value: Any) -> None:
        if value is not None:
            raise ValueError("Value must be None")


class IsInstance(Validator):
    def __init__(self, classtype: Any) -> None:
        self.classtype = classtype

    def validate(self, value: Any) -> None:
        if value is not None and not isinstance(value, self.classtype):
            raise TypeError(f"Value must be of type {self.classtype}, is {type(value)} ({value!r})")


class WithinRange(Validator):
    def __init__(self, minimum: float, maximum: float) -> None:
        self.minimum, self.maximum = minimum, maximum

    def validate(self, value: Any) -> None:
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"Value must be within range [{self.minimum}, {self.maximum}], is {value}")


class Minimum(Validator):
    def __init__(self, minimum: float) -> None:
        self.minimum = minimum

    def validate(self, value: Any) -> None:
        if value < self.minimum:
            raise ValueError(f"Value must not be less than {self.minimum}, is {value}")


class Maximum(Validator):
    def __init__(self, maximum: float) -> None:
        self.maximum = maximum

    def validate(self, value: Any) -> None:
        if value > self.maximum:
            raise ValueError(f"Value must not be greater than {self.maximum}, is {value}")


class Choice(Validator):
    def __init__(self, choices: Any) -> None:
        self.choices = choices

    def validate(self, value: Any) -> None:
        if value not in self.choices:
            raise ValueError(f"Value is {value}, but must be in one of the following: {self.choices}")


class Exclude(Validator):
    def __init__(self, excludedValues: Any) -> None:
        self.excludedValues = excludedValues

    def validate(self, value: Any) -> None:
        if value in self.excludedValues:
            raise ValueError(f"Value is {value}, but must not be one of {self.excludedValues}")


# Serializers


class Serializer:
    """Keeps one type of value as a text."""

    @staticmethod
    def canSerialize(type_: Any) -> bool:
        raise NotImplementedError

    @staticmethod
    def create(type_: Any) -> Any:
        raise NotImplementedError

    def default(self) -> Any:
        raise NotImplementedError

    def isIn(self, parameterNode: Any, name: str) -> bool:
        return bool(parameterNode.HasParameter(name))

    def write(self, parameterNode: Any, name: str, value: Any) -> None:
        raise NotImplementedError

    def read(self, parameterNode: Any, name: str) -> Any:
        raise NotImplementedError

    def remove(self, parameterNode: Any, name: str) -> None:
        parameterNode.UnsetParameter(name)

    @staticmethod
    def supportsCaching() -> bool:
        return False


class ValidatedSerializer(Serializer):
    """Asks its validators before it writes."""

    def __init__(self, serializer: Any, validators: Any) -> None:
        inner = isinstance(serializer, ValidatedSerializer)
        self.serializer = serializer.serializer if inner else serializer
        self.validators = [*(serializer.validators if inner else []), *(validators or [])]

    def default(self) -> Any:
        return self.serializer.default()

    def isIn(self, parameterNode: Any, name: str) -> bool:
        return bool(self.serializer.isIn(parameterNode, name))

    def write(self, parameterNode: Any, name: str, value: Any) -> None:
        for validator in self.validators:
            validator.validate(value)
        self.serializer.write(parameterNode, name, value)

    def read(self, parameterNode: Any, name: str) -> Any:
        return self.serializer.read(parameterNode, name)

    def remove(self, parameterNode: Any, name: str) -> None:
        self.serializer.remove(parameterNode, name)

    def supportsCaching(self) -> bool:  # type: ignore[override]
        return bool(self.serializer.supportsCaching())


class _Text(Serializer):
    """A value that has a text and can be made from it."""

    def __init__(self, kind: Any = str) -> None:
        self._kind = kind

    def default(self) -> Any:
        return self._kind()

    def write(self, parameterNode: Any, name: str, value: Any) -> None:
        parameterNode.SetParameter(name, str(value))

    def read(self, parameterNode: Any, name: str) -> Any:
        return self._kind(parameterNode.GetParameter(name))

    @staticmethod
    def supportsCaching() -> bool:
        return True


class StringSerializer(_Text):
    pass


class NumberSerializer(_Text):
    def default(self) -> Any:
        return 0


class PathSerializer(_Text):
    pass


class BoolSerializer(_Text):
    def default(self) -> bool:
        return False

    def read(self, parameterNode: Any, name: str) -> bool:
        return bool(parameterNode.GetParameter(name) == "True")


class NodeSerializer(Serializer):
    """A node is kept as a node reference; the parameter of the same name says that it was set, to None too."""

    @staticmethod
    def canSerialize(type_: Any) -> bool:
        return isinstance(type_, type) and issubclass(type_, slicer.vtkMRMLNode)

    def default(self) -> Any:
        return None

    def write(self, parameterNode: Any, name: str, value: Any) -> None:
        parameterNode.SetParameter(name, "")
        parameterNode.SetNodeReferenceID(name, None if value is None else value.GetID())

    def read(self, parameterNode: Any, name: str) -> Any:
        return parameterNode.GetNodeReference(name)

    def remove(self, parameterNode: Any, name: str) -> None:
        parameterNode.UnsetParameter(name)
        parameterNode.RemoveNodeReferenceIDs(name)

    @staticmethod
    def supportsCaching() -> bool:
        return True


class EnumSerializer(_Text):
    """The name of the member is kept."""

    def default(self) -> Any:
        return next(iter(self._kind))

    def write(self, parameterNode: Any, name: str, value: Any) -> None:
        parameterNode.SetParameter(name, value.name)

    def read(self, parameterNode: Any, name: str) -> Any:
        text = parameterNode.GetParameter(name)
        if text not in self._kind.__members__:
            raise ValueError(f"Found {text!r} in parameter node but it is not a name in {self._kind!r}")
        return self._kind[text]


_custom: list[Any] = []


def parameterNodeSerializer(classtype: Any = None) -> Any:
    """Class decorator: a serializer of an extension."""

    def register(cls: Any) -> Any:
        _custom.append(cls)
        return cls

    return register if classtype is None else register(classtype)


def _builtin(kind: Any) -> Any:
    if kind in (int, float):
        return ValidatedSerializer(NumberSerializer(kind), [NotNone(), IsInstance((int, float) if kind is float else int)])
    if kind is str:
        return ValidatedSerializer(StringSerializer(), [NotNone(), IsInstance(str)])
    if kind is bool:
        return ValidatedSerializer(BoolSerializer(), [NotNone(), IsInstance(bool)])
    if kind in PATHS:
        return ValidatedSerializer(PathSerializer(kind), [NotNone(), IsInstance(kind)])
    if NodeSerializer.canSerialize(kind):
        return ValidatedSerializer(NodeSerializer(), [IsInstance(kind)])
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return ValidatedSerializer(EnumSerializer(kind), [IsInstance(kind)])
    for cls in _custom:
        if cls.canSerialize(kind):
            return cls.create(kind)
    raise Exception(f"Unable to create serializer for type: {kind}")


def splitAnnotations(hint: Any) -> tuple[Any, list[Any]]:
    """A type and what `Annotated` adds to it."""
    if typing.get_origin(hint) is typing.Annotated:
        kind, *notes = typing.get_args(hint)
        return kind, notes
    return hint, []


def unannotatedType(hint: Any) -> Any:
    return splitAnnotations(hint)[0]


def createSerializer(kind: Any, notes: list[Any]) -> Any:
    """The serializer for a type and its annotations."""
    own = [note for note in notes if isinstance(note, Serializer) or (isinstance(note, type) and issubclass(note, Serializer))]
    validators = [note for note in notes if isinstance(note, Validator) or (isinstance(note, type) and issubclass(note, Validator))]
    return ValidatedSerializer(own[0] if own else _builtin(kind), validators)
