"""What was found in a cohort folder, for a person to confirm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, get_args

from SuggestiveAnnotationLib.cohort.acquired import acquired_plane
from SuggestiveAnnotationLib.cohort.labels.schema import schema_from_json, schema_to_json
from SuggestiveAnnotationLib.cohort.origin import Source
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.geometry import Geometry
from SuggestiveAnnotationLib.types import AnnotatedRule, Case, LabelSchema, LabelUse, Plane

Layout = Literal["dicom", "bids", "dataset-json", "challenge", "names"]
"""Kinds of cohort folders: `dataset-json` as of nnU-Net or the Medical Segmentation Decathlon; `names` tells cases apart by file names."""

_PLAIN = ("folder", "reference", "label_pattern", "mask_pattern", "layout", "labels_as", "annotated_slices", "labels_by")


@dataclass(frozen=True)
class CohortPlan:
    """The cases of a folder and how they were told apart.

    Attributes:
        folder: the cohort, absolute.
        cases: every case found, by name; those that cannot be used have role "excluded" and the reason.
        modalities: in channel order.
        reference: modality whose voxel grid annotations live on.
        patterns: modality -> glob inside the cohort, as given or guessed.
        label_pattern, mask_pattern: likewise; None where there are none.
        guessed: which of the modalities, `"label"` and `"mask"` were guessed and not given.
        alternatives: modality, `"label"` or `"mask"` -> globs of other files that would fit there.
        warnings: plain sentences.
        schema: what is annotated, once it is known: guessed from the labels, told by the layout, or given.
        layout: kind of folder that was recognised, as a person calls it ("BIDS", "DICOM", ...); empty when cases were told apart by names.
        sources: path in a case -> what it is made from when the study is created, where it is no volume that can be used as it stands. Such
            a path need not exist.
        identities: patient -> what identifies the person in the source (DICOM). Kept in the study and nowhere else.
        labels_as: what the labels are for. annotated_slices: which of their slices count. labels_by: who drew them.
    """

    folder: str
    cases: tuple[Case, ...]
    modalities: tuple[str, ...]
    reference: str
    patterns: Mapping[str, str]
    label_pattern: str | None = None
    mask_pattern: str | None = None
    guessed: frozenset[str] = frozenset()
    alternatives: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    schema: LabelSchema | None = None
    layout: str = ""
    sources: Mapping[str, Source] = field(default_factory=dict)
    identities: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    labels_as: LabelUse = "reference"
    annotated_slices: AnnotatedRule = "all"
    labels_by: str = "existing labels"

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary of JSON values."""
        cases = [{**asdict(replace(c, geometry=None)), "geometry": c.geometry.to_json() if c.geometry else None} for c in self.cases]
        return {
            **{name: getattr(self, name) for name in _PLAIN},
            "cases": [{**case, "images": dict(case["images"]), "problems": list(case["problems"])} for case in cases],
            "modalities": list(self.modalities),
            "patterns": dict(self.patterns),
            "guessed": sorted(self.guessed),
            "alternatives": {name: list(globs) for name, globs in self.alternatives.items()},
            "warnings": list(self.warnings),
            "schema": None if self.schema is None else schema_to_json(self.schema),
            "sources": {path: source.to_json() for path, source in self.sources.items()},
            "identities": {patient: dict(known) for patient, known in self.identities.items()},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CohortPlan:
        """The inverse of `to_json`. Raises: InputError, when something is missing or does not fit."""
        try:
            kept = dict(data)
            patterns, alternatives, sources, identities = (
                _mapping(kept.get(name, {}), name) for name in ("patterns", "alternatives", "sources", "identities")
            )
            for name in _PLAIN:
                optional = name in ("label_pattern", "mask_pattern")
                if name in kept and not (optional and kept[name] is None):
                    _text(kept[name], name)
            for name, allowed in (("labels_as", LabelUse), ("annotated_slices", AnnotatedRule)):
                if name in kept and kept[name] not in get_args(allowed):
                    raise ValueError(f"{name} is {str(kept[name])[:60]!r}")
            return cls(
                **{
                    **kept,
                    "cases": tuple(_case(one) for one in _list(kept["cases"], "cases")),
                    "modalities": _texts(kept["modalities"], "modalities"),
                    "patterns": {name: _text(glob, "a pattern") for name, glob in patterns.items()},
                    "guessed": frozenset(_texts(kept.get("guessed", []), "guessed")),
                    "alternatives": {name: _texts(globs, "alternatives") for name, globs in alternatives.items()},
                    "warnings": _texts(kept.get("warnings", []), "warnings"),
                    "schema": schema_from_json(kept["schema"]) if kept.get("schema") else None,
                    "sources": {path: Source.from_json(_mapping(source, "a source")) for path, source in sources.items()},
                    "identities": {
                        patient: {what: _text(value, "identities") for what, value in _mapping(known, "identities").items()}
                        for patient, known in identities.items()
                    },
                }
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"That is no plan of a cohort: {str(error)[:300]}.", hint="Look for the cases again.") from error

    @property
    def usable(self) -> tuple[Case, ...]:
        """Cases that take part."""
        return tuple(c for c in self.cases if c.role != "excluded")

    @property
    def excluded(self) -> tuple[Case, ...]:
        """Cases that do not, each with its reason."""
        return tuple(c for c in self.cases if c.role == "excluded")

    @property
    def held_out(self) -> bool:
        """A table named test or validation cases."""
        return any(c.role in ("test", "validation") for c in self.cases)

    @property
    def plane(self) -> Plane | None:
        """The plane that slices will be of unless somebody chooses another; None where no image could be read."""
        known = [c for c in self.usable if c.geometry is not None]
        return acquired_plane(known) if known else None

    def describe(self) -> str:
        """A plain table of what was found and guessed, several lines of text."""
        rows = [("what", "files", "found", "")]
        for modality in self.modalities:
            count = sum(modality in c.images for c in self.cases)
            rows.append((f"image {modality}", self.patterns.get(modality, "chosen by hand"), str(count), self._remark(modality)))
        labels, masks = sum(c.label is not None for c in self.cases), sum(c.mask is not None for c in self.cases)
        rows.append(("label", self.label_pattern or "none", str(labels), self._remark("label")))
        rows.append(("foreground mask", self.mask_pattern or "none", str(masks), self._remark("mask")))
        widths = [max(len(r[i]) for r in rows) for i in range(3)]
        kind = f" ({self.layout})" if self.layout else ""
        lines = [f"{self.folder}{kind}: {len(self.usable)} of {len(self.cases)} cases can be used, {self._people()}."]
        lines += ["  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[3]]).rstrip() for row in rows]
        if self.plane:
            lines.append(f"Slices will be {self.plane}, by the spacing of voxels; `prepare --plane` chooses others.")
        for what, globs in self.alternatives.items():
            option = f"--{what} " if what in ("label", "mask") else f"--image {what}="
            lines.append(f'Other files for {what}: {", ".join(globs)} (choose with {option}"{globs[0]}").')
        lines += [f"Excluded {c.name}: {c.excluded_reason}" for c in self.excluded]
        lines += [f"Note on {c.name}: {p}" for c in self.usable for p in c.problems]
        lines += [f"Note: {w}" for w in self.warnings]
        return "\n".join(lines)

    def _remark(self, what: str) -> str:
        remarks = ["guessed"] if what in self.guessed else []
        if what == self.reference:
            remarks.append("annotations live on its grid")
        return ", ".join(remarks)

    def _people(self) -> str:
        people = len({c.patient for c in self.usable})
        roles = Counter(c.role for c in self.usable)
        shares = ", ".join(f"{roles[r]} {r}" for r in ("pool", "validation", "test") if roles[r])
        return f"of {people} {'person' if people == 1 else 'people'}" + (f" ({shares})" if shares else "")


def _case(data: Any) -> Case:
    """The case of a plan. Raises: ValueError or TypeError, when something is missing or of another kind."""
    one = dict(_mapping(data, "a case"))
    name = _text(one["name"], "the name of a case")
    if not name.strip():
        raise ValueError("a case without a name")
    images = {modality: _text(path, f"an image of {name}") for modality, path in _mapping(one["images"], f"the images of {name}").items()}
    for what in ("label", "mask"):
        if one.get(what) is not None:
            _text(one[what], f"the {what} of {name}")
    for what in ("patient", "role", "site", "excluded_reason"):
        _text(one.get(what, ""), f"the {what} of {name}")
    grid = one.get("geometry")
    geometry = None if grid is None else Geometry.from_json(_mapping(grid, f"the grid of {name}"))
    return Case(**{**one, "images": images, "geometry": geometry, "problems": _texts(one.get("problems", []), "problems")})


def _mapping(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ValueError(f"{what} cannot be read")
    for key in value:
        _text(key, what)
    return value


def _list(value: Any, what: str) -> Sequence[Any]:
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"{what} cannot be read")
    return value


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise ValueError(f"{what} is no text")
    # Half a character can be written neither into a database nor into a file name.
    value.encode()
    return value


def _texts(value: Any, what: str) -> tuple[str, ...]:
    return tuple(_text(one, what) for one in _list(value, what))
