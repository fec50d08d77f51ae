"""What the engine costs per no-op task: one device, everything on (DHT, leases, journal), no model.

    python -m bench.tasks [--tasks N] [--repeats N]

Each task is signed, stored, offered, leased (K=1), worked on by an agent, proposed and committed.
Outputs stay on the device (label `device`), so there is nobody to verify them. Records and cells
are in SQLite files (records WAL NORMAL, witness cells FULL). CPU is that of the whole process,
start and stop left out; `overhead` is CPU per task. Prints JSON with every repeat.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.machine import machine
from pockethive.actors.skill import Product, Tools, Work
from pockethive.core.labels import Label
from pockethive.core.spec import Limits, PlannerKind, PlannerSpec, Role, Step, Team, Wait
from pockethive.core.task import EdgeKind, Verification
from pockethive.device import Device, DeviceSettings


class Nothing:
    """A skill that does nothing."""

    name = "nothing"
    needs_model = False

    def run(self, work: Work, tools: Tools) -> Product:
        """Return at once."""
        return Product(value=0)


def team(shape: str, tasks: int) -> Team:
    """`chain`: each waits for the one before. `fan`: all but one at once, then a join."""
    names = [f"t{number}" for number in range(tasks)]
    after: dict[str, tuple[str, ...]] = {names[0]: ()}
    for before, name in pairwise(names):
        after[name] = (before,) if shape == "chain" else ()
    if shape == "fan":
        after[names[-1]] = tuple(names[:-1][:16])  # what one output entry can name
    role = Role(
        name="idler",
        skill="nothing",
        description="does nothing",
        verification=Verification(checks=()),
        needs_model=False,
    )
    steps = tuple(
        Step(
            name=name,
            role="idler",
            label=Label.DEVICE,
            after=(Wait(kind=EdgeKind.ALL, steps=sources),) if sources else (),
        )
        for name, sources in after.items()
    )
    return Team(
        name=shape,
        description="",
        model=None,
        roles=(role,),
        planner=PlannerSpec(kind=PlannerKind.TEMPLATE, steps=steps),
        limits=Limits(timeout_seconds=600, max_tasks=tasks),
    )


def measure(shape: str, tasks: int) -> dict[str, float]:
    """CPU and wall microseconds per task of one run."""
    with tempfile.TemporaryDirectory(prefix="pockethive-bench-") as name:
        home = Path(name)
        settings = DeviceSettings(
            home=home, folder=home / "device", skills={"nothing": Nothing()}, checkers={}
        )
        device = Device(settings, team(shape, tasks))
        device.start()
        try:
            cpu, wall = time.process_time(), time.perf_counter()
            result = device.submit("nothing").result(600)
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        finally:
            device.stop()
    assert result.status == "completed", result.reason
    return {"cpu_us": cpu / tasks * 1e6, "wall_us": wall / tasks * 1e6}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure both shapes, interleaved."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args(arguments)
    raw: dict[str, list[dict[str, float]]] = {"chain": [], "fan": []}
    for _ in range(options.repeats):
        for shape, seen in raw.items():
            seen.append(measure(shape, options.tasks))
    figures: dict[str, Any] = {
        shape: {
            key: round(statistics.median(one[key] for one in seen)) for key in ("cpu_us", "wall_us")
        }
        for shape, seen in raw.items()
    }
    print(
        json.dumps(
            {
                "machine": machine("pykka", "kademlia"),
                "tasks": options.tasks,
                **figures,
                "raw": raw,
            },
            indent=1,
        )
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
