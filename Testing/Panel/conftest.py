"""The stand-in host, one for the whole run, and the module in it with settings and a scene of its own for every test."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "SuggestiveAnnotation" / "SuggestiveAnnotation.py"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # One process hosts every panel test: an application is made once.
    for item in items:
        if "Panel" in item.path.parts:
            item.add_marker(pytest.mark.xdist_group("panel"))


_status = pytest.StashKey[int]()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    session.config.stash[_status] = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    # Qt and VTK free each other's objects once Python is gone, and what was tested may then end in a crash. Workers are ended by xdist.
    if "SlicerHost.host" in sys.modules and "PYTEST_XDIST_WORKER" not in os.environ and _status in config.stash:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(config.stash[_status])


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The running host. Skips loudly where a library is missing; with CI set that is a failure."""
    from SlicerHost import boot, system_check

    missing = system_check.missing()
    if missing:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"THE PANEL IS NOT TESTED HERE: {missing}")

    return boot(tmp_path_factory.mktemp("host"))


@pytest.fixture(autouse=True)
def no_mistakes(request: pytest.FixtureRequest) -> Iterator[None]:
    """A wrong signature or an error in a slot fails the test in which it happens."""
    if "host" not in request.fixturenames:
        yield
        return
    request.getfixturevalue("host")
    from SlicerHost import pythonqt

    pythonqt.forget_mistakes()
    yield
    assert pythonqt.forget_mistakes() == []


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    """Where the module puts studies in this test."""
    return tmp_path / "studies"


@pytest.fixture
def panel(host: Any, studies: Path) -> Iterator[Any]:
    """The module's widget, with empty settings and an empty scene; it is unloaded afterwards."""
    import qt
    import slicer

    host.closeScene()
    slicer.dicomDatabase.closeDatabase()
    slicer.dicomDatabase.initializeDatabase()
    qt.QSettings().clear()
    qt.QSettings().setValue("SuggestiveAnnotation/StudiesFolder", str(studies))
    host.dialogs.forget()
    host.packages.forget()
    widget = host.loadModule(MODULE)
    yield widget
    host.unload("SuggestiveAnnotation")
    host.closeScene()


@pytest.fixture(scope="session")
def _small_sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from SuggestiveAnnotationLib.engine.sample import create_sample

    folder = tmp_path_factory.mktemp("sample")
    create_sample(folder, subjects=4)
    return folder


@pytest.fixture
def sample(_small_sample: Path, tmp_path: Path) -> Path:
    """A prepared study of four small brains, a copy for this test alone."""
    shutil.copytree(_small_sample / "study", tmp_path / "study")
    return tmp_path / "study"


@pytest.fixture
def in_round_0(sample: Path) -> Path:
    """The sample with a first batch of six evenly spaced slices waiting."""
    from SuggestiveAnnotationLib.engine.run_round import run_round
    from SuggestiveAnnotationLib.engine.settings import RoundOptions
    from SuggestiveAnnotationLib.study.study import Study

    study = Study(sample)
    run_round(study, options=RoundOptions(strategy="strided", budget=6, min_gap=1))
    study.close()
    return sample


@pytest.fixture
def opened(panel: Any, host: Any) -> Callable[[Path], Any]:
    """Opens a study in the panel and waits until its first suggestion is shown."""

    def open_study(path: Path) -> Any:
        panel.sections[0].openPath(str(path))
        if panel.workspace.current is None and panel.workspace.suggestions():
            panel.workspace.nextSlice()
        if panel.workspace.current is not None:
            host.waitUntil(lambda: panel.workspace.current in panel.workspace.views.displayed, 60, "the first slice")
        return panel.workspace

    return open_study


@pytest.fixture
def suggested(tmp_path: Path) -> Path:
    """A study with three suggestions in case0, of which two have a pre-annotation, and one in case1."""
    from panel_reader import make_suggested

    return make_suggested(tmp_path)


@pytest.fixture
def reader(host: Any, panel: Any, suggested: Path) -> Any:
    """A `panel_reader.Reader` with the first of these suggestions open."""
    from panel_reader import A, Reader

    made = Reader(host, panel)
    made.workspace.openStudy(suggested)
    made.open(A)
    return made


@pytest.fixture(scope="module")
def one_desk(host: Any) -> Iterator[Any]:
    """A `panel_desk.Desk` without a study."""
    from panel_desk import Desk
    from SuggestiveAnnotationPanel import settings

    host.closeScene()
    settings.setAnnotator("Dr A")
    made = Desk(host)
    yield made
    made.workspace.cleanup()
    made.sync.cleanup()
    made.scene.cleanup()


@pytest.fixture
def desk(one_desk: Any, tmp_path: Path) -> Iterator[Any]:
    """A study with three predicted suggestions in case0 and one in case1, opened."""
    from panel_desk import PREDICTED
    from panel_study import add_round, make_study

    from SuggestiveAnnotationLib.types import SliceRef

    study = make_study(tmp_path)
    add_round(study, {ref: "suggested" for ref in (*PREDICTED, SliceRef("case1", 0, 4))}, PREDICTED)
    study.close()
    one_desk.workspace.openStudy(study.path)
    yield one_desk
    one_desk.workspace.closeStudy()
    assert [said for said in one_desk.said if said[0] == "error"] == []
