"""What came of the kills: counts, a table for a person, `soak.json` for a program."""

from __future__ import annotations

import json
import os
import statistics
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Tally:
    """Counts of one soak.

    Attributes:
        kills: (what was killed, what the panel was at, what the worker was at) -> how often.
        actions: name -> how often one was reported as done.
        slices: annotated slices that were reported as accepted, all in all.
        resumed: kills of the worker alone after which the panel started another one and went on.
        cut: kills that fell between the beginning and the report of an action.
        beyond: of those, how often the action was in the study all the same.
        start_seconds: of the panel, up to where it can be worked with. orphan_seconds: of workers, after the panel was killed.
        lost, orphans, locked, damaged, failed: sentences; none is well.
    """

    seed: int
    kills: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    actions: Counter[str] = field(default_factory=Counter)
    slices: int = 0
    rounds: int = 0
    models: int = 0
    studies: int = 0
    lives: int = 0
    resumed: int = 0
    cut: int = 0
    beyond: int = 0
    start_seconds: list[float] = field(default_factory=list)
    orphan_seconds: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    locked: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    @property
    def killed(self) -> int:
        """How often something was killed."""
        return self.kills.total()

    @property
    def well(self) -> bool:
        """Whether nothing was lost, left behind or broken."""
        return self.bad == 0

    @property
    def bad(self) -> int:
        """How much was."""
        return sum(map(len, (self.lost, self.orphans, self.locked, self.damaged, self.failed)))

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self.began

    def by(self, place: int) -> dict[str, int]:
        """Kills by what was killed (0), what the panel was at (1), what the worker was at (2); most frequent first."""
        counts: Counter[str] = Counter()
        for key, number in self.kills.items():
            counts[key[place]] += number
        return dict(counts.most_common())

    def line(self, wanted: int) -> str:
        """One line on how far it has come."""
        a_kill = self.seconds / max(1, self.killed)
        kinds = ", ".join(f"{name} {number}" for name, number in self.by(0).items())
        return (
            f"{self.killed}/{wanted} kills ({kinds}); {self.slices} slices accepted, {len(self.lost)} lost, "
            f"{len(self.damaged)} damaged, {len(self.locked)} locked, {len(self.orphans)} orphans, {len(self.failed)} failed; "
            f"{a_kill:.2f} s a kill, {a_kill * (wanted - self.killed) / 60:.0f} min left"
        )

    def table(self) -> str:
        """The whole result."""
        parts = [f"{self.killed} kills in {self.seconds / 60:.1f} min, {self.seconds / max(1, self.killed):.2f} s each"]
        for title, place in (("killed", 0), ("while the panel was at", 1), ("while the worker was at", 2)):
            parts += ["", f"  {title}"] + [f"    {number:6d}  {name}" for name, number in self.by(place).items()]
        parts += ["", "  done, as the panel reported"] + [f"    {number:6d}  {name}" for name, number in self.actions.most_common()]
        counts: dict[str, Any] = {
            "slices accepted": self.slices,
            "rounds": self.rounds,
            "models": self.models,
            "lives of the panel": self.lives,
            "studies": self.studies,
            "workers killed and started again by the panel": self.resumed,
            "actions cut in the middle": self.cut,
            "  of which the study had them already": self.beyond,
            "accepted slices lost": len(self.lost),
            "workers left alive": len(self.orphans),
            "studies left locked": len(self.locked),
            "damaged": len(self.damaged),
            "panel failed": len(self.failed),
        }
        parts += ["", "  counts"] + [f"    {number:6d}  {name}" for name, number in counts.items()]
        parts += ["", "  errors that the panel showed"] + [f"    {number:6d}  {text}" for text, number in self.errors.most_common()]
        parts += [f"  {sentence}" for bad in (self.lost, self.orphans, self.locked, self.damaged, self.failed) for sentence in bad]
        return "\n".join(parts)

    def write(self, path: Path) -> None:
        """Everything, as JSON."""
        path.write_text(json.dumps(self.to_json(), indent=1) + "\n", encoding="utf-8")

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain values."""
        plain = {name: value for name, value in vars(self).items() if name not in ("kills", "began", "start_seconds", "orphan_seconds")}
        return {
            "well": self.well,
            "kills": self.killed,
            "seconds": round(self.seconds, 1),
            "seconds_a_kill": round(self.seconds / max(1, self.killed), 3),
            "by_killed": self.by(0),
            "by_panel": self.by(1),
            "by_worker": self.by(2),
            "by_all": [[*key, number] for key, number in self.kills.most_common()],
            "panel_start_seconds": _spread(self.start_seconds),
            "worker_outlived_panel_seconds": _spread(self.orphan_seconds),
            "processors": os.cpu_count(),
            **plain,
        }


def _spread(values: list[float]) -> dict[str, float]:
    if not values:
        return {}
    return {"median": round(statistics.median(values), 3), "most": round(max(values), 3)}
