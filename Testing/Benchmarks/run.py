"""Run every `bench_*.py` of this folder in turn and compare what each reports with its target.

A benchmark prints what it likes; its last line is JSON: one object, a list of objects, or an object with a list `results`. Each object
has `name` (or `benchmark`), `ratio` and `target`; `better` is `"higher"` (default: ratio >= target passes) or `"lower"` (ratio <= target
passes). A result without a target is shown and cannot miss. Exit status 1 when a target is missed or a benchmark fails, unless `--no-fail`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Result:
    """One measured ratio and what it should be. `ratio` is None where the benchmark broke off."""

    benchmark: str
    name: str
    ratio: float | None
    target: float | None
    higher_is_better: bool = True
    problem: str = ""

    @property
    def missed(self) -> bool:
        if self.problem or self.ratio is None:
            return True
        if self.target is None:
            return False
        return self.ratio < self.target if self.higher_is_better else self.ratio > self.target

    @property
    def verdict(self) -> str:
        if self.problem:
            return self.problem
        if self.target is None:
            return "no target"
        return "missed" if self.missed else "met"


def parse(benchmark: str, last_line: str) -> list[Result]:
    """The results of a benchmark's last line. Raises: ValueError, KeyError, TypeError where it is not as described above."""
    data: Any = json.loads(last_line)
    if isinstance(data, dict):
        data = data.get("results", [data])
    return [
        Result(
            benchmark,
            str(item.get("name") or item.get("benchmark") or benchmark),
            float(item["ratio"]),
            None if item.get("target") is None else float(item["target"]),
            item.get("better", "higher") != "lower",
        )
        for item in data
    ]


def run(script: Path, arguments: Sequence[str] = ()) -> list[Result]:
    """Run one benchmark, show its lines as they come and read its last one."""
    environment = {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    command = [sys.executable, "-u", str(script), *arguments]
    last = ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=HERE.parents[1]) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(f"  {line}", end="", flush=True)
            last = line.strip() or last
    try:
        results = parse(script.stem, last)
    except (ValueError, KeyError, TypeError, AttributeError):
        results = [Result(script.stem, "", None, None, problem="its last line is not the JSON that run.py describes")]
    # A benchmark may exit with a status of its own for a missed target; any other failure must not pass for a result.
    if process.returncode and not any(r.missed and not r.problem for r in results):
        return [Result(script.stem, "", None, None, problem=f"failed with exit status {process.returncode}")]
    return results


def show(results: Sequence[Result]) -> None:
    """Print the table."""
    table = Table("benchmark", "measure", "ratio", "target", "verdict")
    for r in results:
        sign = "≥" if r.higher_is_better else "≤"
        table.add_row(
            r.benchmark,
            r.name,
            "" if r.ratio is None else f"{r.ratio:.3g}",
            "" if r.target is None else f"{sign} {r.target:.3g}",
            r.verdict,
            style="red" if r.missed else None,
        )
    Console(width=None if sys.stdout.isatty() else 140).print(table)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description="Run the benchmarks and compare them with their targets.")
    parser.add_argument("only", nargs="*", help="names of benchmarks, with or without bench_; default: all")
    parser.add_argument("--no-fail", action="store_true", help="exit with 0 even when a target is missed")
    parser.add_argument("--folder", type=Path, default=HERE, help="where the benchmarks are")
    options = parser.parse_args(arguments)
    scripts = sorted(options.folder.glob("bench_*.py"))
    if options.only:
        wanted = {name.removesuffix(".py").removeprefix("bench_") for name in options.only}
        unknown = wanted - {s.stem.removeprefix("bench_") for s in scripts}
        if unknown:
            parser.error(f"there is no benchmark {', '.join(sorted(unknown))}")
        scripts = [s for s in scripts if s.stem.removeprefix("bench_") in wanted]
    results: list[Result] = []
    for script in scripts:
        print(f"{script.stem}:", flush=True)
        started = time.monotonic()
        results += run(script)
        print(f"  ({time.monotonic() - started:.0f} s)", flush=True)
    show(results)
    return 1 if any(r.missed for r in results) and not options.no_fail else 0


if __name__ == "__main__":
    sys.exit(main())
