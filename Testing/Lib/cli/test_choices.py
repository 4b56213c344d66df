"""What there is to choose from, as the command line tells it: strategies with everything that can be set of each, and networks."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict
from typing import Any, get_args

import pytest

from SuggestiveAnnotationLib.cli.main import build_parser, main
from SuggestiveAnnotationLib.cli.options import read_settings
from SuggestiveAnnotationLib.engine.settings import Architecture, NetworkSize, RoundOptions
from SuggestiveAnnotationLib.engine.suggest import check_options
from SuggestiveAnnotationLib.strategies.registry import ENTRIES, offered


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(list(words)) == 0
    return capsys.readouterr().out


def told(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    return json.loads(printed(capsys, *words, "--json"))


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda one: one.name)
class TestOneStrategy:
    def test_everything_that_the_catalogue_says_of_it_is_printed(self, entry: Any, capsys: pytest.CaptureFixture[str]) -> None:
        page = printed(capsys, "strategies", entry.name)
        for text in (entry.name, entry.title, entry.help, entry.source, entry.evidence, *entry.synonyms):
            assert text in page
        for option in entry.options:
            assert f"\n    {option.name}: {option.allowed} (default " in page
            assert option.help in page
            for choice in option.choices:
                assert choice in page
        (found,) = told(capsys, "strategies", entry.name)["strategies"]
        assert (found["name"], found["title"], found["help"]) == (entry.name, entry.title, entry.help)
        assert found["options"] == json.loads(json.dumps([{**asdict(o), "allowed": o.allowed} for o in entry.options]))

    def test_its_example_is_a_command_that_would_run(self, entry: Any, capsys: pytest.CaptureFixture[str]) -> None:
        (found,) = told(capsys, "strategies", entry.name)["strategies"]
        program, *words = shlex.split(found["example"])
        assert program == "suggestive-annotation"
        assert ("--option" in words) == bool(entry.options)
        options = read_settings(RoundOptions, build_parser().parse_args(words))
        check_options(options, experiment=words[0] == "simulate")
        assert f"Example: {found['example']}\n" in printed(capsys, "strategies", entry.name)

    def test_each_of_its_options_can_be_given_with_each_of_its_values(self, entry: Any, capsys: pytest.CaptureFixture[str]) -> None:
        for option in entry.options:
            values = [*option.choices, *([None] if option.optional else []), *([True, False] if isinstance(option.default, bool) else [])]
            for value in values or [option.default]:
                text = value if isinstance(value, str) else "none" if value is None else json.dumps(value)
                words = f"simulate STUDY --dropout 0.2 --loss-head --strategy {entry.name} --option".split()
                options = read_settings(RoundOptions, build_parser().parse_args([*words, f"{option.name}={text}"]))
                assert options.strategy_options == {option.name: value}
                check_options(options, experiment=True)


def test_what_a_strategy_needs_is_said_with_what_gives_it(capsys: pytest.CaptureFixture[str]) -> None:
    for name, said in (
        ("mc-dropout", "--dropout 0.2"), ("learning-loss", "--loss-head"), ("dal", "--committee"), ("core-set", "fit-manifold"),
        ("entropy", "train"), ("oracle", "`simulate` and `compare` only"), ("random", "nothing that is trained"),
        ("consensus", "with vary=dropout: a network with dropout"), ("stochastic-batches", "with scorer=committee-variance: a committee"),
    ):  # fmt: skip
        needs = [line for line in printed(capsys, "strategies", name).splitlines() if "Needs:" in line]
        assert any(said in line for line in needs), name


def test_a_strategy_that_wraps_another_says_whose_options_it_takes_too(capsys: pytest.CaptureFixture[str]) -> None:
    page = printed(capsys, "strategies", "stochastic-batches")
    assert "with scorer=mc-dropout also: measure, passes (see `strategies mc-dropout`)" in page


def test_a_synonym_prints_the_strategy_that_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    page = printed(capsys, "strategies", "margin")
    assert page == printed(capsys, "strategies", "average-bvsb")
    assert "Also called: margin" in page


def test_the_list_says_where_options_are_and_holds_all_of_them_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "strategies").splitlines()[-1].endswith("suggestive-annotation strategies NAME")
    every = told(capsys, "strategies", "--all")["strategies"]
    assert every == [told(capsys, "strategies", one.name)["strategies"][0] for one in ENTRIES]
    assert [one["name"] for one in told(capsys, "strategies")["strategies"]] == [one.name for one in offered()]


def test_an_unknown_name_is_one_sentence_with_the_one_most_like_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["strategies", "stochastic-batch"]) == 2
    out, error = capsys.readouterr()
    assert (out, error) == ("", "There is no strategy 'stochastic-batch'. Did you mean stochastic-batches?\n")


def test_each_network_and_each_width_has_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    found, page = told(capsys, "networks"), printed(capsys, "networks")
    assert [one["name"] for one in found["networks"]] == list(get_args(Architecture))
    assert [one["name"] for one in found["widths"]] == list(get_args(NetworkSize))
    for one in (*found["networks"], *found["widths"]):
        assert one["help"] in page


@pytest.mark.parametrize("command", ["run-round", "suggest", "simulate"])
def test_help_of_a_command_names_the_lists(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        build_parser().parse_args([command, "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "(see `strategies NAME`)" in text
    assert command == "suggest" or text.count("(see `networks`)") == 3
