"""Active time from raw events: the pauses between things a person did, as far as they are short."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from itertools import pairwise
from typing import TypeVar

IDLE_SECONDS = 30.0
"""A longer pause is taken for doing something else."""

Place = TypeVar("Place")


def active_seconds(events: Iterable[tuple[str, Place]], *, idle: float = IDLE_SECONDS) -> dict[Place, float]:
    """Seconds of work at each place.

    A pause between two events of one person counts for the place of the earlier one, unless it is longer than `idle`.

    Args:
        events: (time as ISO 8601, place), of one person, in any order.
        idle: seconds.
    """
    ordered = sorted(((datetime.fromisoformat(at), place) for at, place in events), key=lambda event: event[0])
    seconds: dict[Place, float] = defaultdict(float)
    for (before, place), (after, _) in pairwise(ordered):
        pause = (after - before).total_seconds()
        seconds[place] += pause if pause <= idle else 0.0
    return dict(seconds)
