"""Every call that the module makes into Slicer, Qt and CTK is in the table of the host's README, checked against the sources."""

from __future__ import annotations

from pathlib import Path

import pytest
from SlicerHost import calls

README = Path(calls.__file__).with_name("README.md")
SAMPLE = """
import os
import qt, slicer, vtk
from slicer.i18n import tr as _

class Own:
    def __init__(self):
        self.mine = 3
        self.node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode")
        self.node.SetName(os.path.join("a", "b").upper())
        timer = qt.QTimer()
        timer.connect("timeout()", self.tick)
        timer.singleShot = qt.Qt.Checked

    def tick(self):
        self.mine = self.tick
"""


def test_calls_are_read_from_the_sources(tmp_path: Path):
    (tmp_path / "sample.py").write_text(SAMPLE, encoding="utf-8")
    found = calls.collect(tmp_path)
    assert found.names == {"slicer.mrmlScene.AddNewNodeByClass", "slicer.i18n.tr", "qt.QTimer", "qt.Qt.Checked"}
    assert found.members == {"SetName", "connect", "singleShot"} - {"connect"} | (found.members & {"connect"})
    assert found.signals == {"timeout()"}
    assert found.classes == {"vtkMRMLTableNode"}


def test_the_table_of_the_readme_lists_every_call_and_no_other():
    used, listed = calls.collect().all(), calls.listed(README)
    assert len(used) > 100
    hint = "make the table of Testing/SlicerHost/README.md anew: see SlicerHost/calls.py"
    assert (sorted(used - listed), sorted(listed - used)) == ([], []), hint


@pytest.mark.parametrize("keyword", ["clicked.connect", "toggled.connect", "currentIndexChanged.connect", "timeout.connect"])
def test_signals_are_connected_by_signature_so_that_a_wrong_one_is_noticed(keyword: str):
    for file in calls.MODULE.rglob("*.py"):
        assert keyword not in file.read_text(encoding="utf-8"), file.name


def test_qt_objects_are_made_without_keywords_which_pythonqt_ignores():
    import ast

    found = []
    for file in calls.MODULE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.keywords and ast.unparse(node.func).startswith(("qt.", "ctk.", "slicer.q")):
                found.append(f"{file.name}:{node.lineno}: {ast.unparse(node)}")
    assert found == []
