"""A network that another study trained: what is refused, what is kept of it, and a first batch with it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from partly_labelled import partly, settings, suggestion

from SuggestiveAnnotationLib.engine.evaluate import evaluate
from SuggestiveAnnotationLib.engine.export import export
from SuggestiveAnnotationLib.engine.import_model import import_model
from SuggestiveAnnotationLib.engine.manifold import fit_manifold
from SuggestiveAnnotationLib.engine.predict import predict_slice
from SuggestiveAnnotationLib.engine.prepare import prepare
from SuggestiveAnnotationLib.engine.report import report
from SuggestiveAnnotationLib.engine.run_round import run_round
from SuggestiveAnnotationLib.engine.settings import ManifoldOptions, RoundOptions
from SuggestiveAnnotationLib.engine.suggest import ask, pre_annotate
from SuggestiveAnnotationLib.engine.train import lost_classes, train
from SuggestiveAnnotationLib.errors import InputError, StudyError
from SuggestiveAnnotationLib.models.checkpoint import load_checkpoint, save_checkpoint
from SuggestiveAnnotationLib.models.registry import build_network
from SuggestiveAnnotationLib.report.collect import collect
from SuggestiveAnnotationLib.report.rounds import audit_slices
from SuggestiveAnnotationLib.session import Session
from SuggestiveAnnotationLib.study.records import model_before
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import SliceRef

MakeStudy = Callable[..., Study]
OPTIONS = RoundOptions(network="tiny", steps=40, batch=4, rate=5e-3, budget=4, device="cpu")
VAE = ManifoldOptions(manifold_network="tiny", manifold_steps=4, manifold_batch=4, manifold_pixels=32, latent_size=2, device="cpu")
HERE = (12, 30, 26)
"""Voxels of the cases of the study that imports."""


def annotate(study: Study, *refs: SliceRef) -> None:
    for ref in refs:
        Session(study, annotator="a").accept({ref: np.array(study.reference_labels(ref.case)[ref.native_index])})


@pytest.fixture
def theirs(make_study: MakeStudy) -> Study:
    """Site A: two annotated slices and a model that learnt from them."""
    study = make_study(prepared=True, cases=2, name="site-a")
    annotate(study, *(SliceRef(f"case{n}", 0, k) for n in (0, 1) for k in (3, 4)))
    train(study, options=OPTIONS)
    return study


@pytest.fixture
def sent(theirs: Study, tmp_path: Path) -> Path:
    """The two files that site A gives away."""
    newest = theirs.latest_model("segmentation")
    assert newest is not None
    folder = tmp_path / "sent"
    folder.mkdir()
    for file in (newest.path, newest.path.with_suffix(".json")):
        shutil.copyfile(file, folder / f"from-a{file.suffix}")
    return folder / "from-a.safetensors"


@pytest.fixture
def ours(make_study: MakeStudy) -> Study:
    """Site B: other people, larger scans, nothing annotated."""
    return make_study(prepared=True, cases=3, name="site-b", shape=HERE, roles=("pool", "pool", "test"))


def card_of(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    return found


def with_card(path: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    card = card_of(path)
    change(card)
    path.with_suffix(".json").write_text(json.dumps(card), encoding="utf-8")
    return path


def weights(path: Path) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in load_checkpoint(path)[0].state_dict().items()}


def refused(study: Study, source: Path, kind: type[Exception] = InputError) -> str:
    """The sentence, without what to do; nothing is left in the study."""
    with pytest.raises(kind) as raised:
        import_model(study, source)
    assert raised.value.hint  # type: ignore[attr-defined]
    assert study.models() == ()
    assert not list(study.path.glob("models/*"))
    return str(raised.value.sentence)  # type: ignore[attr-defined]


class TestWhatIsRefused:
    def test_what_is_no_model(self, ours: Study, sent: Path, tmp_path: Path) -> None:
        assert refused(ours, tmp_path / "nothing.safetensors").endswith("nothing.safetensors does not exist.")
        (tmp_path / "scan.nii.gz").write_bytes(b"x")
        assert refused(ours, tmp_path / "scan.nii.gz").endswith("scan.nii.gz is no model of this extension.")
        with pytest.raises(InputError, match="sent"):
            import_model(ours, sent.parent)
        assert refused(ours, ours.path).endswith("is this study itself.")
        sent.with_suffix(".json").unlink()
        assert "from-a.json does not exist" in refused(ours, sent)

    def test_a_study_without_a_model(self, ours: Study, make_study: MakeStudy) -> None:
        other = make_study(prepared=True, name="untrained")
        assert refused(ours, other.path).endswith("untrained has no segmentation model.")

    @pytest.mark.parametrize(
        ("damage", "words"),
        [
            (lambda path: path.write_bytes(path.read_bytes()[:-40]), "from-a.safetensors is damaged or of another version"),
            (lambda path: path.write_bytes(b"\x80\x04cos\nsystem\n"), "from-a.safetensors is damaged or of another version"),
            (lambda path: path.with_suffix(".json").write_text("[]"), "from-a.json is not a model card"),
            (lambda path: with_card(path, lambda card: card.update(weights_sha256="0")), "do not belong to the card beside them"),
            (lambda path: with_card(path, lambda card: card.update(preprocessing=7)), "The card of .*from-a.safetensors is damaged"),
            (lambda path: with_card(path, lambda card: card.update(classes={"a": 1})), "The card of .*from-a.safetensors is damaged"),
            (lambda path: with_card(path, lambda card: card["preprocessing"].update(plane="bent")), "is damaged"),
            (lambda path: with_card(path, lambda card: card["preprocessing"].update(spacing=[10**400, 1])), "is damaged"),
            (lambda path: with_card(path, lambda card: card["preprocessing"].update(version="2" * 1000)), "is damaged"),
            (lambda path: with_card(path, lambda card: card["preprocessing"].update(version=10**400)), "is damaged"),
            (lambda path: with_card(path, lambda card: card["preprocessing"].update(version=2.0)), "is damaged"),
            (lambda path: with_card(path, lambda card: card["classes"].append({"value": 3, "name": "x"})), "is not that of its network"),
        ],
    )
    def test_damaged_files(self, ours: Study, sent: Path, damage: Callable[[Path], Any], words: str) -> None:
        damage(sent)
        with pytest.raises(InputError, match=words):
            import_model(ours, sent)
        refused(ours, sent)

    def test_a_network_that_does_not_segment(self, ours: Study, theirs: Study) -> None:
        fit_manifold(theirs, options=VAE)
        manifold = theirs.latest_model("manifold")
        assert manifold is not None
        assert refused(ours, manifold.path).endswith("is no segmentation network.")

    @pytest.mark.parametrize("modalities", [("t1", "flair"), ("flair",)])
    def test_other_modalities(self, sent: Path, make_study: MakeStudy, modalities: tuple[str, ...]) -> None:
        other = make_study(prepared=True, name="other", modalities=modalities)
        assert refused(other, sent).endswith(f"is for images of t1, and this study has {', '.join(modalities)}.")

    def test_modalities_in_another_order(self, sent: Path, make_study: MakeStudy, tmp_path: Path) -> None:
        two = make_study(prepared=True, cases=1, name="two", modalities=("t1", "flair"))
        annotate(two, SliceRef("case0", 0, 4))
        train(two, options=replace(OPTIONS, steps=2))
        turned = make_study(prepared=True, name="turned", modalities=("flair", "t1"))
        assert refused(turned, two.path).endswith("is for images of t1, flair, and this study has flair, t1.")

    def test_other_classes(self, ours: Study, sent: Path) -> None:
        with_card(sent, lambda card: card["classes"].reverse())
        assert refused(ours, sent).endswith("tells right lobe, left lobe apart, and this study is of left lobe, right lobe.")

    def test_another_plane(self, sent: Path, make_study: MakeStudy) -> None:
        coronal = make_study(name="coronal")
        prepare(coronal, plane="coronal", pixels=32)
        assert refused(coronal, sent).endswith("learnt from axial slices, and those of this study are coronal.")

    def test_another_version_of_the_preprocessing(self, ours: Study, sent: Path) -> None:
        with_card(sent, lambda card: card["preprocessing"].update(version=1))
        assert "prepared by another version of this extension (1, not 2)" in refused(ours, sent)

    def test_a_card_of_an_older_version(self, ours: Study, theirs: Study, sent: Path) -> None:
        def as_it_was(card: dict[str, Any]) -> None:
            del card["preprocessing"], card["classes"]

        assert "does not say which images and classes its network is for" in refused(ours, with_card(sent, as_it_was))
        # Where it lies in the study that trained it, that study says so.
        newest = theirs.latest_model("segmentation")
        assert newest is not None
        assert import_model(ours, with_card(newest.path, as_it_was)).new

    def test_a_study_that_is_not_prepared_or_in_the_middle_of_a_round(self, sent: Path, ours: Study, make_study: MakeStudy) -> None:
        with pytest.raises(StudyError, match="has not been prepared"):
            import_model(make_study(name="bare"), sent)
        ours.start_round(strategy="random", budget=2, seed=0, unit="slice", settings={})
        assert refused(ours, sent, StudyError) == "Round 0 is under way, and goes on with the model that it has."


class TestWhatIsKept:
    def test_the_network_and_where_it_came_from(self, ours: Study, theirs: Study, sent: Path) -> None:
        done = import_model(ours, sent)
        model, given = done.model, card_of(sent)
        assert done.new
        assert done.options == {"warm_start": True, "architecture": "unet", "network": "tiny"}
        assert ours.latest_model("segmentation") == model
        assert (model.round, model.record_key, model.card["kind"]) == (None, ours.record.key, "segmentation")
        assert model.imported_from == {
            "file": "from-a.safetensors",
            "weights_sha256": given["weights_sha256"],
            "trained_on": {"annotated_slices": 4, "record_key": theirs.record.key, "data_hash": given["data_hash"]},
        }
        before, after = weights(sent), weights(model.path)
        assert all(np.array_equal(before[name], after[name]) for name in before)
        assert lost_classes(model) == lost_classes(replace(model, card=given))
        assert str(sent.parent) not in json.dumps(model.card)
        # The two files say what a receiver must know, of the network that was given on as well.
        assert model.card["preprocessing"] == given["preprocessing"]
        assert given["preprocessing"]["modalities"] == ["t1"]
        assert given["classes"] == [{"value": 1, "name": "left lobe"}, {"value": 2, "name": "right lobe"}]

    def test_nothing_of_a_patient_goes_along(self, theirs: Study, sent: Path) -> None:
        text = sent.with_suffix(".json").read_text(encoding="utf-8")
        assert not any(word in text for case in theirs.cases() for word in (case.name, case.patient, str(theirs.path)))

    def test_a_study_gives_its_newest_model(self, ours: Study, theirs: Study) -> None:
        newest = theirs.latest_model("segmentation")
        assert newest is not None
        model = import_model(ours, theirs.path).model
        assert model.imported_from is not None
        assert model.imported_from["file"] == newest.path.name

    def test_the_same_model_again_is_the_one_that_is_there(self, ours: Study, theirs: Study, sent: Path) -> None:
        first = import_model(ours, sent)
        again = import_model(ours, theirs.path)
        assert (again.new, again.model) == (False, first.model)
        assert len(ours.models()) == 1
        annotate(ours, SliceRef("case0", 0, 3))
        own = train(ours, options=OPTIONS)
        assert import_model(ours, sent).notes[-1] == f"Model {own.id} is newer, and is the one that is used."

    def test_another_spacing_is_told(self, ours: Study, theirs: Study, sent: Path, make_study: MakeStudy) -> None:
        assert theirs.record.spacing == (0.638, 0.638)
        assert import_model(ours, sent).notes == (
            "It learnt on pixels of 0.64 mm and sees this study's images on pixels of 0.80 mm: structures look smaller to it, and its "
            "outlines may be poor until it is trained here.",
        )
        assert import_model(make_study(prepared=True, name="alike"), sent).notes == ()


class TestTheFirstBatch:
    @pytest.mark.parametrize("strategy", ["entropy", "gradient-core-set", "gradient-guided", "consensus", "gradient-guided-network"])
    def test_is_chosen_and_outlined_by_the_imported_network(self, ours: Study, sent: Path, strategy: str) -> None:
        model = import_model(ours, sent).model
        done = run_round(ours, options=replace(OPTIONS, strategy=strategy), manifold=VAE)
        rows = ours.suggestions(done.number)
        assert (done.strategy, done.number, len(rows)) == (strategy, 0, 4)
        assert {row.suggestion.rationale.strategy for row in rows} == {strategy}
        assert all(ours.prediction(row.suggestion.ref, model_id=model.id) is not None for row in rows)
        assert ours.models("segmentation") == (model,)
        sourced = [row.suggestion.rationale for row in rows if row.suggestion.rationale.source is not None]
        if strategy == "entropy":
            assert not sourced
            assert done.notes == ()
        else:
            assert sourced
            assert all(reason.sentence.endswith("its labels are the model's own.") for reason in sourced)
            assert sum("with the imported model's own labels" in note for note in done.notes) == 1
        # What the network is worth here is known before anything is annotated.
        assert {m.case for m in ours.metrics(0) if m.name == "dice_3d"} == {"case2"}

    def test_the_same_seed_gives_the_same_slices(self, ours: Study, sent: Path) -> None:
        import_model(ours, sent)
        fit_manifold(ours, options=VAE)
        asked = [ask(ours, options=replace(OPTIONS, strategy="gradient-guided", seed=seed), number=0) for seed in (1, 1, 2)]
        assert asked[0] == asked[1] != asked[2]

    def test_whole_cases(self, ours: Study, sent: Path) -> None:
        import_model(ours, sent)
        for strategy in ("gradient-guided", "gradient-core-set"):
            done = run_round(ours, options=replace(OPTIONS, strategy=strategy, unit="case", budget=1), manifold=VAE)
            assert len({row.suggestion.ref.case for row in ours.suggestions(done.number)}) == 1
            ours.finish_round(done.number)

    def test_a_network_that_finds_nothing_leaves_the_spread_slices(self, ours: Study, sent: Path) -> None:
        network = build_network(card_of(sent)["network"])
        state = network.state_dict()
        for name in [name for name in state if name.endswith("bias")][-1:]:
            state[name][:] = 0
            state[name][0] = 1e4
        network.load_state_dict(state)
        save_checkpoint(sent, network, card_of(sent))
        import_model(ours, sent)
        done = run_round(ours, options=replace(OPTIONS, strategy="gradient-guided"), manifold=VAE)
        assert "finds nothing on evenly spread slices" in done.notes[0]
        assert {row.suggestion.rationale.strategy for row in ours.suggestions(0)} == {"strided"}

    @pytest.mark.parametrize(
        ("wanted", "needs"),
        [
            ({"strategy": "committee-variance"}, "networks trained on annotated slices"),
            ({"strategy": "mc-dropout", "dropout": 0.2}, "a network with dropout"),
            ({"strategy": "learning-loss", "loss_head": True}, "a network that predicts its own loss"),
        ],
    )
    def test_is_evenly_spread_where_the_network_lacks_what_is_needed(
        self, ours: Study, sent: Path, wanted: Mapping[str, Any], needs: str
    ) -> None:
        model, said = import_model(ours, sent).model, list[str]()
        done = run_round(ours, options=replace(OPTIONS, **wanted), manifold=VAE, progress=lambda event: said.append(event.message))
        assert (done.strategy, ours.models("segmentation")) == ("strided", (model,))
        assert f"Nothing is annotated yet, and {wanted['strategy']} needs {needs}: the first batch is strided." in said
        assert all(ours.prediction(row.suggestion.ref) is not None for row in ours.suggestions(0))

    def test_needs_nothing_but_an_imported_network(self, ours: Study) -> None:
        annotate(ours, SliceRef("case0", 0, 3))
        train(ours, options=OPTIONS)
        Session(ours, annotator="a").undo()
        assert run_round(ours, options=replace(OPTIONS, strategy="entropy")).strategy == "strided"
        assert ours.metrics(0) == ()


def test_rounds_go_on_from_the_imported_network(ours: Study, sent: Path, tmp_path: Path) -> None:
    done = import_model(ours, sent)
    options = replace(OPTIONS, strategy="entropy", audit=1, **done.options)
    run_round(ours, options=options)
    annotate(ours, *(row.suggestion.ref for row in ours.suggestions(0)))
    ours.finish_round(0)
    run_round(ours, options=replace(options, strategy="gradient-core-set"), manifold=VAE)
    first = ours.latest_model("segmentation")
    assert first is not None
    assert (first.card["started_from"], first.round, first.imported_from) == (done.model.id, 1, None)
    # From here on what people accepted is what gradients start from.
    assert not any("own labels" in note for note in ours.rounds()[1].notes)
    assert predict_slice(ours, SliceRef("case0", 0, 2), device="cpu").model_id == first.id
    annotate(ours, *(row.suggestion.ref for row in ours.suggestions(1)))
    # What the first batch gained over the imported network shows on the audit slices of the round after it.
    (audit,) = [one for one in audit_slices(ours) if one.round == 1]
    assert audit.before is not None
    assert evaluate(ours, number=1, device="cpu")
    told = collect(ours, command="")
    assert {d.round for d in told.dice} == {0, 1}
    assert [r.number for r in told.rounds] == [0, 1]
    assert [loss.round for loss in told.losses if loss.model == "segmentation"] == [1]
    page = report(ours, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "</html>" in page
    export(ours, tmp_path / "out", format="data-card")
    (card, *_) = json.loads((tmp_path / "out" / "data_card.json").read_text(encoding="utf-8"))["models"]
    assert (card["imported_from"], card["trained_on"]) == (done.model.imported_from, [])


def test_labels_that_were_there_are_shown_until_a_model_trained_here_has_predicted(make_study: MakeStudy, sent: Path) -> None:
    study = make_study(prepared=True, name="site-c", settings=settings("pre-annotation", "labelled"), change_labels=partly)
    (labels,) = study.models("imported")
    network, drawn, bare = import_model(study, sent).model, SliceRef("case0", 0, 2), SliceRef("case0", 0, 4)
    study.start_round(
        strategy="random", budget=2, seed=0, unit="slice", settings={}, suggestions=[suggestion(drawn, 0), suggestion(bare, 1)]
    )
    session = Session(study, annotator="reader")

    def models() -> list[int]:
        return [study.prediction_by_id(study.newest_predictions("case0")[ref]).model_id for ref in (drawn, bare)]

    pre_annotate(study, device="cpu")
    assert models() == [labels.id, network.id]
    assert (session.shown_labels(drawn).labels == study.reference_labels("case0")[2]).all()
    annotate(study, SliceRef("case1", 0, 2))
    own = train(study, options=OPTIONS)
    predict_slice(study, drawn, device="cpu")
    assert models() == [own.id, network.id]


def test_what_a_round_gained_is_not_told_by_a_network_that_was_imported_between(ours: Study, sent: Path) -> None:
    own = []
    for number, place in enumerate((3, 5)):
        annotate(ours, SliceRef("case0", 0, place))
        if number:
            import_model(ours, sent)
        own.append(train(ours, options=replace(OPTIONS, steps=1), round_number=number))
    assert model_before(ours.models("segmentation"), own[1]) == own[0]
