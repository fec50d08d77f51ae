"""What claims and commits promise: contested tasks in bad company."""

import json
import sys

from bench.proofs.running import run


def histories() -> None:
    """200 histories of contested tasks: no overlap, no double commit; seven mutants caught."""
    print(run(sys.executable, "-m", "bench.histories"))


def cheats() -> None:
    """Five processes vote on 300 tasks, one lies about 30 %: nothing wrong is committed."""
    print(run(sys.executable, "-m", "bench.cheats"))


def rescored() -> None:
    """Texts are read again for less than writing costs: honest ones accepted, no cheat's."""
    print(run(sys.executable, "-m", "bench.rescore", seconds=3_600))


def killed_devices() -> None:
    """Five devices, one killed every two seconds in a run of 200 tasks: complete, right, proven."""
    print(run(sys.executable, "-m", "bench.killed_devices"))


def credit() -> None:
    """Voting, spot checks, adaptive replication, group credibility: theory in every interval."""
    print(run(sys.executable, "-m", "bench.validation"))


def tasks() -> None:
    """No-op tasks by shape and number, linear in the number; beside peers; over three devices."""
    output = run(
        *(sys.executable, "-m", "bench.tasks", "--tasks", "100", "1000", "10000"),
        *("--repeats", "3", "--devices", "3", "--peers", "--plot", "build/tasks.svg"),
    )
    print(output)
    figures = json.loads(output)["figures"]
    for shape in ("chain", "fan", "lattice"):
        few, many = (figures[f"alone {shape} {count}"]["run_us"] for count in (1_000, 10_000))
        assert many < 1.5 * few, f"{shape}: {few} us a task in 1,000, {many} in 10,000"


def resumed() -> None:
    """A run whose owner is killed, five times or for good, ends: nothing committed is redone."""
    print(run(sys.executable, "-m", "bench.resume"))
    print(run(sys.executable, "-m", "bench.resume", "--elsewhere"))


def crowd() -> None:
    """10,000 tasks among 1,000 devices of which a fifth dies and comes each minute, whole and at
    the table, and there among 3,000: every run ends, a task's messages are flat."""
    print(run(sys.executable, "-m", "bench.crowd_table", "--out", "build", seconds=2 * 3_600))
    print(run(sys.executable, "-m", "bench.crowd", "--out", "build", seconds=3 * 3_600))
