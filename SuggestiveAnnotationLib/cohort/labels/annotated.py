"""Which slices of a label volume count as annotated. The only place where the rules of `types.AnnotatedRule` are applied."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.types import AnnotatedRule


def annotated_slices(stack: NDArray[Any], rule: AnnotatedRule, ignore: int) -> tuple[int, ...]:
    """Indices of the slices that count, ascending.

    A label is any value but background and `ignore`. Under "all" and "span" a slice that is `ignore` throughout counts as well, although it
    says nothing: see `silent_slices`.

    Args:
        stack: schema values `(slice, row, column)`, merged.
        rule: "all"; "labelled": with a label; "span": from the first to the last with one; "marked": not `ignore` throughout.
        ignore: the schema's ignore value.
    """
    if rule == "all":
        return tuple(range(len(stack)))
    if rule == "marked":
        return tuple(sorted(set(range(len(stack))) - silent_slices(stack, ignore)))
    # Slice by slice: comparing a whole volume takes several times its memory.
    labelled = [k for k, one in enumerate(stack) if ((one != 0) & (one != ignore)).any()]
    if rule == "labelled":
        return tuple(labelled)
    return tuple(range(labelled[0], labelled[-1] + 1)) if labelled else ()


def silent_slices(stack: NDArray[Any], ignore: int) -> frozenset[int]:
    """Indices of the slices that are the ignore value throughout: nobody said anything of them."""
    return frozenset(k for k, one in enumerate(stack) if bool(np.all(one == ignore)))
