"""The results of a comparison: a page that needs nothing else, and the same for a repository with every number as JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.experiment.analyse import analyse
from SuggestiveAnnotationLib.experiment.curves import Comparison
from SuggestiveAnnotationLib.experiment.markdown import markdown
from SuggestiveAnnotationLib.experiment.results import MEAN, Results
from SuggestiveAnnotationLib.experiment.sections import Section, commands, sections
from SuggestiveAnnotationLib.experiment.statistics import RESAMPLES, mean
from SuggestiveAnnotationLib.files import whole_file, write_text
from SuggestiveAnnotationLib.report.style import svg_uri, to_png
from SuggestiveAnnotationLib.report.templates import template

PAGE, TEXT, NUMBERS, LINES, FIGURES = "index.html", "README.md", "results.json", "results.csv", "figures"
PAGE_SUFFIXES = (".html", ".htm")
_PACKAGE = "SuggestiveAnnotationLib.experiment"


def write_page(folder: Path, out: Path, *, plan: Path | None = None, archive: str | None = None, resamples: int = RESAMPLES) -> Results:
    """Judge the runs of a comparison and show what they say. A comparison that is not finished yet gives a page that says so.

    Args:
        folder: of the comparison: `plan.json` and `records/`.
        out: a name that ends in `.html` gets the page alone; any other is a folder that gets the page (`index.html`), the same as
            `README.md` with pictures under `figures/`, `results.json` and `results.csv`. What an earlier call wrote is written anew.
        plan: its file, for the commands on the page; None: the page is one of `Resources/Results`.
        archive: name of the file of records beside the page, for the commands on it; None: there is none.
        resamples: of the bootstrap.

    Raises:
        InputError: there is no comparison in the folder, no run has been carried out, or a record cannot be read.
        StorageError: there is no room.
    """
    comparison = Comparison.read(Path(folder), resamples=resamples)
    if not comparison.records:
        raise InputError(f"No run of the comparison in {folder} has been carried out yet.", hint="Run `compare` first.")
    results = analyse(comparison)
    parts, name = sections(results), results.plan.name
    own = {"plan": f"Resources/Plans/{name}.toml", "report": f"Resources/Results/{name}"}
    by = commands(results, **(own if plan is None else {"plan": plan.as_posix(), "report": Path(out).as_posix()}), archive=archive)
    out = Path(out)
    if out.suffix.lower() in PAGE_SUFFIXES:
        write_text(out, render(results, parts, by, alone=True))
        return results
    write_text(out / PAGE, render(results, parts, by))
    write_text(out / NUMBERS, json.dumps(results.to_json(), indent=1, ensure_ascii=False) + "\n")
    write_text(out / LINES, lines(comparison))
    pictures = _pictures(parts, out / FIGURES)
    write_text(out / TEXT, markdown(results, parts, by, figures=pictures))
    return results


def render(results: Results, parts: Sequence[Section], by: Sequence[str], *, alone: bool = False) -> str:
    """The page as HTML, with the commands that make it, `alone` or with the numbers in files beside it. All words are escaped."""
    failed = len(results.failures)
    stats = (
        ("Arms", str(len(results.arms)), f"baseline {results.baseline}"),
        ("Runs", str(sum(arm.runs for arm in results.arms)), f"{failed} failed, {len(results.missing)} not run yet"),
        ("People", str(results.people), f"held out in {results.folds} folds"),
        ("Computing", f"{results.hours:.1f} h", "what arms share counted once"),
    )
    return template("page.html", package=_PACKAGE).render(
        title=f"Comparison {results.plan.name}",
        results=results,
        sections=parts,
        stats=stats,
        commands=by,
        alone=alone,
        uris={panel.name: svg_uri(panel.figure) for part in parts for panel in part.panels},
        runs=sum(arm.runs for arm in results.arms) + failed,
    )


def lines(comparison: Comparison) -> str:
    """CSV, one line a run, model and structure (means over its people and trainings). Names of people and cases are not in it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    metrics = comparison.metrics
    writer.writerow(
        ("arm", "strategy", "fold", "seed", "model", "slices", "cases", "contour_mm", "minutes", "people", "structure", *metrics)
    )
    for arm in comparison.arms:
        strategy = comparison.plan.arm(arm).strategy
        for block in comparison.blocks:
            if (arm, block) not in comparison.curves:
                continue
            curve = comparison.curves[arm, block]
            people = len({curve.record.patients.get(case, case) for case in curve.record.test})
            for label in (MEAN, *comparison.labels):
                scores = [mean(comparison.score(arm, block, m, () if label == MEAN else (label,)), axis=1) for m in metrics]
                for place, point in enumerate(curve.record.points):
                    values = [float(one[place]) for one in scores]
                    paid = (point.model, point.slices, point.cases, point.contour_mm, point.minutes)
                    writer.writerow((arm, strategy, *block, *paid, people, label, *("" if v != v else f"{v:.5g}" for v in values)))
    return text.getvalue()


def _pictures(parts: Sequence[Section], folder: Path) -> Mapping[str, str]:
    """Write every figure as PNG; ablations that an earlier call wrote and this one does not are removed."""
    panels = [panel for part in parts for panel in part.panels]
    names = {panel.name: f"{panel.name}.png" for panel in panels}
    for old in folder.glob("ablation-*.png"):
        if old.name not in names.values():
            old.unlink()
    for panel in panels:
        with whole_file(folder / names[panel.name]) as scratch:
            scratch.write_bytes(to_png(panel.figure))
    return {name: f"{folder.name}/{file}" for name, file in names.items()}
