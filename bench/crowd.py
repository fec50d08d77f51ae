"""A crowd: whole simulated devices, many owners' runs side by side, a fifth of all dying a minute.

    python -m bench.crowd [--sizes N …] [--tasks-each N] [--churn PERCENT] [--seed N] [--out FOLDER]

Each size is played in a process of its own: so many devices, ten tasks for each in runs of at most
200, all submitted at once, each task verified by one other device; work takes five virtual seconds,
a judgement one. From 100 devices on they begin acquainted (`engine/sim_acquaint.py`: tables and
rosters as after a long quiet life); who comes during the play joins really. A device knows 512
others at most. Datagrams are told apart (`bench/packets.py`): a task's own, those with which runs
begin, and upkeep, which is there without a task and follows the number of devices that die and
come. Writes crowd.json and crowd.svg; prints the figures. Exit code 1: a run did not end,
a task was not committed once, two leases overlapped, more executions were begun again than 3 %, or
the messages of machines a task were not flat within a fifth.

CPU seconds and memory are this machine's; everything else follows from the seed.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.machine import machine
from bench.packets import RUN, TASK, UPKEEP, share, told_apart
from pockethive.configs.scenario import MAX_RUN_TASKS, Fault, Group, Runs, Scenario
from pockethive.sim_play import play
from pockethive.sim_report import MESSAGES, Report

SIZES = (100, 300, 1000)
TASKS_EACH = 10
CHURN = 20.0
MOST_AGAIN = 3.0  # per cent of the tasks
FLAT = 0.2  # how much more a task's messages may be at one size than at another
DRAWN = (("machine_messages_a_task", "#1660a8"), ("task_packets_a_task", "#b03a2e"))
Figures = dict[str, Any]


def crowd(devices: int, tasks: int, churn: float) -> Scenario:
    """The scenario: an owner for every twenty devices, who gives one run after another."""
    count = -(-tasks // MAX_RUN_TASKS)
    owners = max(count, devices // 20)
    return Scenario(
        name="crowd",
        groups=(Group(count=devices, owners=owners, work=5.0, check=1.0),),
        runs=Runs(count=count, tasks=-(-tasks // count), timeout=600),
        faults=(Fault(kind="churn", share=churn / 100),) if churn else (),
    )


def measure(devices: int, tasks: int, churn: float, seed: int) -> Figures:
    """Play one size; its report, with what it cost here."""
    began = time.process_time()
    with told_apart() as packets:
        report = play(crowd(devices, tasks, churn), seed)
    spent = time.process_time() - began
    told = report.to_json()
    told["runs"] = len(report.runs)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        **told,
        "machine_messages_a_task": round(sum(report.messages[name] for name in MESSAGES), 2),
        "task_packets_a_task": round(share(packets, TASK) / report.tasks, 1),
        "run_packets_a_run": round(share(packets, RUN) / len(report.runs), 1),
        "upkeep_packets_a_device_minute": round(
            share(packets, UPKEEP) * 60 / report.seconds / devices, 1
        ),
        "packets_by_cause": dict(packets.most_common()),
        "cpu_seconds": round(spent, 1),
        "cpu_ms_a_task": round(1000 * spent / report.tasks, 1),
        "kib_a_device": round(most / devices),
        "holds": holds(report),
    }


def holds(report: Report) -> bool:
    """Every run ended, one committed output a task, few executions begun again."""
    again = 100 * report.twice / report.tasks
    return report.sound and report.committed == report.tasks and again < MOST_AGAIN


def draw(rows: Sequence[Figures], names: Sequence[tuple[str, str]] = DRAWN) -> str:
    """What a task costs against the number of devices, as SVG: each figure in its colour."""
    left, top, width, height = 60, 40, 560, 240
    most = max(row[name] for row in rows for name, _ in names) * 1.1
    step = width / max(1, len(rows) - 1)
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" width="660" height="340" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="660" height="340" fill="white"/>',
        f'<path d="M{left} {top}v{height}h{width}" stroke="#888" fill="none"/>',
    ]
    for place, (name, colour) in enumerate(names):
        spots = [
            (left + step * n, top + height - row[name] / most * height)
            for n, row in enumerate(rows)
        ]
        line = " L".join(f"{x:.1f} {y:.1f}" for x, y in spots)
        label = name.replace("_", " ")
        parts.append(f'<path d="M{line}" stroke="{colour}" fill="none"/>')
        parts.append(f'<text x="{left + 220 * place}" y="24" fill="{colour}">{label}</text>')
        for (x, y), row in zip(spots, rows, strict=True):
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>')
            parts.append(f'<text x="{x - 10:.1f}" y="{y - 8:.1f}">{row[name]:g}</text>')
    for number, row in enumerate(rows):
        x = left + step * number
        parts.append(
            f'<text x="{x:.1f}" y="{top + height + 18}" text-anchor="middle">'
            f"{row['devices']:,} devices</text>"
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure each size in a process of its own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="2 to 5000")
    parser.add_argument("--tasks-each", type=int, default=TASKS_EACH, help="tasks for each device")
    parser.add_argument("--churn", type=float, default=CHURN, help="per cent a virtual minute")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("build"))
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.alone:
        (devices,) = options.sizes
        tasks = devices * options.tasks_each
        print(json.dumps(measure(devices, tasks, options.churn, options.seed)))
        return 0
    rows = []
    for size in options.sizes:
        command = [sys.executable, "-m", "bench.crowd", "--alone", "--sizes", str(size)]
        command += ["--tasks-each", str(options.tasks_each), "--churn", str(options.churn)]
        command += ["--seed", str(options.seed)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        rows.append(json.loads(done.stdout))
        print(json.dumps(rows[-1], indent=1), flush=True)
        _keep(rows, options)
    costs = [row["machine_messages_a_task"] for row in rows]
    spread = max(costs) / min(costs) - 1
    print(json.dumps({"spread": round(spread, 3)}))
    return 0 if all(row["holds"] for row in rows) and spread <= FLAT else 1


def _keep(rows: Sequence[Figures], options: argparse.Namespace) -> None:
    options.out.mkdir(parents=True, exist_ok=True)
    told = {"machine": machine("kademlia"), "churn": options.churn, "rows": rows}
    (options.out / "crowd.json").write_text(json.dumps(told, indent=1) + "\n")
    (options.out / "crowd.svg").write_text(draw(rows))


if __name__ == "__main__":
    raise SystemExit(main())
