"""Analysis of made-up comparisons: what was put in comes out."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from made_comparison import Made, make_comparison

from SuggestiveAnnotationLib.effort.time_model import ALL_AS_GIVEN
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.experiment.ablations import ablations
from SuggestiveAnnotationLib.experiment.analyse import analyse
from SuggestiveAnnotationLib.experiment.curves import Comparison, Pricing
from SuggestiveAnnotationLib.experiment.families import family
from SuggestiveAnnotationLib.experiment.plan import Endpoint
from SuggestiveAnnotationLib.experiment.results import MEAN
from SuggestiveAnnotationLib.experiment.verdict import conclude
from SuggestiveAnnotationLib.strategies.catalogue import ENTRIES

TWO = {"random": Made(), "gradient": Made("gradient-guided", gain=0.04, wobble=0.005)}


def analysed(folder, arms, **options):
    return analyse(made(folder, arms, **options))


def made(folder, arms, **options):
    make_comparison(folder, arms, **options)
    return Comparison.read(folder, resamples=300)


def test_the_gain_that_was_put_in_comes_out(tmp_path):
    results = analysed(tmp_path, TWO, noise=0.0)
    gain = results.gains[0]
    # Dice rises in straight lines between models at equal costs; the gain is there from model 2 of 4 on.
    assert gain.over["slices"].mean == pytest.approx((0.02 + 0.04 + 0.04) / 3, abs=0.005)
    assert gain.over["minutes"].low > 0
    assert (gain.wins, gain.ties, gain.losses) == (9, 0, 0)
    assert results.verdict[0].startswith("gradient wins: +0.03")


def test_an_endpoint_of_a_region_counts_that_region_alone(tmp_path):
    primary = Endpoint("gradient minus random", "gradient", "random", labels=("brain",))
    plan = make_comparison(tmp_path, TWO, noise=0.0, primary=primary)
    comparison = Comparison.read(tmp_path, resamples=50)
    assert comparison.plan == plan
    results = analyse(comparison)
    assert results.measure == "3D Dice of brain"
    assert "the area under 3D Dice of brain over simulated minutes" in results.verdict[1]
    whole = analysed(tmp_path / "whole", TWO, noise=0.0)
    # A region is better by 0.02 a label than the class before it, 0.03 than the mean of the two classes.
    assert results.arm("random").curve[0].metric.mean - whole.arm("random").curve[0].metric.mean == pytest.approx(0.03)
    assert comparison.areas("random", "dice_3d", "slices", labels=("grey", "brain")) == pytest.approx(
        (
            comparison.areas("random", "dice_3d", "slices", labels=("grey",))
            + comparison.areas("random", "dice_3d", "slices", labels=("brain",))
        )
        / 2,
        nan_ok=True,
    )


def test_areas_equal_those_by_hand(tmp_path):
    make_comparison(tmp_path, TWO, noise=0.01)
    comparison = Comparison.read(tmp_path, resamples=50)
    values = comparison.areas("gradient", "dice_3d", "slices")
    record = next(r for r in comparison.done if (r.arm, r.fold, r.seed) == ("gradient", 1, 0))
    person = record.test[0]
    heights = [np.mean([np.mean([t.tests[person][c]["dice_3d"] for c in ("grey", "white")]) for t in p.trainings]) for p in record.points]
    by_hand = np.mean([(a + b) / 2 for a, b in pairwise(heights)])  # batches cost the same
    at = comparison.people.index(person), comparison.blocks.index((1, 0))
    assert values[at] == pytest.approx(by_hand)
    # People who were not tested in a fold have no value there.
    assert np.isnan(values[comparison.people.index("p00"), comparison.blocks.index((1, 0))])
    assert (~np.isnan(values)).sum() == 9 * 2


def test_random_wins_where_it_is_best(tmp_path):
    results = analysed(tmp_path, {"random": Made(), "a": Made("entropy", gain=-0.05), "b": Made("strided", gain=-0.03)})
    assert results.verdict[0].startswith("Random wins: every other arm is worse: a -0.0")


def test_nobody_wins_where_nothing_differs(tmp_path):
    results = analysed(
        tmp_path, {"random": Made(wobble=0.02), "a": Made("entropy", wobble=0.02), "b": Made("strided", wobble=0.02)}, seeds=4
    )
    assert results.verdict[0].startswith("Nobody wins: no arm differs from random beyond chance")


def test_intervals_that_could_show_nothing_are_no_null_result(tmp_path):
    results = analysed(tmp_path, {"random": Made(wobble=0.05), "a": Made("entropy", wobble=0.05)}, people=3, noise=0.1)
    assert results.verdict[0] == "Nothing can be told from so few runs."


def test_no_interval_of_a_gain_is_wider_than_dice_can_differ(tmp_path):
    arms = {name: Made(name, wobble=0.4) for name in ("random", "entropy", "strided", "badge", "core-set", "consensus")}
    end = Endpoint("Dice at the end", "entropy", "random", judge="last")
    results = analysed(tmp_path, arms, people=3, seeds=1, noise=0.3, primary=end)
    bounds = [(one.at_once.low, one.at_once.high) for one in results.gains] + [(one.gain.low, one.gain.high) for one in results.endpoints]
    assert -1 in {low for low, _ in bounds}
    assert all(-1 <= low < high <= 1 for low, high in bounds)


def test_arms_that_are_the_same_are_equivalent(tmp_path):
    results = analysed(tmp_path, {"random": Made(), "a": Made("entropy")}, noise=0.001)
    assert "Equivalent to it within 0.01: a." in results.verdict[0]


def test_several_that_beat_random_are_named(tmp_path):
    arms = {"random": Made(), "a": Made("entropy", gain=0.05), "b": Made("strided", gain=0.05), "c": Made("badge", gain=-0.05)}
    sentence = analysed(tmp_path, arms).verdict[0]
    assert sentence.startswith("No single arm wins, but 2 of 3 arms beat random: ")
    assert sentence.endswith("Worse than random: c.")


def test_an_arm_that_sees_the_reference_cannot_win(tmp_path):
    results = analysed(tmp_path, {"random": Made(), "oracle": Made("oracle-foreground", gain=0.1), "a": Made("entropy", gain=-0.05)})
    assert results.verdict[0].startswith("Random wins")
    assert any("oracle" in sentence for sentence in results.verdict[1:])
    assert not results.arm("oracle").usable


def test_cheap_slices_pay_over_minutes_alone(tmp_path):
    results = analysed(tmp_path, {"random": Made(), "cheap": Made("strided", pace=0.6)}, noise=0.001)
    gain = results.gains[0]
    assert gain.over["slices"].inside(0.01)
    assert gain.over["minutes"].low > 0.005


def test_an_arm_that_draws_nothing_is_not_compared_over_contour(tmp_path):
    arms = {"random": Made(), "a": Made("entropy"), "empty": Made("oracle", pace=0.01)}
    results = analysed(tmp_path, arms)
    assert results.support["contour_mm"].left_out == ("empty",)
    assert results.arm("empty").area["contour_mm"].mean is None
    assert results.arm("a").area["contour_mm"].mean is not None
    assert results.arm("empty").area["slices"].mean is not None


def test_an_arm_that_spends_too_little_in_one_fold_is_compared_in_none(tmp_path):
    make_comparison(tmp_path, TWO)
    comparison = Comparison.read(tmp_path, resamples=20)
    records = []
    for record in comparison.records:
        if (record.arm, record.fold, record.seed) == ("gradient", 0, 0):
            first = record.points[0].contour_mm
            points = tuple(replace(p, contour_mm=first + 0.01 * (p.contour_mm - first)) for p in record.points)
            record = replace(record, points=points)
        records.append(record)
    comparison = replace(comparison, records=tuple(records), _areas={})
    assert np.isnan(comparison.areas("gradient", "dice_3d", "contour_mm")).all()
    assert not np.isnan(comparison.areas("gradient", "dice_3d", "slices")).all()


def test_a_gain_that_lines_alone_give_is_not_concluded(tmp_path):
    # Slices of `long` have 3.5 times the contour and give more Dice at the end of each batch, which a straight line credits long before.
    results = analysed(tmp_path, {"random": Made(), "long": Made("entropy", gain=0.08, pace=3.5)}, noise=0.001)
    gain = results.gains[0]
    assert gain.over["minutes"].low > 0 > gain.held
    assert results.verdict[0].startswith("Nobody wins")
    assert conclude(gain.over["minutes"], gain.narrow, 0.01, gain.held).startswith("undecided: as steps -0.0")
    assert conclude(gain.over["minutes"], gain.narrow, 0.01) == "better"


def test_a_win_over_another_arm_that_lines_alone_give_is_no_win(tmp_path):
    # Both beat random; over `short` the lead of `long` is one of straight lines.
    arms = {"random": Made(gain=-0.3), "short": Made("strided"), "long": Made("entropy", gain=0.08, pace=3.5)}
    comparison = made(tmp_path, arms, noise=0.001)
    results = analyse(comparison)
    over = {gain.arm: gain.over["minutes"].mean for gain in results.gains}
    assert over["long"] > over["short"] + 0.005
    assert results.verdict[0].startswith("No single arm wins, but 2 of 2 arms beat random: ")


def test_what_steps_put_outside_the_margin_is_not_equivalent(tmp_path):
    results = analysed(tmp_path, {"random": Made(), "long": Made("entropy", gain=0.06, pace=3.5)}, noise=0.0005)
    gain = results.gains[0]
    assert abs(gain.over["minutes"].mean) < 0.01 < abs(gain.held)
    assert "Equivalent" not in results.verdict[0]


def test_a_difference_that_steps_turn_is_not_called_chance(tmp_path):
    results = analysed(tmp_path, {"random": Made(), "long": Made("entropy", gain=0.08, pace=3.5)}, noise=0.001)
    assert results.gains[0].at_once.above_zero
    assert results.verdict[0].startswith("Nobody wins: what differs from random beyond chance has another sign as steps: long +0.0")


def test_the_model_at_the_end_comes_first_where_the_plan_asked_for_it(tmp_path):
    primary = Endpoint("Dice at the end", "gradient", "random", judge="last")
    said = analysed(tmp_path, TWO, people=12, seeds=6, primary=primary).verdict
    assert said[0].startswith("Primary endpoint (Dice at the end): +0.0")
    assert said[1].startswith("Along the curve: gradient wins")


def test_runs_that_failed_leave_nothing_to_test(tmp_path):
    primary = Endpoint("gradient minus random", "gradient", "random")
    second = Endpoint("strided minus random", "strided", "random")
    arms = {**TWO, "strided": Made("strided")}
    results = analysed(tmp_path, arms, people=12, seeds=7, primary=primary, secondaries=(second,), failed=("gradient__fold-2__seed-0",))
    of_gradient, of_strided = results.endpoints
    assert (of_gradient.p, of_gradient.conclusion) == (None, "runs failed, nothing is concluded")
    assert of_strided.p is not None


def test_people_without_any_class_are_in_no_noise(tmp_path):
    make_comparison(tmp_path, TWO, people=3, folds=3, seeds=1)
    comparison = Comparison.read(tmp_path, resamples=20)
    for record in comparison.records:
        if record.fold == 0:
            metrics = [m for p in record.points for t in p.trainings for labels in t.tests.values() for m in labels.values()]
            for one in metrics:
                one |= {"reference_mm3": 0.0, "dice_3d": None, "dice_2d": None}
    results = analyse(comparison)
    assert results.noise.groups == 2 + 2 * 2 * 3  # folds 1 and 2: a first model for both arms, then three for each
    results.to_json()


def test_intervals_end_where_a_metric_does(tmp_path):
    final = analysed(tmp_path, {"random": Made(gain=0.15, wobble=0.1)}, people=3).arm("random").final["white"]
    assert final["dice_3d"].mean < final["dice_3d"].high <= 1
    assert 0 <= final["hd95_mm"].low < final["hd95_mm"].mean


def test_runs_made_in_several_ways_are_told(tmp_path):
    make_comparison(tmp_path, TWO)
    comparison = Comparison.read(tmp_path, resamples=20)
    assert not any("ways" in sentence for sentence in analyse(comparison).verdict)
    first, *others = comparison.records
    mixed = replace(comparison, records=(replace(first, machine={**first.machine, "threads": 2}), *others), _areas={})
    assert any(sentence.startswith("Runs were made in 2 ways") for sentence in analyse(mixed).verdict)
    newer = replace(comparison, records=(replace(first, versions={"numpy": "3"}), *others), _areas={})
    assert any(sentence.startswith("Runs were made in 2 ways") for sentence in analyse(newer).verdict)
    assert analyse(newer).versions == {"numpy": f"2 ({len(others)} runs), 3 (1 runs)"}
    assert analyse(comparison).versions == {"numpy": "2"}


def test_first_models_count_once_where_they_are_trained_alike(tmp_path):
    make_comparison(tmp_path, TWO)
    comparison = Comparison.read(tmp_path, resamples=20)
    arms = comparison.plan.arms
    own = replace(arms[1], training=replace(arms[1].training, dropout=0.5))
    apart = replace(comparison, plan=replace(comparison.plan, arms=(arms[0], own)), _areas={})
    assert analyse(apart).noise.groups - analyse(comparison).noise.groups == len(comparison.blocks)


def test_another_arm_does_not_change_a_gain(tmp_path):
    one = analysed(tmp_path / "one", TWO)
    other = analysed(tmp_path / "other", {**TWO, "cheap": Made("strided", pace=0.7)})
    assert other.gains[0].over["minutes"] == one.gains[0].over["minutes"]
    assert other.support["minutes"].end < one.support["minutes"].end


def test_failed_and_missing_runs_are_told(tmp_path):
    arms = {**TWO, "broken": Made("entropy")}
    gone = tuple(f"broken__fold-{f}__seed-{s}" for f in range(3) for s in range(2))
    results = analysed(tmp_path, arms, failed=(*gone, "gradient__fold-0__seed-1"), missing=("random__fold-2__seed-0",))
    assert results.absent == ("broken",)
    assert len(results.failures) == 7
    assert results.failures[-1] == ("gradient__fold-0__seed-1", "ValueError", "The disk burst.")
    assert results.missing == ("random__fold-2__seed-0",)
    assert (results.arm("gradient").runs, results.arm("gradient").failed, results.arm("random").missing) == (5, 1, 1)
    assert results.gains[0].over["minutes"].runs == 4
    assert results.verdict[-1] == "7 runs failed and 1 run not done yet; this is what the others say."
    assert results.verdict[0].startswith("Interim. ")


def test_few_seeds_are_told(tmp_path):
    said = {seeds: " ".join(analysed(tmp_path / str(seeds), TWO, seeds=seeds).verdict) for seeds in (1, 2, 6)}
    assert "With one seed, no interval includes variation" in said[1]
    assert "2 seeds are too few to tell most differences from the luck of a seed." in said[2]
    assert "luck" not in said[6]
    assert "seed:" not in said[6]


def test_nothing_done_yet_says_so(tmp_path):
    results = analysed(tmp_path, {"random": Made(), "a": Made("entropy")}, folds=1, seeds=1, failed=("a__fold-0__seed-0",))
    assert results.verdict[0] == "Nothing can be said yet: no arm can be compared with random."
    assert results.gains == ()


def test_no_p_without_an_endpoint(tmp_path):
    assert analysed(tmp_path, TWO).endpoints == ()


def test_endpoints_are_judged_as_the_plan_says(tmp_path):
    primary = Endpoint("gradient minus random", "gradient", "random")
    second = Endpoint("HD95 at the end", "gradient", "random", metric="hd95_mm", judge="last")
    third = Endpoint("the same again", "random", "gradient", over="slices")
    results = analysed(tmp_path, TWO, people=12, seeds=6, primary=primary, secondaries=(second, third))
    first, distance, backwards = results.endpoints
    assert (first.primary, first.conclusion, first.equivalent) == (True, "better", False)
    # Six seeds, all of one sign.
    assert first.p == first.adjusted == pytest.approx(2 / 2**6)
    assert first.held == pytest.approx(results.gains[0].held)
    assert distance.held is None
    assert distance.gain.mean == pytest.approx(0.4, abs=0.1)  # 10 mm times the gain; fewer millimetres are better
    assert distance.adjusted == backwards.adjusted == pytest.approx(2 * 2 / 2**6)
    # Intervals beside nought, and a p that two secondaries together make too large.
    assert distance.gain.above_zero
    assert backwards.gain.below_zero
    assert distance.conclusion == backwards.conclusion == "undecided"
    # Equivalences of two secondaries hold together.
    assert distance.narrow.high - distance.narrow.low == pytest.approx(distance.gain.high - distance.gain.low)
    assert first.narrow.high - first.narrow.low < first.gain.high - first.gain.low
    assert any(sentence.startswith("Primary endpoint (gradient minus random): +0.0") for sentence in results.verdict)


@pytest.mark.parametrize("sample", [{"people": 9, "seeds": 6}, {"people": 12, "seeds": 5}])
def test_no_p_of_few_people_or_seeds(tmp_path, sample):
    results = analysed(tmp_path, TWO, primary=Endpoint("gradient minus random", "gradient", "random"), **sample)
    assert results.endpoints[0].p is None
    assert results.endpoints[0].conclusion == "better"


def test_nothing_is_concluded_while_runs_are_missing(tmp_path):
    primary = Endpoint("gradient minus random", "gradient", "random")
    results = analysed(tmp_path, TWO, people=12, seeds=7, primary=primary, missing=("random__fold-2__seed-0",))
    assert (results.endpoints[0].p, results.endpoints[0].conclusion) == (None, "interim, nothing is concluded")


def test_what_two_arms_have_in_common_of_their_costs(tmp_path):
    gain = analysed(tmp_path, {"random": Made(), "long": Made("entropy", pace=2.0)}, noise=0.001).gains[0]
    assert gain.shared[1] == pytest.approx(1)
    assert 0.4 < gain.shared[0] < 1


def test_a_training_that_lost_a_class_is_counted(tmp_path):
    make_comparison(tmp_path, TWO, repeats=3, people=3, folds=1, seeds=1)
    comparison = Comparison.read(tmp_path, resamples=20)
    training = comparison.records[0].points[2].trainings[1]
    for by_label in training.tests.values():
        by_label["grey"]["dice_3d"] = 0.01
    noise = analyse(comparison).noise
    assert noise.lost == 1
    assert noise.typical < 0.01 < noise.sd


def test_the_noise_of_training_comes_out(tmp_path):
    noise = analysed(tmp_path, TWO, noise=0.02, repeats=4, seeds=4).noise
    assert noise.sd == pytest.approx(0.02, rel=0.15)
    assert set(noise.by_model) == {1, 2, 3, 4}
    assert noise.groups == 12 + 3 * 2 * 12  # the first model is the same in both arms
    assert noise.of_an_arm == pytest.approx(noise.sd / np.sqrt(4 * 12))
    assert analysed(tmp_path / "one", TWO, repeats=1).noise is None


def test_a_plan_of_one_arm_says_how_much_trainings_differ(tmp_path):
    results = analysed(tmp_path, {"random": Made()}, noise=0.02, repeats=4, seeds=4)
    assert results.verdict == (
        f"Trainings on the same slices differ by {results.noise.typical:.3f} in mean Dice "
        "(standard deviation, median of 48 sets of slices).",
        "0 of 192 trainings lost a class that the others of their set found; "
        f"pooled over all trainings the standard deviation is {results.noise.sd:.3f}.",
    )


def test_saved_effort_stands_beside_random_slices_and_the_ceiling(tmp_path):
    results = analysed(tmp_path, TWO)
    *batches, total = results.arm("random").effort
    assert [one.batch for one in batches] == [1, 2, 3]
    assert [one.chosen.exact for one in batches] == pytest.approx([0.35, 0.40, 0.45])
    assert total.batch == 0
    assert total.chosen.exact == pytest.approx(0.40)
    assert total.random.exact == pytest.approx(0.40)
    assert total.chosen.slices == 10 * 3 * 6


def test_saved_effort_leaves_out_a_first_batch_that_another_network_drew(tmp_path):
    make_comparison(tmp_path, TWO)
    comparison = Comparison.read(tmp_path, resamples=20)
    first = [replace(b, saved_effort=r.batches[1].saved_effort) if b.number == 0 else b for r in comparison.records for b in r.batches]
    per_run = len(comparison.records[0].batches)
    drawn = tuple(replace(r, batches=tuple(first[k * per_run : (k + 1) * per_run])) for k, r in enumerate(comparison.records))
    effort = analyse(replace(comparison, records=drawn, _areas={})).arm("random").effort
    assert [one.batch for one in effort] == [1, 2, 3, 0]
    assert effort[-1].chosen.slices == effort[-1].random.slices


def test_the_ceiling_is_that_of_the_grid(tmp_path):
    results = analysed(tmp_path, TWO)
    assert results.ceiling[MEAN].exact == pytest.approx(0.6)
    assert results.ceiling["grey"].exact == pytest.approx(0.6)


def test_final_numbers_by_class_and_region(tmp_path):
    final = analysed(tmp_path, TWO, noise=0.0).arm("random").final
    assert list(final) == [MEAN, "grey", "white", "brain"]
    assert final["white"]["dice_3d"].mean - final["grey"]["dice_3d"].mean == pytest.approx(0.02)
    assert final[MEAN]["dice_3d"].mean == pytest.approx(final["grey"]["dice_3d"].mean + 0.01)  # regions are no class
    assert final["grey"]["hd95_mm"].mean == pytest.approx(10 * (1 - final["grey"]["dice_3d"].mean))


def test_a_class_that_a_person_lacks_counts_in_false_volume_alone(tmp_path):
    make_comparison(tmp_path, TWO, people=3, folds=1, seeds=1)
    comparison = Comparison.read(tmp_path, resamples=20)
    records = []
    for record in comparison.records:
        for point in record.points:
            for training in point.trainings:
                training.tests["p01"]["white"] |= {"reference_mm3": 0.0, "dice_3d": 0.0, "false_mm3_on_empty": 7.0}
        records.append(record)
    comparison = replace(comparison, records=tuple(records))
    person = comparison.people.index("p01")
    assert comparison.last("random", "dice_3d")[person] == pytest.approx(comparison.last("random", "dice_3d", ["grey"])[person])
    assert np.isnan(comparison.last("random", "dice_3d", ["white"])[person, 0])
    assert comparison.last("random", "false_mm3_on_empty", ["white"])[person] == pytest.approx(7.0)


def test_the_price_list_can_turn_a_ranking(tmp_path):
    # `long` is better by a little and draws more contour a slice: what drawing costs decides.
    results = analysed(tmp_path, {"random": Made(), "long": Made("strided", gain=0.009, pace=1.25)}, noise=0.0)
    prices = results.prices
    assert len(prices.first) == 14
    assert not prices.survives
    assert prices.reversed_pairs["draw_seconds_per_mm +50 %"] == (("long", "random"),)
    assert 0 < prices.largest_gap < 0.01
    assert analysed(tmp_path / "clear", TWO, noise=0.0).prices.survives


def test_contour_a_pixel_off_can_be_taken_for_right(tmp_path):
    make_comparison(tmp_path, TWO)
    comparison = Comparison.read(tmp_path, resamples=20)
    curve = next(iter(comparison.curves.values()))
    # Of both classes 20 mm more are within a pixel than exact, in every batch after the first, at 0.15 s a millimetre.
    spared = [0.15 * 40 * model / 60 for model in range(4)]
    exact, tolerant = (np.array(curve.cost("minutes", Pricing(matching=matching))) for matching in ("exact", "pixels"))
    assert exact == pytest.approx(np.array(curve.cost("minutes")))
    assert exact - tolerant == pytest.approx(spared)
    assert curve.cost("slices", Pricing(matching="pixels")) == curve.cost("slices")


def test_the_primary_endpoint_is_told_under_every_price(tmp_path):
    endpoint = Endpoint("gradient better than random", "gradient", "random")
    # An arm that draws more contour a slice: what it gains hangs on the prices.
    arms = {"random": Made(), "gradient": Made("gradient-guided", gain=0.04, wobble=0.005, pace=1.25)}
    results = analysed(tmp_path, arms, primary=endpoint, people=12, seeds=6)
    (judged,) = results.endpoints
    given, p = results.prices.primary[ALL_AS_GIVEN]
    assert (given, p) == (pytest.approx(judged.gain.mean), judged.p)
    assert len({round(gain, 6) for gain, _ in results.prices.primary.values()}) > 5
    assert set(analysed(tmp_path / "none", TWO).prices.primary.values()) == {None}


def test_gains_are_told_seed_by_seed(tmp_path):
    results = analysed(tmp_path, TWO, seeds=3)
    (gain,) = results.gains
    assert list(gain.by_seed) == [0, 1, 2]
    # As many runs and people in every seed: the mean of seeds is the mean.
    assert np.mean(list(gain.by_seed.values())) == pytest.approx(gain.at_once.mean)


def test_arms_that_differ_in_one_option_are_an_ablation(tmp_path):
    arms = {
        "random": Made(),
        "g3": Made("gradient-guided"),
        "g5": Made("gradient-guided", latent=5),
        "g10": Made("gradient-guided", latent=10),
        "tau0": Made("gradient-guided", options={"tau": 0.0}),
        "free": Made("gradient-guided", options={"tau": None}),
        "both": Made("gradient-guided", options={"tau": 0.0}, latent=7),
    }
    found = [(one.title, [(value, arm) for value, arm, _ in one.points]) for one in analysed(tmp_path, arms, seeds=1).ablations]
    assert sorted(found) == [
        ("angle threshold (least cosine)", [("none", "free"), ("0", "tau0"), ("0.5", "g3")]),
        ("latent size", [("3", "g3"), ("5", "g5"), ("10", "g10")]),
        ("latent size", [("3", "tau0"), ("7", "both")]),
    ]


def test_no_ablation_of_strategies(tmp_path):
    plan = make_comparison(tmp_path, TWO, seeds=1)
    assert ablations(plan.arms) == []


def test_results_are_json_without_nan(tmp_path):
    data = analysed(tmp_path, {**TWO, "empty": Made("oracle", pace=0.01)}).to_json()
    assert data["arms"]["gradient"]["area"]["minutes"]["people"] == 9
    assert data["gains"]["gradient"]["against"] == "random"


def test_hours_count_what_is_shared_once(tmp_path):
    results = analysed(tmp_path, TWO)
    assert results.hours == pytest.approx((12 * 360 + 6 * 36) / 3600)
    assert results.machines == {"Abacus, 1 threads, cpu, Linux": 12}


def test_no_comparison_in_the_folder(tmp_path):
    with pytest.raises(InputError, match="no plan"):
        Comparison.read(tmp_path)


@pytest.mark.parametrize("one", ENTRIES, ids=lambda one: one.name)
def test_every_strategy_has_a_family(one):
    assert family(one.name) in ("gradient-guided", "chance and spacing", "uncertainty", "coverage", "sees the reference")
    assert (family(one.name) == "sees the reference") == one.needs_reference


def test_a_random_direction_is_chance_whatever_it_steers():
    assert family("gradient-core-set", {"direction": "random"}) == family("random-direction") == "chance and spacing"
    assert family("gradient-core-set", {"direction": "manifold"}) == "gradient-guided"
