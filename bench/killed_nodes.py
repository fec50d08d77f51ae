"""Twenty node processes, one killed every second for a minute, while records are put and read.

    python -m bench.killed_nodes [--nodes N] [--records N] [--seconds N] [--seed N]

Each node is `pockethive node` with a home of its own. Every second `kill -9` ends a random one; it
is started again on its home and port two seconds later. Meanwhile one client puts notes and another
reads random earlier ones; both are clients, so no copy of theirs counts. At the end every record
must be found, and every node must hold again what its database held when it was killed. Prints
JSON; exits with 1 when something was lost.
"""

import argparse
import asyncio
import json
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.machine import machine
from pockethive.core.errors import NetworkError
from pockethive.dht.contact import Contact
from pockethive.dht.identity import Identity
from pockethive.dht.node import Node, NodeSettings
from pockethive.dht.rules import OpenRules

DOWN = 2.0  # seconds between a kill and the start on the same home
STARTING_AT_ONCE = 4
READY_SECONDS = 60.0
LIFE = 3600


@dataclass(slots=True)
class Seat:
    """One node's place: its home and port outlive its processes."""

    home: Path
    port: int
    process: asyncio.subprocess.Process | None = None
    contact: Contact | None = None
    ready: bool = False
    held: set[bytes] = field(default_factory=set)  # notes in its database when it was killed

    async def start(self, join: Sequence[Contact]) -> None:
        """Start the node; returns once it says that it is ready."""
        command = [sys.executable, "-m", "pockethive", "node", "--no-work", "--home", self.home]
        command += ["--listen", f"127.0.0.1:{self.port}"]
        others = (contact for contact in join if contact != self.contact)
        self.process = await asyncio.create_subprocess_exec(
            *map(str, command),
            *(f"--join={contact}" for contact in others),
            stdout=subprocess.PIPE,
            stderr=(self.home.parent / f"{self.home.name}.log").open("ab"),
        )
        assert self.process.stdout is not None
        async with asyncio.timeout(READY_SECONDS):
            while line := (await self.process.stdout.readline()).decode():
                if "--join" in line:
                    self.contact = Contact.parse(line.split()[-1])
                    self.ready = True
                    return
        log = self.home.parent / f"{self.home.name}.log"
        raise RuntimeError(f"a node ended before it was ready: {log.read_text()[-500:]}")

    async def kill(self) -> None:
        """`kill -9`; what its database holds is noted."""
        assert self.process is not None
        self.ready = False
        self.process.kill()
        await self.process.wait()
        self.process = None
        self.held = self.digests()

    def digests(self) -> set[bytes]:
        """The notes in the database of a node that does not run."""
        query = "SELECT digest FROM records WHERE kind = 'note'"
        path = next(self.home.rglob("records.sqlite"))
        with sqlite3.connect(path) as db:
            return {digest for (digest,) in db.execute(query)}

    async def end(self) -> int | None:
        """SIGTERM; the exit code."""
        if self.process is None:
            return None
        self.process.send_signal(signal.SIGTERM)
        return await self.process.wait()


@dataclass(slots=True)
class Story:
    """What is going on, and what came of it."""

    seats: list[Seat]
    source: random.Random
    put: list[str] = field(default_factory=list)
    copies: list[int] = field(default_factory=list)
    reads: int = 0
    missed: int = 0
    kills: int = 0
    restarts: list[asyncio.Task[None]] = field(default_factory=list)

    def doors(self) -> list[Contact]:
        """Where a node that starts may join: eight that run; some may die meanwhile."""
        return [s.contact for s in self.seats if s.ready and s.contact is not None][-8:]

    async def killing(self, seconds: int) -> None:
        """One kill a second."""
        for _ in range(seconds):
            began = time.monotonic()
            seat = self.source.choice([seat for seat in self.seats if seat.ready])
            await seat.kill()
            self.kills += 1
            self.restarts.append(asyncio.create_task(self._again(seat)))
            await asyncio.sleep(max(0.0, began + 1 - time.monotonic()))

    async def _again(self, seat: Seat) -> None:
        await asyncio.sleep(DOWN)
        await seat.start(self.doors())

    async def putting(self, node: Node, records: int, seconds: int) -> None:
        """Records, evenly over the time."""
        began = time.monotonic()
        for number in range(records):
            await asyncio.sleep(max(0.0, began + number * seconds / records - time.monotonic()))
            name = f"record {number}"
            self.copies.append(await node.note(name, name.encode(), seconds=LIFE) - 1)
            self.put.append(name)

    async def reading(self, node: Node) -> None:
        """Random earlier records, one after another, until cancelled."""
        while True:
            if not self.put:
                await asyncio.sleep(0.1)
                continue
            self.reads += 1
            self.missed += not await found(node, self.source.choice(self.put))
            await asyncio.sleep(0.02)


async def found(node: Node, name: str) -> bool:
    """Whether the hive gives the record back, rightly."""
    return [note.value for note in await node.notes(name)] == [name.encode()]


def client() -> Node:
    """A node that keeps nothing for others."""
    identity = Identity.from_seed(random.randbytes(32))
    return Node(NodeSettings(client=True), identity, OpenRules())


def free_ports(count: int) -> list[int]:
    """Ports that are free for UDP and TCP now."""
    ports: list[int] = []
    with_both: list[socket.socket] = []
    while len(ports) < count:
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with_both += [tcp, udp]
        tcp.bind(("127.0.0.1", 0))
        try:
            udp.bind(tcp.getsockname())
        except OSError:
            continue
        ports.append(tcp.getsockname()[1])
    for held in with_both:
        held.close()
    return ports


async def play(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The whole minute."""
    ports = free_ports(options.nodes)
    seats = [Seat(folder / f"node {number}", port) for number, port in enumerate(ports)]
    try:
        return await _play(options, seats)
    finally:
        for seat in seats:
            if seat.process is not None and seat.process.returncode is None:
                seat.process.kill()
                await seat.process.wait()


async def _play(options: argparse.Namespace, seats: list[Seat]) -> dict[str, Any]:
    story = Story(seats, random.Random(options.seed))
    began = time.monotonic()
    await seats[0].start([])
    for first in range(1, len(seats), STARTING_AT_ONCE):
        group = seats[first : first + STARTING_AT_ONCE]
        await asyncio.gather(*(seat.start(story.doors()) for seat in group))
    started = time.monotonic() - began
    async with client() as writer, client() as reader:
        for node in (writer, reader):
            await node.join(story.doors())
        reading = asyncio.create_task(story.reading(reader))
        await asyncio.gather(
            story.killing(options.seconds), story.putting(writer, options.records, options.seconds)
        )
        await asyncio.gather(*story.restarts)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    async with client() as judge:
        await judge.join(story.doors())
        lost = [name for name in story.put if not await _surely(judge, name)]
    ended = [await seat.end() for seat in seats]
    forgot = [seat.home.name for seat in seats if not seat.held <= seat.digests()]
    return {
        "started_seconds": round(started, 1),
        "kills": story.kills,
        "put": len(story.put),
        "copies_least": min(story.copies),
        "copies_mean": round(sum(story.copies) / len(story.copies), 2),
        "reads_meanwhile": story.reads,
        "reads_missed_meanwhile": story.missed,
        "lost": lost,
        "nodes_that_forgot": forgot,
        "exit_codes_on_sigterm": sorted({code for code in ended if code is not None}),
    }


async def _surely(node: Node, name: str) -> bool:
    """Found within three readings: nodes have just come back."""
    for _ in range(3):
        try:
            if await found(node, name):
                return True
        except NetworkError:
            continue
    return False


def main(arguments: Sequence[str] | None = None) -> int:
    """Play it and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--nodes", type=int, default=20)
    parser.add_argument("--records", type=int, default=500)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="pockethive-killed-") as name:
        figures = asyncio.run(play(options, Path(name)))
    print(json.dumps({"machine": machine("kademlia"), **vars(options), **figures}, indent=1))
    return int(bool(figures["lost"] or figures["nodes_that_forgot"]))


if __name__ == "__main__":
    raise SystemExit(main())
