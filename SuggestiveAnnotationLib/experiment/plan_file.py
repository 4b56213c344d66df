"""Plans as TOML files, and the frozen plan that a comparison keeps beside its records."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from SuggestiveAnnotationLib.cohort.embedded.cohort import EmbeddedCohort
from SuggestiveAnnotationLib.engine.settings import FIRST_BATCH, ManifoldOptions, TrainingOptions
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.experiment.plan import (
    Amount,
    Arm,
    EmbeddedSource,
    Endpoint,
    FolderSource,
    Plan,
    Sources,
    Split,
    Transfer,
    WhichModels,
)
from SuggestiveAnnotationLib.experiment.toml_table import Table
from SuggestiveAnnotationLib.files import write_text
from SuggestiveAnnotationLib.metrics import TOLERANCES_MM
from SuggestiveAnnotationLib.strategies.contract import Requirement
from SuggestiveAnnotationLib.strategies.registry import CONTEXT, entry, requirements, strategy
from SuggestiveAnnotationLib.types import GridSpacing, Plane, Unit

FROZEN = "plan.json"
OVERLAPS = ("dice_3d", "dice_2d", "false_mm3_on_empty", "false_slices_on_empty")
SURFACES = (*(f"surface_dice_{t:g}mm" for t in TOLERANCES_MM), "hd95_mm", "hausdorff_mm", "penalised")
"""Metrics that an endpoint can be of; surfaces are measured of the models that `volume_metrics` says."""
_NETWORK = ("architecture", "network", "dropout", "loss_head")
"""Options of a training that make another kind of network."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,59}")
_TOP = (
    "name", "question", "seeds", "first_batch", "first_strategy", "first_unit", "budget", "rounds", "min_gap", "context", "sources",
    "repeats", "volume_metrics", "cohort", "split", "training", "manifold", "transfer", "arms", "primary", "secondary",
)  # fmt: skip
_ARM = ("name", "strategy", "unit", "options", "budget", "min_gap", "context", "sources", "fill", "training", "manifold")


def read_plan(path: Path) -> Plan:
    """A plan from a TOML file.

    Raises:
        InputError: one sentence on the first thing that does not fit: no such file, no TOML, an unknown key or strategy, ...
    """
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"The plan {path} cannot be read: {error.strerror}.", hint="Check the path.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"The plan {path} is no TOML: {error}.", hint="See https://toml.io for how to write it.") from error
    return _plan(Table(content, path=Path(path), where=""))


def write_frozen(folder: Path, plan: Plan) -> None:
    """Keep the plan beside the records, whole. Raises: StorageError."""
    write_text(Path(folder) / FROZEN, json.dumps({"key": plan.key, "plan": plan.to_json()}, indent=1) + "\n")


def read_frozen(folder: Path) -> Plan:
    """The plan of a comparison that was begun in a folder. Raises: InputError, when there is none or it was changed."""
    path = Path(folder) / FROZEN
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        plan = plan_from_json(kept["plan"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is no plan of a comparison: {error}.", hint="Choose the folder that `compare` wrote.") from error
    if plan.key != kept.get("key"):
        raise InputError(f"{path} was changed after the comparison began.", hint="Restore it, or begin again in another folder.")
    return plan


def plan_from_json(data: Mapping[str, Any]) -> Plan:
    """The inverse of `Plan.to_json`. KeyError or TypeError where the data is no plan."""
    cohort = dict(data["cohort"])
    source: EmbeddedSource | FolderSource
    if "folder" in cohort:
        source = FolderSource(**cohort)
    else:
        source = EmbeddedSource(**{**cohort, "modalities": tuple(cohort["modalities"]), "spacing": tuple(cohort["spacing"])})
    arms = [
        Arm(
            **{
                **one, "budget": tuple(one["budget"]), "training": TrainingOptions(**one["training"]),
                "manifold": ManifoldOptions(**one["manifold"]),
            }
        )
        for one in data["arms"]
    ]  # fmt: skip
    split = {**data["split"], "names": tuple(data["split"]["names"]), "run": tuple(data["split"]["run"])}
    return Plan(
        **{
            **data,
            "cohort": source,
            "split": Split(**split),
            "seeds": tuple(data["seeds"]),
            "training": TrainingOptions(**data["training"]),
            "manifold": ManifoldOptions(**data["manifold"]),
            "arms": tuple(arms),
            "primary": None if data["primary"] is None else _named(data["primary"]),
            "secondaries": tuple(_named(one) for one in data["secondaries"]),
            "transfer": None if data["transfer"] is None else Transfer(**data["transfer"]),
        }
    )


def _named(data: Mapping[str, Any]) -> Endpoint:
    return Endpoint(**{**data, "labels": tuple(data.get("labels", ()))})


def _plan(top: Table) -> Plan:
    top.only(_TOP)
    name = _name(top)
    cohort = top.table("cohort")
    rest = Table({k: v for k, v in cohort.content.items() if k not in ("plane", "pixels", "grid_spacing")}, path=top.path, where="cohort")
    training, manifold = top.table("training").settings(TrainingOptions), top.table("manifold").settings(ManifoldOptions)
    transfer = top.table("transfer").settings(Transfer) if "transfer" in top.content else None
    grid_spacing = cohort.get("grid_spacing", GridSpacing | None, None)
    if isinstance(grid_spacing, float) and grid_spacing <= 0:
        raise cohort.mistake(f"has grid_spacing = {grid_spacing:g}", hint='Give a number of millimetres above 0, or "native".')
    pixels = cohort.get("pixels", int | None, 96 if grid_spacing is None else None)
    if pixels is not None and (pixels < 32 or pixels % 16):
        raise cohort.mistake(f"has pixels = {pixels}", hint="Give a multiple of 16, at least 32.")
    rounds, repeats = (_least(top, key, 1, default) for key, default in (("rounds", 3), ("repeats", 1)))
    split = _split(top.table("split"))
    arms = _arms(top, training, manifold)
    if transfer is not None:
        _check_transfer(top, training, arms)
    surfaces: WhichModels = top.get("volume_metrics", WhichModels, "last")
    first = top.get("first_strategy", str, FIRST_BATCH)
    _check_first(top, first)
    plan = Plan(
        name=name,
        question=top.get("question", str),
        cohort=_source(rest),
        plane=cohort.get("plane", Plane | None, None),
        pixels=pixels,
        grid_spacing=grid_spacing,
        split=split,
        seeds=_seeds(top),
        first_batch=_first_batch(top),
        first_strategy=first,
        first_unit=top.get("first_unit", Unit, "slice"),
        rounds=rounds,
        repeats=repeats,
        volume_metrics=surfaces,
        training=training,
        manifold=manifold,
        arms=arms,
        primary=_endpoint(top.table("primary"), arms, surfaces) if "primary" in top.content else None,
        secondaries=tuple(_endpoint(one, arms, surfaces) for one in top.tables("secondary")),
        transfer=transfer,
    )
    _check_people(plan, top)
    return plan


def _check_transfer(top: Table, training: TrainingOptions, arms: Sequence[Arm]) -> None:
    """Every arm has to go on from the network that learnt elsewhere: one that cannot would silently start from nothing."""
    if not all(arm.training.warm_start for arm in arms):
        raise top.table("training").mistake("has warm_start = false, but a transferred network is to be gone on from")
    for arm in arms:
        differing = [name for name in _NETWORK if getattr(arm.training, name) != getattr(training, name)]
        if differing:
            sentence = f"has the arm {arm.name} with its own {differing[0]}, which cannot go on from the transferred network"
            raise top.mistake(sentence, hint=f"Set {differing[0]} in [training], for all arms.")


def _check_first(top: Table, name: str) -> None:
    try:
        needs = entry(name).requires
    except InputError as error:
        raise top.mistake(f"is refused: {error.sentence.rstrip('.')}", hint=error.hint) from error
    if needs:
        raise top.mistake(f"has the first_strategy {name}, which needs a model", hint=f"Use {FIRST_BATCH} or random.")


def _name(table: Table) -> str:
    name: str = table.get("name", str)
    if not _NAME.fullmatch(name):
        raise table.mistake(f"has the name {name!r}", hint="Use letters, digits, '.', '+' and '-', at most 60.")
    return name


def _source(table: Table) -> EmbeddedSource | FolderSource:
    if "folder" in table.content:
        return table.settings(FolderSource)
    made = table.settings(EmbeddedSource)
    try:
        embedded_cohort(made)
    except InputError as error:
        raise table.mistake(f"is refused: {error.sentence.rstrip('.')}", hint=error.hint) from error
    return made


def embedded_cohort(source: EmbeddedSource) -> EmbeddedCohort:
    """The cohort that a plan describes. Raises: InputError, when it cannot be made."""
    values = {f.name: getattr(source, f.name) for f in fields(source)}
    return EmbeddedCohort(subjects=values.pop("cases"), **values)


def _split(table: Table) -> Split:
    split = table.settings(Split)
    if split.kind == "folds" and split.folds < 2:
        raise table.mistake(f"has folds = {split.folds}", hint="Give at least 2.")
    if split.redraw and split.kind != "folds":
        raise table.mistake(f'has redraw and kind = "{split.kind}"', hint='Only kind = "folds" can be drawn anew.')
    if split.kind == "random" and (split.test < 1 or split.draws < 1):
        raise table.mistake("is random and needs test and draws of at least 1")
    if split.kind == "fixed" and not split.names:
        raise table.mistake("is fixed and names nobody", hint="Give names = [...] with cases, people or globs of them.")
    count = {"folds": split.folds, "random": split.draws, "fixed": 1}.get(split.kind)
    beyond = [fold for fold in split.run if fold < 0 or (count is not None and fold >= count)]
    if beyond:
        raise table.mistake(f"runs fold {beyond[0]}, which is not there", hint=f"Folds are 0 to {(count or 1) - 1}.")
    if len(set(split.run)) < len(split.run):
        raise table.mistake("runs a fold twice")
    return split


def _seeds(top: Table) -> tuple[int, ...]:
    given = top.get("seeds", int | tuple[int, ...], 1)
    seeds = tuple(range(given)) if isinstance(given, int) else given
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise top.mistake(f"has seeds = {given!r}", hint="Give how many, or a list of different whole numbers from 0 on.")
    return seeds


def _least(table: Table, key: str, least: int, default: int) -> int:
    value: int = table.get(key, int, default)
    if value < least:
        raise table.mistake(f"has {key} = {value}", hint=f"Give a whole number from {least} on.")
    return value


def _amounts(table: Table, key: str, default: Sequence[Amount] | None = None) -> tuple[Amount, ...]:
    """A number, a text like "0.5 %", or a list of such."""
    if key not in table.content and default is not None:
        return tuple(default)
    given = table.get(key, Any)
    listed = given if isinstance(given, list) else [given]
    amounts: list[Amount] = []
    for one in listed:
        share = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*%\s*", one) if isinstance(one, str) else None
        if isinstance(one, int) and not isinstance(one, bool) and one >= 1:
            amounts.append(one)
        elif share and 0 < float(share[1]) <= 100:
            amounts.append(round(float(share[1]) / 100, 12) if float(share[1]) < 100 else 1.0)
        else:
            hint = 'Give a whole number from 1 on, or a share of the slices such as "0.5 %".'
            raise table.mistake(f"has {key} = {given!r}", hint=hint)
    if not amounts:
        raise table.mistake(f"has an empty {key}")
    return tuple(amounts)


def _first_batch(top: Table) -> Amount:
    amounts = _amounts(top, "first_batch")
    if len(amounts) > 1:
        raise top.mistake(f"has {len(amounts)} first batches", hint="Give one; those of later rounds are `budget`.")
    return amounts[0]


def _arms(top: Table, training: TrainingOptions, manifold: ManifoldOptions) -> tuple[Arm, ...]:
    tables = top.tables("arms")
    if not tables:
        raise top.mistake("has no arm", hint="Add [[arms]] with a name and a strategy each.")
    arms = [_arm(one, top, training, manifold) for one in tables]
    # Records are files: some systems do not tell capitals apart.
    names = [arm.name.casefold() for arm in arms]
    twice = next((arm.name for i, arm in enumerate(arms) if names[i] in names[:i]), None)
    if twice is not None:
        raise top.mistake(f"has two arms called {twice}", hint="Small letters and capitals are the same here.")
    return tuple(arms)


def _arm(table: Table, top: Table, training: TrainingOptions, manifold: ManifoldOptions) -> Arm:
    table.only(_ARM)
    chosen: str = table.get("strategy", str)
    named = table if "name" in table.content else Table({**table.content, "name": chosen}, path=table.path, where=table.where)
    name = _name(named)
    table.where = f"arms {name}"
    options: dict[str, Any] = table.get("options", dict[str, Any], {})
    # TOML has no null; some options take "none".
    options = {key.replace("-", "_"): None if value == "none" else value for key, value in options.items()}
    arm = Arm(
        name=name,
        strategy=chosen,
        unit=table.get("unit", Unit, top.get("first_unit", Unit, "slice")),
        options=options,
        budget=_amounts(table, "budget", _amounts(top, "budget")),
        min_gap=_least(table, "min_gap", 0, _least(top, "min_gap", 0, 0)),
        context=_least(table, "context", 0, _least(top, "context", 0, 0)),
        sources=table.get("sources", Sources, top.get("sources", Sources, "previous")),
        fill=_least(table, "fill", 0, 0),
        training=table.table("training").settings(TrainingOptions, training),
        manifold=table.table("manifold").settings(ManifoldOptions, manifold),
    )
    try:
        strategy(chosen, **arm.options, **({CONTEXT.name: arm.context} if arm.context else {}))
        needs = requirements(chosen, arm.options)
        arm.round_options(budget=1, seed=0)
    except InputError as error:
        raise table.mistake(f"is refused: {error.sentence.rstrip('.')}", hint=error.hint) from error
    if Requirement.DROPOUT in needs and not arm.training.dropout:
        raise table.mistake(f"has the strategy {chosen}, which needs dropout", hint="Add training = { dropout = 0.2 }.")
    if Requirement.LOSS_HEAD in needs and not arm.training.loss_head:
        raise table.mistake(f"has the strategy {chosen}, which needs a loss head", hint="Add training = { loss_head = true }.")
    return arm


def _endpoint(table: Table, arms: Sequence[Arm], surfaces: WhichModels) -> Endpoint:
    table.only([f.name for f in fields(Endpoint)])
    given = {"name": f"{table.content.get('arm')} minus {table.content.get('against')}", **table.content}
    endpoint = Table(given, path=table.path, where=table.where).settings(Endpoint)
    names = [arm.name for arm in arms]
    for one in (endpoint.arm, endpoint.against):
        if one not in names:
            raise table.mistake(f"names the arm {one}, which is not there", hint=f"Arms are {', '.join(names)}.")
    if endpoint.arm == endpoint.against:
        raise table.mistake(f"holds {endpoint.arm} against itself", hint="Name two arms.")
    if endpoint.metric not in (*OVERLAPS, *SURFACES):
        raise table.mistake(f"has metric = {endpoint.metric!r}", hint=f"Metrics are {', '.join((*OVERLAPS, *SURFACES))}.")
    wanted = ("all",) if endpoint.judge == "area" else ("all", "last")
    if endpoint.metric in SURFACES and surfaces not in wanted:
        sentence = f'judges {endpoint.metric} by {endpoint.judge}, which volume_metrics = "{surfaces}" does not measure'
        raise table.mistake(sentence, hint=f'Set volume_metrics = "{wanted[-1]}" at the top of the plan.')
    if endpoint.margin <= 0:
        raise table.mistake(f"has margin = {endpoint.margin}", hint="Give a number above 0.")
    return endpoint


def _check_people(plan: Plan, top: Table) -> None:
    """What can be said before the cohort is there: an embedded case is a person."""
    if not isinstance(plan.cohort, EmbeddedSource):
        return
    people, split = plan.cohort.cases, plan.split
    if split.kind == "folds" and split.folds > people:
        raise top.table("split").mistake(f"has {split.folds} folds, but there are {people} people", hint="Ask for fewer folds.")
    if split.kind == "random" and split.test >= people:
        raise top.table("split").mistake(f"holds {split.test} of {people} people out, which leaves nobody", hint="Hold out fewer.")
