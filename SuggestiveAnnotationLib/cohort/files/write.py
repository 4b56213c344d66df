"""A volume into a file."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from SuggestiveAnnotationLib.cohort.files.itk import quiet, sitk
from SuggestiveAnnotationLib.errors import StorageError
from SuggestiveAnnotationLib.files import storage_error
from SuggestiveAnnotationLib.geometry import Geometry


def write_array_as(
    scratch: Path,
    final: Path,
    array: NDArray[Any],
    geometry: Geometry,
    *,
    level: int = -1,
    header: Mapping[str, str] | None = None,
) -> None:
    """Write a volume `(k, j, i)` compressed; the suffix of `scratch` names the format.

    Args:
        scratch: temporary path. final: where the file will be, for the sentence.
        array: of a type that the format has. geometry: its grid.
        level: of compression, 1 the fastest to 9; -1 the format's own.
        header: further keys of the file's header, where the format has such.

    Raises:
        StorageError: it could not be written; the disk is full, read-only or gone.
    """
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(geometry.spacing)
    image.SetOrigin(geometry.origin_lps)
    image.SetDirection(geometry.direction_lps)
    for key, value in (header or {}).items():
        image.SetMetaData(key, value)
    try:
        with quiet():
            sitk.WriteImage(image, str(scratch), useCompression=True, compressionLevel=level)
    except RuntimeError as error:
        raise not_written(final, array.nbytes) from error


def not_written(path: Path, needed: int) -> StorageError:
    """The error for a file of `needed` bytes. SimpleITK does not say why it failed; the room left on the disk usually does."""
    full = shutil.disk_usage(path.parent).free < needed
    number = errno.ENOSPC if full else errno.EIO
    return storage_error(OSError(number, os.strerror(number)), path)
