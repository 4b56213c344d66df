from __future__ import annotations

import pytest

from SuggestiveAnnotationLib.report.data import DiceValue, Effort, EffortRow, ReportData, RoundRow, total
from SuggestiveAnnotationLib.report.headline import caveats, headline
from SuggestiveAnnotationLib.report.numbers import ALL_CLASSES, case_dice, effort_of, mean_dice, percent
from SuggestiveAnnotationLib.report.tables import effort_tables, rounds_table


def a_report(**parts) -> ReportData:
    return ReportData(title="t", study="s", created="now", classes={"a": 1, "b": 2}, **parts)


class TestEffort:
    def test_ratios_by_hand(self):
        effort = Effort(
            slices=1, reference_mm=100, kept_mm=40, kept_1px_mm=70, kept_1mm_mm=60, predicted_mm=60, added_mm3=1500, removed_mm3=500
        )
        assert effort.exact == pytest.approx(0.4)
        assert effort.within_1px == pytest.approx(0.7)
        assert effort.within_1mm == pytest.approx(0.6)
        assert effort.of_prediction == pytest.approx(40 / 60)
        assert effort.symmetric == pytest.approx(80 / 160)

    def test_without_a_reference_contour_the_share_is_undefined_not_complete(self):
        effort = Effort(slices=1, reference_mm=0, kept_mm=0, kept_1px_mm=0, predicted_mm=12, false_components=2)
        assert effort.exact is None
        assert effort.within_1px is None
        assert effort.of_prediction == 0
        assert percent(effort.exact) == "\N{EN DASH}"

    def test_a_sum_divides_sums_and_is_no_mean_of_ratios(self):
        small, large = Effort(1, reference_mm=10, kept_mm=10), Effort(1, reference_mm=990, kept_mm=0)
        assert total([small, large]).exact == pytest.approx(0.01)
        assert total([small, large]).slices == 2

    def test_a_tolerance_that_one_part_lacks_is_unknown_for_the_sum(self):
        assert total([Effort(1, 10, 5, kept_1px_mm=7), Effort(1, 10, 5)]).within_1px is None

    def test_all_classes_add_lengths_but_count_a_slice_once(self):
        rows = [
            EffortRow(1, "a", "Retained contour", Effort(20, 300, 30)),
            EffortRow(1, "b", "Retained contour", Effort(20, 100, 90)),
            EffortRow(2, "b", "Retained contour", Effort(20, 100, 0)),
        ]
        both = effort_of(rows, ALL_CLASSES, 1)
        assert both is not None
        assert both.exact == pytest.approx(120 / 400)
        assert both.slices == 20


class TestDice:
    rows = (
        DiceValue(1, "a", "x", 0.8),
        DiceValue(1, "b", "x", None),
        DiceValue(1, "a", "y", 0.6),
        DiceValue(1, "b", "y", 0.4),
        DiceValue(1, "whole", "y", 0.0),
    )

    def test_the_mean_of_a_case_is_over_its_defined_classes_and_no_regions(self):
        assert case_dice(a_report(dice=self.rows), None, 1) == {"x": pytest.approx(0.8), "y": pytest.approx(0.5)}

    def test_the_mean_is_over_cases(self):
        assert mean_dice(a_report(dice=self.rows), None, 1) == pytest.approx(0.65)

    def test_a_class_nobody_has_is_undefined(self):
        assert mean_dice(a_report(dice=(DiceValue(1, "b", "x", None),)), "b", 1) is None


class TestWords:
    def test_a_falling_dice_is_said_to_fall(self):
        dice = (DiceValue(1, "a", "x", 0.8), DiceValue(2, "a", "x", 0.7))
        rounds = (RoundRow(1, "random", 0, 10), RoundRow(2, "random", 0, 20))
        assert "Mean Dice over 1 held-out case fell from 0.80 to 0.70." in headline(a_report(dice=dice, rounds=rounds)).gave

    def test_retained_contour_alone_asks_for_audit_slices(self):
        effort = (EffortRow(1, "a", "Retained contour", Effort(3, 10, 5)),)
        rounds = (RoundRow(1, "random", 0, 10),)
        assert any("audit" in sentence for sentence in headline(a_report(effort=effort, rounds=rounds)).next)

    def test_nothing_says_that_time_was_saved_or_that_one_may_stop(self, full_report):
        words = headline(full_report)
        text = " ".join((*words.done, *words.gave, *words.next, *(s.label + s.note for s in words.stats))).lower()
        for claim in ("time saved", "saved time", "faster", "stop now", "enough"):
            assert claim not in text

    def test_one_run_is_not_said_to_beat_random(self, full_report):
        assert any("Random choice is strong" in sentence for sentence in caveats(full_report))

    def test_the_ceiling_stands_beside_the_share(self, full_report):
        assert any("54 %" in sentence for sentence in headline(full_report).gave if sentence.startswith("Ceiling"))
        assert any("ceiling 54 %" in stat.note for stat in headline(full_report).stats if stat.label == "Retained contour")


class TestTables:
    def test_undefined_shares_are_dashes(self):
        rows = (EffortRow(1, "a", "Retained contour", Effort(2, 0.0, 0.0, predicted_mm=5.0, false_components=1)),)
        (table,) = effort_tables(a_report(effort=rows))
        cells = dict(zip(table.columns, table.rows[0], strict=True))
        assert cells["C / L exact"] == cells["within 1 px"] == cells["Ceiling"] == cells["Added (ml)"] == "\N{EN DASH}"
        assert cells["C / L_pred"] == "0 %"
        assert cells["False comp."] == "1"

    def test_the_two_quantities_never_share_a_table(self, full_report):
        assert [t.caption.split(":")[0] for t in effort_tables(full_report)] == ["Retained contour", "Saved effort on audit slices"]

    def test_every_row_has_a_cell_for_every_column(self, full_report):
        for table in (rounds_table(full_report), *effort_tables(full_report)):
            assert {len(row) for row in table.rows} == {len(table.columns)}
