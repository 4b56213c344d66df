"""Starts the panel, kills it and its worker at random moments, and looks at the study after every kill."""

from __future__ import annotations

import argparse
import random
import re
import shutil
import signal
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from Soak import check
from Soak.cohort import make_study
from Soak.expected import Expected
from Soak.ledger import IDLE, LedgerReader
from Soak.processes import PanelProcess, send_kill, wait_until_dead
from Soak.tally import Tally
from SuggestiveAnnotationLib.errors import SuggestiveAnnotationError
from SuggestiveAnnotationLib.study.study import Study

KILLS_A_STUDY = 100
ORPHAN_SECONDS = 5.0
START_SECONDS = 60.0
SILENCE_SECONDS = 120.0
"""So long without a line in the ledger is a panel that hangs."""
GOES_ON_SECONDS = 60.0
"""So long a panel may take to see that its worker is gone, and to do something else."""
WORKER_COMES_SECONDS = 4.0
"""A panel that needs no worker for so long is killed itself."""
AIM_SECONDS = 2.5
REST_SECONDS = 10.0
TICK = 0.002
ACTIONS = ("accept", "accept range", "paint", "mark empty", "undo", "reopen", "skip", "start round", "export", "return")
"""Moments that are waited for more often than they come."""
AROUND = (IDLE, "before round", "before export")
"""Stages in which the worker is not yet, or no longer, at work."""


class PanelFailedError(RuntimeError):
    """The panel ended or hung without being killed."""


@dataclass
class Watched:
    """A life of the panel, and what must be in the study by what it reported."""

    panel: PanelProcess
    ledger: LedgerReader
    log: Path
    base: Expected
    counted: int = 0
    spoiled: bool = False


class Supervisor:
    """One soak.

    Args:
        out: folder for studies, ledgers, logs and the result.
        seed: decides what the panel does and when something is killed; the moments themselves depend on the machine.
        say: gets lines on the progress.
    """

    def __init__(self, out: Path, *, kills: int, seed: int, say: Callable[[str], None] = print) -> None:
        self.out, self.wanted, self.rng, self.say = out, kills, random.Random(seed), say
        self.tally = Tally(seed)
        self.study = Path()
        self.expected = Expected()
        self._left_in_study = 0
        self._said_at = 0.0

    def run(self) -> Tally:
        """Kill until it is enough, or until the panel failed too often."""
        while self.tally.killed < self.wanted and len(self.tally.failed) < 3:
            if self._left_in_study <= 0:
                self._new_study()
            self._live()
        self._end_study()
        return self.tally

    # Studies

    def _new_study(self) -> None:
        self._end_study()
        self.tally.studies += 1
        self.study = make_study(self.out / f"study{self.tally.studies:03d}", seed=self.rng.getrandbits(16))
        self.expected, self._left_in_study = Expected(), KILLS_A_STUDY

    def _end_study(self) -> None:
        if self.study == Path():
            return
        if not self.tally.well and check.damage(self.study, LedgerReader(self.out / "none")):
            return
        study = Study(self.study)
        self.tally.rounds += len(study.rounds())
        self.tally.models += len(study.models())
        study.close()
        if self.tally.well:
            shutil.rmtree(self.study.parent)
        self.study = Path()

    # One life

    def _live(self) -> None:
        self.tally.lives += 1
        name = f"life{self.tally.lives:04d}"
        folder = self.out / "lives"
        folder.mkdir(exist_ok=True)
        ledger = LedgerReader(folder / f"{name}.jsonl")
        arguments = [str(self.study), str(ledger.path), str(self.out / "settings"), str(self.rng.getrandbits(31))]
        log = folder / f"{name}.log"
        life = Watched(PanelProcess(arguments, log=log, mark=uuid.uuid4().hex), ledger, log, self.expected)
        try:
            self._kill_again_and_again(life)
        except PanelFailedError as error:
            self.tally.failed.append(f"{name}: {error}\n{_last_lines(log)}")
            life.panel.kill_all()
            life.panel.wait_until_gone(ORPHAN_SECONDS)
            self._look(life, between_lives=True)
        finally:
            if life.panel.ended is None:
                life.panel.kill_all()
        if self.tally.well:
            ledger.path.unlink(missing_ok=True)
            log.unlink(missing_ok=True)

    def _kill_again_and_again(self, life: Watched) -> None:
        if self.rng.random() < 0.15:
            # While it starts.
            self._wait(life, seconds=self.rng.uniform(0.0, 4.0))
            self._kill_panel(life)
            return
        self._wait(life, until=lambda: life.ledger.ready, seconds=START_SECONDS)
        if not life.ledger.ready:
            raise PanelFailedError(f"not ready after {START_SECONDS:.0f} s")
        self.tally.start_seconds.append(time.monotonic() - life.panel.started)
        for _ in range(self.rng.choice((0, 2, 3, 4, 6, 8))):
            if self.tally.killed >= self.wanted - 1:
                break
            if not self._kill_worker(life):
                break
        self._rest(life)
        self._aim(life)
        self._kill_panel(life)

    def _aim(self, life: Watched) -> None:
        """Wait for a moment: some time, or some milliseconds after the next action or the next stage of the worker began."""
        ledger, how = life.ledger, self.rng.choice(("time", "any action", "action", "stage", "stage"))
        wanted = self.rng.sample(ACTIONS, 4)
        actions, stages = len(ledger.actions), len(ledger.said("stage"))

        def begun() -> bool:
            if how == "stage":
                return any(note["stage"] not in AROUND for note in ledger.said("stage")[stages:])
            return any(how == "any action" or action.name in wanted for action in ledger.actions[actions:] if action.ended is None)

        if how == "time":
            self._wait(life, seconds=self.rng.choice((0.2, 1.0, 4.0)) * self.rng.random())
        else:
            self._wait(life, until=begun, seconds=AIM_SECONDS)
            self._wait(life, seconds=self.rng.choice((0.01, 0.1, 0.5)) * self.rng.random())

    def _rest(self, life: Watched) -> None:
        """Let everything alone until a round is done, now and then: otherwise none ever would be."""
        if self.rng.random() < 0.12:
            rounds = len(life.ledger.said("round"))
            self._wait(life, until=lambda: len(life.ledger.said("round")) > rounds, seconds=REST_SECONDS)

    def _kill_worker(self, life: Watched) -> bool:
        """Kill the worker alone, look at the study, and see that the panel goes on. False: there was no worker."""
        found: list[int] = []

        def there() -> bool:
            found[:] = life.panel.workers()
            return bool(found)

        self._wait(life, until=there, seconds=WORKER_COMES_SECONDS, tick=0.02)
        if not found:
            return False
        self._rest(life)
        self._aim(life)
        workers = life.panel.workers()
        life.ledger.read()
        went_on, ended = len(life.ledger.actions), len(life.ledger.said("worker ended"))
        if not workers or not send_kill(workers[0]):
            return True
        # Held before it starts another worker, so that what it reported and what is in the study can be compared.
        life.panel.stop()
        wait_until_dead(workers[0])
        life.ledger.read()
        self._count("worker", life)
        self._look(life, between_lives=False)
        life.panel.go_on()
        self._wait(life, until=lambda: len(life.ledger.said("worker ended")) > ended, seconds=GOES_ON_SECONDS)
        self._wait(life, until=lambda: len(life.ledger.actions) > went_on, seconds=GOES_ON_SECONDS)
        if len(life.ledger.said("worker ended")) == ended or len(life.ledger.actions) == went_on:
            raise PanelFailedError("it did not go on after its worker was killed")
        return True

    def _kill_panel(self, life: Watched) -> None:
        alone = self.rng.random() < 0.6
        (life.panel.kill if alone else life.panel.kill_all)()
        life.ledger.read()
        self._count("panel" if alone else "both", life)
        seconds, left = life.panel.wait_until_gone(ORPHAN_SECONDS)
        if alone:
            self.tally.orphan_seconds.append(seconds)
        for pid in left:
            self.tally.orphans.append(f"process {pid} was there {seconds:.1f} s after the kill {self.tally.killed}")
            send_kill(pid)
            wait_until_dead(pid)
        self._look(life, between_lives=True)

    # After a kill

    def _count(self, what: str, life: Watched) -> None:
        self.tally.kills[what, life.ledger.doing, life.ledger.worker_doing] += 1
        self._left_in_study -= 1
        if time.monotonic() - self._said_at > 20:
            self._said_at = time.monotonic()
            self.say(self.tally.line(self.wanted))
            self.tally.write(self.out / "soak.json")

    def _look(self, life: Watched, *, between_lives: bool) -> None:
        """Compare the study with what was reported. Between lives, what the last one did not report is settled."""
        where, before = f"kill {self.tally.killed} ({life.ledger.path.name})", self.tally.bad
        self._compare(life, where, between_lives=between_lives)
        if self.tally.bad > before:
            shutil.copytree(self.study, self.out / f"study at kill {self.tally.killed}", dirs_exist_ok=True)

    def _compare(self, life: Watched, where: str, *, between_lives: bool) -> None:
        # A panel that was quicker than the supervisor has another worker by now, which may hold it.
        sentence = check.lock_is_free(self.study)
        if sentence and not life.panel.workers():
            self.tally.locked.append(f"{where}: {sentence}")
        self.tally.damaged += [f"{where}: {sentence}" for sentence in check.damage(self.study, life.ledger)]
        self._take_in(life)
        try:
            study = Study(self.study)
            found = check.found_in(study)
            study.close()
        except SuggestiveAnnotationError as error:
            self.tally.lost += [f"{where}: {ref} was accepted and cannot be read: {error}" for ref in life.base.accepted()]
            self._left_in_study = 0
            return
        if life.spoiled:
            return
        action = life.ledger.open_action
        states = [life.base] if action is None else list(life.base.on_the_way(action))
        self.tally.cut += action is not None and between_lives
        match = next((state for state in states if state.matches(found)), None)
        if match is None:
            missing = set.intersection(*(check.lost(state, found) for state in states))
            self.tally.lost += [f"{where}: {ref} was accepted and is not there" for ref in sorted(missing)]
            self.tally.damaged.append(f"{where}: the study is not as reported:\n{_difference(states, found)}")
            # What follows from it would be counted again and again: this life is not compared any more, and the next has a new study.
            life.spoiled, self._left_in_study = True, 0
            return
        if between_lives and match is not states[0]:
            self.tally.beyond += 1
        if between_lives:
            turns = [note["note"] for note in life.ledger.notes if note["note"] in ("worker ended", "worker ready")]
            self.tally.resumed += list(pairwise(turns)).count(("worker ended", "worker ready"))
            self.tally.errors.update(re.sub(r"\d+", "#", note["text"]) for note in life.ledger.said("error"))
            self.expected = match.settled(found)
            self.expected.batches = max(self.expected.batches, life.base.batches + 1)
            self._left_in_study = self._left_in_study if self._more_to_annotate() else 0

    def _take_in(self, life: Watched) -> None:
        """Bring what must be in the study up to what was reported."""
        ended = [action for action in life.ledger.actions if action.ended is not None]
        for action in ended[life.counted :]:
            life.base = life.base.after(action)
            self.tally.actions[action.name if action.done else f"{action.name} (refused)"] += 1
            if action.done and action.name in ("accept", "accept range", "mark empty"):
                self.tally.slices += len(action.details["slices"])
        life.counted = len(ended)

    def _more_to_annotate(self) -> bool:
        study = Study(self.study)
        done = study.annotated_refs() | set(study.newest_suggestions())
        pool = len(study.pool_refs())
        study.close()
        return len(done) < 0.9 * pool

    # Waiting

    def _wait(self, life: Watched, *, seconds: float, until: Callable[[], bool] = lambda: False, tick: float = TICK) -> None:
        """Until the condition holds or the time is up. Raises: PanelFailedError."""
        end, heard = time.monotonic() + seconds, time.monotonic()
        while not until() and time.monotonic() < end:
            if life.ledger.read():
                heard = time.monotonic()
            if life.panel.ended is not None:
                raise PanelFailedError(f"it ended by itself with {life.panel.ended}")
            if time.monotonic() - heard > SILENCE_SECONDS:
                life.panel.ask_where()
                raise PanelFailedError(f"nothing was heard for {SILENCE_SECONDS:.0f} s while it was at: {life.ledger.doing}")
            time.sleep(tick)


def _difference(states: list[Expected], found: Expected) -> str:
    expected = states[-1]
    lines = [f"  reported and under way: {len(states) - 1} steps"]
    wanted, there = ([(r.ref, r.labels, r.state) for r in one.rows] for one in (expected, found))
    lines += [f"  annotation {n}: {a} expected, {b} found" for n, (a, b) in enumerate(zip(wanted, there, strict=False)) if a != b]
    lines += [f"  annotations: {len(wanted)} expected, {len(there)} found"]
    for ref in sorted({*expected.drafts, *found.drafts}):
        if expected.drafts.get(ref) != found.drafts.get(ref):
            lines.append(f"  draft of {ref}: {expected.drafts.get(ref)} expected, {found.drafts.get(ref)} found")
    lines += [
        f"  {ref}: {state} expected, {found.passed.get(ref)} found"
        for ref, state in expected.passed.items()
        if found.passed.get(ref) != state
    ]
    return "\n".join(lines)


def _last_lines(log: Path, count: int = 25) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-count:])


def main() -> int:
    """Run as a program. Returns: 1 when something was lost."""
    parser = argparse.ArgumentParser(prog="make soak", description="Kill the worker and the panel at random moments; count what was lost.")
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("soak-output"), help="folder for the result; what was in it goes")
    arguments = parser.parse_args()
    out = arguments.out.resolve()
    if out.exists() and not (out / "soak.json").exists() and any(out.iterdir()):
        parser.error(f"{out} is not empty, and not from a soak")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    # Asked to end, it takes the panel with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))
    supervisor = Supervisor(out, kills=arguments.kills, seed=arguments.seed)
    supervisor.tally.write(out / "soak.json")
    try:
        tally = supervisor.run()
    finally:
        supervisor.tally.write(out / "soak.json")
    print(tally.table())
    return 0 if tally.well else 1
