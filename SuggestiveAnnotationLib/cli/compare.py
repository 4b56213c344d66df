"""`compare`: the experiment runner on the command line."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from SuggestiveAnnotationLib.cli.command import Commands, Context, Result, add_command
from SuggestiveAnnotationLib.report.numbers import count


def add_commands(sub: Commands) -> None:
    """Add it to the parser."""
    parser = add_command(sub, "compare", compare, "Compare strategies as a plan says: every arm, fold and seed.", study=False)
    parser.add_argument("plan", type=Path, metavar="PLAN.toml", help="what is compared, on what and how often (see Resources/Plans)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the records; the same again resumes")
    parser.add_argument("--data", type=Path, metavar="DIR", help="what ${DATA} in the plan stands for: the folder with the cohorts")
    parser.add_argument(
        "--records", type=Path, metavar="FILE", help="archive of records: runs it holds are not done again, and new ones are added to it"
    )
    parser.add_argument(
        "--runs", type=int, metavar="N", help="do N of the missing runs, rounded up to all arms of a fold and seed; 0: none, only --report"
    )
    parser.add_argument(
        "--processes", type=int, default=1, metavar="N", help="runs side by side, each with its share of the cores (default 1)"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="threads of each (default: its share of the cores)")
    parser.add_argument("--estimate", action="store_true", help="only say how many machine hours it would take here")
    parser.add_argument("--retry-failed", action="store_true", help="try runs again whose record is an error")
    parser.add_argument("--keep-studies", action="store_true", help="leave the study of every run under DIR/work")
    parser.add_argument(
        "--report", type=Path, metavar="PATH", help="write the results when done: NAME.html is the page alone, else a folder with all of it"
    )


def compare(arguments: argparse.Namespace, context: Context) -> Result:
    """`compare`."""
    from SuggestiveAnnotationLib.errors import InputError
    from SuggestiveAnnotationLib.experiment.plan_file import read_plan
    from SuggestiveAnnotationLib.experiment.runner import compare as verb

    for name, least in (("processes", 1), ("threads", 1), ("runs", 0)):
        given = getattr(arguments, name)
        if given is not None and given < least:
            raise InputError(f"--{name} is {given}.", hint=f"Give a number from {least} on.")
    if arguments.estimate and (arguments.report or arguments.runs == 0):
        other = "--report" if arguments.report else "--runs 0"
        raise InputError(f"--estimate carries no run out, which leaves nothing for {other}.", hint="Give one of the two.")
    plan = read_plan(arguments.plan)
    done = verb(
        plan,
        arguments.out,
        data=arguments.data,
        archive=arguments.records,
        at_most=arguments.runs,
        processes=arguments.processes,
        threads=arguments.threads,
        only_estimate=arguments.estimate,
        retry_failed=arguments.retry_failed,
        keep_studies=arguments.keep_studies,
        **context.keywords(),
    )
    data: dict[str, Any] = json.loads(json.dumps({"plan": plan.name, "plan_key": plan.key, **asdict(done)}))
    lines = [f"Plan {plan.name} ({plan.key}): {plan.question}"]
    if done.estimate is not None:
        lines += done.estimate.lines()
    if done.left == 0 and done.estimate is None:
        lines.append("Every run has a record.")
    if not arguments.estimate:
        lines.append(f"{len(done.done)} runs done, {len(done.failed)} failed, {len(done.kept)} were there before: {arguments.out}/records")
        if done.left:
            lines.append(f"{count(done.left, 'run is', 'runs are')} still to be done: the same command goes on with them.")
        lines += [f"Failed: {name} (its record says why; --retry-failed tries again)" for name in done.failed]
    if arguments.report:
        from SuggestiveAnnotationLib.experiment.page import write_page

        beside = arguments.records is not None and arguments.records.absolute().parent == arguments.report.absolute()
        write_page(arguments.out, arguments.report, plan=arguments.plan, archive=arguments.records.name if beside else None)
        lines.append(f"Results: {arguments.report}")
    return Result(data, lines, exit_code=1 if done.failed else 0)
