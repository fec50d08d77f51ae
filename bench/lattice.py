"""A lattice of cheap tasks whose outputs anybody can work out, and device processes that do them.

Each device has a home, and so an owner, of its own; it notes in `executions.log` there what it did.
The processes are forked from one that has everything imported, so that a device that is started
again serves within a second also where the machine is busy: what is proven is the protocol, not
how long Python takes to start.
"""

import asyncio
import contextlib
import logging
import multiprocessing
import os
import socket
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from pockethive.actors.skill import Finding, Product, Tools, Work
from pockethive.configs.loader import load_team_text
from pockethive.configs.team import SkillInfo, Vocabulary
from pockethive.core.canonical import encode
from pockethive.core.spec import Team
from pockethive.device import Device, DeviceSettings
from pockethive.dht.contact import Contact

HIVE = "lattice"
TURNS = 2_000  # hashes of one task: a few milliseconds
READY_SECONDS = 60.0
EXECUTIONS = "executions.log"
LOG = "device.log"

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["bench.lattice", "pockethive.assembly"])


def tally(task: str, goal: str, inputs: Iterable[str]) -> str:
    """What a task has to give: a hash of its name, the goal and what it read."""
    value = sha256("\n".join((task, goal, *sorted(inputs))).encode())
    for _ in range(TURNS):
        value = sha256(value.digest())
    return value.hexdigest()


class Tally:
    """The skill. `log` has a line for every execution."""

    name = "tally"
    needs_model = False

    def __init__(self, log: Path | None = None) -> None:
        self._log = log

    def run(self, work: Work, tools: Tools) -> Product:
        """The task's tally; it is noted before it is told."""
        if self._log is not None:
            with self._log.open("a") as file:
                file.write(f"{work.name}\n")
        return Product(value=_tally_of(work))


class Retally:
    """The checker: does the same again."""

    name = "retally"
    needs_model = False

    def check(self, work: Work, value: Any, tools: Tools) -> Finding:
        """Whether `value` is the task's tally."""
        right = _tally_of(work)
        return Finding(value == right, "the same tally" if value == right else f"it is {right}")


def _tally_of(work: Work) -> str:
    return tally(work.name, str(work.params["goal"]), map(str, work.inputs.values()))


def lattice(rows: int, width: int, limits: str = "") -> Team:
    """The team: each task of a row but the first reads two of the row before it."""
    lines = [
        "team: lattice",
        "roles: {counter: {skill: tally, verify: {check: retally}}}",
        f"limits: {{max_tasks: {rows * width}, attempts: 20, claims: 60{limits}}}",
        "planner:",
        "  steps:",
    ]
    for name, after in shape(rows, width).items():
        waits = f"after: [{', '.join(after)}], " if after else ""
        lines.append(f'    {name}: {{role: counter, {waits}params: {{goal: "{{goal}}"}}}}')
    words = Vocabulary(
        skills={"tally": SkillInfo(needs_model=False)}, checkers=frozenset({"retally"})
    )
    return load_team_text("\n".join(lines), "lattice.yaml", words)


def shape(rows: int, width: int) -> dict[str, tuple[str, ...]]:
    """The tasks and what each reads."""
    found: dict[str, tuple[str, ...]] = {}
    for row in range(rows):
        for column in range(width):
            above = {f"r{row - 1}c{one % width}" for one in (column, column + 1)}
            found[f"r{row}c{column}"] = tuple(sorted(above)) if row else ()
    return found


def right_outputs(rows: int, width: int, goal: str) -> dict[str, str]:
    """The hash of the output blob that each task has to commit, worked out here."""
    values: dict[str, str] = {}
    for name, after in shape(rows, width).items():
        values[name] = tally(name, goal, (values[source] for source in after))
    return {name: _blob_hash(value) for name, value in values.items()}


def _blob_hash(value: str) -> str:
    blob = {"v": 1, "value": value, "tokens": {"prompt": 0, "generated": 0}}
    return sha256(encode(blob)).hexdigest()


def settings_of(home: Path, listen: tuple[str, int], join: Sequence[Contact]) -> DeviceSettings:
    """A device that can do the lattice's tasks, in an open hive on this machine."""
    return DeviceSettings(
        home=home,
        folder=home / "node",
        hive=HIVE,
        private=False,
        listen=listen,
        join=tuple(join),
        patient=False,
        skills={"tally": Tally(home / EXECUTIONS)},
        checkers={"retally": Retally()},
    )


@contextlib.asynccontextmanager
async def owner(home: Path, team: Team) -> AsyncIterator[Device]:
    """The owner's device, in this process: it plans and keeps the ledger, and neither works nor
    verifies."""
    await asyncio.to_thread(home.mkdir)
    settings = DeviceSettings(
        home=home, folder=home / "node", hive=HIVE, private=False, works=False, verifies=False
    )
    device = Device(settings, team)
    await asyncio.to_thread(device.start)
    try:
        yield device
    finally:
        await asyncio.to_thread(device.stop)


@dataclass(slots=True)
class Seat:
    """One device's place: its home and port outlive its processes."""

    home: Path
    port: int
    process: ForkServerProcess | None = None
    device: str = ""
    contact: Contact | None = None
    ready: bool = False
    line: Connection | None = None  # the process ends when it is closed

    async def start(self, join: Iterable[Contact]) -> None:
        """Start the device; returns once it serves. Raises RuntimeError: it did not."""
        await asyncio.to_thread(self.home.mkdir, exist_ok=True)
        others = tuple(str(contact) for contact in join if contact != self.contact)
        ours, theirs = _FORKS.Pipe()
        self.process = _FORKS.Process(
            target=_be_device, args=(self.home, self.port, others, theirs), daemon=True
        )
        self.process.start()
        theirs.close()
        said = await asyncio.to_thread(_said, ours)
        if said is None:
            log = (self.home / LOG).read_text()[-500:]
            raise RuntimeError(f"a device ended before it was ready: {log}")
        self.device, self.contact = said[0], Contact.parse(said[1])
        self.line, self.ready = ours, True

    async def kill(self) -> None:
        """`kill -9`."""
        assert self.process is not None
        self.ready = False
        self.process.kill()
        await asyncio.to_thread(self.process.join)

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self.process is not None
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    @property
    def executions(self) -> list[str]:
        """The tasks it did, one for each time."""
        log = self.home / EXECUTIONS
        return log.read_text().splitlines() if log.exists() else []


def _said(line: Connection) -> tuple[str, str] | None:
    """What a device says once it serves: its id and its contact; None when it ended instead."""
    try:
        return line.recv() if line.poll(READY_SECONDS) else None
    except EOFError:
        return None


def _be_device(home: Path, port: int, join: Sequence[str], line: Connection) -> None:
    """Be one device, in a process of its own, until the other end of `line` is closed."""
    with (home / LOG).open("ab") as log:
        os.dup2(log.fileno(), 2)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    contacts = tuple(map(Contact.parse, join))
    device = Device(settings_of(home, ("127.0.0.1", port), contacts))
    device.start()
    try:
        line.send((device.id, str(device.contact)))
        with contextlib.suppress(EOFError):
            line.recv()
    finally:
        device.stop()


@contextlib.asynccontextmanager
async def seats(folder: Path, count: int) -> AsyncIterator[list[Seat]]:
    """Places for `count` devices; none of their processes is left."""
    made = [
        Seat(folder / f"device {number}", port) for number, port in enumerate(free_ports(count), 1)
    ]
    try:
        yield made
    finally:
        for seat in made:
            if seat.process is not None and seat.process.is_alive():
                await seat.kill()


def free_ports(count: int) -> list[int]:
    """Ports that are free for UDP and TCP now."""
    with contextlib.ExitStack() as held:
        return [_free_port(held) for _ in range(count)]


def _free_port(held: contextlib.ExitStack) -> int:
    while True:
        tcp = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        udp = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        tcp.bind(("127.0.0.1", 0))
        with contextlib.suppress(OSError):
            udp.bind(tcp.getsockname())
            return int(tcp.getsockname()[1])


def duplicates(executions: Iterable[Sequence[str]]) -> dict[str, int]:
    """How often each task was done more than once, over all devices."""
    counts: dict[str, int] = {}
    for name in (name for log in executions for name in log):
        counts[name] = counts.get(name, 0) + 1
    return {name: count - 1 for name, count in counts.items() if count > 1}


def faults_of(right: Mapping[str, str], committed: Mapping[str, set[str]]) -> Iterator[str]:
    """What is wrong with the outputs that entries say were committed."""
    for name, output in right.items():
        outputs = committed.get(name, set())
        if len(outputs) != 1:
            yield f"{name}: {len(outputs)} committed outputs"
        elif outputs != {output}:
            yield f"{name}: another output than the right one"
