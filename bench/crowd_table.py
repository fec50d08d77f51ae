"""What a task costs in messages among 100 to 3,000 devices at the core's table: machines alone.

    python -m bench.crowd_table [--sizes N …] [--tasks N] [--churn PERCENT] [--seed N]

The machines of `pockethive.core` with the table's network (20 ms) and clock, no node, no roster and
no bound of 512 members: everybody knows everybody, which is worse. One run; work takes five
seconds. A share of the devices dies each minute, at moments drawn by the seed; none comes. Bytes
pass through the real codecs; signatures are keyed hashes. Prints JSON.
"""

import argparse
import json
import random
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from bench.histories.world import device, sign, verify
from bench.machine import machine
from pockethive.core.canonical import to_text
from pockethive.core.effects import RunSkill
from pockethive.core.entry import Commit
from pockethive.core.graph import TaskGraph
from pockethive.core.spec import Limits
from pockethive.core.table_plan import TablePlan
from pockethive.core.task import Check, PlannedTask, Policy, Verification
from pockethive.core.testing import Table

SIZES = (100, 300, 1000, 3000)
MESSAGES = ("Send", "AskWitness", "Publish", "ReadTask", "Ping")
PLAYED = 120.0  # seconds within which devices die


def measure(devices: int, tasks: int, churn: float, seed: int) -> dict[str, Any]:
    """Play one run of flat tasks; what it took."""
    began = time.process_time()
    names = tuple(device(f"crowd {number}") for number in range(devices))
    plan = TablePlan(
        seed=f"crowd {seed} {devices}",
        devices=names,
        owner_key=to_text(bytes(32)),
        skills=("make",),
        checkers=("judge",),
        limits=Limits(timeout_seconds=600, max_tasks=tasks),
        crashes=_deaths(names[1:], churn, seed),
        work_seconds=5.0,
        check_seconds=1.0,
    )
    verification = Verification(checks=(Check(Policy.CHECK, "judge"),))
    planned = (
        PlannedTask(name=f"task-{n}", role="maker", skill="make", verification=verification)
        for n in range(tasks)
    )
    table = Table(plan, sign, verify)
    outcome = table.run(TaskGraph(tuple(planned)), 700.0)
    wanted: Counter[str] = Counter()
    begun: Counter[str] = Counter()
    for line in table.transcript:
        wanted.update(type(effect).__name__ for effect in line.effects)
        begun.update(e.task.name for e in line.effects if isinstance(e, RunSkill))
    commits = [
        len({e.body.output for e in found.values() if isinstance(e.body, Commit)})
        for found in table.entries.values()
    ]
    messages = {name: round(wanted[name] / tasks, 2) for name in MESSAGES}
    return {
        "devices": devices,
        "tasks": tasks,
        "status": outcome.status.value,
        "committed": sum(report.status == "committed" for report in outcome.tasks),
        "two_outputs": sum(count > 1 for count in commits),
        "executed_again": sum(count - 1 for count in begun.values()),
        "messages_a_task": round(sum(messages.values()), 2),
        "messages": messages,
        "virtual_seconds": round(outcome.seconds, 1),
        "died": sum(at < table.now for at in plan.crashes.values()),
        "cpu_seconds": round(time.process_time() - began, 1),
    }


def _deaths(names: Sequence[Any], churn: float, seed: int) -> dict[Any, float]:
    """When which device dies: each at a moment of its own, exponential."""
    dice = random.Random(f"deaths {seed}")
    if not churn:
        return {}
    drawn = {name: dice.expovariate(churn / 100 / 60) for name in names}
    return {name: at for name, at in drawn.items() if at < PLAYED}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure each size; 1 when a run did not complete or messages are not flat within a fifth."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--churn", type=float, default=20.0, help="per cent a minute")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    rows = []
    for size in options.sizes:
        rows.append(measure(size, options.tasks, options.churn, options.seed))
        print(json.dumps(rows[-1]), flush=True)
    costs = [row["messages_a_task"] for row in rows]
    spread = max(costs) / min(costs) - 1
    done = all(row["committed"] == row["tasks"] and not row["two_outputs"] for row in rows)
    print(json.dumps({"machine": machine(), "spread": round(spread, 3), "all_committed": done}))
    return 0 if done and spread <= 0.2 else 1


if __name__ == "__main__":
    raise SystemExit(main())
