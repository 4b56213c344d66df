"""The results page of made-up comparisons: every required part is there, and its sentence follows from the numbers."""

import csv
import io
import json
import re
from pathlib import Path

import pytest
from made_comparison import CLASSES, REGION, Made, make_comparison

from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.experiment.looks import highlighted, looks
from SuggestiveAnnotationLib.experiment.page import write_page
from SuggestiveAnnotationLib.experiment.plan import Endpoint
from SuggestiveAnnotationLib.experiment.plan_file import plan_from_json
from SuggestiveAnnotationLib.experiment.record import RECORDS

FEW = 200
PRIMARY = Endpoint("area, gradient minus random", "gradient", "random")
TWO = {"random": Made(), "gradient": Made("gradient-guided", gain=0.04, wobble=0.005)}


def page_of(folder, arms=None, **options):
    """The results, and the page alone, which is faster than with pictures."""
    make_comparison(folder / "runs", arms or TWO, **options)
    results = write_page(folder / "runs", folder / "page.html", resamples=FEW)
    return results, (folder / "page.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished comparison of finalists with an ablation and a failed run."""
    folder = tmp_path_factory.mktemp("comparison")
    arms = {**TWO, "gradient-5": Made("gradient-guided", latent=5), "strided": Made("strided", pace=1.2)}
    second = Endpoint("HD95 at the end", "gradient", "random", metric="hd95_mm", judge="last")
    make_comparison(folder / "runs", arms, primary=PRIMARY, secondaries=(second,), failed=("strided__fold-1__seed-0",), people=12, seeds=6)
    write_page(folder / "runs", folder / "out", resamples=FEW)
    return folder / "out"


PARTS = (
    "Which of these made-up arms is best?", "content hash", "Abacus, 1 threads", "hours in all", "Learning curves", "Area under the curve",
    "Over simulated minutes", "Over annotated slices", "Over contour length", "Against random", "Wins / ties / losses",
    "Endpoints of the plan", "Wilcoxon p", "Holm", "As steps", "For equivalence",
    "Simulated minutes paid", "3D Dice", "2D Dice", "Surface Dice at 1 mm", "HD95 (mm)",
    "Hausdorff distance (mm)", "False volume on slices without the class", "Saved effort", "Random slices: C / L exact",
    "ceiling of the network grid", "Training-noise floor", "draw seconds per mm +50 %", "Pairs that change places", "Ablations",
    "latent size", "strided__fold-1__seed-0", "The disk burst.", "Not claimed", "Every run of the plan has been carried out.",
    "hierarchical bootstrap", *CLASSES, REGION,
)  # fmt: skip


@pytest.mark.parametrize("part", PARTS)
def test_every_required_part_is_on_both_pages(whole, part):
    html = (whole / "index.html").read_text(encoding="utf-8")
    plain = (whole / "README.md").read_text(encoding="utf-8").replace("\\", "")
    assert part in html
    assert part in plain


def test_the_page_needs_nothing_else(whole):
    html = (whole / "index.html").read_text(encoding="utf-8")
    assert set(re.findall(r'src="(.{5})', html)) == {"data:"}
    assert {one[:1] for one in re.findall(r'href="([^"]*)"', html)} == {"#"}
    assert "<script" not in html
    assert html.count('alt=""') == 0
    assert html.count("<img") == html.count('alt="')


def test_every_picture_of_the_text_is_there(whole):
    text = (whole / "README.md").read_text(encoding="utf-8")
    named = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)
    assert {"figures/learning.png", "figures/area.png", "figures/gains.png", "figures/effort.png", "figures/ablation-1.png"} == set(named)
    assert all((whole / one).read_bytes().startswith(b"\x89PNG") for one in named)


def test_every_part_with_numbers_has_its_command(whole):
    command = "suggestive-annotation compare Resources/Plans/made-up.toml --out comparisons/made-up"
    for text in ((whole / "index.html").read_text(encoding="utf-8"), (whole / "README.md").read_text(encoding="utf-8")):
        assert text.count(command) >= 10


def test_numbers_as_json(whole):
    data = json.loads((whole / "results.json").read_text(encoding="utf-8"))
    assert data["arms"]["gradient"]["area"]["minutes"]["mean"] > data["arms"]["random"]["area"]["minutes"]["mean"]
    assert data["verdict"][0].startswith("gradient wins")
    assert data["failures"] == [["strided__fold-1__seed-0", "ValueError", "The disk burst."]]
    # Options that are younger than a published page do not change it.
    assert data["plan"].keys().isdisjoint({"grid_spacing"})
    assert plan_from_json(data["plan"]).key == data["plan_key"]
    shown = f"{data['arms']['random']['area']['minutes']['mean']:.3f}"
    assert shown in (whole / "index.html").read_text(encoding="utf-8")


def test_numbers_as_csv(whole):
    rows = list(csv.DictReader(io.StringIO((whole / "results.csv").read_text(encoding="utf-8"))))
    assert len(rows) == (4 * 18 - 1) * 4 * 4  # runs, models, mean and three structures
    one = next(r for r in rows if (r["arm"], r["model"], r["structure"]) == ("random", "4", "grey"))
    assert 0.5 < float(one["dice_3d"]) < 1
    assert float(one["hd95_mm"]) == pytest.approx(10 * (1 - float(one["dice_3d"])), abs=1e-3)
    assert next(r for r in rows if r["model"] == "1")["hd95_mm"] == ""
    assert "p00" not in (whole / "results.csv").read_text(encoding="utf-8")


def test_no_name_of_a_person_is_on_a_page(whole):
    for path in whole.glob("*.*"):
        assert not re.search(r"\bp0\d\b", path.read_text(encoding="utf-8"))


def test_random_wins_where_it_does(tmp_path):
    _, html = page_of(tmp_path, {"random": Made(), "a": Made("entropy", gain=-0.05), "b": Made("strided", gain=-0.03)})
    assert "<b>Random wins: every other arm is worse" in html


def test_nobody_wins_where_nobody_does(tmp_path):
    _, html = page_of(tmp_path, {"random": Made(wobble=0.02), "a": Made("entropy", wobble=0.02)})
    assert "<b>Nobody wins: no arm differs from random beyond chance" in html


def test_a_plan_without_an_endpoint_has_no_p(tmp_path):
    _, html = page_of(tmp_path)
    assert "The plan names no endpoint, so there are intervals and no p-values." in html
    assert "Wilcoxon p" not in html


def test_an_arm_that_cannot_be_held_against_the_baseline_is_named(tmp_path):
    over_contour = Endpoint("empty minus random", "empty", "random", over="contour_mm")
    results, html = page_of(tmp_path, {**TWO, "empty": Made("entropy", pace=0.01)}, primary=over_contour)
    gain = next(one for one in results.gains if one.arm == "empty")
    assert (gain.at_once.mean, gain.shared) == (None, None)
    assert "Over contour length empty cannot be compared with random: in some fold and seed" in html


def test_a_screening_has_no_p_whatever_it_names(tmp_path):
    arms = {**TWO, **{f"other-{n}": Made("entropy") for n in range(5)}}
    results, html = page_of(tmp_path, arms, primary=PRIMARY, seeds=1)
    assert results.endpoints[0].p is None
    assert "Intervals and no p-values: these are for at most 6 arms, at least 12 people and 6 seeds." in html
    assert "Wilcoxon p" not in html


def test_at_most_six_arms_are_highlighted(tmp_path):
    arms = {**TWO, **{f"other-{n}": Made("entropy", gain=-0.01 * n) for n in range(8)}}
    results, html = page_of(tmp_path, arms, seeds=1)
    assert len(highlighted(results)) == 6
    assert {"random", "gradient"} <= set(highlighted(results))
    looked = looks(results)
    assert len({one.colour for one in looked.values()}) == 7
    assert looked["gradient"].style != looked["random"].style
    assert "other-7" in html  # grey in figures, but in every table


def test_what_is_missing_is_said(tmp_path):
    gone = tuple(f"gradient__fold-{f}__seed-{s}" for f in range(3) for s in range(2))
    results, html = page_of(tmp_path, failed=gone[:3], missing=gone[3:], repeats=1)
    assert "Nothing can be said yet: no arm can be compared with random." in html
    assert "Every selected set was trained on once" in html
    assert "Fewer than two arms can be compared over simulated minutes." in html
    assert all(name in html for name in gone)
    assert results.absent == ("gradient",)


def test_a_comparison_where_everything_failed_has_a_page(tmp_path):
    runs = tuple(f"{arm}__fold-0__seed-0" for arm in TWO)
    _, html = page_of(tmp_path, people=3, folds=1, seeds=1, failed=runs)
    assert "Nothing can be said yet" in html
    assert html.count("The disk burst.") == 2
    assert 'id="learning"' not in html


def test_one_person_has_dots_and_no_intervals(tmp_path):
    _, html = page_of(tmp_path, people=1, folds=1, seeds=1)
    assert "With 1 person hardly any difference can be shown" in html


def test_a_name_that_ends_in_html_gets_the_page_alone(tmp_path):
    page_of(tmp_path, seeds=1)
    assert {one.name for one in tmp_path.iterdir()} == {"runs", "page.html"}


def test_the_page_alone_points_to_no_file_and_names_the_plan_that_was_given(tmp_path):
    make_comparison(tmp_path / "runs", TWO, people=2, folds=1, seeds=1)
    write_page(tmp_path / "runs", tmp_path / "my page.html", plan=Path("plans/own plan.toml"), resamples=20)
    html = (tmp_path / "my page.html").read_text(encoding="utf-8")
    assert "in results.json" not in html
    assert "compare &#39;plans/own plan.toml&#39; --out comparisons/made-up" in html
    assert "Resources/" not in html


def test_endpoints_that_cannot_be_judged_are_named(tmp_path):
    gone = tuple(f"gradient__fold-{fold}__seed-{seed}" for fold in range(3) for seed in range(2))
    _, html = page_of(tmp_path, primary=PRIMARY, failed=gone)
    assert "The plan names no endpoint" not in html
    assert "area, gradient minus random cannot be judged: gradient has no finished run." in html
    surfaces = Endpoint("HD95", "gradient", "random", metric="hd95", judge="last")
    _, html = page_of(tmp_path / "typo", primary=PRIMARY, secondaries=(surfaces,))
    assert "HD95 cannot be judged: no run measured hd95." in html


def test_what_the_plan_judges_is_what_it_says(tmp_path):
    _, html = page_of(tmp_path, primary=Endpoint("Dice at the end", "gradient", "random", judge="last"))
    assert "3D Dice of the last model, mean over classes" in html
    _, html = page_of(tmp_path / "area", primary=PRIMARY)
    assert "area under 3D Dice over simulated minutes, mean over classes" in html


def test_writing_again_leaves_no_old_ablation(tmp_path):
    make_comparison(tmp_path / "runs", TWO, people=2, folds=1, seeds=1)
    old, other = tmp_path / "out" / "figures" / "ablation-9.png", tmp_path / "out" / "figures" / "mine.png"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"")
    other.write_bytes(b"")
    write_page(tmp_path / "runs", tmp_path / "out", resamples=50)
    first = (tmp_path / "out" / "index.html").read_bytes()
    assert not old.exists()
    assert other.exists()
    write_page(tmp_path / "runs", tmp_path / "out", resamples=50)
    assert (tmp_path / "out" / "index.html").read_bytes() == first  # the same records give the same bytes


def test_nothing_carried_out_yet(tmp_path):
    make_comparison(tmp_path, TWO, seeds=1, people=2, folds=1, missing=tuple(f"{arm}__fold-0__seed-0" for arm in TWO))
    with pytest.raises(InputError, match="carried out"):
        write_page(tmp_path, tmp_path / "out")


def test_a_broken_record_is_named(tmp_path):
    make_comparison(tmp_path, TWO, seeds=1, people=2, folds=1)
    (tmp_path / RECORDS / "random__fold-0__seed-0.json").write_text("{")
    with pytest.raises(InputError, match="random__fold-0__seed-0"):
        write_page(tmp_path, tmp_path / "out")


def test_words_of_a_plan_are_escaped(tmp_path):
    make_comparison(tmp_path / "runs", TWO, seeds=1, people=2, folds=1, failed=tuple(f"{arm}__fold-0__seed-0" for arm in TWO))
    path = tmp_path / "runs" / RECORDS / "random__fold-0__seed-0.json"
    path.write_text(path.read_text(encoding="utf-8").replace("The disk burst.", "<b>|a|</b> $x$"))
    write_page(tmp_path / "runs", tmp_path / "out", resamples=20)
    assert "&lt;b&gt;|a|" in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "&lt;b>\\|a\\|" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
