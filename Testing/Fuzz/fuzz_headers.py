"""Spoils small files of every format that is read, and counts what becomes of them.

Every file is either read or refused with a sentence. A crash, a hang, an error of any other kind, too much memory, or a file that appears
outside the folder of the try is a finding; its file is kept. The same seed tries the same files.

    python Testing/Fuzz/fuzz_headers.py --tries 20000 --seed 1
    python Testing/Fuzz/fuzz_headers.py --format "NRRD .nrrd" --seed 1 --only 1234
"""

from __future__ import annotations

import argparse
import ast
import selectors
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1]), str(HERE.parent / "Support")]

from catalogue import all_formats  # noqa: E402
from formats import Format  # noqa: E402

START_SECONDS = 120.0
"""How long a worker may take to start, on a computer that is busy."""


@dataclass
class Tally:
    """What became of the tries of one format. `findings`: number of the try -> what happened."""

    format: str
    tries: int = 0
    read: int = 0
    refused: int = 0
    seconds: float = 0.0
    findings: dict[int, str] = field(default_factory=dict)
    sentences: Counter[str] = field(default_factory=Counter)


class Worker:
    """The process that tries files, and the last it said."""

    def __init__(self, name: str, seed: str, first: int, last: int, folder: Path) -> None:
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115, closed by `end`
        command = [sys.executable, str(HERE / "worker.py"), name, seed, str(first), str(last), str(folder)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.errors, stdin=subprocess.DEVNULL)
        assert self.process.stdout is not None
        self._selector = selectors.DefaultSelector()
        self._selector.register(self.process.stdout, selectors.EVENT_READ)
        self._rest = b""

    def line(self, seconds: float) -> str | None:
        """The next line, "" at the end; None when none came in time."""
        assert self.process.stdout is not None
        until = time.monotonic() + seconds
        while b"\n" not in self._rest:
            if not self._selector.select(max(0.0, until - time.monotonic())):
                return None
            block = self.process.stdout.read1(65536)  # type: ignore[attr-defined]
            if not block:
                return ""
            self._rest += block
        text, _, self._rest = self._rest.partition(b"\n")
        return text.decode() + "\n"

    def end(self) -> str:
        """Kill it if it still runs, and say how it ended."""
        if self.errors.closed:
            return "ended"
        self.process.kill()
        code = self.process.wait()
        self._selector.close()
        self.errors.seek(0)
        told = self.errors.read().decode(errors="replace")[-3000:]
        self.errors.close()
        return f"ended with {code}\n{told}"


def fuzz(one: Format, *, seed: str, first: int, last: int, folder: Path) -> Tally:
    """Try files `first` to `last` of a format."""
    tally = Tally(one.name)
    began = time.monotonic()
    index = first
    while index < last:
        worker = Worker(one.name, seed, index, last, folder)
        told = worker.line(START_SECONDS)
        if not told or not told.startswith("begin"):
            raise SystemExit(f"The worker for {one.name} did not start: {worker.end()}")
        while index < last:
            tally.tries += 1
            # The file is written by the test itself; only reading it counts.
            ready = worker.line(START_SECONDS)
            outcome = worker.line(one.seconds) if ready else ""
            if outcome is None:
                tally.findings[index] = f"no answer within {one.seconds:g} s; {worker.end()}"
            elif not outcome:
                tally.findings[index] = f"the process died; {worker.end()}"
            elif outcome.startswith("finding "):
                tally.findings[index] = text_of(outcome.removeprefix("finding ").strip())
            elif outcome.startswith("refused "):
                tally.refused += 1
                tally.sentences[text_of(outcome.removeprefix("refused ").strip())] += 1
            else:
                tally.read += 1
            index += 1
            if not outcome:
                break
            if index < last and not worker.line(START_SECONDS):
                break
        worker.end()
    tally.seconds = time.monotonic() - began
    return tally


def text_of(answer: str) -> str:
    try:
        return str(ast.literal_eval(answer))
    except (SyntaxError, ValueError):
        return answer


def keep(one: Format, tally: Tally, *, seed: str, folder: Path, keep_in: Path) -> None:
    """The file of every finding, with what happened and how to make it again."""
    for index, what in tally.findings.items():
        subprocess.run(
            [sys.executable, str(HERE / "worker.py"), one.name, seed, str(index), str(index + 1), str(folder), "keep"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        place = keep_in / f"{one.name.replace(' ', '-').replace('/', '-')}-{seed}-{index}"
        shutil.copytree(folder / "try", place, dirs_exist_ok=True, symlinks=True)
        again = f'python Testing/Fuzz/fuzz_headers.py --format "{one.name}" --seed {seed} --only {index}'
        (place / "finding.txt").write_text(f"{again}\n\n{what}\n", encoding="utf-8")
        print(f"\n{one.name}, try {index}: {what.strip().splitlines()[-1] if what.strip() else what}\n  {place}\n  {again}")


def main(arguments: list[str] | None = None) -> int:
    """0 when every file was read or refused with a sentence, 1 with findings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tries", type=int, default=20_000, help="in all, shared by the formats")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--format", action="append", help="one of the table's; may be given several times")
    parser.add_argument("--only", type=int, help="only this try")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-findings"), help="where files of findings are kept")
    parser.add_argument("--sentences", action="store_true", help="also list the sentences, most frequent first")
    options = parser.parse_args(arguments)
    formats = [one for one in all_formats() if not options.format or one.name in options.format]
    if not formats:
        parser.error(f"formats are: {', '.join(one.name for one in all_formats())}")
    whole = sum(one.share for one in formats)
    tallies = []
    print(f"{'format':26} {'tries':>7} {'read':>7} {'refused':>8} {'findings':>9} {'seconds':>8}", flush=True)
    for one in formats:
        share = max(1, round(options.tries * one.share / whole))
        first, last = (0, share) if options.only is None else (options.only, options.only + 1)
        with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
            folder = Path(scratch)
            tally = fuzz(one, seed=options.seed, first=first, last=last, folder=folder)
            tallies.append(tally)
            print(
                f"{tally.format:26} {tally.tries:7} {tally.read:7} {tally.refused:8} {len(tally.findings):9} {tally.seconds:8.1f}",
                flush=True,
            )
            keep(one, tally, seed=options.seed, folder=folder, keep_in=options.keep)
        if options.sentences:
            for sentence, times in tally.sentences.most_common(40):
                print(f"    {times:6} {sentence}")
    found = sum(len(t.findings) for t in tallies)
    print(
        f"{'all':26} {sum(t.tries for t in tallies):7} {sum(t.read for t in tallies):7} {sum(t.refused for t in tallies):8} {found:9} "
        f"{sum(t.seconds for t in tallies):8.1f}"
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
