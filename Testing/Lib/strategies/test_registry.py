from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from importlib import import_module
from typing import get_args, get_type_hints

import pytest

from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.strategies.registry import CONTEXT, ENTRIES, entry, offered, requirements, strategy
from SuggestiveAnnotationLib.strategies.scoring import ScoringStrategy
from SuggestiveAnnotationLib.training.views import ViewSettings

LONGEST_TITLE = 44
TERMS = {
    "gradient-guided": "gradient-guided",
    "gradient-guided-network": "gradient-guided",
    "gradient-core-set": "core-set",
    "consensus": "consensus",
    "gradient-guided-literal": "gradient-guided",
    "random-direction": "control",
    "strided": "evenly spaced",
    "widest-gap": "widest gap",
    "random": "uniformly at random",
    "predicted-foreground-random": "foreground-aware random",
    "entropy": "entropy",
    "average-bvsb": "BvSB",
    "least-confidence": "least confidence",
    "mc-dropout": "MC dropout",
    "test-time-augmentation": "test-time augmentation",
    "committee-variance": "query by committee",
    "learning-loss": "learning loss",
    "stochastic-batches": "stochastic batches",
    "power-entropy": "PowerPE",
    "clasp-pe": "ClaSP PE",
    "core-set": "core-set",
    "core-set-network": "core-set",
    "typical-clustering": "TypiClust",
    "badge": "BADGE",
    "cluster-max-cover": "ClsMC",
    "dal": "DAL",
    "oracle": "oracle",
    "oracle-foreground": "oracle",
    "reference-foreground-random": "foreground-aware random",
}
"""Strategy -> what its field calls it."""


@pytest.mark.parametrize("found", ENTRIES, ids=lambda e: e.name)
class TestEntry:
    def test_its_title_or_help_has_the_term_of_its_field(self, found):
        assert TERMS[found.name].lower() in f"{found.title}. {found.help}".lower()

    def test_its_title_is_short_enough_for_a_box(self, found):
        assert len(found.title) <= LONGEST_TITLE

    def test_it_agrees_with_the_class_it_builds(self, found):
        module, _, attribute = found.factory.partition(":")
        built = getattr(import_module(module), attribute)
        assert built.name == found.name
        assert strategy(found.name).requires == requirements(found.name) == found.requires
        own = {f.name: f.default for f in fields(built) if f.name != f"{found.wraps}_options"}
        assert own == {o.name: o.default for o in (CONTEXT, *found.options)}

    def test_its_choices_are_those_of_the_field(self, found):
        module, _, attribute = found.factory.partition(":")
        hints = get_type_hints(getattr(import_module(module), attribute))
        for option in found.options:
            if isinstance(option.default, str) and option.name != found.wraps:
                assert option.choices == get_args(hints[option.name])

    def test_its_texts_are_one_line_each(self, found):
        for text in (found.title, found.help, found.evidence):
            assert text
            assert "\n" not in text
        assert found.help.endswith(".")
        assert found.evidence.endswith(".")

    def test_choices_outside_the_list_are_refused(self, found):
        for option in found.options:
            if option.choices:
                with pytest.raises(InputError, match=option.name):
                    strategy(found.name, **{option.name: "something else"})


def test_names_are_distinct_and_in_kebab_case():
    names = [name for e in ENTRIES for name in (e.name, *e.synonyms)]
    assert len(set(names)) == len(names)
    assert all(n == n.lower().replace("_", "-").replace(" ", "-") for n in names)


def test_titles_are_distinct():
    assert len({e.title for e in ENTRIES}) == len(ENTRIES)


def test_what_an_option_takes_is_one_phrase():
    said = {option.name: option.allowed for name in ("gradient-guided", "consensus", "clasp-pe") for option in entry(name).options}
    assert said["tau"] == "a number from -1 to 1, or none"
    assert said["step"] == "a number above 0"
    assert said["steps"] == "a whole number from 1"
    assert said["vary"] == "noise or structures or dropout"
    assert said["balance"] == "true or false"


def test_the_help_of_augmentation_names_every_change_of_a_view():
    words = {"flip": "mirrored", "rotation": "turned", "shift": "shifted", "scale": "intensity", "offset": "intensity"}
    changes = [f.name for f in fields(ViewSettings) if f.name != "partner"]
    assert all(words[change] in entry("test-time-augmentation").help for change in changes)


def test_what_needs_reference_labels_is_never_offered():
    assert {e.name for e in ENTRIES} - {e.name for e in offered()} == {"oracle", "oracle-foreground", "reference-foreground-random"}


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(InputError, match=r"no strategy 'best'.*gradient-guided.*entropy"):
        entry("best")


def test_an_unknown_option_lists_the_known_ones():
    with pytest.raises(InputError, match=r"no option 'stride'.*context"):
        strategy("random", stride=3)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("random", {"context": -1}),
        ("random", {"context": "1"}),
        ("random", {"context": 1.0}),
        ("gradient-guided", {"tau": 2}),
        ("gradient-guided", {"step": 0}),
        ("gradient-guided", {"step": "far"}),
        ("gradient-guided", {"step": None}),
        ("gradient-guided", {"step": float("nan")}),
        ("gradient-guided", {"difference_rms": -1}),
        ("gradient-guided-literal", {"alpha": 0}),
        ("mc-dropout", {"passes": 1}),
        ("mc-dropout", {"passes": 8.0}),
        ("power-entropy", {"beta": 0}),
        ("clasp-pe", {"foreground": 1.1}),
        ("clasp-pe", {"steps": 0}),
        ("reference-foreground-random", {"foreground_share": -0.1}),
        ("stochastic-batches", {"scorer": "random"}),
        ("stochastic-batches", {"scorer": "oracle"}),
        ("stochastic-batches", {"scorer": 3}),
        ("stochastic-batches", {"passes": 8}),
    ],
)
def test_values_that_make_no_sense_are_refused_by_name(name, options):
    with pytest.raises(InputError, match=next(iter(options))):
        strategy(name, **options)


def test_a_synonym_is_the_same_strategy():
    assert entry("margin") is entry("average-bvsb")
    assert strategy("margin") == strategy("average-bvsb")


def test_stochastic_batches_may_wrap_every_score_that_needs_no_reference():
    (option,) = (o for o in entry("stochastic-batches").options if o.name == "scorer")
    scoring = {e.name for e in ENTRIES if isinstance(strategy(e.name), ScoringStrategy) and not e.needs_reference}
    assert set(option.choices) == scoring


def test_what_wraps_a_strategy_needs_what_that_one_needs():
    for name in ("entropy", "margin", "mc-dropout", "learning-loss"):
        needs = requirements("stochastic-batches", {"scorer": name, "batches": "independent"})
        assert needs == entry(name).requires == strategy("stochastic-batches", scorer=name).requires
    with pytest.raises(InputError, match="scorer"):
        requirements("stochastic-batches", {"scorer": "random"})


def test_what_wraps_a_strategy_takes_its_options_too():
    built = strategy("stochastic-batches", scorer="mc-dropout", passes=3, context=1)
    assert (built.scorer, built.scorer_options, built.context) == ("mc-dropout", {"passes": 3}, 1)
    with pytest.raises(InputError, match="passes"):
        strategy("stochastic-batches", scorer="mc-dropout", passes=0)


def test_options_of_what_wraps_and_of_what_is_wrapped_have_different_names():
    for found in (e for e in ENTRIES if e.wraps):
        names = {o.name for o in (CONTEXT, *found.options)}
        (option,) = (o for o in found.options if o.name == found.wraps)
        assert not any(names & {o.name for o in entry(one).options} for one in option.choices)


def test_the_angular_condition_may_be_switched_off():
    assert strategy("gradient-guided", tau=None).tau is None


def test_reading_the_catalogue_and_building_what_needs_no_model_imports_no_torch():
    code = (
        "import sys; sys.modules['torch'] = sys.modules['monai'] = None\n"
        "from SuggestiveAnnotationLib.strategies import contract, registry\n"
        "registry.strategy('strided'); registry.strategy('random'); print(len(registry.ENTRIES))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
