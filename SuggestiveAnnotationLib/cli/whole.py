"""Commands that carry out a whole job on reference labels: simulate, demo."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from SuggestiveAnnotationLib.cli.command import Commands, Context, Result, add_command, dice_text
from SuggestiveAnnotationLib.cli.options import add_settings, read_settings
from SuggestiveAnnotationLib.engine.settings import ManifoldOptions, RoundOptions
from SuggestiveAnnotationLib.report.numbers import count


def add_commands(sub: Commands) -> None:
    """Add them to the parser."""
    command = add_command(sub, "simulate", simulate, "Whole rounds with a simulated annotator, on a cohort with reference labels.")
    command.add_argument("--rounds", type=int, default=3, help="rounds after the first batch (default 3)")
    command.add_argument("--first-batch", type=int, metavar="N", help="slices of the first batch (default: the budget)")
    add_settings(command, RoundOptions, title="Every round")
    add_settings(command, ManifoldOptions, title="The manifold")
    command.add_argument("--report", type=Path, metavar="FILE", help="write the report when done")

    command = add_command(sub, "demo", demo, "Make the embedded cohort and run the whole job on it.", study=False)
    command.add_argument("--out", type=Path, default=Path("demo-output"), metavar="DIR", help="folder for everything (default demo-output)")
    command.add_argument("--seed", type=int, default=0, help="(default 0)")


def simulate(arguments: argparse.Namespace, context: Context) -> Result:
    """`simulate`."""
    from SuggestiveAnnotationLib.engine.simulate import simulate as verb

    with context.changing(arguments.study) as study:
        summary = verb(
            study, rounds=arguments.rounds, first_batch=arguments.first_batch, options=read_settings(RoundOptions, arguments),
            manifold=read_settings(ManifoldOptions, arguments), **context.keywords(),
        )  # fmt: skip
    lines = _summary_lines(summary)
    if arguments.report:
        from SuggestiveAnnotationLib.engine.report import report as write

        lines.append(f"Report: {write(study, arguments.report, **context.keywords())}")
    return Result(summary, lines)


def demo(arguments: argparse.Namespace, context: Context) -> Result:
    """`demo`."""
    from SuggestiveAnnotationLib.engine.demo import demo as verb

    summary = verb(arguments.out, seed=arguments.seed, **context.keywords())
    return Result(summary, [*_summary_lines(summary), f"Open {arguments.out / 'report.html'} in a browser."])


def _summary_lines(summary: dict[str, Any]) -> list[str]:
    lines = []
    for r in summary["rounds"]:
        dice = ", ".join(f"{name} {dice_text(value)}" for name, value in r["dice"].items())
        filled = f" and {r['filled_slices']:,} filled" if r["filled_slices"] else ""
        trained_on = count(r["annotated_slices"], "annotated slice") + filled
        lines.append(f"model {r['model']}: {trained_on}; Dice {dice or 'not measured (no labelled test case)'}")
    return lines
