"""Looking calls up in the sources of Slicer, CTK and PythonQt: which header or Python file declares them."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from .calls import Calls

METHOD = re.compile(r"\b(~?\w+)\s*\(")
WRAPPED = re.compile(r"(\w+)\((\w+)\* theWrappedObject|static_(\w+?)_(\w+)\(|\bnew_(\w+)\(|class PythonQtWrapper_(\w+)")
OBJECTS = {
    "slicer.app": ("qSlicerApplication", "qSlicerCoreApplication"),
    "slicer.dicomDatabase": ("ctkDICOMDatabase",),
    "slicer.mrmlScene": ("vtkMRMLScene",),
}
MADE_BY = {"slicer.dicomDatabase": "Modules/Scripted/DICOM/DICOM.py"}
"""Objects that a module puts into `slicer`."""
LIKELY = (
    "vtkMRMLSliceLogic", "vtkMRMLSliceNode", "vtkMRMLSliceCompositeNode", "qMRMLSliceWidget", "qMRMLSliceView", "qSlicerLayoutManager",
    "qMRMLPlotView", "vtkMRMLLayoutNode", "vtkMRMLScalarVolumeDisplayNode", "vtkMRMLSegmentationDisplayNode", "vtkSegment",
    "qSlicerScriptedLoadableModule", "qSlicerAbstractCoreModule", "qSlicerScriptedLoadableModuleWidget", "qSlicerModuleManager",
    "qSlicerSegmentEditorScriptedEffect",
    "qSlicerSegmentEditorAbstractEffect", "vtkSlicerSegmentationsModuleLogic",
)  # fmt: skip
"""Classes of objects that the module gets from others; a name is looked up there before it is looked up everywhere."""
QT = "Qt 5.15, through PythonQt's generated wrappers"
QT_META = "Qt's properties, slots, signals and enums"
VTK = "VTK"


class Sources:
    """An index of the names that sources declare."""

    def __init__(self, slicer: Path, ctk: Path, pythonqt: Path, pytorch: Path) -> None:
        self._slicer, self._ctk, self._pytorch = slicer, ctk, pytorch
        self._headers: dict[str, Path] = {}
        self._bases: dict[str, str] = {}
        self._text: dict[Path, str] = {}
        for root in (slicer / "Libs", slicer / "Base", slicer / "Modules", ctk / "Libs"):
            for file in sorted(root.rglob("*.h")):
                self._read(file)
        self._wrapped: set[str] = set()
        for file in (pythonqt / "generated_cpp_515").rglob("*.h"):
            for found in WRAPPED.findall(file.read_text(encoding="utf-8", errors="replace")):
                self._wrapped |= {name for name in found if name}
        std = pythonqt / "src" / "PythonQtStdDecorators.h"
        self._wrapped |= set(METHOD.findall(std.read_text(encoding="utf-8", errors="replace")))
        self._meta, self._signals = _of_qt()
        folders = (slicer / "Base" / "Python", slicer / "Modules", pytorch)
        python = [file for folder in folders for file in sorted(folder.rglob("*.py")) if "test" not in file.as_posix().lower()]
        self._python = {file: file.read_text(encoding="utf-8", errors="replace") for file in python}

    def _read(self, file: Path) -> None:
        text = file.read_text(encoding="utf-8", errors="replace")
        self._text[file] = text
        for name, base in re.findall(r"^class\s+(?:\w+\s+)?(\w+)\s*(?:final\s*)?(?::\s*public\s+(\w+))?", text, re.MULTILINE):
            if name == file.stem:
                self._headers[name] = file
                self._bases[name] = base

    def look_up(self, calls: Calls) -> tuple[dict[str, set[str]], set[str]]:
        """Source -> calls that it declares, and the calls that nothing declares."""
        found: dict[str, set[str]] = defaultdict(set)
        missing = set()
        named = [name.split(".")[1] for name in sorted(calls.names) if "." in name]
        near = self._family([*named, *sorted(calls.classes), *(one for names in OBJECTS.values() for one in names), *LIKELY])
        for call in sorted(calls.all()):
            source = self._source(call, near)
            if source is None:
                missing.add(call)
            else:
                found[source].add(call)
        return dict(found), missing

    def _family(self, names: list[str]) -> list[Path]:
        """Headers of classes, of their bases, and of the classes that those return or take."""
        seen: list[Path] = []
        queue = list(dict.fromkeys(names))
        while queue:
            name = queue.pop(0)
            file = self._headers.get(name)
            if file is None or file in seen:
                continue
            seen.append(file)
            queue.append(self._bases.get(name, ""))
        return seen

    def _source(self, call: str, near: list[Path]) -> str | None:
        if call.startswith('"'):
            return self._of_text(call.strip('"'), near)
        if call.startswith("."):
            return self._of_member(call[1:], near)
        root, _, rest = call.partition(".")
        if not rest:
            return "Base/Python/slicer/__init__.py" if root == "slicer" else root
        if root == "vtk":
            return VTK if _vtk_has(rest.split(".")) else None
        if root == "qt":
            return self._of_qt(rest.split("."))
        if root == "ctk":
            return self._name(self._headers.get(rest.split(".")[0]))
        return self._of_slicer(call, near)

    def _of_slicer(self, call: str, near: list[Path]) -> str | None:
        parts = call.split(".")
        python = self._slicer / "Base" / "Python" / "slicer"
        for owner, classes in OBJECTS.items():
            if call == owner:
                return MADE_BY.get(owner, "Base/Python/slicer/__init__.py")
            if call.startswith(owner + "."):
                return self._of_member(parts[2], self._family(list(classes)), strict=True)
        if parts[1] in self._headers:
            if len(parts) == 2:
                return self._name(self._headers[parts[1]])
            return self._of_member(parts[2], self._family([parts[1]]), strict=True)
        files = [python / f"{parts[1]}.py", *sorted((python / parts[1]).glob("*.py"))]
        for file in files:
            if file.is_file() and (
                len(parts) == 2
                or re.search(rf"^\s*(def|class) {parts[2]}\b|^{parts[2]} = ", file.read_text(encoding="utf-8"), re.MULTILINE)
            ):
                return self._name(file)
        return "Base/Python/slicer/__init__.py" if parts[1] in ("modules", "util") and len(parts) == 2 else None

    def _of_member(self, name: str, near: list[Path], strict: bool = False) -> str | None:
        # Methods of VTK classes begin with a capital, those of Qt classes do not.
        of_vtk = name[0].isupper()
        fitting = [file for file in near if file.stem.startswith("vtk") == of_vtk]
        for file in fitting:
            if self._declares(file, name):
                return self._name(file)
        if strict:
            return None
        if of_vtk and _vtk_method(name):
            return VTK
        # A slot named like a word of Python's has an underscore after it.
        if name in self._wrapped or (name.endswith("_") and name[:-1] in self._meta | {"raise"}):
            return QT
        if name in self._meta:
            return QT_META
        for file, text in self._python.items():
            if re.search(rf"^\s*def {name}\b|\bself\.{name} = |SetAttr\(classtype, \"{name}\"", text, re.MULTILINE):
                return self._name(file)
        for file in self._text:
            if file.stem.startswith("vtk") == of_vtk and self._declares(file, name):
                return self._name(file)
        return None

    def _of_qt(self, parts: list[str]) -> str | None:
        if parts[0] not in self._wrapped and parts[0] != "Qt":
            return None
        if len(parts) == 1:
            return QT
        if parts[1] in self._wrapped or parts[1] == "__init__":
            return QT
        from PySide6 import QtCore, QtGui, QtWidgets

        owner = next((getattr(part, parts[0]) for part in (QtCore, QtGui, QtWidgets) if hasattr(part, parts[0])), None)
        return QT_META if hasattr(owner, parts[1]) else None

    def _of_text(self, text: str, near: list[Path]) -> str | None:
        name = text.partition("(")[0]
        if "(" not in text:
            return self._name(self._headers.get(name)) or (VTK if _vtk_has([name]) else None)
        wanted = _kinds(text)
        for files in (near, list(self._text)):
            for file in files:
                declared = re.findall(rf"\bvoid {name}\([^)]*\)\s*;", self._text.get(file, ""))
                if any(_same(_kinds(one), wanted) for one in declared):
                    return self._name(file)
            if text in self._signals:
                return QT_META
        return None

    def _declares(self, file: Path, name: str) -> bool:
        text = self._text.get(file, "")
        patterns = (
            rf"^[ \t]*(?!return\b|emit\b|//|\*|this->)[A-Za-z_][\w:<>,*& \t]*[\s*&]{name}\s*\(",
            rf"Q_PROPERTY\([^)]*[\s*&]{name}\s+READ",
            rf"^[ \t]*{name}[ \t]*(=[^,\n]*)?,?[ \t]*(//.*|/\*.*)?$",
        )
        if any(re.search(pattern, text, re.MULTILINE) for pattern in patterns):
            return True
        match = re.match(r"(Set|Get)(\w+)$|(\w+)(On|Off)$", name)
        stem = match and (match[2] or match[3])
        return bool(stem and re.search(rf"vtk(Set|Get|Boolean)\w*Macro\(\s*{stem}\b", text))

    def _name(self, file: Path | None) -> str | None:
        if file is None:
            return None
        for root, label in ((self._slicer, ""), (self._ctk, "CTK: "), (self._pytorch, "SlicerPyTorch: ")):
            if file.is_relative_to(root):
                return label + file.relative_to(root).as_posix()
        return str(file)


def _kinds(signature: str) -> list[str]:
    """Types of the arguments, with their names behind them where those are given."""
    inner = signature.partition("(")[2].rpartition(")")[0].split(",")
    return [re.sub(r"\bconst\b|&", "", one).strip() for one in inner if one.strip()]


def _same(declared: list[str], wanted: list[str]) -> bool:
    return len(declared) == len(wanted) and all(a.startswith(b.rstrip("*")) for a, b in zip(declared, wanted, strict=True))


def _of_qt() -> tuple[set[str], set[str]]:
    """Names of properties, slots, signals and enum values of Qt's classes, and the signatures of the signals, from PySide."""
    from PySide6 import QtCore, QtGui, QtWidgets

    names: set[str] = set()
    signals: set[str] = set()
    for part in (QtCore, QtGui, QtWidgets):
        for cls in (getattr(part, name) for name in dir(part)):
            meta = getattr(cls, "staticMetaObject", None)
            if not isinstance(meta, QtCore.QMetaObject):
                continue
            names |= {meta.property(index).name() for index in range(meta.propertyCount())}
            for method in (meta.method(index) for index in range(meta.methodCount())):
                names.add(bytes(method.name().data()).decode())
                if method.methodType() == QtCore.QMetaMethod.Signal:
                    signals.add(bytes(method.methodSignature().data()).decode())
            for one in (meta.enumerator(index) for index in range(meta.enumeratorCount())):
                names |= {one.key(key) for key in range(one.keyCount())}
    return names, signals


def _vtk_has(parts: list[str]) -> bool:
    import vtk
    import vtk.util.numpy_support

    owner = vtk
    for part in parts:
        if not hasattr(owner, part):
            return False
        owner = getattr(owner, part)
    return True


def _vtk_method(name: str) -> bool:
    import vtk

    return any(hasattr(getattr(vtk, cls), name) for cls in dir(vtk) if cls.startswith("vtk"))
