"""Tries spoilt files of one format, one after the other, and says what became of each on standard output.

A process of its own, with little memory: when it dies or hangs, the one that started it knows at which file.
"""

from __future__ import annotations

import faulthandler
import os
import random
import resource
import shutil
import sys
import traceback
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "Support"), str(Path(__file__).resolve().parents[2])]

EXTRA_MEMORY = 2 << 30
"""Bytes that a try may take beyond what the program takes when it has started."""


def limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + EXTRA_MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def main() -> None:
    from catalogue import by_name

    name, seed, first, last, folder = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), Path(sys.argv[5])
    keep = len(sys.argv) > 6
    faulthandler.enable()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    # What a library prints must not be taken for an answer.
    os.dup2(2, 1)
    one = by_name(name)
    seeds, tried = folder / "seeds", folder / "try"
    shutil.rmtree(seeds, ignore_errors=True)
    seeds.mkdir(parents=True)
    one.prepare(seeds)
    shutil.rmtree(tried, ignore_errors=True)
    tried.mkdir()
    # Once with a sound draw of its own, so that everything that is imported late is there before memory is counted.
    warm = one.write(tried, random.Random("warm"))
    one.read(warm)
    limit_memory()
    for index in range(first, last):
        shutil.rmtree(tried, ignore_errors=True)
        tried.mkdir()
        answers.write(f"begin {index}\n")
        path = one.write(tried, random.Random(f"{seed}/{name}/{index}"))
        answers.write("written\n")
        if keep:
            return
        try:
            refused = one.read(path)
            outcome = "refused " + ascii(refused[0])[:200] if refused else "read"
        except BaseException:
            outcome = "finding " + ascii(traceback.format_exc())
        if strange := sorted({p.name for p in folder.iterdir()} - {"seeds", "try"}):
            outcome = f"finding files outside: {strange}"
        answers.write(f"{outcome}\n")


if __name__ == "__main__":
    main()
