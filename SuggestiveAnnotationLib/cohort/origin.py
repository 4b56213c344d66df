"""Where an image of a study comes from, when it was made from something that cannot be used as it stands: a DICOM series, one channel of a
four-dimensional file, a segmentation."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from SuggestiveAnnotationLib.cohort.files.rawheader import files_of
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.files import write_text

SourceKind = Literal["dicom series", "channel", "segmentation"]


@dataclass(frozen=True)
class Source:
    """Files that one image or one labelmap is made from.

    Attributes:
        kind: of a DICOM series, of one channel of a four-dimensional volume, or of a segmentation (`.seg.nrrd` or DICOM SEG).
        files: absolute paths, in any order.
        channel: 0-based, along the fourth axis; of a DICOM series which stack, where its multi-frame images hold several.
    """

    kind: SourceKind
    files: tuple[str, ...]
    channel: int = 0

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary of JSON values."""
        return {**asdict(self), "files": list(self.files)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Source:
        """The inverse of `to_json`. Raises: ValueError, for an unknown kind, or files and a channel that are none."""
        kind: Any = data.get("kind")
        files, channel = data.get("files"), data.get("channel", 0)
        if kind not in get_args(SourceKind):
            raise ValueError(f"unknown kind of source {str(kind)[:60]!r}")
        if not isinstance(files, list) or not files or not all(isinstance(f, str) and f and "\0" not in f for f in files):
            raise ValueError("a source without files")
        if type(channel) is not int or not 0 <= channel < 2**16:
            raise ValueError(f"there is no channel {str(channel)[:60]}")
        return cls(kind, tuple(files), channel)

    def stamps(self) -> list[list[int]]:
        """Size and time of every file, those that hold the voxels of a header included. Raises: InputError, naming a file that is gone."""
        try:
            found = [os.stat(file) for named in self.files for file in files_of(named)]
            return [[status.st_size, status.st_mtime_ns] for status in found]
        except OSError as error:
            raise InputError(f"{error.filename} cannot be read: {error.strerror}.", hint="Check the disk or the network drive.") from None


@dataclass(frozen=True)
class Instance:
    """The DICOM image that a slice was read from. `frame` is 1-based in a multi-frame image, None in others."""

    file: str
    sop_instance_uid: str
    frame: int | None = None


@dataclass(frozen=True)
class Origin:
    """What is kept beside an image that was made for the study, as `<image>.origin.json`.

    Attributes:
        source: what it was made from. stamps: what the files were then, see `Source.stamps`.
        instances: of a DICOM series: the image of every native slice k, in order; of others none.
        by_name: of labels: the file named its structures, and the values are those that the schema gives these names.
    """

    source: Source
    stamps: Sequence[Sequence[int]]
    instances: tuple[Instance, ...] = ()
    by_name: bool = False

    def save(self, image: Path) -> None:
        """Write it beside `image`, whole. Raises: StorageError."""
        write_text(_beside(image), json.dumps({**asdict(self), "source": self.source.to_json()}))

    @classmethod
    def of(cls, image: str | Path) -> Origin | None:
        """What is kept beside an image; None where nothing is, or it is damaged."""
        try:
            data = json.loads(_beside(Path(image)).read_text(encoding="utf-8"))
            instances = tuple(Instance(**one) for one in data["instances"])
            return cls(Source.from_json(data["source"]), data["stamps"], instances, bool(data.get("by_name")))
        except (OSError, ValueError, KeyError, TypeError):
            return None


def _beside(image: Path) -> Path:
    return image.with_name(image.name + ".origin.json")
