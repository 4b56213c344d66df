"""Commands that compute: prepare, learn, suggest, predict, evaluate, and the rounds made of them."""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from SuggestiveAnnotationLib.cli.command import Commands, Context, Result, add_command, dice_text, next_line, round_data
from SuggestiveAnnotationLib.cli.options import add_settings, given_settings, read_settings, spacing
from SuggestiveAnnotationLib.engine.settings import DeviceOptions, ManifoldOptions, RoundOptions, SuggestOptions, TrainingOptions
from SuggestiveAnnotationLib.report.numbers import count
from SuggestiveAnnotationLib.study.records import Round
from SuggestiveAnnotationLib.study.study import Study, record_json
from SuggestiveAnnotationLib.types import slice_number


def add_commands(sub: Commands) -> None:
    """Add them to the parser."""
    command = add_command(sub, "prepare", prepare, "Build the slice store and freeze the preprocessing.")
    command.add_argument(
        "--plane", choices=("axial", "coronal", "sagittal"), help="of the slices, frozen by the first call (default: as acquired)"
    )
    command.add_argument(
        "--pixels", type=int,
        help="side of the network grid, a multiple of 16, frozen by the first call (default 96; with --spacing as wide as the foreground)",
    )  # fmt: skip
    command.add_argument(
        "--spacing", type=spacing, metavar="MM|native",
        help="of the network grid, frozen by the first call; native: the scans' own, as patches of the papers have it "
        "(default: the widest foreground fits into --pixels)",
    )  # fmt: skip
    command.add_argument("--processes", type=int, default=2, help="cases built at once (default 2)")

    command = add_command(sub, "fit-manifold", fit_manifold, "Train the VAE on the pool and place every slice in its latent space.")
    add_settings(command, ManifoldOptions)
    command.add_argument("--seed", type=int, default=0, help="(default 0)")

    command = add_command(sub, "train", train, "Train the segmentation network on everything accepted.")
    add_settings(command, TrainingOptions)
    command.add_argument("--seed", type=int, default=0, help="(default 0)")

    command = add_command(sub, "import-model", import_model, "Take a segmentation network that was trained in another study.")
    command.add_argument("source", type=Path, help="its .safetensors file with the .json card beside it, or the folder of the other study")

    command = add_command(sub, "suggest", suggest, "Suggest slices with the newest models, and pre-annotate them.")
    add_settings(command, SuggestOptions)
    add_settings(command, DeviceOptions)
    command.add_argument("--seed", type=int, default=0, help="(default 0)")

    command = add_command(sub, "predict", predict, "Predict whole cases with the newest model.")
    command.add_argument("--case", action="append", metavar="NAME", help="may be given several times (default: every case)")
    command.add_argument(
        "--out", type=Path, metavar="DIR", help="folder for NIfTI labelmaps on each case's own grid (default: arrays inside the study)"
    )
    command.add_argument("--overwrite", action="store_true", help="replace files that are there")
    add_settings(command, DeviceOptions)

    command = add_command(sub, "evaluate", evaluate, "3D Dice of the newest model on test cases with labels.")
    add_settings(command, DeviceOptions)

    command = add_command(sub, "run-round", run_round, "Train, suggest and pre-annotate: one round up to the annotator.")
    add_settings(command, RoundOptions, title="The round")
    add_settings(command, ManifoldOptions, title="The manifold, should it not be there yet")

    command = add_command(sub, "finish-round", finish_round, "Close the round that waits for annotations; unanswered ones expire.")
    command.add_argument("--abandon", action="store_true", help="close the round whatever its stage, when it cannot go on")


def prepare(arguments: argparse.Namespace, context: Context) -> Result:
    """`prepare`."""
    from SuggestiveAnnotationLib.engine.prepare import prepare as verb

    with context.changing(arguments.study) as study:
        done = verb(
            study, plane=arguments.plane, pixels=arguments.pixels, spacing=arguments.spacing, processes=arguments.processes,
            **context.keywords(),
        )  # fmt: skip
    rows, columns = done.record.size
    lines = [
        f"{count(done.slices, f'{done.record.plane} slice')} ({done.blank} blank).",
        f"Network grid: {rows} x {columns} pixels of {done.record.spacing[0]:.2f} mm.",
        *(f"excluded {name}: {reason}" for name, reason in done.excluded.items()),
        *(f"note on {name}: {sentence}" for name, sentence in done.warnings.items()),
        *([f"Took {count(done.taken, 'slice')} of existing labels."] if done.taken else []),
        *(f"Left out: {sentence}" for sentence in done.left_out),
        next_line("run-round", study),
    ]
    return Result({**asdict(done), "record": record_json(done.record)}, lines)


def fit_manifold(arguments: argparse.Namespace, context: Context) -> Result:
    """`fit-manifold`."""
    from SuggestiveAnnotationLib.engine.manifold import fit_manifold as verb

    with context.changing(arguments.study) as study:
        model = verb(study, options=read_settings(ManifoldOptions, arguments), seed=arguments.seed, **context.keywords())
    return _model_result(model)


def train(arguments: argparse.Namespace, context: Context) -> Result:
    """`train`."""
    from SuggestiveAnnotationLib.engine.train import lost_classes
    from SuggestiveAnnotationLib.engine.train import train as verb

    with context.changing(arguments.study) as study:
        model = verb(study, options=read_settings(TrainingOptions, arguments), seed=arguments.seed, **context.keywords())
    result, lost = _model_result(model), lost_classes(model)
    return replace(result, lines=[*result.lines, f"Note: {lost}"]) if lost else result


def import_model(arguments: argparse.Namespace, context: Context) -> Result:
    """`import-model`."""
    from SuggestiveAnnotationLib.engine.import_model import import_model as verb
    from SuggestiveAnnotationLib.engine.run_round import as_typed

    with context.changing(arguments.study) as study:
        done = verb(study, arguments.source, **context.keywords())
    words = [word for name, value in done.options.items() for word in as_typed(name, value).split()]
    lines = [
        f"Model {done.model.id} is {'imported' if done.new else 'in the study already'}: {done.model.path}",
        *(f"Note: {note}" for note in done.notes),
        "The first slices are chosen and outlined with it; rounds with these options go on from it in their training.",
        next_line("run-round", study, *words),
    ]
    data = {"model": done.model.id, "new": done.new, "path": str(done.model.path), "options": dict(done.options), "notes": list(done.notes)}
    return Result({**data, "imported_from": done.model.imported_from}, lines)


def suggest(arguments: argparse.Namespace, context: Context) -> Result:
    """`suggest`."""
    from SuggestiveAnnotationLib.engine.suggest import suggest as verb

    device = read_settings(DeviceOptions, arguments).device
    chosen = {**asdict(read_settings(SuggestOptions, arguments)), "device": device, "seed": arguments.seed}
    with context.changing(arguments.study) as study:
        return _round_result(study, verb(study, options=RoundOptions(**chosen), **context.keywords()))


def predict(arguments: argparse.Namespace, context: Context) -> Result:
    """`predict`."""
    from SuggestiveAnnotationLib.engine.predict import predict_case, predict_into

    study = Study(arguments.study)
    # A name that is not there is told before the first case takes its time.
    names = [study.case(name).name for name in arguments.case or ()] or [c.name for c in study.cases() if c.role != "excluded"]
    device = read_settings(DeviceOptions, arguments).device
    with study.lock():
        if arguments.out is None:
            paths = {name: str(predict_case(study, name, device=device, **context.keywords())) for name in names}
        else:
            files = predict_into(study, names, arguments.out, device=device, overwrite=arguments.overwrite, **context.keywords())
            paths = {name: str(path) for name, path in files.items()}
    return Result({"predictions": paths}, [f"{name}: {path}" for name, path in paths.items()])


def evaluate(arguments: argparse.Namespace, context: Context) -> Result:
    """`evaluate`."""
    from SuggestiveAnnotationLib.engine.evaluate import evaluate as verb

    device = read_settings(DeviceOptions, arguments).device
    with context.changing(arguments.study) as study:
        newest = study.latest_model("segmentation")
        number = None if newest is None else newest.round
        found = verb(study, number=number, device=device, **context.keywords())
    rows = [{"case": case, "label": label, "value": value} for case, dice in found.items() for label, value in dice.items()]
    lines = [f"{case}  {label}: {dice_text(value)}" for case, dice in found.items() for label, value in dice.items()]
    if rows and number is None:
        lines.append("The model belongs to no round: these numbers are not kept.")
    return Result({"round": number, "dice_3d": rows}, lines or ["There is no test case with labels."])


def run_round(arguments: argparse.Namespace, context: Context) -> Result:
    """`run-round`."""
    from SuggestiveAnnotationLib.engine.run_round import run_round as verb

    with context.changing(arguments.study) as study:
        done = verb(
            study, options=read_settings(RoundOptions, arguments), given=given_settings(RoundOptions, arguments),
            manifold=read_settings(ManifoldOptions, arguments), **context.keywords(),
        )  # fmt: skip
        return _round_result(study, done)


def finish_round(arguments: argparse.Namespace, context: Context) -> Result:
    """`finish-round`."""
    from SuggestiveAnnotationLib.session import Session

    with context.changing(arguments.study, locked=arguments.abandon) as study:
        current = study.current_round()
        dropped = False
        if arguments.abandon and current is not None and current.stage != "finished":
            study.finish_round(current.number)
            dropped = True
        else:
            Session(study, annotator="command line").finish_round()
        data = round_data(study, study.rounds()[-1])
        accepted = sum(row.state == "accepted" for row in study.suggestion_states(data["number"]))
    open_ = data["suggested"] - data["answered"]
    if dropped:
        stay = f"; {count(accepted, 'slice')} accepted in it {'stays' if accepted == 1 else 'stay'}" if accepted else ""
        line = f"Round {data['number']} was dropped{stay}."
    else:
        left = f"; {count(open_, 'suggestion')} {'was' if open_ == 1 else 'were'} left unanswered" if open_ else ""
        line = f"Round {data['number']} is finished: {data['answered']} of {count(data['suggested'], 'slice')} answered{left}."
    return Result({**data, "dropped": dropped, "unanswered": open_}, [line, next_line("run-round", study)])


def _round_result(study: Study, round_: Round) -> Result:
    rows = study.suggestions(round_.number)
    suggestions: list[dict[str, Any]] = [
        {
            "rank": r.suggestion.rank, "case": r.suggestion.ref.case, "slice": slice_number(r.suggestion.ref), "kind": r.suggestion.kind,
            "state": r.state, "rationale": r.suggestion.rationale.to_json(),
        }
        for r in rows
    ]  # fmt: skip
    lines = [f"{s['rank'] + 1:>3}. case {s['case']}, slice {s['slice']} ({s['kind']}): {s['rationale']['sentence']}" for s in suggestions]
    lines += [f"Note: {note}" for note in round_.notes]
    if not suggestions:
        lines += [f"Round {round_.number} has nothing to annotate.", next_line("finish-round", study)]
    else:
        lines.append(f"Round {round_.number} waits for annotations of {count(len(rows), 'slice')}.")
        case = suggestions[0]["case"]
        slices = ",".join(str(s["slice"]) for s in suggestions if s["case"] == case)
        lines.append(next_line("annotations import", study, "LABELMAP", "--case", case, "--annotator", "NAME", "--slices", slices))
    return Result({**round_data(study, round_), "suggestions": suggestions}, lines)


def _model_result(model: Any) -> Result:
    card = {key: value for key, value in model.card.items() if key != "losses"}
    return Result(
        {"model": model.id, "kind": model.kind, "path": str(model.path), "card": card},
        [f"Model {model.id} ({model.kind}) is published: {model.path}", *(f"  {k}: {v}" for k, v in card.get("metrics", {}).items())],
    )
