"""The words of the project, as small frozen objects. The database, the protocol and the panel use these same names.

Arrays: slices are `(channel, row, column)`, label slices `(row, column)` uint16 of schema *values*, volumes `(slice, row, column)` in the
order of SimpleITK's `GetArrayFromImage`. Spacing is in millimetres in array-axis order.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

LabelArray = NDArray[np.uint16]
"""Label values of the schema, `(row, column)` for a slice in canonical in-plane orientation (see `geometry.SliceFrame`)."""

Plane = Literal["axial", "coronal", "sagittal"]
GridSpacing = float | Literal["native"]
"""Of the network grid: millimetres; "native": those of the scans."""
Role = Literal["pool", "validation", "test", "excluded"]
Unit = Literal["slice", "case"]
Provenance = Literal["unchanged", "corrected", "from scratch", "empty", "imported", "filled"]
FILLED: Provenance = "filled"
"""Interpolated: nobody drew the slice, and it costs nobody a minute."""
SuggestionState = Literal["suggested", "draft", "accepted", "skipped", "unreadable", "expired"]
SuggestionKind = Literal["suggested", "context", "audit"]
AnnotationState = Literal["accepted", "superseded", "undone", "returned"]
Verdict = Literal["approved", "returned"]
RoundStage = Literal["training", "suggesting", "predicting", "annotating", "finished"]
ModelKind = Literal["manifold", "segmentation", "committee", "imported"]
LabelUse = Literal["reference", "validation", "first-batch", "pre-annotation"]
"""What the labels that a cohort brings are for: to judge by, to stop training by, as accepted slices, or to be corrected."""
AnnotatedRule = Literal["all", "labelled", "span", "marked"]
"""Which slices of such labels count as annotated: all (those without a label are empty), those that hold a label, those from the first to
the last that does, or those that are not the ignore value throughout."""


@dataclass(frozen=True, order=True)
class SliceRef:
    """One native slice of a case's reference modality.

    Attributes:
        case: case name.
        axis: axis of the native array `(k, j, i)` that the slice is taken across.
        native_index: 0-based position on that axis.
    """

    case: str
    axis: int
    native_index: int


def slice_number(ref: SliceRef) -> int:
    """The slice number a person sees, 1-based as in Slicer's slice slider. The only place where the two are converted."""
    return ref.native_index + 1


def describe(ref: SliceRef) -> str:
    """`case 1012, slice 87`, as every sentence to a person names a slice."""
    return f"case {ref.case}, slice {slice_number(ref)}"


@dataclass(frozen=True)
class LabelClass:
    """One structure to annotate.

    Attributes:
        value: the value in labelmaps; never 0 (background).
        name: what the clinician reads.
        colour: red, green, blue, 0 to 255.
        partner: value of the same structure on the other side; flips swap the two.
        terminology: code as `scheme^code^meaning`, for example `SCT^12738006^Brain`.
    """

    value: int
    name: str
    colour: tuple[int, int, int]
    partner: int | None = None
    terminology: str | None = None


@dataclass(frozen=True)
class LabelSchema:
    """What is annotated, and how labels found in files become it.

    Attributes:
        name: of the schema.
        classes: in the order of the network's channels 1..K; channel 0 is background.
        regions: nested regions for evaluation only, name -> values that form it (whole tumour, tumour core, ...).
        ignore_value: pixels with this value enter no loss and no metric.
        merge: value in a file -> value of the schema (0 background, `ignore_value` ignore). None: values are used as they are.
        merge_other: what a value in a file that `merge` does not list becomes; None: it is an error.
        ignore_unlabelled_in_mask: voxels inside the foreground mask file with no label become ignore (MALC: sulcal CSF).
        exclude_mask_edge: contours on the edge of the foreground mask file are left out of contour effort, for images that were stripped
            with the label mask (MALC): finding that edge is no achievement.
    """

    name: str
    classes: tuple[LabelClass, ...]
    regions: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    ignore_value: int = 255
    merge: Mapping[int, int] | None = None
    merge_other: int | None = None
    ignore_unlabelled_in_mask: bool = False
    exclude_mask_edge: bool = False

    @property
    def channels(self) -> int:
        """Network output channels: background and every class."""
        return len(self.classes) + 1

    @property
    def values(self) -> tuple[int, ...]:
        """Schema values of the channels 0..K; the first is background, 0."""
        return (0, *(c.value for c in self.classes))

    @property
    def judged(self) -> dict[str, tuple[int, ...]]:
        """What metrics are given for, class or region -> its values: classes first, as the schema has them."""
        return {c.name: (c.value,) for c in self.classes} | dict(self.regions)

    def to_channels(self, labels: NDArray[Any]) -> NDArray[np.int16]:
        """Schema values -> channel indices, ignore -> -1; same shape. Values outside the schema: ValueError."""
        table = np.full(65536, -2, np.int16)
        table[list(self.values)] = np.arange(self.channels)
        table[self.ignore_value] = -1
        out: NDArray[np.int16] = table[labels]
        if (out == -2).any():
            strange = sorted({int(v) for v in np.unique(labels)} - {*self.values, self.ignore_value})
            raise ValueError(f"values {', '.join(map(str, strange[:5]))} are not in schema {self.name}")
        return out

    def to_values(self, channels: NDArray[Any]) -> LabelArray:
        """Channel indices (-1 ignore) -> schema values; same shape."""
        table = np.array([*self.values, self.ignore_value], np.uint16)
        out: LabelArray = table[channels]
        return out

    @property
    def channel_partner(self) -> tuple[int, ...]:
        """Channel -> channel of its left/right partner (itself where there is none)."""
        index = {v: i for i, v in enumerate(self.values)}
        partners = {c.value: c.partner for c in self.classes}
        return tuple(index[partners.get(v) or v] for v in self.values)

    @property
    def key(self) -> str:
        """Hash of the content, 12 hexadecimal digits."""
        return content_key(asdict(self))


PREPROCESSING_VERSION = 2
"""Of the code that makes network input; arrays and models of another version are of no use to it."""


@dataclass(frozen=True)
class PreprocessingRecord:
    """The frozen record of how images become network input. Models, predictions and latents name it and refuse another.

    Attributes:
        plane: anatomical plane of the slices.
        modalities: channel order.
        reference: modality whose voxel grid annotations live on.
        spacing: of the network grid, millimetres, (row, column).
        size: of the network grid, pixels, (row, column); multiples of 16.
        normalisation: name of the intensity rule.
        foreground: name of the foreground rule.
        schema_key: `LabelSchema.key`.
        version: of the preprocessing code.
    """

    plane: Plane
    modalities: tuple[str, ...]
    reference: str
    spacing: tuple[float, float]
    size: tuple[int, int]
    schema_key: str
    normalisation: str = "z-score by the bulk of the foreground, clipped to [-5, 5]"
    foreground: str = "mask file, else not the constant background, else not air"
    version: int = PREPROCESSING_VERSION

    @property
    def key(self) -> str:
        """Hash of the content, 12 hexadecimal digits."""
        return content_key(asdict(self))


@dataclass(frozen=True)
class Rationale:
    """Why a slice was chosen, for a machine and for a person.

    Attributes:
        strategy: registered name.
        sentence: one plain sentence.
        score: the strategy's own score; higher means sooner. None where there is none (random).
        source: annotated slice whose gradient led here (gradient-guided sampling).
        source_latent, projected, chosen_latent: latent vectors z, z' and z_j of the 2022 paper's eq. 3-6.
        details: further numbers and flags by name, JSON values only.
    """

    strategy: str
    sentence: str
    score: float | None = None
    source: SliceRef | None = None
    source_latent: tuple[float, ...] | None = None
    projected: tuple[float, ...] | None = None
    chosen_latent: tuple[float, ...] | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary of JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Rationale:
        """The inverse of `to_json`."""
        d = dict(data)
        for name in ("source_latent", "projected", "chosen_latent"):
            d[name] = tuple(d[name]) if d.get(name) is not None else None
        d["source"] = SliceRef(**d["source"]) if d.get("source") else None
        return cls(**d)


@dataclass(frozen=True)
class Suggestion:
    """A slice somebody should annotate, its place in the batch (0 first) and why.

    `context_of` is set on the two neighbouring slices shown beside a suggestion (2020 paper); they cost annotation too.
    """

    ref: SliceRef
    rank: int
    rationale: Rationale
    kind: SuggestionKind = "suggested"
    context_of: SliceRef | None = None


@dataclass(frozen=True)
class Case:
    """One case of the cohort as the study knows it.

    Attributes:
        name: pseudonym shown on screen, unique in the study.
        patient: person; visits of one person share it and never sit on both sides of a split.
        images: modality -> absolute path. label, mask: absolute path or None.
        geometry: grid of the reference modality, see `geometry.Geometry`; None when the image could not be read.
        problems: plain sentences; a case with a problem and role "excluded" takes part in nothing.
    """

    name: str
    patient: str
    role: Role
    images: Mapping[str, str]
    label: str | None = None
    mask: str | None = None
    site: str = ""
    geometry: Any = None
    excluded_reason: str = ""
    problems: tuple[str, ...] = ()


def content_key(data: Any) -> str:
    """Hash of JSON-like content, 12 hexadecimal digits, independent of key order."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]
