"""From a study to the plain data of a report. Reads only; needs no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib import __version__
from SuggestiveAnnotationLib.report.collect_effort import ceilings, drawn_mm, effort_rows, is_simulated, not_excluded, shown_effort
from SuggestiveAnnotationLib.report.collect_latents import Embedding, latent_map
from SuggestiveAnnotationLib.report.data import DiceValue, GalleryItem, LossCurve, NextSlice, ReportData, RoundRow
from SuggestiveAnnotationLib.report.held_out import held_out_dice
from SuggestiveAnnotationLib.study.records import Annotation, Model, Round
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import FILLED, SliceRef, slice_number

_PACKAGES = ("numpy", "scipy", "SimpleITK", "scikit-learn", "SQLAlchemy", "torch", "monai", "matplotlib")
_OPEN = ("suggested", "draft")


def collect(
    study: Study,
    *,
    command: str,
    gallery: int = 12,
    evidence: Mapping[str, str] | None = None,
    embedding: Embedding = "PCA",
    seed: int = 0,
) -> ReportData:
    """Everything a report shows of a study; one that is not prepared gives a page that says so.

    Args:
        study: in any state.
        command: what reproduces the report.
        gallery: how many slices to show at most, spread evenly over the rounds.
        evidence: strategy -> one line of what has been shown for it and what has not.
        embedding: how more than two latent units become two numbers.
        seed: of the t-SNE.

    Raises:
        StudyError: an annotation's effort is no quantity this version knows.
        InputError: the slices of an annotated case are not there.
    """
    if study.frozen_record() is None:
        return _unprepared(study, command)
    record = study.record
    rounds = study.rounds()
    work = _Work.of(study)
    dice = held_out_dice(study)
    last = rounds[-1].settings if rounds else {}
    used = {r.strategy for r in rounds}
    grid = " x ".join(str(s) for s in record.size)
    spacing = " x ".join(f"{s:g}" for s in record.spacing)
    preprocessing = {
        "plane": record.plane,
        "modalities": ", ".join(record.modalities),
        "network grid": f"{grid} pixels of {spacing} mm (rows x columns)",
        "normalisation": record.normalisation,
        "preprocessing record": record.key,
    }
    return ReportData(
        title=f"Report of {study.name}",
        study=study.name,
        created=_now(),
        classes={c.name: c.value for c in study.schema.classes},
        rounds=(*(_round(study, r, work) for r in rounds), *_last_model(study, rounds, work, dice)),
        annotated_slices=len(work.counted),
        pool_slices=len(study.pool_refs()),
        pool_cases=len(study.cases("pool")),
        held_out_cases=tuple(sorted({d.case for d in dice})),
        regions=tuple(study.schema.regions),
        dice=dice,
        effort=effort_rows(study),
        ceilings=ceilings(study),
        latents=latent_map(study, embedding=embedding, seed=seed),
        gallery=_gallery(study, gallery),
        losses=tuple(_loss(m) for m in study.models() if m.kind != "committee" and m.card.get("losses")),
        waiting=_waiting(study, rounds),
        under_way=rounds[-1].number if rounds and rounds[-1].stage not in ("annotating", "finished") else None,
        settings=preprocessing | _flat("study", study.settings) | _flat("last round", last),
        command=command,
        seeds={f"round {r.number}": r.seed for r in rounds},
        versions={"SuggestiveAnnotationLib": __version__} | dict(_versions()),
        evidence={name: line for name, line in (evidence or {}).items() if name in used},
        missing=_reasons(study, dice),
    )


def _unprepared(study: Study, command: str) -> ReportData:
    reason = "The study has not been prepared yet."
    return ReportData(
        title=f"Report of {study.name}",
        study=study.name,
        created=_now(),
        classes={c.name: c.value for c in study.schema.classes},
        pool_cases=len(study.cases("pool")),
        settings=_flat("study", study.settings),
        command=command,
        versions={"SuggestiveAnnotationLib": __version__} | dict(_versions()),
        missing=dict.fromkeys(("learning", "effort", "latents", "gallery", "training", "seconds", "rounds"), reason),
    )


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


@dataclass(frozen=True)
class _Work:
    """What people did; filled slices are nobody's work.

    Attributes:
        history: every annotation that was not undone, oldest first: what was paid for.
        counted: accepted slices of the pool, one annotation a slice: networks are trained on them, and on filled ones.
        trained: round -> those of people that its model was trained on, as the model itself says.
        unanswered: suggestions of pool cases that expired and were neither suggested again nor annotated since.
    """

    history: tuple[Annotation, ...]
    counted: tuple[Annotation, ...]
    trained: Mapping[int, tuple[Annotation, ...]]
    unanswered: frozenset[int]

    @classmethod
    def of(cls, study: Study) -> _Work:
        every = {a.id: a for a in study.all_annotations() if a.provenance != FILLED}
        pool = {case.name for case in study.cases("pool")}
        models = [m for m in study.models("segmentation") if m.round is not None and "annotations" in m.card]
        counted = tuple(a for a in study.annotations() if a.ref.case in pool and a.id in every)
        done = {a.ref for a in counted}
        newest = {row.ref: row for row in study.suggestion_states() if row.ref.case in pool}
        return cls(
            history=tuple(a for a in every.values() if a.state != "undone"),
            counted=counted,
            unanswered=frozenset(row.id for row in newest.values() if row.state == "expired" and row.ref not in done),
            trained={m.round: tuple(every[i] for i in m.card["annotations"] if i in every) for m in models if m.round is not None},
        )

    def before(self, number: int) -> tuple[Annotation, ...]:
        """What was paid for before a round."""
        return tuple(a for a in self.history if a.round is None or a.round < number)

    def trained_on(self, number: int) -> tuple[Annotation, ...]:
        """What the model of a round was trained on; without a model, what one would be trained on."""
        if number in self.trained:
            return self.trained[number]
        earlier = {a.ref for a in self.before(number)}
        return tuple(a for a in self.counted if a.ref in earlier)


def _round(study: Study, round_: Round, work: _Work) -> RoundRow:
    """A round's model was trained on what was accepted in the rounds before."""
    learnt = {a.ref for a in work.trained_on(round_.number)}
    suggestions = study.suggestions(round_.number)
    return RoundRow(
        number=round_.number,
        strategy=round_.strategy,
        seed=round_.seed,
        **_cost(study, work, round_.number),
        annotated=len({a.ref for a in work.counted if a.round == round_.number} - learnt),
        open=sum(row.state in _OPEN for row in suggestions) if round_.stage != "finished" else 0,
        skipped=sum(row.state in ("skipped", "unreadable") for row in suggestions),
        unanswered=sum(row.id in work.unanswered for row in suggestions),
        seconds=round_.seconds,
        notes=round_.notes,
    )


def _last_model(study: Study, rounds: Sequence[Round], work: _Work, dice: Sequence[DiceValue]) -> tuple[RoundRow, ...]:
    """A simulation ends with a model trained on everything, measured as one more round without a batch."""
    after = sorted({d.round for d in dice} - {r.number for r in rounds})
    return tuple(
        RoundRow(number=number, strategy="", seed=rounds[-1].seed if rounds else 0, **_cost(study, work, number)) for number in after
    )


def _cost(study: Study, work: _Work, number: int) -> dict[str, Any]:
    """What the training slices of a round are, and what was paid up to it: work that was superseded, returned or excluded as well."""
    kept, paid = work.trained_on(number), work.before(number)
    minutes = [a.minutes for a in paid if a.minutes is not None]
    return {
        "slices": len(kept),
        "contour_mm": sum(drawn_mm(study, a) for a in kept),
        "minutes": sum(minutes) if len(minutes) == len(paid) else None,
        "simulated": all(is_simulated(a) for a in paid),
    }


def _gallery(study: Study, most: int) -> tuple[GalleryItem, ...]:
    """Annotated suggestions, spread evenly over the rounds, best first inside a round."""
    suggested = {row.suggestion.ref: row for row in study.suggestions() if row.suggestion.kind == "suggested"}
    found = [a for a in not_excluded(study) if a.ref in suggested]
    found.sort(key=lambda a: (suggested[a.ref].round, suggested[a.ref].suggestion.rank))
    if not found or most < 1:
        return ()
    places = np.linspace(0, len(found) - 1, min(most, len(found))).round().astype(int)
    return tuple(_item(study, found[i], suggested[found[i].ref].suggestion.rationale.sentence) for i in places)


def _item(study: Study, annotation: Annotation, sentence: str) -> GalleryItem:
    ref = annotation.ref
    frame = study.frame(ref.case)
    prediction = None if annotation.prediction_id is None else study.prediction_by_id(annotation.prediction_id).labels
    quantity, effort = shown_effort(annotation, slice_spacing=frame.spacing[0])
    return GalleryItem(
        case=ref.case,
        slice_number=slice_number(ref),
        round=annotation.round or 0,
        image=_picture(study, ref),
        spacing=frame.spacing[1:],
        plane=study.record.plane,
        prediction=prediction,
        final=annotation.labels,
        sentence=sentence,
        provenance=annotation.provenance,
        quantity=quantity,
        effort=effort,
        minutes=annotation.minutes,
    )


def _picture(study: Study, ref: SliceRef) -> NDArray[np.float32]:
    """The reference modality of a slice; outside the foreground, where the store holds 0, as dark as its darkest pixel."""
    channel = study.modalities.index(study.reference_modality)
    image: NDArray[np.float32] = np.asarray(study.slices(ref.case).images[ref.native_index, channel], np.float32)
    return np.where(image == 0, image.min(), image)


def _loss(model: Model) -> LossCurve:
    """Rows of step and losses, or a bare loss a step."""
    table = np.asarray(model.card["losses"], float)
    if table.ndim == 1:
        table = np.stack([np.arange(1, len(table) + 1), table], axis=1)
    trained: Literal["segmentation", "manifold"] = "segmentation" if model.kind == "segmentation" else "manifold"
    names = ("loss",) if trained == "segmentation" else ("reconstruction", "kl")
    return LossCurve(trained, model.round, table[:, 0], {name: table[:, i + 1] for i, name in enumerate(names)})


def _waiting(study: Study, rounds: Sequence[Round]) -> tuple[NextSlice, ...]:
    if not rounds or rounds[-1].stage == "finished":
        return ()
    rows = sorted((r for r in study.suggestions(rounds[-1].number) if r.state in _OPEN), key=lambda r: (r.suggestion.rank, r.id))
    return tuple(NextSlice(r.suggestion.ref.case, slice_number(r.suggestion.ref), r.suggestion.rationale.sentence) for r in rows)


def _flat(prefix: str, settings: Mapping[str, Any]) -> dict[str, str]:
    """Nested settings as `prefix, name, inner name`, one line each."""
    out: dict[str, str] = {}
    for name, value in settings.items():
        words = f"{prefix}, {name.replace('_', ' ')}"
        if isinstance(value, Mapping):
            out |= _flat(words, value)
        else:
            out[words] = ", ".join(str(v) for v in value) if isinstance(value, list | tuple) else str(value)
    return out


def _versions() -> Iterator[tuple[str, str]]:
    """Versions of the libraries that are installed."""
    for name in _PACKAGES:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue


def _reasons(study: Study, dice: Sequence[DiceValue]) -> dict[str, str]:
    """Why Dice is missing, as far as the cohort tells."""
    if dice:
        return {}
    tests = study.cases("test")
    if not tests:
        return {"learning": "Dice is measured on test cases with reference labels, and no case has the role test."}
    if not any(case.label for case in tests):
        return {"learning": "Dice is measured on test cases with reference labels, and no test case has any."}
    return {"learning": "No model has been evaluated on the test cases yet."}
