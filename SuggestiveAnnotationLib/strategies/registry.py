"""The catalogue of strategies: names, help, what has been shown for each, options. Reading it imports no torch; building a strategy may."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.strategies.contract import Requirement, Strategy

_PACKAGE = "SuggestiveAnnotationLib.strategies"


@dataclass(frozen=True)
class Option:
    """One option of a strategy: a field of its dataclass.

    Attributes:
        choices: allowed values; () where it is a number.
    """

    name: str
    default: Any
    help: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entry:
    """One strategy of the catalogue.

    Attributes:
        name: in kebab-case, as commands, studies and rationales name it.
        title: as the panel shows it.
        help: one line, what it does.
        evidence: one line, what has been shown for it and what has not.
        factory: "module:Class".
        requires: what it needs beyond the pool.
        options: besides `context`, which every strategy has.
    """

    name: str
    title: str
    help: str
    evidence: str
    factory: str
    requires: frozenset[Requirement] = frozenset()
    options: tuple[Option, ...] = ()

    @property
    def needs_reference(self) -> bool:
        """It looks at reference labels of unannotated slices: for experiments, never offered to a clinician."""
        return Requirement.REFERENCE in self.requires


CONTEXT = Option("context", 0, "neighbouring slices to show on each side of a suggestion (2020 paper: 1)")
_TAU = Option("tau", 0.5, "least cosine between the step and the way to the pick; none: no condition (the papers' value is not known)")
_STEP = Option("step", 4.0, "length of the step, in multiples of the pool's median distance to the nearest latent of another case")
_MODEL = frozenset({Requirement.MODEL})
_BOTH = frozenset({Requirement.MODEL, Requirement.MANIFOLD})
_ORACLE = frozenset({Requirement.MODEL, Requirement.REFERENCE})

ENTRIES: tuple[Entry, ...] = (
    Entry(
        "gradient-guided",
        "Gradient-guided",
        "Steps from annotated slices to where the model's error grows on the learnt manifold.",
        "Papers report 1-5 Dice points over random on BraTS 2019 and MALC; that the gradient beats a random direction is not shown.",
        f"{_PACKAGE}.gradient:GradientGuided",
        _BOTH,
        (
            Option("direction", "encoder", "how the gradient is carried to the manifold", ("encoder", "manifold")),
            Option("derivative", "forward mode", "how the encoder is differentiated", ("forward mode", "finite difference")),
            Option("difference_rms", 1e-2, "image step of the finite difference, root mean square"),
            _STEP,
            _TAU,
        ),
    ),
    Entry(
        "gradient-guided-literal",
        "Gradient-guided, literal",
        "The papers' equations to the letter, with their tiny step in image space.",
        "As published; at the papers' step length the direction is lost in float32 rounding, so that it picks nearest neighbours.",
        f"{_PACKAGE}.gradient:GradientGuidedLiteral",
        _BOTH,
        (Option("alpha", 1e-3, "step length in image space (2022 paper 1e-3, 2020 paper 1e-4)"), _TAU),
    ),
    Entry(
        "random-direction",
        "Random direction (control)",
        "Gradient-guided sampling with a random direction instead of the gradient's.",
        "A control: in early trials it did as well as the gradient. Not a published method.",
        f"{_PACKAGE}.gradient:RandomDirection",
        _BOTH,
        (_STEP, _TAU),
    ),
    Entry(
        "strided",
        "Evenly spaced",
        "Evenly spaced slices of every case, the same number in each, from a random start.",
        "What a clinic would do by hand; a strong simple baseline that needs no model. Published comparisons rarely include it.",
        f"{_PACKAGE}.sampling:Strided",
    ),
    Entry(
        "random",
        "Random",
        "Slices drawn uniformly at random.",
        "The baseline of every paper; large comparisons in 3D found little that reliably beats it.",
        f"{_PACKAGE}.sampling:Random",
    ),
    Entry(
        "predicted-foreground-random",
        "Random where the model sees something",
        "Random among the slices in which the model predicts a structure.",
        "A large comparison in 3D found nothing reliably better than random with foreground awareness; misses what the model misses.",
        f"{_PACKAGE}.foreground:PredictedForegroundRandom",
        _MODEL,
        (Option("weight", "equal", "every such slice alike, or by the fraction of foreground", ("equal", "proportional")),),
    ),
    Entry(
        "entropy",
        "Entropy",
        "Slices where the model is least sure: highest mean pixel entropy.",
        "The classic; beats random in some studies and not in others, and likes to pick near-duplicates.",
        f"{_PACKAGE}.uncertainty:Entropy",
        _MODEL,
    ),
    Entry(
        "average-bvsb",
        "Best versus second best",
        "Slices where the model's two likeliest classes lie closest together on average.",
        "Used with whole volumes in one study of annotation effort; not compared with random there on its own.",
        f"{_PACKAGE}.uncertainty:AverageBvSB",
        _MODEL,
    ),
    Entry(
        "oracle",
        "Oracle (experiments)",
        "Slices of lowest Dice against the reference, over all slices.",
        "Hardest first, not an upper bound; it picks slices without any structure first.",
        f"{_PACKAGE}.oracle:Oracle",
        _ORACLE,
    ),
    Entry(
        "oracle-foreground",
        "Oracle with foreground (experiments)",
        "Slices of lowest Dice against the reference, over the slices that show a structure.",
        "Hardest first, not an upper bound; the oracle to compare with.",
        f"{_PACKAGE}.oracle:OracleForeground",
        _ORACLE,
    ),
)


def entry(name: str) -> Entry:
    """The catalogue entry of a strategy. Raises: InputError listing the names, for an unknown one."""
    for candidate in ENTRIES:
        if candidate.name == name:
            return candidate
    raise InputError(f"There is no strategy {name!r}.", hint=f"Choose one of: {_listed(e.name for e in ENTRIES)}.")


def offered() -> tuple[Entry, ...]:
    """The strategies a clinician may be offered: those that need no reference labels."""
    return tuple(e for e in ENTRIES if not e.needs_reference)


def strategy(name: str, **options: Any) -> Strategy:
    """Build a strategy.

    Args:
        name: of the catalogue.
        options: of the strategy, and `context`; the defaults stand for what is not given.

    Raises:
        InputError: an unknown name, an option that the strategy does not have, or a value it cannot take.
    """
    found = entry(name)
    known = (CONTEXT, *found.options)
    unknown = sorted(set(options) - {o.name for o in known})
    if unknown:
        raise InputError(f"Strategy {name} has no option {unknown[0]!r}.", hint=f"Its options are: {_listed(o.name for o in known)}.")
    for option in known:
        if option.name in options:
            _check_type(name, option, options[option.name])
    module, _, attribute = found.factory.partition(":")
    built: Strategy = getattr(import_module(module), attribute)(**options)
    return built


def _check_type(name: str, option: Option, value: Any) -> None:
    """Raises: InputError, for text where a number belongs and the like; ranges are checked by the strategy itself."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    fits = {
        str: isinstance(value, str),
        int: number and isinstance(value, int),
        float: number or (value is None and option.name == "tau"),
    }
    if not fits[type(option.default)]:
        wanted = _listed(option.choices) if option.choices else "a number"
        raise InputError(f"Option {option.name} of strategy {name} cannot be {value!r}.", hint=f"It must be {wanted}.")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
