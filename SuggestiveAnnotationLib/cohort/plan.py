"""What was found in a cohort folder, for a person to confirm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from SuggestiveAnnotationLib.cohort.schema import schema_from_json, schema_to_json
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.geometry import Geometry
from SuggestiveAnnotationLib.types import Case, LabelSchema


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
        schema: what is annotated, once it is known: guessed from the labels, or given.
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

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary of JSON values."""
        cases = [{**asdict(replace(c, geometry=None)), "geometry": c.geometry.to_json() if c.geometry else None} for c in self.cases]
        return {
            **{name: getattr(self, name) for name in ("folder", "reference", "label_pattern", "mask_pattern")},
            "cases": [{**case, "images": dict(case["images"]), "problems": list(case["problems"])} for case in cases],
            "modalities": list(self.modalities),
            "patterns": dict(self.patterns),
            "guessed": sorted(self.guessed),
            "alternatives": {name: list(globs) for name, globs in self.alternatives.items()},
            "warnings": list(self.warnings),
            "schema": None if self.schema is None else schema_to_json(self.schema),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CohortPlan:
        """The inverse of `to_json`. Raises: InputError, when something is missing or does not fit."""
        try:
            cases = []
            for one in data["cases"]:
                geometry = Geometry.from_json(one["geometry"]) if one.get("geometry") else None
                cases.append(Case(**{**one, "geometry": geometry, "problems": tuple(one.get("problems", ()))}))
            return cls(
                **{
                    **data,
                    "cases": tuple(cases),
                    "modalities": tuple(data["modalities"]),
                    "guessed": frozenset(data.get("guessed", ())),
                    "alternatives": {name: tuple(globs) for name, globs in data.get("alternatives", {}).items()},
                    "warnings": tuple(data.get("warnings", ())),
                    "schema": schema_from_json(data["schema"]) if data.get("schema") else None,
                }
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"That is no plan of a cohort: {error}.", hint="Look for the cases again.") from error

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

    def describe(self) -> str:
        """A plain table of what was found and guessed, several lines of text."""
        rows = [("what", "files", "found", "")]
        for modality in self.modalities:
            count = sum(modality in c.images for c in self.cases)
            rows.append((f"image {modality}", self.patterns[modality], str(count), self._remark(modality)))
        labels, masks = sum(c.label is not None for c in self.cases), sum(c.mask is not None for c in self.cases)
        rows.append(("label", self.label_pattern or "none", str(labels), self._remark("label")))
        rows.append(("foreground mask", self.mask_pattern or "none", str(masks), self._remark("mask")))
        widths = [max(len(r[i]) for r in rows) for i in range(3)]
        lines = [f"{self.folder}: {len(self.usable)} of {len(self.cases)} cases can be used, {self._people()}."]
        lines += ["  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[3]]).rstrip() for row in rows]
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
