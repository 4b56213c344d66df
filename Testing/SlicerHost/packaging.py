"""`slicer.packaging` and the PyTorch extension's `PyTorchUtils`: nothing is installed, requests are remembered and answered by the test."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from subprocess import CalledProcessError
from typing import Any

from packaging.requirements import Requirement
from PySide6 import QtWidgets


class Packages:
    """What the module asked to install, and what becomes of it.

    Attributes:
        agree: whether the person says yes.
        fail: pip ends with an error although the person said yes.
        requested: every requirement, in order.
        calls: name and arguments of every call.
        meanwhile: called while torch is being installed, in which the real one lets Slicer answer clicks after each line of pip's.
    """

    def __init__(self) -> None:
        self.agree, self.fail = True, False
        self.meanwhile: Callable[[], None] = lambda: None
        self.requested: list[str] = []
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def forget(self) -> None:
        """Begin anew; the person agrees."""
        self.agree, self.fail, self.meanwhile = True, False, lambda: None
        self.requested.clear()
        self.calls.clear()

    def ask(self, name: str, requirements: list[str], options: dict[str, Any]) -> bool:
        """Remember a request. Returns: whether it is carried out. Raises: CalledProcessError, when it is to fail."""
        self.calls.append((name, options))
        self.requested += requirements
        if self.agree and self.fail:
            raise CalledProcessError(1, ["python", "-m", "pip", "install", *requirements])
        return self.agree


packages = Packages()


def _requirements(requirements: Any) -> list[Requirement]:
    if isinstance(requirements, Requirement):
        return [requirements]
    if isinstance(requirements, str):
        return [Requirement(one) for one in ([requirements] if ";" in requirements else requirements.split())]
    if isinstance(requirements, list):
        return [Requirement(one) if isinstance(one, str) else one for one in requirements]
    raise TypeError(f"Expected str, Requirement, or list, got {type(requirements).__name__}")


def pip_check(req: Any) -> bool:
    """Whether requirements are satisfied."""
    for one in _requirements(req):
        try:
            version = importlib.metadata.version(one.name)
        except importlib.metadata.PackageNotFoundError:
            return False
        if version not in one.specifier:
            return False
    return True


def pip_ensure(
    requirements: Any,
    constraints: Any = None,
    skip_packages: list[str] | None = None,
    prompt_install: bool = True,
    prompt_restart: bool = True,
    requester: str | None = None,
    skip_in_testing: bool = True,
    show_progress: bool = True,
) -> list[str] | None:
    """Remembers what is wanted. Raises: RuntimeError, when the person was asked and said no."""
    import slicer

    options = {key: value for key, value in locals().items() if key not in ("requirements", "slicer")}
    wanted = [str(one) for one in _requirements(requirements)]
    if skip_in_testing and slicer.app.testingEnabled():
        packages.calls.append(("pip_ensure skipped in testing", options))
        return None
    if not packages.ask("pip_ensure", wanted, options) and prompt_install:
        raise RuntimeError("User declined package installation")
    return None


def pip_install(requirements: Any, constraints: Any = None, **options: Any) -> None:
    """Remembers what is wanted."""
    packages.ask("pip_install", requirements.split() if isinstance(requirements, str) else list(requirements), options)


class PyTorchUtilsLogic:
    """PyTorchUtils/PyTorchUtils.py of the extension PyTorch."""

    @staticmethod
    def torchInstalled() -> bool:
        return pip_check("torch")

    def installTorch(
        self,
        askConfirmation: bool = False,
        forceComputationBackend: str | None = None,
        torchVersionRequirement: str | None = None,
        torchvisionVersionRequirement: str | None = None,
    ) -> Any:
        """The module torch, None when the person said no."""
        options = {key: value for key, value in locals().items() if key != "self"}
        if not packages.ask("installTorch", [f"torch{torchVersionRequirement or ''}"], options):
            return None
        # As `slicer.util.logProcessOutput` does, which waits for pip.
        packages.meanwhile()
        QtWidgets.QApplication.processEvents()
        return object()
