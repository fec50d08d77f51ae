"""Three devices of one owner, a process each on loopback: what a leased, verified task costs them.

    python -m bench.task_devices chain|fan TASKS [count]

K=3 witnesses with q=2, cells in SQLite with synchronous FULL; every output is verified by a device
other than its maker's. CPU is summed over the three processes. `latency_ms` is from a task's first
offer to its commit in the owner's book; in a chain the devices are idle otherwise. Prints JSON.
With `count`, what each device did for a task (`task_counts`) is in it, and the CPU is no measure:
`owner`, and `others` together.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from bench import task_counts
from bench.machine import resident
from bench.tasks import ROOT, Nothing, fsync_ms, team_of
from pockethive.actors.skill import Finding, Product, Tools, Work
from pockethive.core.labels import Label
from pockethive.core.report import Happening
from pockethive.core.spec import Role
from pockethive.core.task import Check, Policy, Verification
from pockethive.device import Device, DeviceSettings
from pockethive.dht.contact import Contact

SETTLED = 7.0
"""Seconds after which newcomers have been handed what was there before them (`dht/handover.py`)."""


class Distinct(Nothing):
    """A skill that does nothing; no two tasks of any two runs have the same output."""

    def run(self, work: Work, tools: Tools) -> Product:
        """Return at once."""
        return Product(value={"of": work.name, "task": work.task})


class Named:
    """A checker that sees whether an output is of its task."""

    name = "named"
    needs_model = False

    def check(self, work: Work, value: Any, tools: Tools) -> Finding:
        """Compare a name."""
        return Finding(value == {"of": work.name, "task": work.task}, "it names its task")


def settings(home: Path, name: str, join: tuple[Contact, ...] = ()) -> DeviceSettings:
    """One of the owner's devices."""
    return DeviceSettings(
        home=home,
        folder=home / name,
        join=join,
        private=False,
        skills={"nothing": Distinct()},
        checkers={"named": Named()},
    )


def serve(home: str, name: str, contact: str) -> int:
    """A device that works and verifies until its input is closed; prints its id.

    For each line that it reads it prints what it has counted.
    """
    device = Device(settings(Path(home), name, (Contact.parse(contact),)))
    device.start()
    print(device.id, flush=True)
    for _ in sys.stdin:
        print(json.dumps(task_counts.taken()), flush=True)
    device.stop()
    return 0


def measure(shape: str, tasks: int, *, counting: bool = False) -> dict[str, Any]:
    """One run after a warm one, by an owner's device in this process and two in others."""
    checks = Verification(checks=(Check(Policy.CHECK, "named"),))
    role = Role(
        name="idler",
        skill="nothing",
        description="does nothing",
        verification=checks,
        needs_model=False,
    )
    with tempfile.TemporaryDirectory(prefix="pockethive-bench-") as name:
        home = Path(name)
        owner = Device(settings(home, "owner"), team_of(shape, tasks, role, Label.HIVE))
        owner.start()
        how = "count" if counting else "serve"
        others = [_start(home, f"device{n}", (how, str(owner.contact))) for n in range(2)]
        try:
            owner.expect([other.stdout.readline().strip() for other in others if other.stdout])
            owner.submit("warm").result(300)
            time.sleep(SETTLED)
            return _played(owner, others, tasks)
        finally:
            for other in others:
                if other.stdin is not None:
                    other.stdin.close()
                other.wait(30)
            owner.stop()


def _start(home: Path, name: str, how: tuple[str, str]) -> "subprocess.Popen[str]":
    command = (sys.executable, "-m", "bench.task_devices", how[0], str(home), name, how[1])
    return subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def _played(owner: Device, others: "list[subprocess.Popen[str]]", tasks: int) -> dict[str, Any]:
    offered: dict[str, float] = {}
    took: list[float] = []

    def watch(happening: Happening) -> None:
        now = time.perf_counter()
        if happening.what == "offered":
            offered.setdefault(happening.task, now)
        elif happening.what == "committed":
            took.append((now - offered[happening.task]) * 1e3)

    stop = owner.subscribe(watch)
    before = _counted(others)
    cpu, wall = time.process_time() + sum(map(_cpu, others)), time.perf_counter()
    result = owner.submit("nothing").result(300)
    wall = time.perf_counter() - wall
    cpu = time.process_time() + sum(map(_cpu, others)) - cpu
    after = _counted(others)
    stop()
    assert result.status == "completed", result.reason
    assert {task.witnesses for task in result.tasks} == {(3, 2, 0)}
    assert all(task.verdicts for task in result.tasks)
    return {
        "cpu_ms": cpu / tasks * 1e3,
        "tasks_per_second": tasks / wall,
        "latency_ms": statistics.median(took),
        "latency_p95_ms": statistics.quantiles(took, n=20)[-1],
        "fsync_ms": fsync_ms(owner.settings.home),
        "memory_mb": resident(),
        **{who: _per_task(before[who], after[who], tasks) for who in after},
    }


def _counted(others: "list[subprocess.Popen[str]]") -> dict[str, Counter[str]]:
    """What the owner's device, and both others, have counted so far."""
    found = {"owner": Counter(task_counts.taken()), "others": Counter[str]()}
    for other in others:
        assert other.stdin is not None
        assert other.stdout is not None
        print(file=other.stdin, flush=True)
        found["others"].update(json.loads(other.stdout.readline()))
    return found


def _per_task(before: Counter[str], after: Counter[str], tasks: int) -> dict[str, float]:
    """By how much each count grew for each task."""
    return {name: round((after[name] - before[name]) / tasks, 2) for name in sorted(after)}


def _cpu(process: "subprocess.Popen[str]") -> float:
    """Seconds of CPU of another process so far."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


if __name__ == "__main__":
    counted = sys.argv[1] == "count" or sys.argv[3:] == ["count"]
    if counted:
        task_counts.install()
    if sys.argv[1] in ("serve", "count"):
        raise SystemExit(serve(*sys.argv[2:]))
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]), counting=counted), indent=1))
