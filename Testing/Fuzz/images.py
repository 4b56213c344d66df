"""Formats of images and labels: small sound files, and how they are read."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from formats import Format, each
from mutations import BINARY, TEXT, spoil

SHAPE = (4, 5, 6)


def volume(kind: Any = np.int16) -> sitk.Image:
    image = sitk.GetImageFromArray(np.arange(np.prod(SHAPE)).reshape(SHAPE).astype(kind) % 7)
    image.SetSpacing((0.9, 1.1, 3.0))
    image.SetOrigin((-10.0, 5.0, 3.0))
    turn = 0.3
    image.SetDirection((np.cos(turn), -np.sin(turn), 0, np.sin(turn), np.cos(turn), 0, 0, 0, 1))
    return image


def written(folder: Path, name: str, kind: Any = np.int16, *, compress: bool = False) -> bytes:
    sitk.WriteImage(volume(kind), str(folder / name), compress)
    return (folder / name).read_bytes()


def read_image(path: Path) -> list[str]:
    from SuggestiveAnnotationLib.cohort.files.channels import channel_geometry, read_channel
    from SuggestiveAnnotationLib.cohort.files.read import read_header, read_volume
    from SuggestiveAnnotationLib.cohort.labels.label_file import read_label_file

    readers: list[Callable[[Path], Any]] = [read_header, read_volume, read_label_file, channel_geometry, lambda p: read_channel(p, 0)]
    return each(readers, path)


class Image(Format):
    def __init__(self, name: str, suffix: str, *, text: bool, kinds: Sequence[Any] = (np.int16, np.float32, np.uint8)) -> None:
        super().__init__(name)
        self.suffix, self.text, self.kinds = suffix, text, kinds

    def prepare(self, folder: Path) -> None:
        self.seeds = [written(folder, f"seed{self.suffix}", kind) for kind in self.kinds]
        if self.text:
            self.seeds += [written(folder, f"packed{self.suffix}", kind, compress=True) for kind in self.kinds[:1]]

    def write(self, folder: Path, draw: random.Random) -> Path:
        data = draw.choice(self.seeds)
        header = self.header(data)
        path = folder / f"a{self.suffix}"
        path.write_bytes(spoil(data, draw, header=header, ways=TEXT if self.text else BINARY))
        return path

    def header(self, data: bytes) -> int:
        if not self.text:
            return 352
        ends = [data.find(mark) + len(mark) for mark in (b"LOCAL\n", b"\n\n") if mark in data]
        return min(ends, default=len(data))

    def read(self, path: Path) -> list[str]:
        return read_image(path)


class Nifti2(Image):
    """SimpleITK writes NIfTI-1 only; the header is laid out by nifti2.h."""

    def prepare(self, folder: Path) -> None:
        import struct

        super().prepare(folder)
        self.seeds = [self._second(one, struct) for one in self.seeds]

    @staticmethod
    def _second(data: bytes, struct: Any) -> bytes:
        def old(code: str, place: int) -> tuple[Any, ...]:
            return struct.unpack_from("<" + code, data, place)

        head = bytearray(544)
        struct.pack_into("<i8s", head, 0, 540, b"n+2\0\r\n\x1a\n")
        struct.pack_into("<2h", head, 12, *old("2h", 70))
        struct.pack_into("<8q", head, 16, *old("8h", 40))
        struct.pack_into("<8d", head, 104, *old("8f", 76))
        struct.pack_into("<q2d", head, 168, 544, 1.0, 0.0)
        struct.pack_into("<2i", head, 344, *old("2h", 252))
        struct.pack_into("<6d", head, 352, *old("6f", 256))
        struct.pack_into("<12d", head, 400, *old("12f", 280))
        return bytes(head) + data[352:]

    def header(self, data: bytes) -> int:
        return 544


class Gzipped(Image):
    def write(self, folder: Path, draw: random.Random) -> Path:
        data = draw.choice(self.seeds)
        path = folder / "a.nii.gz"
        if draw.random() < 0.7:
            path.write_bytes(gzip.compress(spoil(data, draw, header=352, ways=BINARY), 1, mtime=0))
        else:
            packed = gzip.compress(data, 1, mtime=0)
            path.write_bytes(spoil(packed, draw, header=len(packed), ways=BINARY))
        return path

    def prepare(self, folder: Path) -> None:
        self.seeds = [written(folder, "seed.nii", kind) for kind in self.kinds]


class Detached(Image):
    """A header beside its voxels; the header is spoilt."""

    def prepare(self, folder: Path) -> None:
        self.seeds = [written(folder, f"seed{self.suffix}")]
        self.voxels = next(folder.glob("seed*raw*")).read_bytes()
        self.raw = next(folder.glob("seed*raw*")).name

    def write(self, folder: Path, draw: random.Random) -> Path:
        (folder / self.raw).write_bytes(self.voxels)
        return super().write(folder, draw)


class SegNrrd(Image):
    """A segmentation as 3D Slicer writes it, with two segments in one layer."""

    def prepare(self, folder: Path) -> None:
        data = written(folder, "seed.seg.nrrd", np.uint8)
        head, _, voxels = data.partition(b"\n\n")
        fields = ["Segmentation_ContainedRepresentationNames:=Binary labelmap|", "Segmentation_MasterRepresentation:=Binary labelmap"]
        for number in (0, 1):
            values = {"ID": f"Segment_{number + 1}", "Name": f"part {number + 1}", "Color": "0.5 0.25 1", "Layer": "0"}
            values |= {"LabelValue": str(number + 1), "Extent": "0 5 0 4 0 3", "Tags": "TerminologyEntry:Segmentation category|"}
            fields += [f"Segment{number}_{key}:={value}" for key, value in values.items()]
        self.seeds = [head + b"\n" + "\n".join(fields).encode() + b"\n\n" + voxels]


def image_formats() -> list[Format]:
    return [
        Image("NIfTI-1 .nii", ".nii", text=False),
        Nifti2("NIfTI-2 .nii", ".nii", text=False),
        Gzipped("NIfTI .nii.gz", ".nii.gz", text=False),
        Image("NRRD .nrrd", ".nrrd", text=True),
        Detached("NRRD .nhdr", ".nhdr", text=True),
        SegNrrd("segmentation .seg.nrrd", ".seg.nrrd", text=True),
        Image("MetaImage .mha", ".mha", text=True),
        Detached("MetaImage .mhd", ".mhd", text=True),
    ]
