"""A study from volumes that are loaded in Slicer: which case and sequence each one is, and a file for those that have none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from .case_scene import OF_CASE
from .connect import connect
from .dialogs import Dialog, columns, fit, fixed, freePath, tick

USE, _VOLUME, CASE, SEQUENCE, KIND = range(5)
FOLDER = "Volumes of the scene"


@dataclass(frozen=True)
class SceneVolume:
    """A volume node and what its name says.

    Attributes:
        path: its file; empty when it has none, or one that differs from what is in the scene.
        labels: it is a labelmap.
    """

    node: object
    name: str
    path: str
    case: str
    sequence: str
    labels: bool


def sceneVolumes():
    """Volumes of the scene, with guesses; not those of the open case, which are of a study already. Needs SimpleITK."""
    from SuggestiveAnnotationLib.cohort.layouts.naming import ImageFile, guess, words

    found = []
    for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode"):
        if node.GetHideFromEditors() or node.GetImageData() is None or node.GetAttribute(OF_CASE):
            continue
        name = node.GetName()
        told = guess(ImageFile(path=name, relative=f"{name}.nrrd"))
        rest = [word for word in words(name) if not _tells(guess(ImageFile(path=word, relative=f"{word}.nrrd")), told)]
        labels = bool(node.IsA("vtkMRMLLabelMapVolumeNode")) or told.kind == "label"
        found.append(SceneVolume(node, name, _file(node), "_".join(rest) or _("case"), "" if labels else told.name, labels))
    return found


def _tells(word, name):
    return word.sure and (word.kind, word.name) == (name.kind, name.name)


def _file(node):
    from SuggestiveAnnotationLib.cohort.files.read import SUFFIXES

    storage = node.GetStorageNode()
    # A series of files, or a volume that was changed since, is not what the file holds.
    if storage is None or storage.GetNumberOfFileNames() > 1 or node.GetModifiedSinceRead():
        return ""
    path = storage.GetFullNameFromFileName()
    return path if path.lower().endswith(SUFFIXES) and Path(path).is_file() else ""


def writeVolume(node, folder):
    """Write a volume into a folder, where its own matrix says that it lies: of a transform above it the file would know nothing.

    Returns: path of the file.

    Raises:
        ValueError: with a sentence, when it lies under a transform.
        OSError: when it cannot be written.
    """
    _refuseTransformed(node)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = freePath(folder, node.GetName(), otherwise="volume", suffix=".nrrd")
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(str(path))
    storage.SetUseCompression(0)
    if not storage.WriteData(node) or not path.is_file():
        raise OSError(_("{name} could not be written to {path}.").format(name=node.GetName(), path=path))
    return str(path)


def _refuseTransformed(node):
    transform = node.GetParentTransformNode()
    if transform is not None:
        text = _("{name} lies under the transform {transform}: harden it in the module Transforms first.")
        raise ValueError(text.format(name=node.GetName(), transform=transform.GetName()))


class SceneVolumesDialog(Dialog):
    """Shows the volumes; calls `take(volumes)` with dictionaries for `PlanVolumes` when the person agrees.

    Args:
        path: of the .ui file.
        volumes: from `sceneVolumes`.
        folder: where volumes without a file are written.
    """

    def __init__(self, path, volumes, folder, take):
        self._volumes, self._folder, self._take = volumes, Path(folder) / FOLDER, take
        super().__init__(path, _("Volumes of the scene"), (640, 420))
        connect(self.ui.takeButton, "clicked()", self._onTake)
        connect(self.ui.cancelDialogButton, "clicked()", self.close)
        table = self.ui.volumesTable
        columns(table, [_("use"), _("volume"), _("case"), _("sequence"), _("kind")])
        table.setRowCount(len(volumes))
        for row, volume in enumerate(volumes):
            cells = (tick(), fixed(volume.name, volume.path), qt.QTableWidgetItem(volume.case), qt.QTableWidgetItem(volume.sequence))
            for column, item in enumerate(cells):
                table.setItem(row, column, item)
            kind = qt.QComboBox()
            kind.addItems([_("image"), _("labels")])
            kind.currentIndex = int(volume.labels)
            table.setCellWidget(row, KIND, kind)
        fit(table)

    def chosen(self):
        """The volumes as the person left them: `(SceneVolume, case, sequence, whether labels)` each.

        Raises:
            ValueError: with a sentence, when something is missing or twice there, or lies elsewhere than a file would say.
        """
        table, chosen, places = self.ui.volumesTable, [], set()
        for row, volume in enumerate(self._volumes):
            if table.item(row, USE).checkState() != qt.Qt.Checked:
                continue
            _refuseTransformed(volume.node)
            case, sequence = table.item(row, CASE).text().strip(), table.item(row, SEQUENCE).text().strip()
            labels = table.cellWidget(row, KIND).currentIndex == 1
            sequence = "" if labels else sequence
            if not case or not (labels or sequence):
                raise ValueError(_("{name} needs a case, and a sequence if it is an image.").format(name=volume.name))
            if (case, sequence) in places:
                text = _("Case {case} has two volumes {sequence}. Give each sequence a name of its own.")
                raise ValueError(text.format(case=case, sequence=sequence or _("with labels")))
            places.add((case, sequence))
            chosen.append((volume, case, sequence, labels))
        if not any(not labels for *_rest, labels in chosen):
            raise ValueError(_("Use at least one image."))
        return chosen

    def _onTake(self):
        try:
            chosen = self.chosen()
            # They may have been changed while the window was open.
            paths = [_file(volume.node) for volume, *_rest in chosen]
            unsaved = [volume.name for (volume, *_rest), path in zip(chosen, paths, strict=True) if not path]
            question = _("These volumes have no file of their own, or were changed since: {names}. Write them to {folder}?")
            if unsaved and not slicer.util.confirmYesNoDisplay(
                question.format(names=", ".join(unsaved), folder=self._folder), windowTitle=_("Save volumes")
            ):
                return
            files = [path or writeVolume(volume.node, self._folder) for (volume, *_rest), path in zip(chosen, paths, strict=True)]
        except (ValueError, OSError) as error:
            self.ui.problemLabel.text = str(error)
            return
        self.close()
        self._take(
            tuple(
                {"path": path, "case": case, "modality": sequence, "labels": labels}
                for path, (_volume, case, sequence, labels) in zip(files, chosen, strict=True)
            )
        )
