"""Ways to spoil a file, drawn by a seeded generator: the same draw gives the same file."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

EXTREME_NUMBERS = ("0", "1", "-1", "2", "-0", "007", "3.7", "1_0", "0x10", ";", "a", "-", "nan", "NaN", "-nan", "inf", "-inf", "Infinity")
EXTREME_NUMBERS += (
    "1e400",
    "-1e400",
    "1e-400",
    "1e308",
    "1e-320",
    *(str(sign * (1 << bits) + one) for bits in (31, 32, 63, 64, 80) for sign in (1, -1) for one in (0, -1)),
)
EXTREME_BYTES = [
    value.to_bytes(size, order, signed=value < 0)
    for size in (2, 4, 8)
    for value in (0, 1, -1, 2 ** (8 * size - 1) - 1, -(2 ** (8 * size - 1)), 2 ** (4 * size), 3, 348, 540, 1000)
    for order in ("little", "big")
]
EXTREME_BYTES += [
    bytes.fromhex(one) for one in ("0000c07f", "0000807f", "000080ff", "ffff7f7f", "01000000", "000000000000f87f", "000000000000f07f")
]
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?")

Mutation = Callable[[bytearray, random.Random, int], None]


def flip(data: bytearray, draw: random.Random, header: int) -> None:
    place = draw.randrange(min(header, len(data)))
    data[place] ^= 1 << draw.randrange(8)


def random_byte(data: bytearray, draw: random.Random, header: int) -> None:
    data[draw.randrange(min(header, len(data)))] = draw.randrange(256)


def extreme(data: bytearray, draw: random.Random, header: int) -> None:
    value = draw.choice(EXTREME_BYTES)
    place = draw.randrange(min(header, len(data)))
    # Fields of a binary header mostly lie on even bytes.
    place -= place % draw.choice((1, 2, 4))
    data[place : place + len(value)] = value


def truncate(data: bytearray, draw: random.Random, header: int) -> None:
    del data[draw.choice((draw.randrange(len(data)), draw.randrange(min(header, len(data))))) :]


def extend(data: bytearray, draw: random.Random, header: int) -> None:
    data += draw.randbytes(draw.choice((1, 100, 5000)))


def splice(data: bytearray, draw: random.Random, header: int) -> None:
    """A piece of the file over or into another place of it."""
    end = min(header, len(data))
    source, length, place = draw.randrange(end), draw.choice((1, 4, 16, 64, 300)), draw.randrange(end)
    piece = data[source : source + length]
    data[place : place + (length if draw.random() < 0.5 else 0)] = piece


def cut(data: bytearray, draw: random.Random, header: int) -> None:
    place = draw.randrange(min(header, len(data)))
    del data[place : place + draw.choice((1, 2, 4, 30, 200))]


def number(data: bytearray, draw: random.Random, header: int) -> None:
    """Another number in place of one that is written in digits."""
    found = list(_NUMBER.finditer(bytes(data[:header])))
    if found:
        one = draw.choice(found)
        data[one.start() : one.end()] = draw.choice(EXTREME_NUMBERS).encode()


def line(data: bytearray, draw: random.Random, header: int) -> None:
    """A line twice, away, or exchanged with another."""
    lines = bytes(data[:header]).split(b"\n")
    first, second = draw.randrange(len(lines)), draw.randrange(len(lines))
    what = draw.randrange(4)
    if what == 0:
        lines.insert(second, lines[first])
    elif what == 1:
        del lines[first]
    elif what == 2:
        lines[first], lines[second] = lines[second], lines[first]
    else:
        lines[first] = lines[first] * draw.choice((2, 50, 5000))
    data[:header] = b"\n".join(lines)


BINARY: tuple[Mutation, ...] = (flip, flip, random_byte, extreme, extreme, extreme, extreme, truncate, extend, splice, cut)
TEXT: tuple[Mutation, ...] = (number, number, number, number, line, line, flip, random_byte, truncate, splice, cut, extend)


def spoil(data: bytes, draw: random.Random, *, header: int, ways: tuple[Mutation, ...]) -> bytes:
    """One to four mutations of the first `header` bytes, mostly one."""
    out = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 2, 3, 4))):
        if out:
            draw.choice(ways)(out, draw, max(1, header))
    return bytes(out)
