"""The catalogue of strategies: names, help, what has been shown for each, options."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from SuggestiveAnnotationLib.strategies.contract import Requirement

_PACKAGE = "SuggestiveAnnotationLib.strategies"
MEASURED = Path(__file__).with_name("measured.json")
"""Strategy -> what this project's own comparisons say of it; see `experiment.evidence`."""
_ABOVE_0 = 1e-8


@dataclass(frozen=True)
class Option:
    """One option of a strategy: a field of its dataclass.

    Attributes:
        choices: allowed values; () where it is a number.
        least, most: range of a number, for forms; the strategy itself is who refuses. None: no limit.
        optional: None is a value too.
    """

    name: str
    default: Any
    help: str
    choices: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None
    optional: bool = False

    @property
    def allowed(self) -> str:
        """What may be given for it, as one phrase."""
        if self.choices:
            return " or ".join(self.choices)
        if isinstance(self.default, bool):
            return "true or false"
        kind = "a whole number" if isinstance(self.default, int) else "a number"
        least = "" if self.least is None else " above 0" if self.least == _ABOVE_0 else f" from {self.least:g}"
        most = "" if self.most is None else f" to {self.most:g}"
        return f"{kind}{least}{most}{', or none' if self.optional else ''}"


@dataclass(frozen=True)
class Entry:
    """One strategy of the catalogue.

    Attributes:
        name: in kebab-case, as commands, studies and rationales name it.
        title: as the panel shows it, with the term or the acronym of its field; short enough for a box in the panel.
        help: one line, what it does.
        published: one line, what others have shown for it and what has not been shown.
        factory: "module:Class".
        requires: what it needs beyond the pool.
        options: besides `context`, which every strategy has.
        synonyms: other names of the very same thing, accepted wherever the name is.
        source: the paper that it comes from; "" where there is none to name.
        wraps: the option that names another strategy, which takes part in this one: it may be given the other's options too, and needs
            what the other needs. "" where there is none.
    """

    name: str
    title: str
    help: str
    published: str
    factory: str
    requires: frozenset[Requirement] = frozenset()
    options: tuple[Option, ...] = ()
    synonyms: tuple[str, ...] = ()
    source: str = ""
    wraps: str = ""

    @property
    def evidence(self) -> str:
        """One line: what others have shown for it, and what was measured here."""
        return f"{self.published} {_measured().get(self.name, '')}".rstrip()

    @property
    def needs_reference(self) -> bool:
        """It looks at reference labels of unannotated slices: for experiments, never offered to a clinician."""
        return Requirement.REFERENCE in self.requires


@cache
def _measured() -> dict[str, str]:
    found: dict[str, str] = json.loads(MEASURED.read_text(encoding="utf-8"))
    return found


CONTEXT = Option("context", 0, "neighbouring slices to show on each side of a suggestion (2020 paper: 1)")
_TAU = Option(
    "tau",
    0.5,
    "least cosine between the step and the way to the pick; none: no condition (the papers' value is not known)",
    least=-1,
    most=1,
    optional=True,
)
_STEP = Option(
    "step", 4.0, "length of the step, in multiples of the pool's median distance to the nearest latent of another case", least=_ABOVE_0
)
_DERIVATIVE = Option("derivative", "forward mode", "how the encoder is differentiated", ("forward mode", "finite difference"))
_DIFFERENCE = Option("difference_rms", 1e-2, "image step of the finite difference, root mean square", least=_ABOVE_0)
_PER_CLASS = Option("per_class", False, "one direction for every structure, from its own loss, instead of one for all together")
_FIXED_STEP = (
    _STEP,
    _TAU,
    Option("targets", 1, "points that each source aims at along its direction, at 1, 2, ... times the step", least=1),
    Option("weighting", "equal", "sources take turns, or turns in proportion to their loss", ("equal", "loss")),
    Option("balance", False, "at most one slice of a case more than an equal share, while other cases have any"),
    Option("density", 0.0, "how far targets are pulled toward the mean of the latents around them, 0 to 1", least=0, most=1),
)
_MODEL = frozenset({Requirement.MODEL})
_DROPOUT = frozenset({Requirement.MODEL, Requirement.DROPOUT})
_LOSS_HEAD = frozenset({Requirement.MODEL, Requirement.LOSS_HEAD})
_BOTH = frozenset({Requirement.MODEL, Requirement.MANIFOLD})
_MANIFOLD = frozenset({Requirement.MANIFOLD})
_COMMITTEE = frozenset({Requirement.COMMITTEE})
_ORACLE = frozenset({Requirement.MODEL, Requirement.REFERENCE})
_REFERENCE = frozenset({Requirement.REFERENCE})
_PASSES = Option("passes", 8, "predictions of every slice (authors' code: 8)", least=2)
_MEASURE = Option(
    "measure",
    "mutual information",
    "how disagreement is measured; mutual information is BALD, mean entropy is what the authors' code of stochastic batches computes",
    ("mutual information", "variance", "mean entropy"),
)
_WEIGHT = Option(
    "weight",
    "equal",
    "every such slice alike, by the fraction of foreground, or every structure alike",
    ("equal", "proportional", "structure"),
)
_FOREGROUND_SHARE = "share of the batch drawn from slices with foreground, the rest from all (nnActive: 0.66)"

_SCORING: tuple[Entry, ...] = (
    Entry(
        "entropy",
        "Entropy",
        "Slices where the model is least sure: highest mean pixel entropy.",
        "Best overall in a large 3D comparison, yet not reliably better than foreground-aware random; likes near-duplicates.",
        f"{_PACKAGE}.uncertainty:Entropy",
        _MODEL,
    ),
    Entry(
        "average-bvsb",
        "Best versus second best (BvSB, margin)",
        "Slices where the model's two likeliest classes lie closest together on average; known as margin sampling too.",
        "Used with whole volumes in one study of annotation effort, where it beat random in two small cohorts; no repeats are told.",
        f"{_PACKAGE}.uncertainty:AverageBvSB",
        _MODEL,
        synonyms=("margin",),
        source="the annotation-effort paper (arXiv 1901.02355, 2019)",
    ),
    Entry(
        "least-confidence",
        "Least confidence",
        "Slices where the model's likeliest class is least likely on average.",
        "The oldest uncertainty score; with two classes it ranks pixels as the margin does. No gain of its own has been shown.",
        f"{_PACKAGE}.uncertainty:LeastConfidence",
        _MODEL,
    ),
    Entry(
        "mc-dropout",
        "Dropout disagreement (MC dropout)",
        "Slices where predictions differ most when parts of the network are switched off at random (Monte Carlo dropout).",
        "Worse than random on its own in the prostate study of stochastic batches (3D Dice 67.7 against 68.8), better with them.",
        f"{_PACKAGE}.dropout:McDropout",
        _DROPOUT,
        (_MEASURE, _PASSES),
        source="Gal and Ghahramani, ICML 2016",
    ),
    Entry(
        "test-time-augmentation",
        "Disagreement under test-time augmentation",
        "Slices where predictions differ most when the image is turned, shifted or changed in intensity a little, or mirrored.",
        "Beat its authors' baselines on cardiac images; better with stochastic batches; not shown against foreground-aware random.",
        f"{_PACKAGE}.augmentation:TestTimeAugmentation",
        _MODEL,
        (_MEASURE, _PASSES),
        source="Gaillochet et al. (TAAL), MICCAI DALI 2022",
    ),
    Entry(
        "committee-variance",
        "Committee disagreement (QBC)",
        "Slices on which several networks, each trained on its own draw of the annotations, disagree most (query by committee).",
        "Half of deep active learning; alone it was not reported in the papers, and uncertainty alone likes near-duplicates.",
        f"{_PACKAGE}.committee:CommitteeVariance",
        _COMMITTEE,
        source="Yang et al., MICCAI 2017, as Dai et al., Medical Image Analysis 2022, have it",
    ),
    Entry(
        "learning-loss",
        "Predicted loss (learning loss)",
        "Slices for which the network predicts its own loss to be highest.",
        "Shown for classification, detection and human pose; beaten on brain MR in the 2022 paper, and better with stochastic batches.",
        f"{_PACKAGE}.learning_loss:LearningLoss",
        _LOSS_HEAD,
        source="Yoo and Kweon, CVPR 2019",
    ),
)
"""Strategies that score slices one by one, which stochastic batches can wrap."""

ENTRIES: tuple[Entry, ...] = (
    Entry(
        "gradient-guided",
        "Gradient-guided",
        "Steps from annotated slices to where the model's error grows on the learnt manifold.",
        "In the 2022 paper 1.1-2.6 Dice points over random on tumours, 0.9-1.0 on MALC; that it beats a random direction is not shown.",
        f"{_PACKAGE}.gradient:GradientGuided",
        _BOTH,
        (
            Option("direction", "encoder", "how the gradient is carried to the manifold", ("encoder", "manifold")),
            _DERIVATIVE,
            _DIFFERENCE,
            _PER_CLASS,
            *_FIXED_STEP,
        ),
        source="Dai et al., MICCAI 2020 and Medical Image Analysis 2022",
    ),
    Entry(
        "gradient-guided-network",
        "Gradient-guided, in the network's features",
        "Steps from annotated slices to where the model's error grows, among the network's own features instead of the learnt manifold.",
        "Ours; nothing has been shown for it yet. It needs no manifold, but looks at the whole pool in every round.",
        f"{_PACKAGE}.gradient:GradientGuidedNetwork",
        _MODEL,
        (
            Option("size", 3, "principal components of the features (2022 paper's latent size on tumours: 3)", least=1),
            _DERIVATIVE,
            _DIFFERENCE,
            _PER_CLASS,
            *_FIXED_STEP,
        ),
        source="this project, after Dai et al., Medical Image Analysis 2022",
    ),
    Entry(
        "gradient-core-set",
        "Core-set along the gradient",
        "The slices least like anything annotated or suggested before them, with distances counted more where the model's error grows.",
        "Ours, unpublished. With random directions instead of the gradient it did as well here (equivalent within 0.01): what helps, if "
        "anything does, is coverage.",
        f"{_PACKAGE}.gradient_coverage:GradientCoreSet",
        _BOTH,
        (
            Option("pull", 0.5, "how much more a distance counts along the gradient; 0: core set, negative: a control", least=-1, most=1),
            Option(
                "direction", "manifold", "how the gradient is carried to the manifold; random: a control", ("encoder", "manifold", "random")
            ),
        ),
        source="this project, after Sener and Savarese, ICLR 2018, and Dai et al., Medical Image Analysis 2022",
    ),
    Entry(
        "consensus",
        "Gradient-guided, by consensus",
        "Steps from each annotated slice along several gradients; the slice that most of them reach is suggested.",
        "Named as future work in the 2022 paper; nothing has been shown for it yet.",
        f"{_PACKAGE}.consensus:Consensus",
        _BOTH,
        (
            Option("vary", "noise", "where a source's several gradients come from", ("noise", "structures", "dropout")),
            Option("passes", 8, "gradients a source, for noise and dropout", least=2),
            Option("noise", 0.1, "standard deviation of the noise on the image, in normalised intensities", least=_ABOVE_0),
            Option("direction", "encoder", "how the gradient is carried to the manifold", ("encoder", "manifold")),
            *_FIXED_STEP,
        ),
        source="future work of Dai et al., Medical Image Analysis 2022 (section 5)",
    ),
    Entry(
        "gradient-guided-literal",
        "Gradient-guided, literal",
        "The papers' equations to the letter, with their tiny step in image space.",
        "As published; at the papers' step length the direction is lost in float32 rounding, so that it picks nearest neighbours.",
        f"{_PACKAGE}.gradient:GradientGuidedLiteral",
        _BOTH,
        (Option("alpha", 1e-3, "step length in image space (2022 paper 1e-3, 2020 paper 1e-4)", least=_ABOVE_0), _TAU),
        source="Dai et al., MICCAI 2020 and Medical Image Analysis 2022 (equations 3 to 6)",
    ),
    Entry(
        "random-direction",
        "Random direction (control)",
        "Gradient-guided sampling with a random direction instead of the gradient's.",
        "A control, not a published method.",
        f"{_PACKAGE}.gradient:RandomDirection",
        _BOTH,
        _FIXED_STEP,
    ),
    Entry(
        "strided",
        "Evenly spaced",
        "Evenly spaced slices of every case, in each batch as equal in number as it allows, from a random start.",
        "A simple baseline that needs no model, rare in published comparisons; with fewer slices than cases it is close to random.",
        f"{_PACKAGE}.sampling:Strided",
        options=(
            Option(
                "every",
                0,
                "one in so many slices of a case, before another case begins; the round's fill, as large, fills between them; 0: all alike",
                least=0,
            ),
        ),
    ),
    Entry(
        "widest-gap",
        "Widest gap",
        "Slices that split the widest stretches without annotation evenly, the same number in every case.",
        "What a clinic draws before filling between slices; needs no model. Not in any published comparison that we know of.",
        f"{_PACKAGE}.gaps:WidestGap",
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
        "Foreground-aware random, as predicted",
        "Random among the slices in which the model predicts a structure.",
        "A large comparison in 3D found nothing reliably better than random with foreground awareness; misses what the model misses.",
        f"{_PACKAGE}.foreground:PredictedForegroundRandom",
        _MODEL,
        (_WEIGHT, Option("foreground_share", 1.0, _FOREGROUND_SHARE, least=0, most=1)),
        source="after nnActive (Lüth et al.), which looks at reference labels",
    ),
    *_SCORING,
    Entry(
        "stochastic-batches",
        "Stochastic batches",
        "The best of many random batches, by the mean of any score; its slices differ more than the highest scores do.",
        "Shown by its authors on prostate (3D Dice: entropy 71.3, dropout 72.6, random 68.8) and hippocampus; not repeated by others.",
        f"{_PACKAGE}.stochastic:StochasticBatches",
        _MODEL,
        (
            Option("scorer", "entropy", "the score; its own options may be given too", tuple(e.name for e in _SCORING)),
            Option(
                "batches", "partition", "every slice in one batch (authors' code), or each batch on its own", ("partition", "independent")
            ),
        ),
        wraps="scorer",
        source="Gaillochet et al., Medical Image Analysis 2023",
    ),
    Entry(
        "power-entropy",
        "Entropy with power noise (PowerPE)",
        "Slices drawn at random, likelier where the model is less sure: entropy with power noise.",
        "Makes batches more varied at no cost; in the large 3D comparison not reliably better than foreground-aware random.",
        f"{_PACKAGE}.power:PowerEntropy",
        _MODEL,
        (Option("beta", 1.0, "large: plain entropy, near 0: random (published: 1)", least=_ABOVE_0),),
        source="Kirsch et al., TMLR 2023",
    ),
    Entry(
        "clasp-pe",
        "Entropy by structure, with chance (ClaSP PE)",
        "Most of the batch in equal parts to the structures, where the model is unsure of each, with noise that falls off over the rounds.",
        "Its authors' only method that mostly beat foreground-aware random in 3D (24 settings, patches, ensembles); not shown for slices.",
        f"{_PACKAGE}.power:ClassStratifiedPowerEntropy",
        _MODEL,
        (
            Option("foreground", 0.66, "share of the batch that goes to the structures (published: 0.66)", least=0, most=1),
            Option("steps", 5, "query at which the noise has all but gone (published: number of trainings)", least=1),
        ),
        source="Lüth et al., TMLR 2026 (arXiv 2601.13677)",
    ),
    Entry(
        "core-set",
        "Core-set of the manifold",
        "The slices least like anything annotated or suggested before them (k-centre greedy on the learnt manifold).",
        "Published for classification, in a network's features; on a VAE's latents and for slices not shown, and it is drawn to outliers.",
        f"{_PACKAGE}.coverage:CoreSet",
        _MANIFOLD,
        source="Sener and Savarese, ICLR 2018",
    ),
    Entry(
        "core-set-network",
        "Core-set of the network's features",
        "The slices least like anything annotated or suggested before them, as the segmentation network sees them.",
        "Published for classification, in this very space; for segmentation and single slices not shown, and it is drawn to outliers.",
        f"{_PACKAGE}.coverage:CoreSetNetwork",
        _MODEL,
        source="Sener and Savarese, ICLR 2018",
    ),
    Entry(
        "typical-clustering",
        "Typical slices (TypiClust)",
        "The most typical slice of each group of similar slices that holds no annotation (TypiClust on the learnt manifold).",
        "Published for classification with few labels, in self-supervised features; on a VAE's latents and for slices not shown.",
        f"{_PACKAGE}.clustering:TypicalClustering",
        _MANIFOLD,
        (Option("most_clusters", 500, "limit to the number of groups (published: 500)", least=1),),
        source="Hacohen et al., ICML 2022",
    ),
    Entry(
        "badge",
        "Diverse gradients (BADGE)",
        "Slices from which the model would learn much and different things (k-means++ over its own last-layer gradients).",
        "Published for classification, by its authors as good as its rivals or better; averaged over a slice it is not shown.",
        f"{_PACKAGE}.badge:GradientEmbedding",
        _MODEL,
        source="Ash et al., ICLR 2020",
    ),
    Entry(
        "cluster-max-cover",
        "Clusters and maximum cover (ClsMC)",
        "Slices that stand for most others: groups of the manifold, then maximum cover inside and across them (ClsMC).",
        "In the 2022 paper near random on tumours (0.837 and 0.840 at 7 %) and a little above it on MALC (0.771 and 0.768 at 42 %).",
        f"{_PACKAGE}.clustering:ClusterMaxCover",
        _MANIFOLD,
        (Option("clusters", 10, "number of groups (the papers' is not known)", least=1),),
        source="Zheng et al., AAAI 2019, as Dai et al., Medical Image Analysis 2022, have it",
    ),
    Entry(
        "dal",
        "Deep active learning (DAL)",
        "Of the slices on which several networks disagree most, those that most resemble the rest of the pool.",
        "In the 2022 paper 0.2 to 0.9 Dice points over random on tumours and MALC, at four trainings a round; no test against random.",
        f"{_PACKAGE}.committee:DeepActiveLearning",
        _COMMITTEE,
        (
            Option("chunk", 20, "candidates looked at together (2022 paper: 20)", least=1),
            Option("candidates", 2, "how many times more candidates than picks (2022 paper: 2); 1: disagreement alone", least=1),
        ),
        source="Yang et al., MICCAI 2017, as Dai et al., Medical Image Analysis 2022, have it",
    ),
    Entry(
        "oracle",
        "Oracle (experiments)",
        "Slices of lowest Dice against the reference, over all slices.",
        "Hardest first, not an upper bound; it picks slices without any structure first.",
        f"{_PACKAGE}.oracle:Oracle",
        _ORACLE,
        source="Dai et al., MICCAI 2020 and Medical Image Analysis 2022",
    ),
    Entry(
        "oracle-foreground",
        "Oracle with foreground (experiments)",
        "Slices of lowest Dice against the reference, over the slices that show a structure.",
        "Hardest first, not an upper bound; the oracle to compare with.",
        f"{_PACKAGE}.oracle:OracleForeground",
        _ORACLE,
        source="Dai et al., MICCAI 2020 and Medical Image Analysis 2022",
    ),
    Entry(
        "reference-foreground-random",
        "Foreground-aware random (experiments)",
        "Random, with a share of the batch from slices whose reference shows a structure.",
        "The baseline that a large comparison in 3D could not reliably beat; looks at reference labels, so it is for experiments only.",
        f"{_PACKAGE}.foreground:ReferenceForegroundRandom",
        _REFERENCE,
        (_WEIGHT, Option("foreground_share", 0.66, _FOREGROUND_SHARE, least=0, most=1)),
        source="nnActive (Lüth et al.)",
    ),
)
