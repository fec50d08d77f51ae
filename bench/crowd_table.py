"""What a task costs in messages among 100 to 3,000 devices at the core's table: machines alone.

    python -m bench.crowd_table [--sizes N … --tasks-each N] [--churn PERCENT] [--seed N]

The machines of `pockethive.core` with the table's network (20 ms) and clock, no node, no roster and
no bound of 512 members: everybody knows everybody, which is worse. Two series, because a task costs
more the more of them a device has at once: ten tasks for each of 100 to 1,000 devices, three for
each of 300 to 3,000. Runs have at most 200, of an owner each, all at once; each task is verified by
one other device; work takes five seconds, a judgement one. A share of the devices dies each minute,
at moments drawn by the seed, and for each one another comes; owners stay. Bytes pass through the
real codecs; signatures are keyed hashes. Exit code 1: a run did not end with every task committed
once, too many were executed again, or messages are not flat within a fifth in a series. Writes
crowd_table.json, and an .svg for each series.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.crowd import draw
from bench.histories.world import device, sign, verify
from bench.machine import machine
from pockethive.core.canonical import to_text
from pockethive.core.effects import RunSkill
from pockethive.core.entry import Commit
from pockethive.core.graph import TaskGraph
from pockethive.core.spec import Limits
from pockethive.core.table_plan import Line, TablePlan
from pockethive.core.task import Check, DeviceId, PlannedTask, Policy, Verification
from pockethive.core.testing import Table

SERIES = {10: (100, 300, 1000), 3: (300, 1000, 3000)}
"""Devices, by how many tasks each has."""
MESSAGES = ("Send", "AskWitness", "Publish", "ReadTask", "Ping")
IN_A_RUN = 200
DRAWN = (("messages_a_task", "#1660a8"),)
PLAYED = 600.0  # seconds within which devices die and come
MOST_AGAIN = 3.0  # per cent of the tasks
FLAT = 0.2


def measure(devices: int, tasks: int, churn: float, seed: int) -> dict[str, Any]:
    """Play runs of flat tasks; what it took."""
    began = time.process_time()
    count = -(-tasks // IN_A_RUN)
    plan = _plan(devices, count, churn, seed)
    verification = Verification(checks=(Check(Policy.CHECK, "judge"),))
    planned = (
        PlannedTask(name=f"task-{n}", role="maker", skill="make", verification=verification)
        for n in range(-(-tasks // count))
    )
    graph = TaskGraph(tuple(planned))
    table = Table(plan, sign, verify)
    wanted: Counter[str] = Counter()
    begun: Counter[str] = Counter()

    def watch(line: Line) -> None:
        wanted.update(type(effect).__name__ for effect in line.effects)
        begun.update(_work(e.task.id) for e in line.effects if isinstance(e, RunSkill))

    table.watch = watch
    table.play([graph] * count, 1_200.0)
    outcomes = list(table.outcomes.values())
    reports = [report for outcome in outcomes for report in outcome.tasks]
    commits = [
        len({e.body.output for e in found.values() if isinstance(e.body, Commit)})
        for found in table.entries.values()
    ]
    messages = {name: round(wanted[name] / len(reports), 2) for name in MESSAGES}
    again = sum(times - 1 for times in begun.values())
    return {
        "devices": devices,
        "tasks": len(reports),
        "runs": len(outcomes),
        "completed": sum(outcome.status.value == "completed" for outcome in outcomes),
        "committed": sum(report.status == "committed" for report in reports),
        "two_outputs": sum(several > 1 for several in commits),
        "executed_again": again,
        "executed_again_percent": round(100 * again / len(reports), 2),
        "messages_a_task": round(sum(messages.values()), 2),
        "messages": messages,
        "virtual_seconds": round(max(outcome.seconds for outcome in outcomes), 1),
        "died": sum(at < table.now for at in plan.crashes.values()),
        "came": sum(at < table.now for at in plan.arrivals.values()),
        "cpu_seconds": round(time.process_time() - began, 1),
        "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def _plan(devices: int, owners: int, churn: float, seed: int) -> TablePlan:
    """Who is there, who dies when, and who comes in his place a moment later."""
    dice = random.Random(f"crowd {seed} {devices}")
    names = [device(f"crowd {number}") for number in range(devices)]
    living, crashes, arrivals = names[owners:], dict[DeviceId, float](), dict[DeviceId, float]()
    at = 0.0
    while churn:
        at += dice.expovariate(len(living) * churn / 100 / 60)
        if at > PLAYED:
            break
        crashes[living.pop(dice.randrange(len(living)))] = at
        newcomer = device(f"crowd {len(names)}")
        names.append(newcomer)
        living.append(newcomer)
        arrivals[newcomer] = at
    return TablePlan(
        seed=f"crowd {seed} {devices}",
        devices=tuple(names),
        owner_key=to_text(bytes(32)),
        skills=("make",),
        checkers=("judge",),
        limits=Limits(timeout_seconds=1_000, max_tasks=IN_A_RUN),
        owners=owners,
        crashes=crashes,
        arrivals=arrivals,
        work_seconds=5.0,
        check_seconds=1.0,
    )


def _work(task: str) -> str:
    """Run and name of a task, whatever its turn."""
    return task.rpartition("/")[0]


def holds(row: dict[str, Any]) -> bool:
    """Every run completed, every task was committed once, few were begun again."""
    done = row["completed"] == row["runs"] and row["committed"] == row["tasks"]
    return done and not row["two_outputs"] and row["executed_again_percent"] < MOST_AGAIN


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure each size in a process of its own."""
    options = _options(arguments)
    if options.alone:
        (size,) = options.sizes
        tasks = size * options.tasks_each
        print(json.dumps(measure(size, tasks, options.churn, options.seed)))
        return 0
    options.out.mkdir(parents=True, exist_ok=True)
    series = {options.tasks_each: options.sizes} if options.sizes else SERIES
    rows: list[dict[str, Any]] = []
    spreads: dict[int, float] = {}
    for each, sizes in series.items():
        found = [_apart(size, each, options) for size in sizes]
        rows += found
        costs = [row["messages_a_task"] for row in found]
        spreads[each] = round(max(costs) / min(costs) - 1, 3)
        told = {"machine": machine(), "churn": options.churn, "spreads": spreads, "rows": rows}
        (options.out / "crowd_table.json").write_text(json.dumps(told, indent=1) + "\n")
        (options.out / f"crowd_table_{each}.svg").write_text(draw(found, DRAWN))
    print(json.dumps({"machine": machine(), "spreads": spreads}))
    return 0 if all(map(holds, rows)) and max(spreads.values()) <= FLAT else 1


def _apart(size: int, each: int, options: argparse.Namespace) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.crowd_table", "--alone", "--sizes", str(size)]
    command += ["--tasks-each", str(each), "--churn", str(options.churn)]
    command += ["--seed", str(options.seed)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    print(done.stdout, end="", flush=True)
    return {"tasks_each": each, **json.loads(done.stdout)}


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", help="instead of the two series")
    parser.add_argument("--tasks-each", type=int, default=10, help="tasks for each device")
    parser.add_argument("--churn", type=float, default=20.0, help="per cent a minute")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("build"))
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
