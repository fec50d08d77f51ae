"""A run whose owner's machine is gone for good goes on from another home of the same person.

    python -m bench.resume --elsewhere [--rows N] [--width N] [--seed N …]

Five devices in processes of their own: the owner's, which plans a lattice (`bench.lattice`), and
four that work, one of them the same person's. The owner's is killed (`kill -9`) when about a third
is committed, at a commit that the seed draws; its home is never used again. Two devices of the same
person's other home then want to go on with the run at once. One must end it completely, with every
output right, and a receipt that holds; the other must say who has it; whatever was committed
before must keep worker and epoch and not be worked on again. Prints a line of JSON for each seed.
"""

import asyncio
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.killed_devices import GOAL, faults_of_run
from bench.lattice import Seat, lattice, right_outputs, seats, settings_of
from bench.machine import machine
from pockethive.core.report import Happening
from pockethive.device import Device
from pockethive.dht.contact import Contact
from pockethive.dht.identity import OwnerKey
from pockethive.elsewhere import Elsewhere, runs_elsewhere
from pockethive.recipe import planned_team
from pockethive.result import Result

DEVICES = 4
SECONDS = 300.0
LEASE = 5


def be_owner(home: Path, rows: int, width: int, kill_at: int, join: Sequence[str]) -> int:
    """Be the owner's device; end oneself (`kill -9`) at so many commits."""
    contacts = tuple(map(Contact.parse, join))
    settings = replace(
        settings_of(home, ("127.0.0.1", 0), contacts),
        works=False,
        verifies=False,
        patient=True,
        shares_runs=True,
    )
    device = Device(settings, lattice(rows, width, f", timeout: {int(SECONDS)}s, lease: {LEASE}s"))
    device.start()
    device.expect([str(contact).partition("@")[0] for contact in contacts])
    seen = 0

    def saw(happening: Happening) -> None:
        nonlocal seen
        if happening.what == "committed":
            said = [happening.task, happening.device, happening.data["epoch"]]
            os.write(1, json.dumps(said).encode() + b"\n")
            seen += 1
            if seen == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    device.subscribe(saw)
    device.submit(GOAL).result(SECONDS)
    return 1  # it should not have come to an end


async def _until_killed(
    home: Path, shape: tuple[int, int], kill_at: int, those: Sequence[Seat]
) -> dict[str, tuple[str, int]]:
    """What was committed before the owner was killed: worker and epoch, by task."""
    rows, width = shape
    joins = [str(seat.contact) for seat in those]
    command = ["--owner-of", str(home), "--rows", str(rows), "--width", str(width)]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.resume", "--elsewhere", *command),
        *("--kill-at", str(kill_at), *(f"--join={one}" for one in joins)),
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await asyncio.wait_for(process.communicate(), SECONDS)
    if process.returncode != -signal.SIGKILL:
        raise AssertionError(f"the owner was not killed, but ended with {process.returncode}")
    return {task: (device, epoch) for task, device, epoch in map(json.loads, said.splitlines())}


def _heir(home: Path, number: int, those: Sequence[Seat]) -> Device:
    """A device of the person's other home, as `pockethive resume` has it."""
    contacts = tuple(seat.contact for seat in those if seat.contact is not None)
    plain = settings_of(home, ("127.0.0.1", 0), contacts)
    return Device(
        replace(plain, folder=home / f"swarm-{number}" / "owner", patient=True, shares_runs=True),
        planned_team(limits()),
    )


def limits() -> Any:
    """Those of the lattice."""
    return lattice(1, 1, f", timeout: {int(SECONDS)}s, lease: {LEASE}s").limits


async def _go_on(home: Path, those: Sequence[Seat], folder: Path) -> tuple[Any, ...]:
    """Both heirs at once: the found run, the winner and its result, what the other was told."""
    heirs = [_heir(home, number, those) for number in (1, 2)]
    try:
        await asyncio.gather(*(asyncio.to_thread(heir.start) for heir in heirs))
        found = await asyncio.to_thread(heirs[0].call, runs_elsewhere(heirs[0].parts))
        if len(found) != 1:
            raise AssertionError(f"{len(found)} runs were found")
        results: list[Result] = await asyncio.gather(
            *(asyncio.wrap_future(heir.adopt(found[0])) for heir in heirs)
        )
        best = max(range(2), key=lambda place: results[place].status != "moved")
        right = right_outputs(*_shape_of(found[0]), GOAL)
        faults = await faults_of_run(right, heirs[best], results[best], folder)
        return found[0], results[best], results[1 - best], faults
    finally:
        await asyncio.gather(*(asyncio.to_thread(heir.stop) for heir in heirs))


def _shape_of(found: Elsewhere) -> tuple[int, int]:
    assert found.record is not None
    names = [task.name for task in found.record.graph.tasks]
    rows = 1 + max(int(name[1:].partition("c")[0]) for name in names)
    return rows, len(names) // rows


async def play_once(shape: tuple[int, int], seed: int, folder: Path) -> dict[str, Any]:
    """One run; what came of it, with its `faults`."""
    tasks = shape[0] * shape[1]
    kill_at = random.Random(seed).randrange(tasks * 3 // 10, tasks * 4 // 10)
    async with seats(folder, DEVICES) as those:
        gone = folder / "owner"
        for home in (gone, those[0].home):
            await asyncio.to_thread(home.mkdir)
        OwnerKey.load_or_create(gone)
        key = (gone / OwnerKey.FILE).read_text()
        (those[0].home / OwnerKey.FILE).touch(mode=0o600)
        (those[0].home / OwnerKey.FILE).write_text(key)
        for seat in those:
            await seat.start([one.contact for one in those if one.contact is not None])
        before = await _until_killed(gone, shape, kill_at, those)
        gone.rename(folder / "burnt")
        marks = [len(seat.executions) for seat in those]
        began = time.monotonic()
        found, result, other, faults = await _go_on(those[0].home, those, folder)
        seconds = time.monotonic() - began
        after = {task.name: (task.device, task.epoch) for task in result.tasks}
        done = [seat.executions[mark:] for seat, mark in zip(those, marks, strict=True)]
        again = sorted({name for log in done for name in log} & before.keys())
    faults += [f"{name} was worked on after its commit" for name in again]
    faults += [
        f"{name}: {after.get(name)} instead of {said}"
        for name, said in before.items()
        if after.get(name) != said
    ]
    told = "of the same owner" in other.reason or "has ended on device" in other.reason
    if other.status != "moved" or not told:
        faults.append(f"the other heir was told {other.status}: {other.reason}")
    return {
        "seed": seed,
        "tasks": tasks,
        "committed_before": len(before),
        "found": bool(found.goal),
        "status": result.status,
        "seconds_of_the_rest": round(seconds, 1),
        "epochs_most": max(task.epoch for task in result.tasks),
        "other": other.reason,
        "witnesses": result.to_json()["witnesses"],
        "faults": faults,
    }


def play(shape: tuple[int, int], seeds: Sequence[int]) -> int:
    """Play it for each seed and print what came of it; 1 when something is not as it must be."""
    print(json.dumps({"machine": machine("kademlia", "pykka")}), flush=True)
    broken = False
    for seed in seeds:
        with tempfile.TemporaryDirectory(prefix="pockethive-elsewhere-") as name:
            figures = asyncio.run(play_once(shape, seed, Path(name)))
        print(json.dumps(figures), flush=True)
        broken = broken or bool(figures["faults"])
    return int(broken)
