"""The tables of a comparison as strings, for the page and for Markdown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict

from SuggestiveAnnotationLib.effort.time_model import ALL_AS_GIVEN
from SuggestiveAnnotationLib.experiment.curves import COSTS
from SuggestiveAnnotationLib.experiment.looks import by_area, by_gain, highlighted
from SuggestiveAnnotationLib.experiment.plan import Arm, Endpoint, Plan
from SuggestiveAnnotationLib.experiment.results import MEAN, Results, Share
from SuggestiveAnnotationLib.experiment.statistics import Interval
from SuggestiveAnnotationLib.experiment.verdict import conclude
from SuggestiveAnnotationLib.experiment.words import COST_WORDS, bounds_words, grid_words, interval_words, metric_words
from SuggestiveAnnotationLib.report.numbers import UNDEFINED, decimal, percent
from SuggestiveAnnotationLib.report.tables import TableView
from SuggestiveAnnotationLib.strategies.registry import options

FINAL = ("dice_3d", "dice_2d", "surface_dice_1mm", "surface_dice_2mm", "hd95_mm", "hausdorff_mm", "penalised")
BY_CLASS = ("dice_3d", "dice_2d", "surface_dice_1mm", "surface_dice_2mm", "hd95_mm", "hausdorff_mm", "false_mm3_on_empty")
_MOST_COLUMNS = 10
_SHOWN_FAILURES = 40


def plan_table(results: Results) -> TableView:
    """What the plan fixed."""
    plan = results.plan
    budget = _words([_amount(one) for one in plan.arms[0].budget])
    cohort = ", ".join(f"{name} {_words(value)}" for name, value in asdict(plan.cohort).items() if value not in (None, "", {}, ()))
    rows = (
        ("question", plan.question),
        ("plan", f"{plan.name}, content hash {results.plan_key}"),
        ("cohort", cohort),
        ("slices", f"{plan.plane or 'the plane they were acquired in'}, network grid of {grid_words(plan.pixels, plan.grid_spacing)}"),
        ("held out", _split(plan)),
        ("seeds", _words(plan.seeds)),
        ("first batch", f"{_amount(plan.first_batch)} by {plan.first_strategy}, the same in every arm"),
        (
            "rounds after it",
            f"{plan.rounds}, each of {budget}, unless an arm says otherwise",
        ),
        ("trainings of every selected set", str(plan.repeats)),
        ("training", ", ".join(f"{name} {_words(value)}" for name, value in asdict(plan.training).items() if name != "device")),
        ("primary number", _primary_number(results) + ("" if results.labels else ", mean over classes")),
        ("baseline", results.baseline),
        ("margin", f"±{results.margin:g}: differences inside do not matter"),
    )
    return TableView("plan", "What was fixed.", ("", ""), rows, numeric=2)


def _primary_number(results: Results) -> str:
    primary = results.plan.primary
    if primary is not None and primary.judge == "last":
        return f"{results.measure} of the last model"
    return f"area under {results.measure} over {COST_WORDS[results.over]}"


def arms_table(results: Results) -> TableView:
    """Every arm of the plan, those without a run too."""
    there = {arm.name: arm for arm in results.arms}
    rows: list[tuple[str, ...]] = []
    for arm in results.plan.arms:
        own = own_settings(arm, results.plan) or UNDEFINED
        if arm.name in there:
            one = there[arm.name]
            rows.append((arm.name, arm.strategy, one.family, own, str(one.runs), str(one.failed), str(one.missing), decimal(one.hours, 2)))
        else:
            failed = sum(name.startswith(f"{arm.name}__") for name, _, _ in results.failures)
            missing = sum(name.startswith(f"{arm.name}__") for name in results.missing)
            rows.append((arm.name, arm.strategy, UNDEFINED, own, "0", str(failed), str(missing), UNDEFINED))
    columns = ("Arm", "Strategy", "Family", "Differs from the plan in", "Runs done", "Failed", "Not run yet", "Hours")
    return TableView("arms", "Every arm. Hours are of computing, without what arms share.", columns, tuple(rows), numeric=4)


def area_table(results: Results) -> TableView:
    """Area under the curve with intervals."""
    rows = tuple(
        (arm.name, *(interval_words(arm.area[over]) for over in COSTS), str(arm.area[results.over].people), str(arm.runs))
        for arm in by_area(results)
    )
    columns = ("Arm", *(f"Over {COST_WORDS[over]}" for over in COSTS), "People", "Runs")
    caption = f"Area under {results.measure}, divided by the width of the support; 95 % intervals over people and seeds."
    return TableView("area", caption, columns, rows)


def gains_table(results: Results) -> TableView:
    """Every arm against the baseline."""
    rows = tuple(
        (
            gain.arm,
            *(interval_words(gain.over[over], signed=True) for over in COSTS),
            bounds_words(gain.at_once, signed=True),
            UNDEFINED if gain.held is None else f"{gain.held:+z.3f}",
            UNDEFINED if gain.shared is None or gain.at_once.mean is None else " / ".join(percent(one) for one in gain.shared),
            UNDEFINED if len(gain.by_seed) < 2 else f"{sum(one > 0 for one in gain.by_seed.values())} of {len(gain.by_seed)}",
            UNDEFINED if gain.at_once.mean is None else f"{gain.wins} / {gain.ties} / {gain.losses}",
            UNDEFINED if gain.at_once.mean is None else conclude(gain.over[results.over], gain.narrow, results.margin, gain.held),
        )
        for gain in by_gain(results)
    )
    columns = (
        "Arm", *(f"Over {COST_WORDS[over]}" for over in COSTS), "All arms at once", "As steps", f"Shared (arm / {results.baseline})",
        "Seeds above 0", "Wins / ties / losses (people)", "Read by itself",
    )  # fmt: skip
    caption = (
        f"Gain over {results.baseline} in area, paired by person, fold and seed; positive is better. 95 % intervals. What follows the "
        f"three costs is over {COST_WORDS[results.over]}. All arms at once: widened by their number. As steps: between models the earlier "
        "one counts, and the last model is left out in every arm. Shared: how much of what each arm spent after the first batch both "
        "spent. People share all seeds, so their wins and losses are no test."
    )
    return TableView("gains", caption, columns, rows)


def endpoints_table(results: Results) -> TableView:
    """What the plan named."""
    p_values = any(one.p is not None for one in results.endpoints)
    rows = []
    for one in results.endpoints:
        narrow = bounds_words(one.narrow, signed=True) or UNDEFINED
        steps = UNDEFINED if one.held is None else f"{one.held:+z.3f}"
        p = (UNDEFINED if one.p is None else f"{one.p:.3g}", UNDEFINED if one.adjusted is None else f"{one.adjusted:.3g}")
        cells = ("primary" if one.primary else "secondary", interval_words(one.gain, signed=True), steps, narrow)
        rows.append((_endpoint_name(results, one.endpoint), *cells, f"±{one.endpoint.margin:g}", *(p if p_values else ()), one.conclusion))
    named = ("Wilcoxon p", "Holm") if p_values else ()
    columns = ("Endpoint", "", "Gain [95 %]", "As steps", "For equivalence", "Margin", *named, "Conclusion")
    second = 100 - 10 / max(1, len(results.plan.secondaries))
    caption = (
        "Endpoints that the plan named. Positive is better. Equivalent: the interval for equivalence, 90 % for the primary"
        + (f" and {second:g} % for the secondaries, which are to hold together," if results.plan.secondaries else "")
        + " and the gain as steps lie inside the margin."
    )
    return TableView("endpoints", caption, columns, tuple(rows), numeric=2)


def _endpoint_name(results: Results, one: Endpoint) -> str:
    """With what both arms had paid, where it is not the same: a model at the end is not judged at equal cost."""
    if one.judge == "area":
        return one.name
    paid = [decimal(results.arm(arm).curve[-1].minutes, 0) for arm in (one.arm, one.against)]
    return f"{one.name} (after {paid[0]} and {paid[1]} simulated minutes)"


def final_table(results: Results) -> TableView:
    """Every metric of the last model, mean over classes."""
    metrics = [name for name in FINAL if name in results.metrics]
    rows = tuple(
        (arm.name, decimal(arm.curve[-1].minutes, 0), *(_final(arm.final[MEAN][m], m) for m in metrics)) for arm in by_area(results)
    )
    slices = {decimal(arm.curve[-1].slices, 0) for arm in results.arms}
    after = f"after {slices.pop()} slices in every arm" if len(slices) == 1 else "after numbers of slices that differ between arms"
    caption = f"The last model, mean over classes and people; 95 % intervals over people and seeds. It comes {after}, at a different cost."
    return TableView("final", caption, ("Arm", "Simulated minutes paid", *(metric_words(m) for m in metrics)), rows)


def _final(one: Interval, metric: str) -> str:
    return decimal(one.mean, 3) if metric == "penalised" else interval_words(one, _digits(metric))


def class_tables(results: Results) -> tuple[TableView, ...]:
    """A table a metric: arms by class and region, whichever are fewer as columns."""
    return tuple(_class_table(results, metric) for metric in BY_CLASS if metric in results.metrics)


def _class_table(results: Results, metric: str) -> TableView:
    labels = [MEAN, *results.classes, *results.regions]
    arms = by_area(results)
    caption = f"{_capital(metric_words(metric))} of the last model, mean over people."
    if len(labels) <= _MOST_COLUMNS:
        cells: Callable[[str], tuple[str, ...]] = lambda name: tuple(_value(results, name, label, metric) for label in labels)  # noqa: E731
        return TableView(f"final-{metric}", caption, ("Arm", *labels), tuple((arm.name, *cells(arm.name)) for arm in arms))
    chosen = [arm.name for arm in arms if len(arms) <= _MOST_COLUMNS or arm.name in highlighted(results)]
    rows = tuple((label, *(_value(results, name, label, metric) for name in chosen)) for label in labels)
    left = "" if len(chosen) == len(arms) else " All arms are in results.json."
    return TableView(f"final-{metric}", caption + left, ("Structure", *chosen), rows)


def _value(results: Results, arm: str, label: str, metric: str) -> str:
    return decimal(results.arm(arm).final[label][metric].mean, _digits(metric))


def effort_table(results: Results) -> TableView:
    """Saved effort on chosen and on random slices, over all batches, beside the ceiling."""
    rows = []
    for arm in by_area(results):
        if arm.effort:
            one = arm.effort[-1]
            rows.append((arm.name, *_share(one.chosen), *(_share(one.random)[1:4] if one.random else (UNDEFINED,) * 3)))
    if results.ceiling:
        ceiling = results.ceiling[MEAN]
        rows.append(("ceiling of the network grid", *_share(ceiling), *_share(ceiling)[1:4]))
    columns = (
        "Arm", "Slices", "C / L exact", "within 1 px", "within 1 mm", "2C / (L + L_pred)", "False components a slice",
        "Random slices: C / L exact", "within 1 px", "within 1 mm",
    )  # fmt: skip
    caption = "Saved effort against the reference, lengths summed over batches and runs; random slices are predicted by the same models."
    return TableView("effort", caption, columns, tuple(rows))


def effort_class_table(results: Results) -> TableView | None:
    """Exact saved effort class by class. None where there is none."""
    arms = [arm for arm in by_area(results) if arm.effort]
    if not arms:
        return None
    chosen = [arm for arm in arms if len(arms) <= _MOST_COLUMNS or arm.name in highlighted(results)]
    rows = []
    for label in results.classes:
        ceiling = results.ceiling[label].exact if label in results.ceiling else None
        rows.append((label, *(percent(arm.effort[-1].by_class[label].exact) for arm in chosen), percent(ceiling)))
    caption = "Saved effort (C / L, exact) on chosen slices, class by class, over all batches."
    return TableView("effort-class", caption, ("Class", *(arm.name for arm in chosen), "Ceiling"), tuple(rows))


def _share(one: Share) -> tuple[str, ...]:
    shares = (one.exact, one.within_pixel, one.within_mm, one.overlap)
    return (f"{one.slices:,}", *(percent(value) for value in shares), decimal(one.false_components, 2))


def noise_table(results: Results) -> TableView | None:
    """Standard deviation over trainings with identical data. None where every set was trained on once."""
    noise = results.noise
    if noise is None:
        return None
    rows = [(f"model {number}", decimal(sd, 4)) for number, sd in noise.by_model.items()]
    rows.append(("all models", decimal(noise.sd, 4)))
    rows.append(("median of the sets", decimal(noise.typical, 4)))
    rows.append(("left in an arm's mean over its trainings of one model", decimal(noise.of_an_arm, 4)))
    caption = (
        f"Standard deviation of mean 3D Dice over trainings on identical slices: {noise.trainings} trainings of {noise.groups} sets. "
        f"{noise.lost} of the trainings lost a class that the others of their set found."
    )
    return TableView("noise", caption, ("", "SD"), tuple(rows))


def prices_table(results: Results) -> TableView | None:
    """What each price, lowered and raised, does to the order of arms. None with fewer than two arms."""
    prices = results.prices
    if prices is None:
        return None
    rows, primary = [], results.plan.primary if any(one is not None for one in prices.primary.values()) else None
    for variation, first in prices.first.items():
        pairs = prices.reversed_pairs.get(variation, ())
        said = "; ".join(f"{other} before {one}" for one, other in pairs[:4]) + (f"; and {len(pairs) - 4} more" if len(pairs) > 4 else "")
        changes = "the order itself" if variation == ALL_AS_GIVEN else said or "same order"
        found = prices.primary[variation]
        gain = () if primary is None else (_with_p(found),)
        rows.append((variation.replace("_", " "), first, *gain, changes))
    caption = (
        "Each price of simulated minutes, one at a time, lowered and raised by half, and contour that lies a pixel off taken for right: "
        "area over simulated minutes."
    )
    named = () if primary is None else (primary.name,)
    return TableView("prices", caption, ("Price", "Best arm", *named, "Pairs that change places"), tuple(rows), numeric=4)


def _with_p(found: tuple[float, float | None] | None) -> str:
    if found is None:
        return UNDEFINED
    gain, p = found
    return f"{gain:+z.3f}" + ("" if p is None else f", p = {p:.2g}")


def failures_table(results: Results) -> TableView | None:
    """Every run that failed. None where none did."""
    if not results.failures:
        return None
    return TableView("failures", "Runs that failed.", ("Run", "Kind", "What was said"), results.failures, numeric=3)


def missing_words(results: Results) -> str:
    """Which runs are still to be done."""
    if not results.missing:
        known = results.arms or results.plan.split.kind != "leave-one-out"
        return "Every run of the plan has been carried out." if known else "How many runs the plan has is not known before one is done."
    more = len(results.missing) - _SHOWN_FAILURES
    return (
        f"Not run yet ({len(results.missing)}): {', '.join(results.missing[:_SHOWN_FAILURES])}{f', and {more} more' if more > 0 else ''}."
    )


def machine_table(results: Results) -> TableView:
    """What computed, for how long, with what."""
    rows = [(f"{runs} runs", words) for words, runs in results.machines.items()]
    rows.append(("computing", f"{results.hours:.2f} hours in all, what arms share counted once"))
    rows.append(("last run", results.finished or UNDEFINED))
    rows.append(("versions", ", ".join(f"{name} {version}" for name, version in results.versions.items())))
    return TableView("machine", "Machine, hours, versions.", ("", ""), tuple(rows), numeric=2)


def _digits(metric: str) -> int:
    return 3 if "dice" in metric or metric == "penalised" else 1


def own_settings(arm: Arm, plan: Plan) -> str:
    """Settings of an arm that are neither the plan's nor the strategy's defaults, in words; empty where there is none."""
    usual = {option.name: option.default for option in options(arm.strategy, arm.options)}
    parts = [f"{name} {_words(value)}" for name, value in arm.options.items() if name not in usual or value != usual[name]]
    for given, common in ((arm.training, plan.training), (arm.manifold, plan.manifold)):
        before = asdict(common)
        parts += [f"{name} {_words(value)}" for name, value in asdict(given).items() if value != before[name]]
    defaults = {"unit": "slice", "context": 0, "sources": "previous", "fill": 0}
    parts += [f"{name} {_words(getattr(arm, name))}" for name, value in defaults.items() if getattr(arm, name) != value]
    if arm.min_gap != plan.arms[0].min_gap:
        parts.append(f"min_gap {arm.min_gap}")
    if arm.budget != plan.arms[0].budget:
        parts.append(f"budget {_words([_amount(one) for one in arm.budget])}")
    return ", ".join(parts)


def _split(plan: Plan) -> str:
    split = plan.split
    words = {
        "folds": f"{split.folds} folds over people, each person held out once"
        + (" with every seed, which divides them anew" if split.redraw else ""),
        "leave-one-out": "one person at a time",
        "random": f"{split.test} people, drawn {split.draws} times",
        "fixed": f"the people named {_words(split.names)}",
    }[split.kind]
    return words + (f"; folds {_words(split.run)} run" if split.run else "")


def _amount(amount: float) -> str:
    return str(amount) if isinstance(amount, int) else f"{100 * amount:g} %"


def _words(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(_words, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
