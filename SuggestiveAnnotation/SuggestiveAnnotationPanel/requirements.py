"""The Python packages that Slicer does not bring: what is missing, and installing it once the person agrees."""

from __future__ import annotations

import importlib
import logging
import subprocess
from importlib import metadata, util

import slicer
from slicer.i18n import tr as _

PANEL = {"SQLAlchemy>=2.0,<3": "sqlalchemy", "numpy": "numpy", "scipy": "scipy", "SimpleITK": "SimpleITK"}
"""Requirement -> package: to open a study. The last three come with Slicer, in versions of its own.

What Slicer and its PyTorch extension bring has no upper bound: a newer Slicer's own package is not put back to an older one.
"""
LEARNING = {"torch>=2.8": "torch", "monai>=1.6,<2": "monai", "safetensors>=0.4,<1": "safetensors", "scikit-learn>=1.4,<2": "sklearn"}
"""To train and to suggest."""
DICOM = {"pydicom>=3.0": "pydicom", "highdicom>=0.28": "highdicom", "python-gdcm>=3.0,<4": "gdcm"}
"""To read DICOM files and to write DICOM SEG. Slicer brings the first, newer ones the second too; the third decodes compressed images."""
REPORT = {"matplotlib>=3.8,<4": "matplotlib", "jinja2>=3.1,<4": "jinja2"}
"""To write the report."""
SAMPLE = {"nilearn>=0.10,<1": "nilearn"}
"""The template that the sample's brains are made from."""


_installing = False


class NotInstalled(Exception):
    """Packages are missing: the person said no, or it did not work; the text says what is missing and why."""


def missing(*groups):
    """Requirements of the groups that no installed version meets; torch first, as others bring one of their own otherwise."""
    found = {requirement for group in groups for requirement, package in group.items() if not _installed(requirement, package)}
    return sorted(found, key=lambda requirement: (not requirement.startswith("torch"), requirement.lower()))


def _installed(requirement, package):
    if not _found(package):
        return False
    from packaging.requirements import Requirement

    wanted = Requirement(requirement)
    try:
        return wanted.specifier.contains(metadata.version(wanted.name), prereleases=True)
    except metadata.PackageNotFoundError:
        # Built into Slicer, where the package index does not know it.
        return True


def _found(package):
    try:
        return util.find_spec(package) is not None
    except ValueError:
        # Something half imported has the name.
        return False


def ensure(*groups, say=lambda _sentence: None):
    """Install what is missing, after asking once for all of it. Returns: whether something was installed.

    Args:
        say: called with a sentence when the installation, which takes minutes, begins and when it is done.

    Raises:
        NotInstalled: the person said no, the PyTorch extension is not there, installing failed or is under way already.
    """
    wanted = missing(*groups)
    if not wanted:
        return False
    if _installing:
        raise NotInstalled(_("Packages are being installed. Wait until that is done, then try again."))
    names = ", ".join(_name(requirement) for requirement in wanted)
    question = _(
        "Suggestive Annotation needs Python packages that 3D Slicer does not bring: {names}.\n\n"
        "They are downloaded from the Python package index and installed into this Slicer. "
        "Images and annotations stay on this computer.\n\n"
        "Install them now?"
    ).format(names=names)
    without = _("Not installed: {names}. Without them this step is not possible; everything else works.").format(names=names)
    if not slicer.util.confirmYesNoDisplay(question, windowTitle=_("Install packages")):
        raise NotInstalled(without)
    say(_("Packages are being installed: {names}. That can take many minutes, in which 3D Slicer may not answer.").format(names=names))
    try:
        _installAll(wanted)
    # ImportError: the PyTorch extension imports what it installs.
    except (ImportError, RuntimeError, OSError, subprocess.CalledProcessError) as error:
        logging.exception("SuggestiveAnnotation: packages could not be installed")
        raise NotInstalled(f"{without} ({error})") from error
    importlib.invalidate_caches()
    if still := missing(*groups):
        text = _("Still missing after the installation: {names}. Restart 3D Slicer; if that does not help, its error log says why.")
        raise NotInstalled(text.format(names=", ".join(_name(requirement) for requirement in still)))
    say(_("The packages are installed."))
    return True


def _installAll(wanted):
    """Install requirements. Slicer answers clicks meanwhile: a second pip would break what the first one writes."""
    global _installing
    _installing = True
    try:
        for requirement in wanted:
            if _name(requirement) == "torch":
                _installTorch(requirement.removeprefix("torch"))
        others = [requirement for requirement in wanted if _name(requirement) != "torch"]
        if others:
            _install(others)
    finally:
        _installing = False


def _name(requirement):
    return requirement.partition(">")[0]


def _install(wanted):
    try:
        from slicer.packaging import pip_ensure
    except ImportError:
        # Slicer before 5.12.
        slicer.util.pip_install(wanted)
    else:
        pip_ensure(wanted, prompt_install=False, requester="Suggestive Annotation", skip_in_testing=False)


def _installTorch(versions):
    try:
        import PyTorchUtils
    except ImportError as error:
        hint = _("PyTorch is missing. Install the PyTorch extension with the Extensions Manager, restart 3D Slicer and try again.")
        raise NotInstalled(hint) from error
    if _found("torch"):
        # Another build is not put over one that other extensions use.
        text = _("The installed PyTorch is too old, {versions} is needed. Uninstall it in the module PyTorch Utils, restart and try again.")
        raise NotInstalled(text.format(versions=versions))
    if PyTorchUtils.PyTorchUtilsLogic().installTorch(askConfirmation=False, torchVersionRequirement=versions) is None:
        raise NotInstalled(_("PyTorch could not be installed; the error log of 3D Slicer says why."))
