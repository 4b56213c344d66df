"""What the header of an image file says by itself, and whether the file holds the voxels it promises, before SimpleITK sees it.

SimpleITK fills the missing end of a truncated NIfTI file with zeros, turns its NaN and infinite voxels into zeros, replaces a spacing
of zero, asks for as much memory as a header claims, opens any file that a header names, and lets MetaIO print on the terminal; all of
these are found here first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.cohort.files.bytes_in import in_its_folder, incomplete
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.processor import memory_size

__all__ = [
    "MAX_VOXELS",
    "SHEAR_TOLERANCE",
    "RawHeader",
    "check_size",
    "check_spacing",
    "files_of",
    "incomplete",
    "inspect",
    "numbers",
    "whole_numbers",
]

SHEAR_TOLERANCE = 0.01
"""Largest cosine between two voxel axes that still counts as orthonormal (0.6 degrees)."""

MAX_VOXELS = 2**31
"""A volume with more voxels is refused before memory is asked for."""


@dataclass(frozen=True)
class RawHeader:
    """What the file itself says.

    Attributes:
        spacing: millimetres along i, j, k as written, of the axes that the file has; empty when it says nothing.
        shear: largest absolute cosine between two voxel axes of a NIfTI sform, 0 where there is none.
        not_finite: NaN and infinite voxels of a NIfTI file; counted only when it was inspected thoroughly.
        voxels: number of them, all axes; None where values and voxels differ.
        frames: name -> matrix from i, j, k to RAS millimetres, `(4, 4)`, of every frame that a NIfTI header gives; None for other formats.
        lacking: what would say how the volume lies in the patient, and is not there; empty where something does.
        version: of the NIfTI format.
        scale: that a NIfTI header has its voxels multiplied by; 1 where it asks for none.
    """

    spacing: tuple[float, ...] = ()
    shear: float = 0.0
    not_finite: int = 0
    voxels: int | None = None
    frames: dict[str, NDArray[np.float64]] | None = field(default=None)
    lacking: str = ""
    version: int = 1
    scale: float = 1.0


def inspect(path: Path, *, thorough: bool) -> RawHeader:
    """The raw header of an image file; checks that it can be true, and that the file is complete.

    Args:
        path: of a regular file (see `bytes_in.regular_file`) with a name in `read.SUFFIXES`.
        thorough: also decompress what the header promises and compare checksums; otherwise sizes only.

    Raises:
        InputError: the header is no header or contradicts itself or the file, voxels are missing or damaged, or more than fit into memory.
    """
    from SuggestiveAnnotationLib.cohort.files.header_meta import meta_header
    from SuggestiveAnnotationLib.cohort.files.header_nifti import nifti_header
    from SuggestiveAnnotationLib.cohort.files.header_nrrd import nrrd_header

    name = path.name.lower()
    if name.endswith((".nii", ".nii.gz")):
        return nifti_header(path, thorough=thorough)
    if name.endswith((".mha", ".mhd")):
        return meta_header(path, thorough=thorough)
    return nrrd_header(path, thorough=thorough)


def files_of(path: str | Path) -> tuple[Path, ...]:
    """An image file and, where its header keeps the voxels in another file, that one, be it there or not.

    Voxels in several files cannot be read (see `inspect`) and are not listed; of a file that is missing or damaged there is no other.
    """
    from SuggestiveAnnotationLib.cohort.files.header_meta import meta_voxels
    from SuggestiveAnnotationLib.cohort.files.header_nrrd import nrrd_voxels

    file = Path(path)
    name = file.name.lower()
    voxels = meta_voxels if name.endswith((".mhd", ".mha")) else nrrd_voxels if name.endswith((".nhdr", ".nrrd")) else None
    try:
        # Opening a pipe would wait for ever.
        beside = voxels(file) if voxels is not None and file.is_file() else ""
    except (InputError, OSError, ValueError):
        beside = ""
    there = file.parent / beside
    known = in_its_folder(beside) and (there.is_file() or not there.exists())
    return (file, there) if known else (file,)


def check_size(path: Path, dims: tuple[int, ...], value_bytes: int) -> int:
    """The bytes of the voxels.

    Args:
        path: for the sentence. dims: as in the header. value_bytes: of one voxel.

    Raises:
        InputError: more than `MAX_VOXELS`, or more than this computer has memory for.
    """
    shown = " x ".join(map(str, dims[:8])) + (" ..." if len(dims) > 8 else "")
    voxels = math.prod(dims)
    if voxels > MAX_VOXELS:
        raise InputError(
            f"{path} claims {shown} voxels, more than {MAX_VOXELS:,}.",
            hint="The header is damaged, or the volume has to be cropped or resampled first.",
        )
    # The file's own values twice (ITK's and ours), and single precision.
    needed, there = voxels * (2 * value_bytes + 4), memory_size()
    if there and needed > there:
        raise InputError(
            f"{path} has {shown} voxels, which need {needed / 2**30:.1f} GiB of memory; this computer has {there / 2**30:.1f}.",
            hint="The header is damaged, or the volume has to be cropped or resampled first.",
        )
    return voxels * value_bytes


def check_spacing(path: Path, spacing: Sequence[float]) -> None:
    """Millimetres between voxels are positive numbers. Raises: InputError."""
    for s in spacing:
        if not math.isfinite(s) or s <= 0:
            raise InputError(f"{path} has an impossible voxel spacing of {s:g} mm.", hint="Write the true spacing into its header.")


def numbers(text: str, *, most: int = 64) -> list[float]:
    """Numbers between blanks, commas and parentheses. Raises: ValueError, for anything else or too many of them."""
    words = text.replace(",", " ").replace("(", " ").replace(")", " ").split()
    if len(words) > most:
        raise ValueError("too many numbers")
    return [float(word) for word in words]


def whole_numbers(text: str, *, most: int = 16) -> tuple[int, ...]:
    """Plain decimal numbers between blanks, none negative. Raises: ValueError, for anything else or too many of them."""
    words: list[Any] = text.split()
    if len(words) > most or not all(word.isascii() and word.isdigit() and len(word) < 19 for word in words):
        raise ValueError("no plain whole numbers")
    return tuple(int(word) for word in words)
