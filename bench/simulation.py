"""A goal on whole devices in virtual time: what the protocol costs in seconds, packets and bytes.

    python -m bench.simulation [--devices N] [--seed N] [--loss SHARE] [--latency SECONDS]

The shipped team `minimal`. The first device owns the run, plans and verifies; the others have a
scripted model, the first twelve of them a document each. An agent takes one virtual second for an
output, 0.3 for a judgement. `run` counts from the submission to the result; `meeting` is what came
before. Prints JSON; the same arguments print the same trace.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.machine import machine
from pockethive.configs.loader import load_team
from pockethive.dht.simulation import Link
from pockethive.inference.testing import ScriptedModel
from pockethive.result import Result
from pockethive.simulation import Seat, SimulatedHive
from pockethive.vocabulary import vocabulary

GOAL = "What is kept in the green boathouse of village number 1?"
HOLDERS = 12  # what one output can name as its sources bounds the fan-out
MAX_DEVICES = 200
MESSAGES = ("Send", "AskWitness", "Publish", "ReadTask", "Ping")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What had been spent by one moment."""

    virtual: float
    cpu: float
    packets: int
    lost: int
    bytes: int

    @classmethod
    def of(cls, hive: SimulatedHive) -> "Mark":
        """Now."""
        net = hive.world.net
        return cls(
            virtual=hive.now,
            cpu=time.process_time(),
            packets=net.sent,
            lost=net.lost,
            bytes=net.bytes,
        )

    def until(self, end: "Mark") -> dict[str, float]:
        """The difference, for people."""
        return {
            "virtual_seconds": round(end.virtual - self.virtual, 3),
            "cpu_seconds": round(end.cpu - self.cpu, 3),
            "packets": end.packets - self.packets,
            "packets_lost": end.lost - self.lost,
            "bytes": end.bytes - self.bytes,
        }


def seats(count: int, folder: Path) -> list[Seat]:
    """The owner's device and `count - 1` others."""
    team = load_team("minimal", vocabulary())
    made = [Seat(team=team, works=False)]
    for number in range(1, count):
        path = folder / f"village-{number}.txt"
        path.write_text(
            f"In the green boathouse of village number {number} they keep {number + 1} old boats.\n"
        )
        documents = (path,) if number <= HOLDERS else ()
        made.append(Seat(model=ScriptedModel(), documents=documents))
    return made


def measure(devices: int, seed: int, link: Link) -> dict[str, Any]:
    """One run. What fails says how to play it again."""
    begun = time.process_time()
    with (
        tempfile.TemporaryDirectory(prefix="pockethive-bench-") as name,
        SimulatedHive(seed, link) as hive,
    ):
        owner, *_ = hive.start(seats(devices, Path(name)))
        met = Mark.of(hive)
        before = hive.effects.copy()
        result = hive.run(owner, GOAL)
        wanted = hive.effects - before
        ended = Mark.of(hive)
        start = Mark(virtual=0.0, cpu=begun, packets=0, lost=0, bytes=0)
        tasks = max(1, len(result.tasks))
        return {
            "status": result.status,
            "reason": result.reason,
            "tasks": tasks,
            "tasks_verified_by_others": verified(result),
            "meeting": start.until(met),
            "run": met.until(ended),
            "per_task": {
                "packets": round((ended.packets - met.packets) / tasks, 1),
                "bytes": round((ended.bytes - met.bytes) / tasks),
                "messages": {name: round(wanted[name] / tasks, 2) for name in MESSAGES},
            },
            "trace": hive.trace,
        }


def verified(result: Result) -> int:
    """Committed tasks that another device than the worker accepted."""
    return sum(
        task.status == "committed"
        and any(v.verdict == "accept" and v.device != task.device for v in task.verdicts)
        for task in result.tasks
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Play one run and print what it cost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=8, help=f"3 to {MAX_DEVICES}")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--loss", type=float, default=0.0, help="share of datagrams lost, 0 to 1")
    parser.add_argument("--latency", type=float, default=0.04, help="seconds, one way")
    options = parser.parse_args(arguments)
    if not 3 <= options.devices <= MAX_DEVICES:
        parser.error(f"--devices: 3 to {MAX_DEVICES}")
    link = Link(latency=options.latency, loss=options.loss)
    try:
        figures = measure(options.devices, options.seed, link)
    except Exception as error:
        error.add_note(
            f"again: python -m bench.simulation --devices {options.devices} --seed {options.seed}"
            f" --loss {options.loss:g} --latency {options.latency:g}"
        )
        raise
    print(json.dumps({"machine": machine("kademlia"), **vars(options), **figures}, indent=1))
    return 0 if figures["status"] == "completed" else 1


if __name__ == "__main__":
    raise SystemExit(main())
