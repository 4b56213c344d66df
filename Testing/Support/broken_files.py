"""Files that are wrong in one way each, and processes that are bounded in time and memory."""

from __future__ import annotations

import gzip
import os
import socket
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK as sitk

ROOT = Path(__file__).resolve().parents[2]
SHAPE = (6, 8, 10)
Maker = Callable[[Path], Path]


def noise(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 500, SHAPE).astype(np.int16)


def labels() -> np.ndarray:
    out = np.zeros(SHAPE, np.uint8)
    out[2:4, 2:5, 3:7] = 1
    return out


def sound(path: Path, array: np.ndarray | None = None, *, compress: bool = False) -> Path:
    """A good file, anisotropic and off the origin."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(noise() if array is None else array, isVector=False)
    axes = image.GetDimension()
    image.SetSpacing((0.8, 0.9, 3.0, 1.0)[:axes])
    image.SetOrigin((-10.0, 5.0, 3.0, 0.0)[:axes])
    sitk.WriteImage(image, str(path), compress)
    return path


def patched(path: Path, place: int, code: str, *values: float) -> Path:
    """A good NIfTI file with other bytes in its header, compressed again where the name says so."""
    plain = sound(path.with_name("plain.nii"))
    data = bytearray(plain.read_bytes())
    plain.unlink()
    struct.pack_into("<" + code, data, place, *values)
    path.write_bytes(gzip.compress(bytes(data)) if path.suffix == ".gz" else data)
    return path


def replaced(path: Path, before: bytes, after: bytes) -> Path:
    """A good file with other words in its header."""
    sound(path)
    data = path.read_bytes()
    assert before in data
    path.write_bytes(data.replace(before, after, 1))
    return path


def bomb(path: Path, *, gigabytes: int = 40) -> Path:
    """A good header, and zeros without end behind it: a gzip member of 256 MiB has 256 kB, and the same one is repeated."""
    plain = sound(path.with_name("plain.nii")).read_bytes()
    path.with_name("plain.nii").unlink()
    pack = zlib.compressobj(9, wbits=31)
    block = bytes(1 << 24)
    member = b"".join([pack.compress(block) for _ in range(16)]) + pack.flush()
    with path.open("wb") as file:
        file.write(gzip.compress(plain))
        for _ in range(4 * gigabytes):
            file.write(member)
    return path


def fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


def unix_socket(path: Path) -> Path:
    there = os.getcwd()
    # The name of a socket may have 100 bytes.
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(path.name)
    finally:
        os.chdir(there)
    return path


def linked(path: Path, target: str) -> Path:
    path.symlink_to(target)
    return path


def held(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def header_of_meta(path: Path, data_file: str) -> Path:
    """A MetaImage header of the size of `SHAPE` that keeps its voxels in another file."""
    k, j, i = SHAPE
    lines = ["ObjectType = Image", "NDims = 3", "BinaryData = True", f"DimSize = {i} {j} {k}", "ElementType = MET_SHORT"]
    path.write_text("\n".join([*lines, f"ElementDataFile = {data_file}"]) + "\n")
    return path


def header_of_nrrd(path: Path, data_file: str) -> Path:
    """An NRRD header of the size of `SHAPE` that keeps its voxels in another file."""
    k, j, i = SHAPE
    lines = ["NRRD0004", "type: short", "dimension: 3", f"sizes: {i} {j} {k}", "encoding: raw", "endian: little"]
    path.write_text("\n".join([*lines, f"data file: {data_file}"]) + "\n")
    return path


def bounded(code: str, *arguments: object, seconds: float = 60.0, extra_mib: int = 600) -> subprocess.CompletedProcess[str]:
    """Run Python in a process that may take `extra_mib` beyond what it takes once SimpleITK is loaded; it fails when it takes longer.

    The limit of time is far above what is asserted: the computer may be busy.
    """
    start = (
        "import resource, sys, time\nfrom pathlib import Path\nimport SuggestiveAnnotationLib.cohort.layouts.discover\n"
        "pages = int(Path('/proc/self/statm').read_text().split()[0])\n"
        f"limit = pages * resource.getpagesize() + ({extra_mib} << 20)\n"
        "resource.setrlimit(resource.RLIMIT_AS, (limit, limit))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", start + code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False, env=environment)


SPACING, DIMS, CODE, BITS, OFFSET, CODES, SFORM = 80, 40, 70, 72, 108, 252, 280
"""Places in a NIfTI-1 header."""

BROKEN: dict[str, tuple[str, Maker, str]] = {
    # what is wrong -> (file name, how it is made, words of the sentence)
    "truncated gzip": ("a.nii.gz", lambda p: held(p, sound(p, compress=True).read_bytes()[:-60]), "truncated or damaged"),
    "zero bytes": ("a.nii", lambda p: held(p, b""), "empty"),
    "zero bytes, gz": ("a.nii.gz", lambda p: held(p, b""), "empty"),
    "zero bytes, nrrd": ("a.nrrd", lambda p: held(p, b""), "empty"),
    "zero bytes, mha": ("a.mha", lambda p: held(p, b""), "empty"),
    "a picture": ("a.nii.gz", lambda p: held(p, b"\x89PNG\r\n\x1a\n" + bytes(500)), "a PNG picture"),
    "a web page": ("a.nii.gz", lambda p: held(p, b"<!DOCTYPE html>\n<html><body>404</body></html>" * 9), "a web page"),
    "a web page, nrrd": ("a.nrrd", lambda p: held(p, b"<html><body>404</body></html>" * 9), "a web page"),
    "not compressed": ("a.nii.gz", lambda p: sound(p.with_name("b.nii")).rename(p), "not compressed"),
    "a folder": ("a.nii", lambda p: p.mkdir() or p, "is a folder"),  # type: ignore[func-returns-value]
    "a pipe": ("a.nii.gz", fifo, "is a pipe"),
    "a socket": ("a.nii", unix_socket, "is a socket"),
    "a device": ("a.nii", lambda p: linked(p, "/dev/zero"), "is a device"),
    "a dangling link": ("a.nii", lambda p: linked(p, "gone.nii"), "link to a file that is not there"),
    "a link to itself": ("a.nii", lambda p: linked(p, p.name), "cannot be read"),
    "more dimensions than there are": ("a.nii", lambda p: patched(p, DIMS, "h", 9), "damaged NIfTI header"),
    "negative dimension": ("a.nii", lambda p: patched(p, DIMS + 2, "h", -5), "damaged NIfTI header"),
    "zero dimension": ("a.nii", lambda p: patched(p, DIMS + 4, "h", 0), "damaged NIfTI header"),
    "bits of another type": ("a.nii", lambda p: patched(p, BITS, "h", 64), "64 bits"),
    "a type that there is not": ("a.nii", lambda p: patched(p, CODE, "2h", 77, 16), "type"),
    "voxels begin beyond the end": ("a.nii", lambda p: patched(p, OFFSET, "f", 1e6), "truncated"),
    "voxels begin beyond the end, gz": ("a.nii.gz", lambda p: patched(p, OFFSET, "f", 1e6), "truncated"),
    "voxels begin nowhere": ("a.nii", lambda p: patched(p, OFFSET, "f", np.nan), "damaged NIfTI header"),
    "voxels begin far beyond": ("a.nii.gz", lambda p: patched(p, OFFSET, "f", 1e30), "damaged NIfTI header"),
    "fewer voxels promised than there are": ("a.nii", lambda p: patched(p, DIMS + 2, "h", 7), "more voxels than"),
    "fewer voxels promised, gz": ("a.nii.gz", lambda p: patched(p, DIMS + 6, "h", 3), "more voxels than"),
    "more voxels promised than there are": ("a.nii", lambda p: patched(p, DIMS + 2, "h", 12), "truncated"),
    "another magic": ("a.nii", lambda p: patched(p, 344, "4s", b"xx1\0"), "damaged NIfTI header"),  # type: ignore[arg-type]
    "voxels elsewhere": ("a.nii", lambda p: patched(p, 344, "4s", b"ni1\0"), "another file"),  # type: ignore[arg-type]
    "negative spacing": ("a.nii.gz", lambda p: patched(p, SPACING, "f", -1.0), "impossible voxel spacing of -1"),
    "zero spacing": ("a.nii.gz", lambda p: patched(p, SPACING, "f", 0.0), "impossible voxel spacing of 0"),
    "spacing no number": ("a.nii.gz", lambda p: patched(p, SPACING, "f", np.nan), "impossible voxel spacing of nan"),
    "sform no number": ("a.nii.gz", lambda p: patched(p, SFORM, "f", np.nan), "direction|spacing"),
    "absurd size": ("a.nii.gz", lambda p: patched(p, DIMS, "4h", 3, 32767, 32767, 32767), "claims 32767 x 32767 x 32767 voxels"),
    "absurd size of seven axes": ("a.nii", lambda p: patched(p, DIMS, "8h", 7, *[32767] * 7), "claims"),
    "complex": ("a.nii", lambda p: sound(p, noise().astype(np.complex64)), "complex|values per voxel"),
    "colour": ("a.mha", lambda p: replaced(p, b"ElementType", b"ElementNumberOfChannels = 3\nElementType"), "values per voxel|truncated"),
    "four dimensions": ("a.nii.gz", lambda p: sound(p, np.stack([noise(0), noise(1)])), "4 dimensions"),
    "mhd outside": ("a.mhd", lambda p: header_of_meta(p, "../secret.raw"), "outside its folder"),
    "mhd anywhere": ("a.mhd", lambda p: header_of_meta(p, "/etc/passwd"), "outside its folder"),
    "mhd device": ("a.mhd", lambda p: header_of_meta(p, "/dev/zero"), "outside its folder"),
    "mhd drive": ("a.mhd", lambda p: header_of_meta(p, "C:\\x.raw"), "outside its folder"),
    "mhd list": ("a.mhd", lambda p: header_of_meta(p, "LIST\n/dev/zero"), "several files"),
    "mhd pattern": ("a.mhd", lambda p: header_of_meta(p, "x%03d.raw 1 9 1"), "several files"),
    "mhd pipe": ("a.mhd", lambda p: header_of_meta(p, fifo(p.with_name("x.raw")).name), "is a pipe"),
    "mhd link to a device": ("a.mhd", lambda p: header_of_meta(p, linked(p.with_name("x.raw"), "/dev/zero").name), "is a device"),
    "mhd itself": ("a.mhd", lambda p: header_of_meta(p, "a.mhd"), "truncated"),
    "mha absurd size": ("a.mha", lambda p: replaced(p, b"DimSize = 10 8 6", b"DimSize = 99999 99999 99999"), "claims"),
    "mha negative size": ("a.mha", lambda p: replaced(p, b"DimSize = 10 8 6", b"DimSize = -10 8 6"), "not a MetaImage"),
    "mha size of two axes": ("a.mha", lambda p: replaced(p, b"DimSize = 10 8 6", b"DimSize = 10 8"), "damaged MetaImage header"),
    "mha negative spacing": ("a.mha", lambda p: replaced(p, b"ElementSpacing = 0.8", b"ElementSpacing = -0.8"), "impossible voxel spacing"),
    "mha packed beyond the end": (
        "a.mha",
        lambda p: held(p, sound(p, compress=True).read_bytes().replace(b"CompressedDataSize = ", b"CompressedDataSize = 9999")),
        "truncated",
    ),
    "nrrd outside": ("a.nhdr", lambda p: header_of_nrrd(p, "../secret.raw"), "outside its folder"),
    "nrrd device": ("a.nhdr", lambda p: header_of_nrrd(p, "/dev/zero"), "outside its folder"),
    "nrrd list": ("a.nhdr", lambda p: header_of_nrrd(p, "LIST\n/dev/zero"), "several files"),
    "nrrd pipe": ("a.nhdr", lambda p: header_of_nrrd(p, fifo(p.with_name("x.raw")).name), "is a pipe"),
    "nrrd sizes too large": ("a.nrrd", lambda p: replaced(p, b"sizes: 10 8 6", b"sizes: 10 8 600"), "truncated"),
    "nrrd sizes too small": ("a.nrrd", lambda p: replaced(p, b"sizes: 10 8 6", b"sizes: 10 8 5"), "more voxels than"),
    "nrrd absurd size": ("a.nrrd", lambda p: replaced(p, b"sizes: 10 8 6", b"sizes: 99999 99999 99999"), "claims"),
    "nrrd negative size": ("a.nrrd", lambda p: replaced(p, b"sizes: 10 8 6", b"sizes: -10 8 6"), "damaged NRRD header"),
    "nrrd spacing no number": ("a.nrrd", lambda p: replaced(p, b"(0,0,3)", b"(0,0,nan)"), "impossible voxel spacing"),
    "nrrd endless word": ("a.nrrd", lambda p: replaced(p, b"kinds: domain", b"kinds: " + b"domain" * 5000), "damaged NRRD header"),
    "nrrd no end": ("a.nrrd", lambda p: held(p, b"NRRD0004\n" + b"x" * (1 << 21)), "damaged NRRD header"),
}
