"""Which calls the module makes into Slicer, Qt, CTK and VTK, read from its sources.

`python -m SlicerHost.calls` lists them; with the folders of checked out sources it looks every one up and prints the table of README.md:
`python -m SlicerHost.calls --slicer DIR --ctk DIR --pythonqt DIR --pytorch DIR`. It ends with 1 when a name is not found.
"""

from __future__ import annotations

import argparse
import ast
import builtins
import hashlib
import re
import sys
import unittest
import xml.etree.ElementTree as ElementTree
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "SuggestiveAnnotation"
LIBRARY = ROOT / "SuggestiveAnnotationLib"
HEADER = "| source | calls |\n| --- | --- |"
FOREIGN = ("ctk", "qt", "slicer", "vtk")
SIGNATURE = re.compile(r"^[a-z]\w+\([\w:,* ]*\)$")
CLASS = re.compile(r"^(vtkMRML|vtkSlicer|vtk|qMRML|qSlicer)[A-Z]\w+$")


@dataclass
class Calls:
    """What a folder of Python files uses of Slicer.

    Attributes:
        names: dotted names from the root on: `slicer.util.loadUI`, `qt.QTimer`.
        members: methods and attributes of objects that neither the module nor Python defines.
        signals: C++ signatures.
        classes: class names in texts, as for `AddNewNodeByClass`.
    """

    names: set[str] = field(default_factory=set)
    members: set[str] = field(default_factory=set)
    signals: set[str] = field(default_factory=set)
    classes: set[str] = field(default_factory=set)

    def all(self) -> set[str]:
        """Every call as the table names it."""
        return self.names | {f".{name}" for name in self.members} | {f'"{text}"' for text in self.signals | self.classes}


def collect(folder: Path = MODULE) -> Calls:
    """Read every Python file of the module."""
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in sorted(folder.rglob("*.py"))]
    own = _defined(trees) | _defined([ast.parse(file.read_text(encoding="utf-8")) for file in LIBRARY.rglob("*.py")])
    own |= {
        one.get("name", "") for file in folder.rglob("*.ui") for one in ElementTree.parse(file).iter() if one.tag in ("widget", "layout")
    }
    own |= {f.stem for f in [*folder.rglob("*.py"), *LIBRARY.rglob("*.py")]} | _of_python()
    calls = Calls()
    for tree in trees:
        _read(tree, own, calls)
    return calls


def _defined(trees: list[ast.Module]) -> set[str]:
    """Names that the sources themselves give to functions, classes, fields and attributes."""
    names: set[str] = set()
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and _is_self(node.value):
            names.add(node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def _of_python() -> set[str]:
    import numpy as np
    from packaging.requirements import Requirement

    kinds: list[object] = [kind for kind in vars(builtins).values() if isinstance(kind, type)]
    kinds += [
        Path,
        re.Match,
        re.Pattern,
        np.ndarray,
        np.generic,
        np.random.Generator,
        deque,
        unittest.TestCase,
        hashlib.sha256(),
        Requirement,
    ]
    return {name for kind in kinds for name in dir(kind)}


def _read(tree: ast.Module, own: set[str], calls: Calls) -> None:
    python = {alias.asname or alias.name.partition(".")[0] for alias in _imports(tree)}
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] in FOREIGN:
            calls.names |= {f"{node.module}.{alias.name}" for alias in node.names if alias.name not in ("app",)}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if SIGNATURE.match(node.value):
                calls.signals.add(node.value)
            elif CLASS.match(node.value):
                calls.classes.add(node.value)
        elif isinstance(node, ast.Attribute):
            root, parts = _chain(node)
            if root in FOREIGN:
                if id(node) not in inner:
                    calls.names.add(".".join([str(root), *parts]))
            elif root not in python and node.attr not in own and not node.attr.startswith("__"):
                calls.members.add(node.attr)


def _imports(tree: ast.Module) -> Iterator[ast.alias]:
    for node in ast.walk(tree):
        if (isinstance(node, ast.Import) and node.names[0].name.partition(".")[0] not in FOREIGN) or (
            isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] not in FOREIGN
        ):
            yield from node.names


def _chain(node: ast.expr) -> tuple[str | None, list[str]]:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.insert(0, node.attr)
        node = node.value
    return (node.id if isinstance(node, ast.Name) else None), parts


def listed(readme: Path) -> set[str]:
    """The calls in the table of README.md."""
    table = readme.read_text(encoding="utf-8").partition(HEADER)[2]
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall("`(.+?)`", row.split("|")[2])}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m SlicerHost.calls", description=__doc__)
    parser.add_argument("--slicer", type=Path, help="sources of 3D Slicer")
    parser.add_argument("--ctk", type=Path, help="sources of CTK")
    parser.add_argument("--pythonqt", type=Path, help="sources of PythonQt with its generated wrappers")
    parser.add_argument("--pytorch", type=Path, help="sources of the extension PyTorch")
    options = parser.parse_args()
    calls = collect()
    folders = [options.slicer, options.ctk, options.pythonqt, options.pytorch]
    if None in folders:
        print("\n".join(sorted(calls.all())))
        return 0
    from .call_sources import Sources

    found, missing = Sources(*folders).look_up(calls)
    print(HEADER)
    for source in sorted(found):
        print(f"| `{source}` | {', '.join(f'`{name}`' for name in sorted(found[source]))} |")
    for name in sorted(missing):
        print(f"NOT FOUND: {name}", file=sys.stderr)
    return bool(missing)


if __name__ == "__main__":
    sys.exit(main())
