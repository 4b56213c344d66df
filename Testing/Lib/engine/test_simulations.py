"""Simulations: the settings that they keep to, the studies that they keep out of, and what interruptions do not change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from SuggestiveAnnotationLib.engine.prepare import prepare
from SuggestiveAnnotationLib.engine.run_round import run_round
from SuggestiveAnnotationLib.engine.settings import ManifoldOptions, RoundOptions
from SuggestiveAnnotationLib.engine.simulate import SIMULATION, simulate
from SuggestiveAnnotationLib.errors import Cancelled, StudyError
from SuggestiveAnnotationLib.progress import CancelToken, ProgressEvent
from SuggestiveAnnotationLib.session import Session
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import SliceRef

MakeStudy = Callable[..., Study]
OPTIONS = RoundOptions(network="tiny", steps=4, batch=4, budget=3, device="cpu")
VAE = ManifoldOptions(manifold_network="tiny", manifold_steps=4, manifold_batch=4, manifold_pixels=32, latent_size=2, device="cpu")


def annotate(study: Study, ref: SliceRef) -> None:
    Session(study, annotator="a").accept({ref: study.reference_labels(ref.case)[ref.native_index]})


def test_a_simulation_keeps_out_of_studies_that_people_work_on(make_study: MakeStudy) -> None:
    study = make_study(prepared=True)
    annotate(study, SliceRef("case0", 0, 4))
    with pytest.raises(StudyError, match="work of people"):
        simulate(study, rounds=1, options=OPTIONS, manifold=VAE)
    assert study.rounds() == ()


def test_a_simulation_keeps_to_the_settings_it_began_with(make_study: MakeStudy) -> None:
    study = make_study(prepared=True, roles=("pool", "pool", "test"))
    options = replace(OPTIONS, strategy="random")
    one = simulate(study, rounds=1, options=options, manifold=VAE)
    with pytest.raises(StudyError, match=r"other settings \(strategy random\)"):
        simulate(study, rounds=1, options=replace(options, strategy="strided"), manifold=VAE)
    more = simulate(study, rounds=2, options=options, manifold=VAE)
    assert more["rounds"][:2] == [
        {**r, **{k: more["rounds"][i][k] for k in ("strategy", "seconds", "contour_effort", "notes")}} for i, r in enumerate(one["rounds"])
    ]
    assert [r["annotated_slices"] for r in more["rounds"]] == [3, 6, 9]


def test_a_simulation_that_was_refused_binds_no_later_one(make_study: MakeStudy) -> None:
    study = make_study(roles=("pool", "pool", "test"))
    with pytest.raises(StudyError, match=r"has not been prepared\. Run `prepare` first"):
        simulate(study, rounds=0, options=replace(OPTIONS, strategy="random"), manifold=VAE)
    assert SIMULATION not in study.properties()
    prepare(study, pixels=32)
    assert simulate(study, rounds=0, options=replace(OPTIONS, strategy="strided"), manifold=VAE)["rounds"][0]["annotated_slices"] == 3


def test_the_round_after_a_simulation_trains_on_what_was_added(make_study: MakeStudy) -> None:
    study = make_study(prepared=True, roles=("pool", "pool", "test"))
    simulate(study, rounds=1, options=replace(OPTIONS, strategy="random"), manifold=VAE)
    taken = study.annotated_refs()
    free = next(ref for ref in study.pool_refs() if ref not in taken and not study.slices(ref.case).blank[ref.native_index])
    annotate(study, free)
    run_round(study, options=replace(OPTIONS, strategy="random"))
    model = study.latest_model("segmentation")
    assert model is not None
    assert len(model.card["annotations"]) == len(taken) + 1
    assert {m.value for m in study.metrics(model.round) if m.name == "judged_model"} == {model.id}


def test_simulated_minutes_do_not_depend_on_interruptions(make_study: MakeStudy) -> None:
    found = []
    for name, interrupted in (("one", False), ("two", True)):
        study = make_study(prepared=True, name=name, roles=("pool", "pool", "test"))
        cancel = CancelToken()

        def stop(event: ProgressEvent, cancel: CancelToken = cancel) -> None:
            if event.stage == "annotate" and event.done == 2:
                cancel.cancel()

        if interrupted:
            with pytest.raises(Cancelled):
                simulate(study, rounds=1, options=replace(OPTIONS, budget=4), manifold=VAE, progress=stop, cancel=cancel)
        found.append(simulate(study, rounds=1, options=replace(OPTIONS, budget=4), manifold=VAE)["simulated_minutes"])
    assert found[0] == found[1]
