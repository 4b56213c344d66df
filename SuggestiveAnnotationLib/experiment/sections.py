"""What a results page holds, in order; HTML and Markdown are two ways to lay it out."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from SuggestiveAnnotationLib.effort.time_model import TimeCoefficients
from SuggestiveAnnotationLib.experiment import result_tables as tables
from SuggestiveAnnotationLib.experiment.analyse import FINALISTS, FOUND, LEAST_PEOPLE, LEAST_SEEDS, LOST
from SuggestiveAnnotationLib.experiment.figures import ablation_panels, area_panel, effort_panel, gains_panel, learning_panel
from SuggestiveAnnotationLib.experiment.looks import STYLES
from SuggestiveAnnotationLib.experiment.plan import Endpoint, FolderSource
from SuggestiveAnnotationLib.experiment.results import Results
from SuggestiveAnnotationLib.experiment.words import COST_WORDS, metric_words
from SuggestiveAnnotationLib.report.numbers import count
from SuggestiveAnnotationLib.report.style import Panel
from SuggestiveAnnotationLib.report.tables import TableView

_STYLE_WORDS = ("solid", "dashed", "dotted", "dash-dotted", "dash-dot-dotted")


@dataclass(frozen=True)
class Section:
    """One part of a page.

    Attributes:
        key: for links. title: heading.
        read: how to read it, one or two sentences.
        panels, tables: in order.
        absent: why there is nothing; "" where there is something.
        notes: sentences under the tables.
        source: where its numbers are in `results.json`; "" where there are none.
    """

    key: str
    title: str
    read: str
    panels: tuple[Panel, ...] = ()
    tables: tuple[TableView, ...] = ()
    absent: str = ""
    notes: tuple[str, ...] = ()
    source: str = ""


def sections(results: Results) -> tuple[Section, ...]:
    """Every part, those with nothing to show too, which say why."""
    return (
        _asked(results),
        *(_measured(results) if results.arms else ()),
        _runs(results),
        Section("rules", "How the numbers are made", "Fixed in code, the same for every comparison.", notes=rules(results)),
        Section("caveats", "Not claimed", "", notes=CAVEATS),
    )


def commands(results: Results, *, plan: str, report: str, archive: str | None = None) -> tuple[str, str]:
    """What carries out every run, and what lays the numbers out; with an archive of that name the second needs no cohort.

    Args:
        plan: its file. report: where the page goes.
    """
    cohort = results.plan.cohort
    data = " --data DIR" if isinstance(cohort, FolderSource) and cohort.folder.startswith("${DATA}") else ""
    make = f"suggestive-annotation compare {shlex.quote(plan)} --out comparisons/{results.plan.name}"
    report = shlex.quote(report)
    if archive is None:
        return (f"{make}{data}", f"{make}{data} --report {report}")
    kept = f" --records {report}/{archive}"
    return (f"{make}{data}{kept}", f"{make}{kept} --runs 0 --report {report}")


def _asked(results: Results) -> Section:
    facts = (tables.plan_table(results), tables.arms_table(results))
    return Section(
        "plan", "What was compared", "The plan was fixed before its first run; the hash covers its content.", (), facts, source="plan"
    )


def _measured(results: Results) -> tuple[Section, ...]:
    styles = ", ".join(f"{words} {name}" for words, name in zip(_STYLE_WORDS, STYLES, strict=True))
    read = "How to read it: further up and further left is better; every mark is one model, at what had been paid when it was trained."
    return (
        Section("learning", "Learning curves", f"{read} Lines: {styles}.", (learning_panel(results),), source="arms.*.curve"),
        _area(results),
        _gains(results),
        _endpoints(results),
        Section(
            "final",
            "The last model",
            "Distances are in millimetres, smaller is better; a volume predicted as empty, or where nothing is, is penalised with the "
            "diagonal of the grid. Dice and distances of a class count only people who have it; what is predicted in slices without the "
            "class is false volume.",
            (),
            (tables.final_table(results), *tables.class_tables(results)),
            source="arms.*.final",
        ),
        _effort(results),
        _noise(results),
        _prices(results),
        _ablations(results),
    )


def _area(results: Results) -> Section:
    notes = []
    for over, one in results.support.items():
        if one.left_out:
            sentence = (
                f"Over {COST_WORDS[over]} {', '.join(one.left_out)} cannot be compared: less than half of what arms spend in the median"
            )
            notes.append(f"{sentence}, and the others would be compared on next to nothing.")
    read = (
        "How to read it: the mean height of a learning curve over the costs that all arms reach; higher is more for the same cost. "
        "An arm with fewer people or runs than the others is to be read by its gain alone, which is paired."
    )
    return Section(
        "area", "Area under the curve", read, (area_panel(results),), (tables.area_table(results),), notes=tuple(notes),
        source="arms.*.area",
    )  # fmt: skip


def _gains(results: Results) -> Section:
    panel = gains_panel(results)
    if not results.gains:
        alone = "The plan has one arm." if len(results.plan.arms) == 1 else f"No arm can be compared with {results.baseline} yet."
        return Section("gains", "Against the baseline", "", absent=alone)
    read = (
        f"How to read it: each arm and {results.baseline} on the costs that these two reach, in the same people, folds and seeds. Reading "
        "many intervals one by one, one in twenty is wrong by chance; the sentence at the top goes by those for all arms at once."
    )
    title = f"Against {results.baseline}"
    apart = [gain.arm for gain in results.gains if gain.at_once.mean is None]
    yet = "; or no fold and seed has been run with both yet" if results.missing or results.failures else ""
    notes = (
        f"Over {COST_WORDS[results.over]} {', '.join(apart)} cannot be compared with {results.baseline}: in some fold and seed one of the "
        f"two spent less than a third of what the other did{yet}.",
    )
    return Section(
        "gains", title, read, (panel,) if panel else (), (tables.gains_table(results),), notes=notes if apart else (), source="gains.*"
    )


def _endpoints(results: Results) -> Section:
    title = "Endpoints of the plan"
    judged = [one.endpoint for one in results.endpoints]
    notes = tuple(_not_judged(results, one) for one in results.plan.endpoints if one not in judged)
    if not results.endpoints:
        absent = "No endpoint can be judged." if notes else "The plan names no endpoint, so there are intervals and no p-values."
        return Section("endpoints", title, "", absent=absent, notes=notes)
    named = "Named before this plan's first run."
    read = f"{named} A p-value is of Wilcoxon's signed-rank test over seeds, Holm's adjustment over the secondaries."
    if all(one.p is None for one in results.endpoints):
        read = f"{named} Intervals and no p-values: "
        if results.missing or results.failures:
            done = [count(len(runs), "run") + what for runs, what in ((results.missing, " missing"), (results.failures, " failed")) if runs]
            read += f"{' and '.join(done)}."
        else:
            read += f"these are for at most {FINALISTS} arms, at least {LEAST_PEOPLE} people and {LEAST_SEEDS} seeds."
    return Section("endpoints", title, read, (), (tables.endpoints_table(results),), notes=notes, source="endpoints")


def _not_judged(results: Results, one: Endpoint) -> str:
    idle = [arm for arm in (one.arm, one.against) if arm in results.absent]
    why = f"no run measured {metric_words(one.metric)}"
    if idle:
        why = f"{' and '.join(idle)} {'has' if len(idle) == 1 else 'have'} no finished run"
    return f"{one.name} cannot be judged: {why}."


def _effort(results: Results) -> Section:
    panel, by_class = effort_panel(results), tables.effort_class_table(results)
    read = (
        "How to read it: C is the length of reference contour that the pre-annotation already had, L the whole length. An arm that chooses "
        "hard slices saves less on them; the same models on random slices say how good they are. The ceiling is what a network reaches "
        "that knows every class's share of each pixel of its grid."
    )
    views = (tables.effort_table(results), *((by_class,) if by_class else ()))
    if by_class is None:
        return Section("effort", "Saved effort", "", absent="No batch had a pre-annotation.")
    return Section("effort", "Saved effort", read, (panel,) if panel else (), views, source="arms.*.effort, ceiling")


def _noise(results: Results) -> Section:
    title, view = "Training-noise floor", tables.noise_table(results)
    if view is None:
        return Section("noise", title, "", absent="Every selected set was trained on once, so the noise of training is not known.")
    return Section(
        "noise", title, "How much Dice differs between trainings that differ in nothing but their seed.", (), (view,), source="noise"
    )


def _prices(results: Results) -> Section:
    title, view, prices = "Prices of simulated minutes", tables.prices_table(results), results.prices
    if view is None or prices is None:
        return Section("prices", title, "", absent="Fewer than two arms can be compared over simulated minutes.")
    said = "No pair of arms changes places under any of these prices."
    if not prices.survives:
        said = f"Pairs that change places differ by at most {prices.largest_gap:.4f} at the prices as given."
    price = TimeCoefficients()
    listed = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in vars(price).items())
    read = f"Every price is an assumption: {listed}. Contour that is off by a pixel is charged as drawn anew."
    return Section("prices", title, read, (), (view,), notes=(said,), source="prices")


def _ablations(results: Results) -> Section:
    panels = ablation_panels(results)
    if not panels:
        return Section("ablations", "Ablations", "", absent="No two arms differ in one option alone.")
    read = f"Arms that differ in one option alone: area under {results.measure} over {COST_WORDS[results.over]}, 95 % intervals. "
    read += "Areas are over the costs that these arms share, so they differ from those of all arms above."
    return Section("ablations", "Ablations", read, panels, source="ablations")


def _runs(results: Results) -> Section:
    failed = tables.failures_table(results)
    views = (*((failed,) if failed else ()), tables.machine_table(results))
    notes = ("No run failed.",) if failed is None else ()
    read = "Runs that failed stay on the page; none is dropped."
    return Section("runs", "Runs and machine", read, (), views, notes=(*notes, tables.missing_words(results)), source="failures, missing")


def rules(results: Results) -> tuple[str, ...]:
    """The declared rules, in sentences."""
    return (
        "A person's value is the mean over the runs that tested them and over their cases; an arm's value is the mean over people.",
        f"Intervals: hierarchical bootstrap over people and seeds, {results.resamples:,} resamples from seed {results.seed}; the folds "
        "of a seed stay together, since their networks begin with the same weights. The interval is its standard error, or that of the "
        "means of seeds where it is larger, times Student's t for people or seeds, whichever are fewer. With a "
        "single seed, runs are resampled instead.",
        "Pools and test people are drawn from the same few people. What another pool would have done is in the intervals only as far as "
        "folds differ between seeds.",
        "Area: trapezoids between models, from the latest beginning to the earliest end of the arms compared in a fold and seed, divided "
        "by that width. The table of areas compares all arms, a gain only its two. An arm that spends less than half of what arms spend in "
        "the median in any fold and seed takes no part over that cost.",
        "Between models a straight line stands for Dice that no model had yet. So the gain is also taken with steps, where the earlier "
        "model counts until the next batch is paid, and the last model is left out in every arm; where that turns its sign, or lies "
        "outside the margin of an equivalence, nothing is concluded.",
        f"A run whose network loses a class (Dice below {LOST:g} where others of the same slices have more than {FOUND:g}) counts like any "
        "other.",
        "Several trainings on one selected set are averaged before anything else.",
        "A class that a case lacks enters no Dice and no distance of that case.",
        "Surface voxels share a face with a voxel outside; HD95 is the greater of the two directed 95th percentiles; surface Dice counts "
        "surface voxels within the tolerance. Voxels that the reference ignores are in no volume and make no surface.",
        f"A tie is a difference of at most {results.margin:g}. Equivalent: the 90 % interval lies inside the margin (two one-sided tests), "
        "of m secondaries that of 100 - 10 / m %; in the sentence that says who wins it is the interval at which all arms hold at once.",
        f"P-values only for plans with an endpoint, at most {FINALISTS} arms, at least {LEAST_PEOPLE} people and {LEAST_SEEDS} seeds, once "
        "every run is done: Wilcoxon's signed-rank test over seeds (means over people), Holm over the secondaries. It knows other seeds "
        "and these people alone; so better or worse needs both: an adjusted p below 0.05, and an interval, which knows people, off 0. "
        "While runs are missing no endpoint is concluded, and none of an arm with a run that failed: what is left was chosen by the arm.",
    )


CAVEATS = (
    "No time or cost saved is claimed: minutes are simulated from a price list of assumptions.",
    "Superiority is never claimed from seeds alone, nor for cohorts, networks and budgets other than these.",
    "Lengths are counted on pixel edges, on average 4/π of the true length; shares are safe, absolute lengths are not.",
    "Saved effort does not see false contours: read it beside false components and false volume.",
    "A curve that flattens does not mean that annotation is complete.",
)
