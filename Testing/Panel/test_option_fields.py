"""What the panel can set is read from the library: every field, its range and its help, as the library itself has them."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import pytest

import SuggestiveAnnotationLib
from SuggestiveAnnotationLib.engine.settings import ManifoldOptions, RoundOptions
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.strategies import registry

pytest.importorskip("PySide6")


@pytest.fixture(autouse=True)
def _in_slicer(host: Any) -> None:
    """The panel's files import Slicer."""


@dataclass
class Later:
    """What a later version may have."""

    share: float = field(default=0.5, metadata={"help": "a share", "least": 0, "most": 1})
    limit: float | None = field(default=None, metadata={"help": "a limit, or none"})
    side: int = field(default=64, metadata={"help": "a side", "least": 16, "multiple": 16})
    way: Literal["here", "there"] = field(default="here", metadata={"help": "a way"})
    on: bool = field(default=True, metadata={"help": "on"})
    name: str = field(default="x", metadata={"help": "a name"})
    many: dict = field(default_factory=dict, metadata={"help": "no row"})


def test_a_field_that_is_added_later_appears_by_itself():
    from SuggestiveAnnotationPanel.option_fields import Field, ofSettings

    assert ofSettings(Later, {"on"}) == (
        Field("share", 0.5, "a share", float, (), 0, 1),
        Field("limit", None, "a limit, or none", float, optional=True),
        Field("side", 64, "a side", int, (), 16, None, 16),
        Field("way", "here", "a way", str, ("here", "there")),
        Field("name", "x", "a name", str),
    )


@pytest.mark.parametrize("kind", [RoundOptions, ManifoldOptions])
def test_every_field_of_the_settings_is_there_but_the_mapping(kind: type):
    from SuggestiveAnnotationPanel.option_fields import ofSettings

    found = {one.name: one for one in ofSettings(kind, set())}
    assert set(found) == {one.name for one in fields(kind)} - {"strategy_options"}
    for one in fields(kind):
        if one.name in found:
            assert (found[one.name].help, found[one.name].default) == (one.metadata["help"], one.default)
            assert found[one.name].accepts(one.default)


def test_labels_are_the_names_of_the_library():
    from SuggestiveAnnotationPanel.option_fields import asWords, inWordsOfThePanel

    assert [asWords(name) for name in ("dropout", "latent_size", "per_class")] == ["Dropout", "Latent size", "Per class"]
    assert inWordsOfThePanel("--loss-head: no. Use --architecture unet, not --foo.") == "Loss head: no. Use Architecture unet, not --foo."


def test_commands_that_the_library_asks_for_are_what_is_pressed_in_the_panel():
    from SuggestiveAnnotationPanel.option_fields import PRESSED, inWordsOfThePanel

    library = "".join(path.read_text(encoding="utf-8") for path in Path(SuggestiveAnnotationLib.__file__).parent.rglob("*.py"))
    for typed, pressed in PRESSED.items():
        assert typed in library
        assert inWordsOfThePanel(f"{typed}.") == f"{pressed}."
        assert "`" not in pressed


@pytest.mark.parametrize(
    ("name", "value", "good"),
    [
        ("share", 1, True), ("share", 0.25, True), ("share", 1.5, False), ("share", -0.1, False), ("share", True, False),
        ("share", "0.5", False), ("share", None, False), ("share", float("nan"), False), ("limit", None, True), ("limit", 3, True),
        ("side", 16, True), ("side", 15, False), ("side", 16.5, False), ("way", "there", True), ("way", "nowhere", False),
        ("on", False, True), ("on", 1, False), ("name", "y", True), ("name", 3, False),
    ],
)  # fmt: skip
def test_only_values_that_fit_are_taken(name: str, value: Any, good: bool):
    from SuggestiveAnnotationPanel.option_fields import ofSettings

    assert {one.name: one for one in ofSettings(Later, set())}[name].accepts(value) is good


def cases() -> list[tuple[str, str]]:
    return [(entry.name, option.name) for entry in registry.offered() for option in registry.options(entry.name)]


@pytest.mark.parametrize(("name", "option"), cases())
def test_what_a_form_lets_through_the_strategy_takes(name: str, option: str):
    from SuggestiveAnnotationPanel.option_fields import ofStrategy

    one = next(field for field in ofStrategy(name, {}) if field.name == option)
    assert one.help
    assert one.accepts(one.default)
    values = [one.default, *one.choices, one.least, one.most, *([None] if one.optional else [])]
    for value in {v for v in values if v is not None or one.optional}:
        registry.strategy(name, **{option: value if not isinstance(one.default, float) or value is None else float(value)})
    numbers = one.kind in (int, float)
    assert not numbers or one.least is not None, f"{option} has no limits in the catalogue"
    if one.most is not None:
        with pytest.raises(InputError):
            registry.strategy(name, **{option: one.most + 1})


def test_a_strategy_that_wraps_another_has_the_options_of_the_chosen_one():
    from SuggestiveAnnotationPanel.option_fields import ofStrategy

    names = [one.name for one in ofStrategy("stochastic-batches", {})]
    assert names == ["scorer", "batches"]
    assert [one.name for one in ofStrategy("stochastic-batches", {"scorer": "mc-dropout"})] == [*names, "measure", "passes"]


def test_what_was_changed_travels_as_one_text_and_nothing_else():
    from SuggestiveAnnotationPanel.changed_settings import ROUND, ChangedSettings, groupOf
    from SuggestiveAnnotationPanel.option_fields import ofSettings, ofStrategy

    settings, of_round = ChangedSettings(), ofSettings(RoundOptions, set())
    named = {one.name: one for one in of_round}
    assert settings.text == ""
    settings.change(ROUND, named["dropout"], 0.3)
    settings.change(ROUND, named["augment"], False)
    tau = next(one for one in ofStrategy("gradient-guided", {}) if one.name == "tau")
    settings.change(groupOf("gradient-guided"), tau, None)
    again = ChangedSettings()
    again.text = settings.text
    assert again.of(ROUND, of_round) == {"dropout": 0.3, "augment": False}
    assert again.ofStrategy("gradient-guided") == {"tau": None}
    assert again.ofStrategy("random") == {}
    again.change(ROUND, named["dropout"], 0.0)
    assert again.of(ROUND, of_round) == {"augment": False}


@pytest.mark.parametrize(
    "text",
    ["no json", "[1]", '{"round": 3}', '{"round": {"dropout": 7, "gone": 1, "loss": "nothing", "steps": "300"}}',
     '{"strategy stochastic-batches": {"scorer": "gone", "passes": 3}}'],
)  # fmt: skip
def test_a_text_of_another_version_or_hand_changes_nothing_that_it_should_not(text: str):
    from SuggestiveAnnotationPanel.changed_settings import ROUND, ChangedSettings
    from SuggestiveAnnotationPanel.option_fields import ofSettings

    settings = ChangedSettings()
    settings.text = text
    assert settings.of(ROUND, ofSettings(RoundOptions, set())) == {}
    assert settings.ofStrategy("stochastic-batches") == {}


def test_a_choice_may_need_what_the_strategy_does_not():
    from SuggestiveAnnotationPanel.strategy_needs import sentence, trainedFor

    assert trainedFor("consensus", {}, {}) == {}
    assert trainedFor("consensus", {"vary": "dropout"}, {}) == {"dropout": 0.2}
    assert trainedFor("mc-dropout", {}, {"dropout": 0.4}) == {}
    assert trainedFor("stochastic-batches", {"scorer": "learning-loss"}, {}) == {"loss_head": True}
    assert sentence({}) == ""
    assert "dropout of 0.2" in sentence({"dropout": 0.2})
    assert "both" in sentence({"dropout": 0.2, "loss_head": True})
