"""Plans: what is read, what is refused and with which sentence, and that the hash is of the content."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from SuggestiveAnnotationLib.engine.settings import TrainingOptions
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.experiment.plan import FolderSource, Plan, resolve
from SuggestiveAnnotationLib.experiment.plan_file import FROZEN, plan_from_json, read_frozen, read_plan, write_frozen
from SuggestiveAnnotationLib.experiment.splits import folds_of
from SuggestiveAnnotationLib.types import Case

WritePlan = Callable[..., Path]
PLANS = Path(__file__).parents[3] / "Resources" / "Plans"


def test_a_plan_says_everything_and_arms_inherit_what_they_do_not_change(write_plan: WritePlan) -> None:
    plan = read_plan(write_plan(old='strategy = "random"\n', new='strategy = "random"\nbudget = [3, "50 %"]\n[arms.training]\nsteps = 9\n'))
    assert isinstance(plan.cohort, FolderSource)
    random, guided = plan.arms
    assert random.training == replace(plan.training, steps=9)
    assert guided.training == plan.training == TrainingOptions(network="tiny", steps=3, batch=4, device="cpu")
    assert (random.budget, guided.budget) == ((3, 0.5), (2,))
    assert [resolve(amount, 40) for amount in random.budget] == [3, 20]
    assert plan.seeds == (0,)
    options = guided.round_options(budget=2, seed=5)
    assert (options.strategy, options.budget, options.seed, options.steps) == ("gradient-guided", 2, 5, 3)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("rounds = 1", "rouns = 1", r"unknown key rouns.*Did you mean rounds"),
        ("rounds = 1", "rounds = 0", r"rounds = 0"),
        ("rounds = 1", 'rounds = "many"', r"rounds = 'many', which is not a whole number"),
        ("seeds = 1", "seeds = [3, 3]", r"seeds = \(3, 3\)"),
        ("seeds = 1", "", r""),
        ("budget = 2", 'budget = "0 %"', r"budget = '0 %'.*0.5 %"),
        ("budget = 2", "", r"lacks budget"),
        ("budget = 2", 'budget = "1.2.3 %"', r"budget = '1.2.3 %'"),
        ("budget = 2", 'budget = ". %"', r"budget = '. %'"),
        ("budget = 2", 'budget = ".5 %"', r""),
        ("first_batch = 4", "first_batch = [4, 8]", r"has 2 first batches"),
        ('strategy = "random"', 'strategy = "randon"', r"\[arms random\] is refused: There is no strategy 'randon'"),
        ('strategy = "random"', 'strategy = "random"\noptions = { tau = 1 }', r"no option 'tau'"),
        ('strategy = "random"', 'strategy = "random"\nunit = "voxel"', r"unit = 'voxel', which is not one of 'slice', 'case'"),
        ('strategy = "random"', 'strategy = "mc-dropout"', r"needs dropout.*dropout = 0.2"),
        ('strategy = "random"', 'strategy = "learning-loss"', r"needs a loss head"),
        ('name = "guided"', 'name = "random"', r"two arms called random"),
        ('name = "guided"', 'name = "Random"', r"two arms called Random"),
        ('name = "guided"', 'name = "a/b"', r"name 'a/b'"),
        ("steps = 3\nbatch", "step = 3\nbatch", r"\[training\] has the unknown key step.*steps"),
        ("steps = 3\nbatch", "steps = 0\nbatch", r"\[training\] is refused: --steps is 0"),
        ("folds = 2", "folds = 1", r"folds = 1"),
        ("folds = 2", "folds = 2\nrun = [2]", r"runs fold 2.*0 to 1"),
        ("folds = 2", 'kind = "random"', r"random and needs test and draws"),
        ("folds = 2", 'kind = "fixed"', r"names nobody"),
        ("folds = 2", 'kind = "leave-one-out"\nredraw = true', r"has redraw and kind"),
        ("pixels = 32", "pixels = 30", r"pixels = 30"),
        ("pixels = 32", 'grid_spacing = "fine"', r"\[cohort\] has grid_spacing = 'fine', which is not .*'native'"),
        ("pixels = 32", "grid_spacing = 0", r'grid_spacing = 0\. Give a number of millimetres above 0, or "native"'),
        ('folder = "${DATA}/phantoms"\nlabel = "*_label*"', "cases = 2", r""),
        ('folder = "${DATA}/phantoms"\nlabel = "*_label*"', "cases = 1", r"2 folds, but there are 1 people"),
        ('folder = "${DATA}/phantoms"\nlabel = "*_label*"', "cases = 3\nlesions = 2", r"lesion is 2"),
        ('against = "random"', 'against = "nobody"', r"the arm nobody, which is not there"),
        ('against = "random"', 'against = "guided"', r"holds guided against itself"),
        ('against = "random"', 'against = "random"\nmargin = 0', r"margin = 0"),
        ('against = "random"', 'against = "random"\nmetric = "dice"', r"metric = 'dice'.*dice_3d"),
        ('against = "random"', 'against = "random"\nmetric = "predicted_mm3"', r"metric = 'predicted_mm3'"),
        ('against = "random"', 'against = "random"\nmetric = "hd95_mm"', r'hd95_mm by area.*"none".*"all"'),
        ('against = "random"', 'against = "random"\nmetric = "hd95_mm"\njudge = "last"', r'hd95_mm by last.*"none".*"last"'),
        ("volume_metrics", 'first_strategy = "entropy"\nvolume_metrics', r"first_strategy entropy, which needs a model"),
        ("[primary]", '[transfer]\ncases = "x*"\nsteps = 3\n[primary]', r"warm_start = false"),
        ("[cohort]", "[cohort", r"is no TOML"),
    ],
)
def test_a_mistake_is_one_clear_sentence(write_plan: WritePlan, old: str, new: str, sentence: str) -> None:
    path = write_plan(old=old, new=new)
    if not sentence:
        read_plan(path)
        return
    with pytest.raises(InputError, match=sentence) as caught:
        read_plan(path)
    assert str(path) in str(caught.value)


def test_a_byte_order_mark_is_no_mistake(write_plan: WritePlan) -> None:
    path = write_plan()
    plan = read_plan(path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_plan(path) == plan


def test_a_plan_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.toml cannot be read"):
        read_plan(tmp_path / "nowhere.toml")


def test_the_hash_is_of_the_content_and_not_of_the_comments(write_plan: WritePlan, plan_text: str) -> None:
    plain = read_plan(write_plan())
    assert read_plan(write_plan("# why\n" + plan_text)).key == plain.key
    assert read_plan(write_plan(old="steps = 3\nbatch", new="steps = 4\nbatch")).key != plain.key
    assert read_plan(write_plan(old='against = "random"', new='against = "random"\nmargin = 0.02')).key != plain.key


def test_a_grid_of_a_given_spacing_changes_the_hash_and_its_absence_does_not(write_plan: WritePlan, plan: Plan) -> None:
    assert "grid_spacing" not in plan.to_json()
    for text, pixels, spacing in (('"native"', None, "native"), ("1", None, 1.0), ("0.5\npixels = 64", 64, 0.5)):
        made = read_plan(write_plan(old="pixels = 32", new=f"grid_spacing = {text}"))
        assert (made.pixels, made.grid_spacing) == (pixels, spacing)
        assert made.key != plan.key
        assert plan_from_json(made.to_json()) == made


def test_filling_changes_the_hash_and_its_absence_does_not(plan: Plan) -> None:
    assert all("fill" not in arm for arm in plan.to_json()["arms"])
    filling = replace(plan, arms=(replace(plan.arms[0], fill=4), *plan.arms[1:]))
    assert filling.to_json()["arms"][0]["fill"] == 4
    assert filling.key != plan.key
    assert plan_from_json(filling.to_json()) == filling


def test_an_ensemble_changes_the_hash_and_its_absence_does_not(plan: Plan) -> None:
    assert "manifold_members" not in plan.to_json()["manifold"]
    several = replace(plan.arms[0], manifold=replace(plan.manifold, manifold_members=3))
    made = replace(plan, arms=(several, *plan.arms[1:]))
    assert [arm["manifold"].get("manifold_members") for arm in made.to_json()["arms"][:2]] == [3, None]
    assert made.key != plan.key
    assert plan_from_json(made.to_json()) == made
    assert plan_from_json(plan.to_json()) == plan


def test_the_frozen_plan_comes_back_and_a_changed_one_is_refused(plan: Plan, tmp_path: Path) -> None:
    assert plan_from_json(plan.to_json()) == plan
    write_frozen(tmp_path, plan)
    assert read_frozen(tmp_path) == plan
    path = tmp_path / FROZEN
    path.write_text(path.read_text(encoding="utf-8").replace('"rounds": 1', '"rounds": 2'))
    with pytest.raises(InputError, match="was changed after"):
        read_frozen(tmp_path)


@pytest.mark.parametrize("path", sorted(PLANS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_plan_of_the_repository_can_be_read(path: Path) -> None:
    plan = read_plan(path)
    assert plan.name == path.stem
    assert plan_from_json(plan.to_json()) == plan
    text = path.read_text(encoding="utf-8")
    assert f"suggestive-annotation compare Resources/Plans/{path.name}" in text


def test_the_repository_brings_the_plans_it_names() -> None:
    there = {path.stem for path in PLANS.glob("*.toml")}
    own = {"embedded-screen", "malc-tissue-screen", "malc-tissue-final", "malc-tissue-noise", "brats2013-leave-one-out", "ms-lesions"}
    papers = {"brats2019", "brats2019-transfer", "malc", "promise12", "ibsr18", "mrbrains18"}
    assert own | papers <= there


def people(*names: str, labelled: bool = True) -> list[Case]:
    return [Case(f"{p}-{visit}", p, "pool", {}, label="l" if labelled else None) for p in names for visit in (1, 2)]


def with_split(plan: Plan, **values: object) -> Plan:
    return replace(plan, split=replace(plan.split, **values))


def test_folds_hold_every_person_out_once_with_all_visits(plan: Plan) -> None:
    cases = people("a", "b", "c", "d", "e")
    folds = folds_of(with_split(plan, folds=3), cases, seed=0)
    held = [{name for name, role in fold.roles.items() if role == "test"} for fold in folds]
    assert sorted(name for one in held for name in one) == sorted(c.name for c in cases)
    for one in held:
        assert {name[0] for name in one} == {name[0] for name in one if name.endswith("-1")} == {n[0] for n in one if n.endswith("-2")}
    assert folds_of(with_split(plan, folds=3), cases[::-1], seed=4) == folds
    assert folds_of(with_split(plan, folds=3, run=(1,)), cases, seed=0) == (folds[1],)
    assert folds_of(with_split(plan, folds=3, seed=1), cases, seed=0) != folds


def test_every_seed_may_divide_the_people_anew(plan: Plan) -> None:
    cases, anew = people(*"abcdefghi"), with_split(plan, folds=3, redraw=True)
    held = [[{n for n, role in f.roles.items() if role == "test"} for f in folds_of(anew, cases, seed=seed)] for seed in range(4)]
    for one in held:
        assert sorted(name for fold in one for name in fold) == sorted(c.name for c in cases)
    assert len({frozenset(map(frozenset, one)) for one in held}) == 4
    assert folds_of(anew, cases, seed=2) == folds_of(anew, cases[::-1], seed=2)
    assert "redraw" not in plan.to_json()["split"]
    assert anew.key != plan.key
    assert plan_from_json(anew.to_json()) == anew


def test_other_splits(plan: Plan) -> None:
    cases = people("a", "b", "c")

    def held(**values: object) -> list[list[str]]:
        return [sorted(n for n, r in fold.roles.items() if r == "test") for fold in folds_of(with_split(plan, **values), cases, seed=0)]

    assert held(kind="leave-one-out") == [["a-1", "a-2"], ["b-1", "b-2"], ["c-1", "c-2"]]
    assert held(kind="fixed", names=("b*",)) == [["b-1", "b-2"]]
    assert held(kind="fixed", names=("c-1",)) == [["c-1", "c-2"]]
    assert [len(one) for one in held(kind="random", test=1, draws=4)] == [2] * 4
    assert held(kind="leave-one-out", among="[ab]*") == [["a-1", "a-2"], ["b-1", "b-2"]]


def test_a_split_that_cannot_be_is_refused(plan: Plan) -> None:
    with pytest.raises(InputError, match="4 folds, but there are 3 people"):
        folds_of(with_split(plan, folds=4), people("a", "b", "c"), seed=0)
    with pytest.raises(InputError, match="nobody is named z"):
        folds_of(with_split(plan, kind="fixed", names=("z",)), people("a", "b"), seed=0)
    with pytest.raises(InputError, match="no reference labels"):
        folds_of(plan, people("a", "b", labelled=False), seed=0)
    with pytest.raises(InputError, match="runs fold 5"):
        folds_of(with_split(plan, kind="leave-one-out", run=(5,)), people("a", "b"), seed=0)
