from __future__ import annotations

import numpy as np
import pytest

from SuggestiveAnnotationLib.effort.contour import contour_agreement
from SuggestiveAnnotationLib.effort.quantities import ResolutionCeiling, SavedEffort
from SuggestiveAnnotationLib.errors import StudyError
from SuggestiveAnnotationLib.report.collect import collect
from SuggestiveAnnotationLib.report.collect_latents import among_neighbours, flatten
from SuggestiveAnnotationLib.report.data import POINT_STATES
from SuggestiveAnnotationLib.report.headline import headline
from SuggestiveAnnotationLib.report.page import render
from SuggestiveAnnotationLib.report.tables import rounds_table
from SuggestiveAnnotationLib.session import SIMULATED_ANNOTATOR, Session
from SuggestiveAnnotationLib.study.annotation_rows import NewAnnotation
from SuggestiveAnnotationLib.study.records import Metric
from SuggestiveAnnotationLib.types import Rationale, SliceRef, Suggestion

SPACING = (1.0, 1.0)
SLICE_MM = 2.0


def suggest(study, refs, *, kinds=(), latents=None):
    """Publish suggestions for the newest round and go to the stage where people annotate."""
    number = study.current_round().number
    rows = []
    for rank, ref in enumerate(refs):
        vectors = {} if latents is None else {"source_latent": latents[0], "projected": latents[1], "chosen_latent": latents[2]}
        kind = kinds[rank] if rank < len(kinds) else "suggested"
        rows.append(Suggestion(ref, rank, Rationale("random", f"Reason {rank}.", **vectors), kind=kind))
    study.publish_suggestions(number, rows, notes=("A note.",) if number else (), seconds={"suggest": 1.5})
    study.enter_stage(number, "annotating", seconds={"predict": 0.5})


def truth(study, ref):
    return np.array(study.reference_labels(ref.case)[ref.native_index])


def wrong(labels):
    """A pre-annotation one pixel off."""
    return np.roll(labels, 1, axis=1)


@pytest.fixture
def study(make_study):
    """Two rounds: a first batch of two slices, then a model, three suggestions (one an audit) and one skipped."""
    study = make_study(cases=4, roles=("pool", "pool", "test", "validation"), prepared=True, name="pilot $1$")
    session = Session(study, annotator="anna")
    axis = study.frame("case0").axis
    first = [SliceRef("case0", axis, 3), SliceRef("case1", axis, 4)]
    study.start_round(strategy="strided", budget=2, seed=3, unit="slice", settings={})
    suggest(study, first)
    for ref in first:
        session.open(ref)
        session.accept({ref: truth(study, ref)}, minutes={ref: 2.5})
    session.finish_round()

    study.start_round(strategy="random", budget=4, seed=4, unit="slice", settings={"steps": 10, "strategy_options": {"batch": 2}})
    latents_file = study.path / "models" / "latents.npz"
    latents_file.parent.mkdir(exist_ok=True)
    refs = study.pool_refs()
    vectors = np.random.default_rng(0).normal(size=(len(refs), 3)).astype(np.float32)
    study.save_latents(latents_file, refs, vectors)
    key = study.record.key
    vae_card, card = {"losses": [[1, 9.0, 1.0], [2, 4.0, 2.0]]}, {"losses": [0.9, 0.5, 0.4]}
    study.publish_model("manifold", path=latents_file, card=vae_card, record_key=key, round_number=None, latents=latents_file)
    model = study.publish_model("segmentation", path=latents_file, card=card, record_key=key, round_number=1)
    second = [SliceRef("case0", axis, 4), SliceRef("case1", axis, 3), SliceRef("case1", axis, 5), SliceRef("case0", axis, 2)]
    study.add_predictions(model.id, [(ref, wrong(truth(study, ref))) for ref in second])
    suggest(study, second, kinds=("suggested", "suggested", "audit"), latents=[tuple(map(float, v)) for v in vectors[:3]])
    session.open(second[0])
    session.accept({second[0]: truth(study, second[0])}, minutes={second[0]: 1.0})
    session.accept({second[2]: truth(study, second[2])}, minutes={second[2]: 4.0})  # drawn without opening the prediction
    session.skip(second[3], reason="motion")
    study.put_metrics(
        [
            Metric(1, "dice_3d", "case2", "left lobe", 0.8),
            Metric(1, "dice_3d", "case2", "right lobe", None),
            Metric(1, "dice_3d", "case2", "both", 0.9),
            Metric(1, "dice_3d", "case3", "left lobe", 0.1),
            Metric(1, "dice_3d", "case0", "left lobe", 1.0),
        ]
    )
    agreement = contour_agreement(truth(study, second[0]), wrong(truth(study, second[0])), values=(1, 2), spacing=SPACING)
    study.set_property("resolution ceiling", ResolutionCeiling.of_slices([agreement]).to_json())
    return study, second


def test_a_round_counts_what_its_model_was_trained_on(study):
    data = collect(study[0], command="cmd")
    first, second = data.rounds
    assert (first.slices, first.annotated, first.contour_mm, first.minutes) == (0, 2, 0, 0)
    assert (second.slices, second.annotated, second.skipped, second.open) == (2, 2, 1, 1)
    assert second.minutes == pytest.approx(5.0)
    assert second.contour_mm == pytest.approx(
        sum(
            part.reference_mm
            for ref in (SliceRef("case0", 0, 3), SliceRef("case1", 0, 4))
            for part in contour_agreement(truth(study[0], ref), truth(study[0], ref), values=(1, 2), spacing=SPACING).classes
        )
    )
    assert second.seconds == {"suggest": 1.5, "predict": 0.5}
    assert not second.simulated


def test_only_slices_that_are_trained_on_are_counted_but_all_work_costs_minutes(make_study):
    study = make_study(cases=4, roles=("pool", "pool", "pool", "test"), prepared=True)
    axis = study.frame("case0").axis
    returned, kept, excluded, _ = refs = [SliceRef(f"case{case}", axis, 4) for case in range(4)]
    study.start_round(strategy="strided", budget=3, seed=0, unit="slice", settings={})
    suggest(study, refs)
    session = Session(study, annotator="anna")
    for ref in refs:
        session.accept({ref: truth(study, ref)}, minutes={ref: 2.0})
    Session(study, annotator="ben").review([returned], verdict="returned")
    session.exclude_case(excluded.case, reason="another patient")
    session.finish_round()
    study.start_round(strategy="random", budget=1, seed=0, unit="slice", settings={})
    data = collect(study, command="cmd")
    assert [(r.slices, r.annotated, r.minutes) for r in data.rounds] == [(0, 1, 0), (1, 0, 8.0)]
    assert "1 of 16 slices annotated in a pool of 2 cases" in headline(data).done[0]
    # A model knows best what it was trained on, whatever became of it since.
    card = {"annotations": [a.id for a in study.all_annotations() if a.ref in (returned, kept)]}
    weights = study.path / "weights"
    weights.write_bytes(b"")
    study.publish_model("segmentation", path=weights, card=card, record_key=study.record.key, round_number=1)
    first, second = collect(study, command="cmd").rounds
    assert (first.annotated, second.slices, second.annotated) == (1, 2, 0)
    lengths = [contour_agreement(truth(study, ref), truth(study, ref), values=(1, 2), spacing=SPACING) for ref in (returned, kept)]
    assert second.contour_mm == pytest.approx(sum(part.reference_mm for one in lengths for part in one.classes))


def test_it_is_said_that_all_is_answered_only_where_it_is(make_study):
    study = make_study(cases=3, prepared=True)
    axis = study.frame("case0").axis
    accepted, unreadable, expired, excluded = (SliceRef(f"case{case}", axis, index) for case, index in ((0, 2), (0, 3), (1, 3), (2, 4)))
    study.start_round(strategy="strided", budget=3, seed=0, unit="slice", settings={})
    suggest(study, (accepted, unreadable, expired, excluded))
    session = Session(study, annotator="anna")
    session.accept({accepted: truth(study, accepted)})
    session.unreadable(unreadable, reason="motion")
    session.finish_round()
    study.exclude_case(excluded.case, "another patient")
    data = collect(study, command="cmd")
    assert [(r.annotated, r.skipped, r.open, r.unanswered) for r in data.rounds] == [(1, 1, 0, 1)]
    assert "Skipped or unreadable" in rounds_table(data).columns
    assert headline(data).next[0] == "Nothing waits, but 1 suggestion expired unanswered: run the next round."
    study.start_round(strategy="random", budget=1, seed=0, unit="slice", settings={})
    assert headline(collect(study, command="cmd")).next[0].startswith("Round 1 is not ready yet")
    # Annotated after all.
    session.accept({expired: truth(study, expired)})
    study.finish_round(1)
    assert headline(collect(study, command="cmd")).next[0] == "Every suggestion has been answered: run the next round."


def test_effort_is_named_summed_and_audit_slices_stand_apart(study):
    opened, second = study
    rows = {(row.label, row.quantity, row.audit): row.effort for row in collect(opened, command="cmd").effort}
    assert set(rows) == {(c, *q) for c in ("left lobe", "right lobe") for q in (("Retained contour", False), ("Saved effort", True))}
    for ref, key in ((second[0], ("left lobe", "Retained contour", False)), (second[2], ("left lobe", "Saved effort", True))):
        labels = truth(opened, ref)
        expected = contour_agreement(labels, wrong(labels), values=(1, 2), spacing=SPACING).of(1)
        assert rows[key].exact == pytest.approx(expected.of_reference)
        assert rows[key].reference_mm == pytest.approx(expected.reference_mm)
        assert rows[key].added_mm3 == pytest.approx(expected.added_mm2 * SLICE_MM)
        assert rows[key].slices == 1


def test_dice_comes_from_test_cases_never_from_the_pool(study):
    data = collect(study[0], command="cmd")
    assert {(d.case, d.label): d.value for d in data.dice} == {
        ("case2", "left lobe"): 0.8,
        ("case2", "right lobe"): None,
        ("case2", "both"): 0.9,
    }
    assert data.held_out_cases == ("case2",)
    assert data.regions == ("both",)


def test_the_latent_map_shows_states_and_arrows(study):
    opened, second = study
    data = collect(opened, command="cmd")
    assert data.latents is not None
    states = dict(zip(opened.pool_refs(), (POINT_STATES[s] for s in data.latents.states), strict=True))
    assert [states[ref] for ref in second] == ["labelled", "suggested", "audit", "skipped"]
    assert list(states.values()).count("labelled") == 3
    assert len(data.latents.arrows) == 4
    assert data.latents.arrows[0].source == pytest.approx(tuple(data.latents.points[0].tolist()), abs=1e-5)
    assert all("% of variance" in name for name in data.latents.axes)


def test_gallery_losses_and_waiting_slices(study):
    opened, second = study
    data = collect(opened, command="cmd", gallery=2)
    assert len(data.gallery) == 2
    last = data.gallery[-1]
    assert (last.case, last.slice_number, last.provenance) == ("case0", second[0].native_index + 1, "corrected")
    assert last.image.shape == last.final.shape == last.prediction.shape
    assert last.image[0, 0] == last.image.min()
    assert [(w.case, w.slice_number) for w in data.waiting] == [("case1", second[1].native_index + 1)]
    curves = {c.model: c for c in data.losses}
    assert curves["segmentation"].steps.tolist() == [1, 2, 3]
    assert curves["manifold"].losses["kl"].tolist() == [1, 2]


def test_settings_are_flat_text(study):
    settings = collect(study[0], command="cmd").settings
    assert settings["last round, strategy options, batch"] == "2"
    assert settings["plane"] == "axial"


def test_only_strategies_that_were_used_bring_their_evidence(study):
    data = collect(study[0], command="cmd", evidence={"random": "Strong.", "oracle": "Not an upper bound."})
    assert data.evidence == {"random": "Strong."}


def test_the_page_of_a_real_study_renders(study):
    page = render(collect(study[0], command="suggestive-annotation report pilot"))
    assert "pilot $1$" in page
    assert "suggestive-annotation report pilot" in page


def test_a_prepared_study_without_rounds_says_what_is_missing(make_study):
    page = render(collect(make_study(cases=1, prepared=True), command="cmd"))
    assert "no case has the role test" in page


def test_validation_cases_with_labels_are_no_test_cases_and_the_page_says_so(make_study):
    study = make_study(cases=2, roles=("pool", "validation"), prepared=True)
    assert study.cases("validation")[0].label is not None
    assert "no case has the role test" in render(collect(study, command="cmd"))


def test_an_unprepared_study_says_so(make_study):
    assert "has not been prepared" in render(collect(make_study(cases=1), command="cmd"))


def test_the_ceiling_kept_with_the_study_is_shown_for_each_class_and_for_all(study):
    opened, second = study
    labels = truth(opened, second[0])
    agreement = contour_agreement(labels, wrong(labels), values=(1, 2), spacing=SPACING)
    found = {c.label: c.exact for c in collect(opened, command="cmd").ceilings}
    assert found == {
        "left lobe": agreement.of(1).of_reference,
        "right lobe": agreement.of(2).of_reference,
        "all classes": agreement.overall.of_reference,
    }


def test_what_a_simulated_annotator_accepts_is_an_independent_reference(study):
    opened, second = study
    session = Session(opened, annotator=SIMULATED_ANNOTATOR, quantity=SavedEffort)
    session.open(second[1])
    session.accept({second[1]: truth(opened, second[1])}, minutes={second[1]: 1.0})
    rows = [row for row in collect(opened, command="cmd").effort if not row.audit]
    assert {row.quantity for row in rows} == {"Retained contour", "Saved effort"}
    assert all(row.effort.slices == 1 for row in rows)


def test_a_last_model_without_a_batch_is_a_point_of_its_own(study):
    opened, _ = study
    opened.put_metrics([Metric(2, "dice_3d", "case2", "left lobe", 0.9)])
    data = collect(opened, command="cmd")
    assert (data.rounds[-1].number, data.rounds[-1].strategy, data.rounds[-1].slices) == (2, "", 4)
    assert "last model, no batch" in render(data)


def test_an_effort_of_unknown_kind_is_refused(study):
    opened, second = study
    one = NewAnnotation(ref=second[1], labels=truth(opened, second[1]), provenance="corrected", effort={"quantity": "magic"})
    opened.accept([one], annotator="anna")
    with pytest.raises(StudyError, match="magic"):
        collect(opened, command="cmd")


class TestFlatten:
    latents = np.random.default_rng(1).normal(size=(60, 5)).astype(np.float32) * (5, 3, 1, 0.1, 0.1)

    def test_two_units_stay_as_they_are(self):
        points, extra, axes, _ = flatten(self.latents[:, :2], self.latents[:3, :2])
        assert np.array_equal(points, self.latents[:, :2])
        assert np.array_equal(extra, self.latents[:3, :2])
        assert axes == ("latent unit 1", "latent unit 2")

    @pytest.mark.parametrize("size", [3, 5])
    def test_pca_moves_further_vectors_along_and_says_its_variance(self, size):
        latents = self.latents[:, :size]
        points, extra, axes, _ = flatten(latents, latents[:4])
        np.testing.assert_allclose(points[:4], extra, atol=1e-4)
        centred = latents - latents.mean(0)
        share = np.linalg.svd(centred, compute_uv=False) ** 2
        assert axes[0] == f"latent PCA 1 ({100 * share[0] / share.sum():.0f} % of variance)"

    def test_t_sne_repeats_with_its_seed_and_puts_what_it_knows_where_it_lies(self):
        first = flatten(self.latents, self.latents[:4], embedding="t-SNE", seed=2)
        again = flatten(self.latents, self.latents[:4], embedding="t-SNE", seed=2)
        assert first[0].shape == (60, 2)
        assert np.array_equal(first[0], again[0])
        assert np.array_equal(first[1], first[0][:4])
        assert "t-SNE" in first[2][0]
        assert "Projected points stand between the slices" in first[3]

    def test_what_t_sne_does_not_know_stands_between_its_nearest_neighbours_the_nearer_the_closer(self):
        latents = np.array([[0, 0, 0], [4, 0, 0], [0, 9, 0], [0, 0, 99]], np.float32)
        points = np.array([[10, 0], [20, 0], [0, 50], [70, 70]], np.float32)
        # One from the first, three from the second: weights 1 and 1/3.
        (place,) = among_neighbours(np.array([[1, 0, 0]], np.float32), latents, points, count=2)
        np.testing.assert_allclose(place, ((10 * 1 + 20 / 3) / (4 / 3), 0), rtol=1e-6)
        (place,) = among_neighbours(np.array([[0, 9, 0]], np.float32), latents, points)
        assert np.array_equal(place, points[2])
        assert among_neighbours(np.zeros((0, 3), np.float32), latents, points).shape == (0, 2)

    def test_a_single_slice_needs_no_axes(self):
        points, extra, _, sentence = flatten(self.latents[:1], self.latents[:2])
        assert (points.shape, extra.shape) == ((1, 2), (2, 2))
        assert sentence == "There is a single slice."

    def test_one_unit_lies_on_a_line(self):
        points, _, _, _ = flatten(self.latents[:, :1], np.zeros((0, 1), np.float32))
        assert (points[:, 1] == 0).all()
