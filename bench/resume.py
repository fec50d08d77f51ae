"""A run whose owner is killed again and again: what it costs, and that nothing committed is redone.

    python -m bench.resume [--tasks N] [--kills N] [--seed N]
    python -m bench.resume --elsewhere [--seed N …]        # see bench/elsewhere.py

The owner's device is a process of its own, with its journal, cells and records on disk; it works
itself (K=1), so that whatever is lost is lost at once. It is killed (SIGKILL) when so many tasks
have been committed, at moments that the seed draws, and a new process goes on with the run. Every
process writes down what it sees committed and how long it took to be where the last one was.
Prints JSON; exits with 1 when a task was committed twice, changed after its commit, or was missed.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.machine import machine
from bench.tasks import Nothing, team
from pockethive.actors.skill import Product, Tools, Work
from pockethive.core.report import Happening
from pockethive.core.task import RunId
from pockethive.device import Device, DeviceSettings
from pockethive.known_runs import known_runs
from pockethive.result import Result

SHAPE = "chain"


class Idler(Nothing):
    """A skill that does nothing but say so."""

    def run(self, work: Work, tools: Tools) -> Product:
        """Return at once."""
        say({"worked": work.name})
        return super().run(work, tools)


def own(home: Path, tasks: int, kill_at: int, run: str) -> int:
    """Be the owner: begin the run, or go on with it; end oneself at so many commits."""
    settings = DeviceSettings(
        home=home,
        folder=home / "swarm-1" / "owner",
        skills={"nothing": Idler()},
        checkers={},
        revives=RunId(run) if run else None,
    )
    device = Device(settings, team(SHAPE, tasks))
    began = time.perf_counter()
    device.start()
    revived = device.parts.journal.revived.steps if device.parts.journal else 0
    say({"started": round(time.perf_counter() - began, 3), "steps": revived})
    seen = 0

    def saw(happening: Happening) -> None:
        nonlocal seen
        if happening.what == "committed":
            say({"committed": happening.task})
            seen += 1
            if seen == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    device.subscribe(saw)
    result = (device.resume(RunId(run)) if run else device.submit("nothing")).result(600)
    say({"result": summary(result)})
    device.stop()
    return 0


def say(value: dict[str, Any]) -> None:
    """One line at once: the process may be gone after it."""
    os.write(1, json.dumps(value).encode() + b"\n")


def summary(result: Result) -> dict[str, Any]:
    """How a run ended, and its tasks by name: id, epoch, attempts."""
    return {
        "status": result.status,
        "seconds": round(result.seconds, 3),
        "tasks": {task.name: [task.id, task.epoch, task.attempts] for task in result.tasks},
    }


def life(home: Path, tasks: int, kill_at: int, run: str) -> list[dict[str, Any]]:
    """One process of the owner, and all it said."""
    command = [sys.executable, "-m", "bench.resume", "--owner", str(home), "--tasks", str(tasks)]
    command += ["--kill-at", str(kill_at), "--run", run]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    expected = -signal.SIGKILL if kill_at else 0
    if done.returncode != expected:
        raise AssertionError(f"exit {done.returncode}: {done.stderr[-2000:]}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def play(tasks: int, kills: int, seed: int) -> dict[str, Any]:
    """The whole story, and what was wrong with it."""
    dice = random.Random(seed)
    share = tasks // (kills + 1)
    lives: list[dict[str, Any]] = []
    committed: set[str] = set()
    redone: list[str] = []
    with tempfile.TemporaryDirectory(prefix="pockethive-bench-") as name:
        home, run = Path(name), ""
        for number in range(kills + 1):
            kill_at = dice.randrange(1, share) if number < kills else 0
            said = life(home, tasks, kill_at, run)
            before = len(committed)
            for each in said:
                if each.get("worked") in committed:
                    redone.append(each["worked"])
                committed |= {each["committed"]} if "committed" in each else set()
            lives.append({**said[0], "committed": len(committed) - before})
            if number < kills:
                (known,) = known_runs(home)
                run = known.note.run
                assert known.state == "unfinished", known.state
        result = said[-1]["result"]
        size = (home / "swarm-1" / "owner" / "journal.sqlite").stat().st_size
        states = [known.state for known in known_runs(home)]
    epochs = [epoch for _, epoch, _ in result["tasks"].values()]
    faults = {
        "not committed": tasks - len(result["tasks"]),
        "worked on after their commit": len(redone),
        "ids that changed": len(result["tasks"]) - len({t[0] for t in result["tasks"].values()}),
        "status": int(result["status"] != "completed" or states != ["completed"]),
    }
    return {
        "tasks": tasks,
        "kills": kills,
        "seed": seed,
        "lives": lives,
        "worked_on_twice_before_their_commit": sum(epoch > 1 for epoch in epochs),
        "seconds": result["seconds"],
        "journal_bytes_at_the_end": size,
        "faults": faults,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Play it, or be one life of the owner."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=240)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, nargs="+", default=[])
    parser.add_argument("--owner", type=Path)
    parser.add_argument("--kill-at", type=int, default=0)
    parser.add_argument("--run", default="")
    parser.add_argument("--elsewhere", action="store_true")
    parser.add_argument("--rows", type=int, default=10)
    parser.add_argument("--width", type=int, default=12)
    parser.add_argument("--owner-of", type=Path)
    parser.add_argument("--join", action="append", default=[])
    options = parser.parse_args(arguments)
    if options.elsewhere:
        from bench import elsewhere

        shape = (options.rows, options.width)
        if options.owner_of is not None:
            kill_at, join = options.kill_at, options.join
            return elsewhere.be_owner(options.owner_of, *shape, kill_at, join)
        return elsewhere.play(shape, options.seed or [1, 2, 3])
    if options.owner is not None:
        return own(options.owner, options.tasks, options.kill_at, options.run)
    figures = play(options.tasks, options.kills, *(options.seed or [1]))
    print(json.dumps({"machine": machine("pykka", "kademlia"), **figures}, indent=1))
    return int(any(figures["faults"].values()))


if __name__ == "__main__":
    raise SystemExit(main())
