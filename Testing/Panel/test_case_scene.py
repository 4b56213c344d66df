"""The nodes of a case: where they lie, what they show, and that they come and go without holding the window up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from panel_study import SHAPE, add_round, make_study, square

from SuggestiveAnnotationLib.geometry import Geometry
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import Case, LabelClass, LabelSchema, Rationale, SliceRef, Suggestion
from SuggestiveAnnotationLib.worker.protocol import CheckStudy, PredictCase

OBLIQUE = tuple(float(v) for v in (np.array([[np.cos(0.3), -np.sin(0.3), 0], [np.sin(0.3), np.cos(0.3), 0], [0, 0, 1]])).ravel())
A, OTHER = SliceRef("case0", 0, 3), SliceRef("case1", 0, 4)


@pytest.fixture(scope="module", autouse=True)
def _imports(host: Any) -> None:
    """Slicer's modules are there once the host runs."""
    global slicer, segments, settings, vtk
    import slicer
    import vtk
    from SuggestiveAnnotationPanel import segments, settings


@pytest.fixture(scope="module")
def workspace(host: Any, _imports: None) -> Iterator[Any]:
    from SuggestiveAnnotationPanel.case_scene import CaseScene
    from SuggestiveAnnotationPanel.label_sync import LabelSync
    from SuggestiveAnnotationPanel.workspace import Workspace

    host.closeScene()
    settings.setAnnotator("Dr A")
    made = Workspace()
    made.host = host
    made.scene = CaseScene(made)
    made.sync = LabelSync(made)
    yield made
    made.cleanup()
    made.sync.cleanup()
    made.scene.cleanup()


@pytest.fixture
def study(tmp_path: Path) -> Study:
    made = make_study(tmp_path, direction=OBLIQUE)
    add_round(made, {A: "suggested", OTHER: "suggested"}, {A: square(1), OTHER: square(4)})
    return made


def show(workspace: Any, ref: SliceRef) -> None:
    workspace.openSlice(ref)
    workspace.host.waitUntil(lambda: workspace.scene.case == ref.case, what=f"case {ref.case}")


@pytest.fixture
def opened(workspace: Any, study: Study) -> Iterator[Any]:
    workspace.openStudy(study.path)
    yield workspace
    workspace.closeStudy()


def count(kind: str) -> int:
    return int(slicer.mrmlScene.GetNumberOfNodesByClass(kind))


def test_images_lie_where_their_files_say(opened: Any, study: Study) -> None:
    show(opened, A)
    assert opened.scene.modalities == ["t1", "flair"]
    for modality in opened.scene.modalities:
        node = opened.scene.volume(modality)
        image = sitk.ReadImage(study.case("case0").images[modality])
        assert np.array_equal(slicer.util.arrayFromVolume(node), sitk.GetArrayFromImage(image))
        assert node.GetName() == f"case0 {modality}"
        matrix = slicer.util.arrayFromVTKMatrix(segments.ijkToRAS(opened.scene.geometry))
        kept = slicer.vtkMRMLScalarVolumeNode
        assert isinstance(node, kept)
        ijk = slicer.util.vtkMatrixFromArray(np.eye(4))
        node.GetIJKToRASMatrix(ijk)
        assert np.allclose(slicer.util.arrayFromVTKMatrix(ijk), matrix)
        x, y, z = image.TransformIndexToPhysicalPoint((7, 5, 2))
        assert (matrix @ [7, 5, 2, 1])[:3] == pytest.approx((-x, -y, z))
        low, high = node.GetDisplayNode().GetWindowLevelMin(), node.GetDisplayNode().GetWindowLevelMax()
        assert low < 20 < 40 < high
    x, y, z = sitk.ReadImage(study.case("case0").images["t1"]).TransformContinuousIndexToPhysicalPoint((19.5, 23.5, 3))
    assert opened.scene.centre(A) == pytest.approx((-x, -y, z))


def test_segments_show_what_the_session_shows(opened: Any) -> None:
    show(opened, A)
    node = opened.scene.segmentation
    labels = segments.readVolume(node, opened.scene.geometry, opened.scene.schema)
    assert np.array_equal(opened.scene.frame.stack(labels)[3], square(1))
    assert labels.sum() == 100
    reference = node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole())
    assert reference is opened.scene.volume()
    assert node.GetDisplayNode().GetVisibility2DFill()
    assert [node.GetSegmentation().GetNthSegment(n).GetName() for n in range(3)] == ["left lobe", "right lobe", "Ignore"]


def test_one_case_at_a_time_and_nothing_left_behind(opened: Any) -> None:
    before = {kind: count(kind) for kind in ("vtkMRMLScalarVolumeDisplayNode", "vtkMRMLSegmentationDisplayNode")}
    assert count("vtkMRMLScalarVolumeNode") == 0
    for _ in range(3):
        show(opened, A)
        show(opened, OTHER)
    assert count("vtkMRMLScalarVolumeNode") == 2
    assert count("vtkMRMLSegmentationNode") == 1
    assert count("vtkMRMLScalarVolumeDisplayNode") == before["vtkMRMLScalarVolumeDisplayNode"] + 2
    assert count("vtkMRMLSegmentationDisplayNode") == before["vtkMRMLSegmentationDisplayNode"] + 1
    opened.openSlice(None)
    opened.scene.forget()
    assert count("vtkMRMLScalarVolumeNode") + count("vtkMRMLSegmentationNode") == 0
    assert {kind: count(kind) for kind in before} == before


def test_the_case_chosen_last_is_the_one_that_comes(opened: Any) -> None:
    shown: list[Any] = []
    opened.caseShown.connect(lambda: shown.append(opened.scene.case))
    for ref in (A, OTHER, A, OTHER):
        opened.openSlice(ref)
        opened.host.pump(0.005)
    opened.host.waitUntil(lambda: opened.scene.case == "case1", what="case1")
    opened.host.pump(0.3)
    assert shown[-1] == "case1"
    assert count("vtkMRMLSegmentationNode") == 1
    assert count("vtkMRMLScalarVolumeNode") == 2


def test_a_case_that_cannot_be_read_says_so_and_the_next_one_opens(opened: Any, study: Study) -> None:
    said: list[tuple[str, str]] = []
    opened.message.connect(lambda level, text: said.append((level, text)))
    Path(study.case("case0").images["flair"]).unlink()
    opened.openSlice(A)
    opened.host.waitUntil(lambda: any(level == "error" for level, _ in said), what="the error")
    assert any("case0" in text and "flair" in text for level, text in said if level == "error")
    assert opened.scene.case is None
    assert count("vtkMRMLScalarVolumeNode") == 0
    show(opened, OTHER)


def test_excluding_another_case_leaves_the_open_one_in_the_scene(opened: Any) -> None:
    show(opened, A)
    node = opened.scene.segmentation
    opened.session.exclude_case("case1", reason="motion")
    opened.studyChanged()
    assert opened.scene.segmentation is node


def test_a_segmentation_removed_by_hand_comes_back_with_the_next_slice(opened: Any) -> None:
    show(opened, A)
    opened.sync.write(A, square(4))
    opened.saveNow()
    slicer.mrmlScene.RemoveNode(opened.scene.segmentation)
    opened.openSlice(SliceRef("case0", 0, 4))
    opened.host.waitUntil(lambda: opened.scene.segmentation is not None, what="the segmentation")
    labels = segments.readVolume(opened.scene.segmentation, opened.scene.geometry, opened.scene.schema)
    assert np.array_equal(opened.scene.frame.stack(labels)[3], square(4))


def test_a_saved_scene_holds_no_copy_of_images_and_labels(opened: Any, tmp_path: Path) -> None:
    show(opened, A)
    slicer.mrmlScene.SetURL(str(tmp_path / "scene.mrml"))
    assert slicer.mrmlScene.Commit()
    text = (tmp_path / "scene.mrml").read_text(encoding="utf-8")
    assert "case0" not in text


def test_rows_of_a_case_in_a_saved_scene_go_when_it_is_loaded(opened: Any, tmp_path: Path) -> None:
    """Slicer's subject hierarchy gives every node a row, and saves rows also of nodes that are not saved."""
    from SuggestiveAnnotationPanel.case_scene import removeRowsWithoutNodes

    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    own = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "my folder")

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def giveRow(_scene: Any, _event: str, node: Any) -> None:
        if node.IsA("vtkMRMLScalarVolumeNode") or node.IsA("vtkMRMLSegmentationNode"):
            item = hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)
            hierarchy.CreateHierarchyItem(item, "a segment", "segments") if node.IsA("vtkMRMLSegmentationNode") else None

    def rows(of: Any) -> list[str]:
        items = vtk.vtkIdList()
        of.GetItemChildren(of.GetSceneItemID(), items, True)
        return [of.GetItemName(items.GetId(n)) for n in range(items.GetNumberOfIds())]

    tag = slicer.mrmlScene.AddObserver(slicer.vtkMRMLScene.NodeAddedEvent, giveRow)
    show(opened, OTHER)
    slicer.mrmlScene.RemoveObserver(tag)
    there = rows(hierarchy)
    assert len(there) > 3
    removeRowsWithoutNodes()
    assert rows(hierarchy) == there
    slicer.mrmlScene.SetURL(str(tmp_path / "scene.mrml"))
    assert slicer.mrmlScene.Commit()
    opened.closeStudy()
    removeRowsWithoutNodes()
    hierarchy.RemoveItem(own)
    assert rows(hierarchy) == []
    slicer.mrmlScene.SetURL(str(tmp_path / "scene.mrml"))
    assert slicer.mrmlScene.Import()
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    assert sorted(rows(hierarchy)) == sorted(there)
    removeRowsWithoutNodes()
    assert rows(hierarchy) == ["my folder"]


def test_nothing_of_a_case_is_saved_with_the_scene(opened: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.npy"
    np.save(path, np.zeros(SHAPE, np.uint16))
    show(opened, A)
    opened.scene.showModelOutline(str(path))
    kinds = ("vtkMRMLScalarVolumeNode", "vtkMRMLScalarVolumeDisplayNode", "vtkMRMLSegmentationNode", "vtkMRMLSegmentationDisplayNode")
    for kind in kinds:
        nodes = list(slicer.util.getNodesByClass(kind))
        assert len(nodes) == 2
        assert [node.GetName() for node in nodes if node.GetSaveWithScene()] == []


def test_the_models_outline_is_apart_from_the_readers_labels(opened: Any, tmp_path: Path) -> None:
    show(opened, A)
    path = tmp_path / "model.npy"
    model = np.zeros(SHAPE, np.uint16)
    model[2:5, 10:20, 10:20] = 4
    np.save(path, model)
    opened.scene.showModelOutline(path)
    node = opened.scene.modelSegmentation
    assert np.array_equal(segments.readVolume(node, opened.scene.geometry, opened.scene.schema), model)
    assert not node.GetDisplayNode().GetVisibility2DFill()
    assert node.GetDisplayNode().GetVisibility2DOutline()
    opened.scene.toggleModelOutline()
    assert not node.GetDisplayNode().GetVisibility()
    opened.scene.toggleModelOutline()
    assert node.GetDisplayNode().GetVisibility()
    labels = segments.readVolume(opened.scene.segmentation, opened.scene.geometry, opened.scene.schema)
    assert np.array_equal(opened.scene.frame.stack(labels)[3], square(1))
    opened.saveNow()
    assert opened.session.drafts() == ()
    show(opened, OTHER)
    assert opened.scene.modelSegmentation is None


def test_what_the_model_says_of_an_audit_slice_is_not_shown_before_it_is_drawn(opened: Any, tmp_path: Path) -> None:
    said: list[str] = []
    opened.message.connect(lambda _level, text: said.append(text))
    add_round(opened.study, {A: "audit", SliceRef("case0", 0, 5): "suggested"})
    model = np.full(SHAPE, 4, np.uint16)
    np.save(tmp_path / "model.npy", model)

    def outlined() -> set[int]:
        opened.scene._onPredicted("case0", {"path": tmp_path / "model.npy"})
        shown = segments.readVolume(opened.scene.modelSegmentation, opened.scene.geometry, opened.scene.schema)
        stack = opened.scene.frame.stack(shown)
        return {index for index in range(len(stack)) if stack[index].any()}

    show(opened, A)
    every = set(range(opened.scene.frame.count))
    assert outlined() == every - {A.native_index}
    assert said[-1] == "The model's outline of case case0 is shown, except on slices that are to be drawn without it."
    opened.session.accept({A: square(1)})
    assert outlined() == every
    assert said[-1] == "The model's outline of case case0 is shown."


def test_the_outline_of_an_older_model_goes_when_there_is_a_newer_one(opened: Any, tmp_path: Path) -> None:
    asked: list[Any] = []
    path = tmp_path / "model.npy"
    np.save(path, np.zeros(SHAPE, np.uint16))
    show(opened, A)
    opened.scene.showModelOutline(path)
    opened.statesChanged()
    assert opened.scene.modelSegmentation is not None
    add_round(opened.study, {A: "suggested", OTHER: "suggested"})
    opened.statesChanged()
    assert opened.scene.modelSegmentation is None
    opened.scene.showModelOutline(path)
    add_round(opened.study, {A: "suggested", OTHER: "suggested"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opened, "ask", lambda command, *_rest: asked.append(command))
        opened.scene.toggleModelOutline()
    assert opened.scene.modelSegmentation is None
    assert asked == [PredictCase("case0")]


def test_the_outline_goes_when_a_slice_under_it_becomes_an_audit_slice(opened: Any, tmp_path: Path) -> None:
    """As in a first batch after a model was imported, and in a case that is included again: no newer model comes with it."""
    np.save(tmp_path / "model.npy", np.full(SHAPE, 4, np.uint16))
    add_round(opened.study, {OTHER: "suggested"})
    show(opened, A)
    opened.scene.showModelOutline(tmp_path / "model.npy")
    opened.study.finish_round(opened.study.current_round().number)
    number = opened.study.start_round(strategy="random", budget=1, seed=0, unit="slice", settings={}).number
    opened.study.publish_suggestions(number, [Suggestion(A, 0, Rationale("audit", "Drawn at random."), kind="audit")])
    opened.statesChanged()
    assert opened.scene.modelSegmentation is None
    opened.session.exclude_case("case0", reason="motion")
    opened.studyChanged()
    opened.scene.showModelOutline(tmp_path / "model.npy")
    opened.session.include_case("case0")
    opened.studyChanged()
    assert opened.scene.modelSegmentation is None
    opened.scene.showModelOutline(tmp_path / "model.npy")
    opened.statesChanged()
    assert opened.scene.modelSegmentation is not None


def test_the_outline_is_asked_for_once_and_says_what_it_waits_for(opened: Any) -> None:
    said: list[str] = []
    opened.message.connect(lambda _level, text: said.append(text))
    show(opened, A)
    requests = opened.requests
    opened.ask(CheckStudy(), title="Check every file")
    for _time in range(2):
        opened.scene.toggleModelOutline()
        assert said[-1] == "The model's outline of case case0 waits until this is done: Check every file."
    assert [one.command for one in requests._asked.values()].count(PredictCase("case0")) == 1
    # The model of this study has no weights.
    opened.host.waitUntil(lambda: not requests.isWaitingFor(PredictCase("case0")), what="the answer")
    opened.scene.toggleModelOutline()
    assert said[-1] == "Case case0 is being predicted."
    opened.host.waitUntil(lambda: not requests.isWaitingFor(PredictCase("case0")), what="the answer")


def test_a_large_case_comes_in_with_its_drafts_and_takes_edits(workspace: Any, tmp_path: Path) -> None:
    """256 x 256 x 150, four sequences of floating-point numbers, five structures on every slice."""
    shape = (150, 256, 256)
    geometry = Geometry(shape[::-1], (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
    schema = LabelSchema("five", tuple(LabelClass(v, f"structure {v}", (40 * v, 90, 200)) for v in range(1, 6)))
    z, y, x = np.ogrid[:150, :256, :256]
    radius = ((z - 75) / 70) ** 2 + ((y - 128) / 110) ** 2 + ((x - 128) / 100) ** 2
    labels = np.select([radius < 0.1, radius < 0.3, radius < 0.5, radius < 0.8, radius < 1], [1, 2, 3, 4, 5], 0).astype(np.uint16)
    np.save(tmp_path / "image.npy", (radius * 100).astype(np.float32))

    small = make_study(tmp_path / "small", cases=1)
    images = small.case("case0").images
    cases = [Case(name="big", patient="big", role="pool", images=images, geometry=geometry)]
    study = Study.create(tmp_path / "big", name="big", cases=cases, schema=schema, modalities=("t1", "flair"), reference="t1")
    study.freeze_record(small.record.__class__(**{**small.record.__dict__, "schema_key": schema.key}))
    study.close()
    workspace.openStudy(study.path)
    workspace.session.draft_slices({SliceRef("big", 0, k): labels[k] for k in range(0, 150, 5)})
    workspace.current = SliceRef("big", 0, 75)
    workspace.scene._wanted = "big"
    modalities = {name: str(tmp_path / "image.npy") for name in ("t1", "flair", "t2", "t1c")}
    workspace.scene._onLoaded({"case": "big", "geometry": geometry.to_json(), "modalities": modalities})
    workspace.host.waitUntil(lambda: workspace.scene.case == "big", what="the case")
    workspace.sync.write(SliceRef("big", 0, 75), labels[74])
    workspace.sync.save()
    workspace.session.accept({SliceRef("big", 0, 80): labels[20], SliceRef("big", 0, 81): labels[21]})
    workspace.statesChanged()
    assert np.array_equal(workspace.sync.labels(SliceRef("big", 0, 75)), labels[74])
    assert np.array_equal(workspace.sync.labels(SliceRef("big", 0, 80)), labels[20])
    assert np.array_equal(workspace.sync.labels(SliceRef("big", 0, 85)), labels[85])
    workspace.closeStudy()
