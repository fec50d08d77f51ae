"""Five device processes, one killed every two seconds, while a run of 200 tasks goes on.

    python -m bench.killed_devices [--devices N] [--rows N] [--width N] [--every S] [--seed N …]

The owner's device, in this process, plans a lattice (`bench.lattice`) and neither works nor
verifies. `kill -9` ends a random one of the others, unless only three are up; it is started again
on its home and port three seconds later. The run must be completed, every task have one committed
output, which this process works out itself, no entry of another one stand anywhere, and
`pockethive verify-receipt` hold. Prints a line of JSON for each seed; exits with 1 when something
of that is not so.
"""

import argparse
import asyncio
import json
import logging
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.lattice import HIVE, Seat, duplicates, faults_of, lattice, owner, right_outputs, seats
from bench.machine import machine
from pockethive.core.report import Happening
from pockethive.device import Device
from pockethive.dht.contact import Contact
from pockethive.reading import passing_node, read_entries
from pockethive.result import Result

GOAL = "count everything"
STARTS = 5
FORM = "%(asctime)s %(name)s %(message)s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """What is played. `every` and `down` in seconds; no more than `kills` are killed.

    `spared`: so many are left alive; where a start takes long, kills wait. With fewer no quorum of
    witnesses is there, and nobody could commit anything.
    """

    devices: int = 5
    rows: int = 10
    width: int = 20
    every: float = 2.0
    down: float = 3.0
    spared: int = 3
    kills: int = 10_000
    seconds: int = 600
    lease: int = 5


@dataclass(slots=True)
class Killer:
    """Kills devices that run, at random, and starts them again."""

    play: Play
    seats: list[Seat]
    door: Contact
    source: random.Random
    kills: int = 0
    faults: list[str] = field(default_factory=list)  # starts that failed
    restarts: list[asyncio.Task[None]] = field(default_factory=list)

    async def run(self) -> None:
        """Until it is cancelled, or has killed enough."""
        while self.kills < self.play.kills:
            await asyncio.sleep(self.play.every)
            alive = [seat for seat in self.seats if seat.ready]
            if len(alive) > self.play.spared:
                seat = self.source.choice(alive)
                await seat.kill()
                self.kills += 1
                logging.info("killed %s %s", seat.home.name, seat.device[:8])
                self.restarts.append(asyncio.create_task(self._again(seat)))

    async def _again(self, seat: Seat) -> None:
        """As a service manager would: a start that found nobody is repeated."""
        for _ in range(STARTS):
            await asyncio.sleep(self.play.down)
            try:
                await seat.start([self.door, *(s.contact for s in self.seats if s.contact)])
                logging.info("started %s", seat.home.name)
                return
            except RuntimeError as error:
                self.faults.append(str(error))


async def play_once(play: Play, seed: int, folder: Path) -> dict[str, Any]:
    """One run; what came of it, with its `faults`."""
    team = lattice(play.rows, play.width, f", timeout: {play.seconds}s, lease: {play.lease}s")
    async with owner(folder / "owner", team) as device, seats(folder, play.devices) as those:
        for seat in those:
            await seat.start([device.contact])
        await asyncio.to_thread(device.expect, [seat.device for seat in those])
        killer = Killer(play, those, device.contact, random.Random(seed))
        seen: list[Happening] = []
        device.subscribe(seen.append)
        device.subscribe(lambda told: _note(folder / "happenings.log", told))
        began = time.monotonic()
        run = asyncio.wrap_future(device.submit(GOAL))
        killing = asyncio.create_task(killer.run())
        try:
            result = await run
        finally:
            killing.cancel()
        seconds = time.monotonic() - began
        await asyncio.gather(killing, *killer.restarts, return_exceptions=True)
        figures: dict[str, Any] = {
            "seed": seed,
            "kills": killer.kills,
            "starts_failed": len(killer.faults),
        }
        figures |= {"seconds": round(seconds, 1)}
        figures |= _effort(those, result, seen)
        right = right_outputs(play.rows, play.width, GOAL)
        return figures | {"faults": await faults_of_run(right, device, result, folder)}


def _note(log: Path, told: Happening) -> None:
    with log.open("a") as file:
        device = (told.device or "")[:8]
        file.write(f"{time.time():.2f} {told.what} {told.task} {device} {told.detail}\n")


def _effort(those: Sequence[Seat], result: Result, seen: Sequence[Happening]) -> dict[str, Any]:
    again = duplicates([seat.executions for seat in those])
    attempts = [task.attempts for task in result.tasks]
    told = [happening.what for happening in seen]
    return {
        "status": result.status,
        "reason": result.reason[:300],
        "tasks": len(result.tasks),
        "committed": sum(task.status == "committed" for task in result.tasks),
        "witnesses": result.to_json()["witnesses"],
        "attempts_mean": round(statistics.mean(attempts), 2) if attempts else 0,
        "attempts_most": max(attempts, default=0),
        "executions": sum(len(seat.executions) for seat in those),
        "executed_again": sum(again.values()),
        "rejected": told.count("rejected"),
        "resealed": told.count("resealed"),
        "replanned": told.count("replanned"),
    }


async def faults_of_run(
    right: Mapping[str, str], device: Device, result: Result, folder: Path
) -> list[str]:
    """What is not as it must be: `right` are the outputs by task."""
    faults = [] if result.status == "completed" else [f"{result.status}: {result.reason[:500]}"]
    committed: dict[str, set[str]] = {}
    reader = passing_node([str(device.contact)], HIVE, folder / "reader")
    async with reader as (node, entries):
        for task in result.tasks:
            for entry in await read_entries(node, entries, task.id, hive=HIVE):
                if not entry.ok:
                    faults.append(f"{task.name}: {entry.kind} is not genuine: {entry.genuine}")
                elif entry.kind == "commit":
                    committed.setdefault(task.name, set()).add(entry.body["output"])
    faults += faults_of(right, committed)
    receipt = folder / "receipt"
    receipt.write_bytes(result.receipts.encode())
    command = [sys.executable, "-m", "pockethive", "verify-receipt", str(receipt)]
    said = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, check=False
    )
    done = f"{len(right)} of {len(right)} tasks committed"
    if said.returncode or done not in said.stdout:
        faults.append(f"the receipt: {(said.stderr or said.stdout)[-300:]}")
    return faults


def main(arguments: Sequence[str] | None = None) -> int:
    """Play it for each seed and print what came of it."""
    usual = Play()
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--devices", type=int, default=usual.devices)
    parser.add_argument("--rows", type=int, default=usual.rows)
    parser.add_argument("--width", type=int, default=usual.width)
    parser.add_argument("--every", type=float, default=usual.every)
    parser.add_argument("--seed", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--keep", type=Path, help="keep the homes and logs in this new folder")
    options = parser.parse_args(arguments)
    play = Play(
        devices=options.devices, rows=options.rows, width=options.width, every=options.every
    )
    print(json.dumps({"machine": machine("kademlia", "pykka")}), flush=True)
    broken = False
    for seed in options.seed:
        with tempfile.TemporaryDirectory(prefix="pockethive-killed-") as name:
            folder = Path(name) if options.keep is None else options.keep / str(seed)
            folder.mkdir(parents=True, exist_ok=True)
            logging.basicConfig(
                filename=folder / "owner.log", level=logging.INFO, force=True, format=FORM
            )
            figures = asyncio.run(play_once(play, seed, folder))
        print(json.dumps(figures), flush=True)
        broken = broken or bool(figures["faults"])
    return int(broken)


if __name__ == "__main__":
    raise SystemExit(main())
