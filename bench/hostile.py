"""A live `pockethive node` process under hostile datagrams: does it stay up, small and answering?

    python -m bench.hostile [--datagrams N] [--rate N] [--seed S]

The datagrams are `bench.forge`'s: noise, damaged, replayed, and malformed ones that are sealed as
they should be, under ever new keys. A peer pings the node all the while, ten times a second, with
the one repeat that every request has. Loopback is exempt from rate limits, so all of it is opened.
"""

import argparse
import asyncio
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.forge import Forge
from bench.machine import resident
from pockethive.core.errors import NetworkError
from pockethive.dht.contact import Contact
from pockethive.dht.node import Node
from pockethive.dht.settings import NodeSettings
from pockethive.dht.testing import RULES, somebody

GROWTH = 15.0  # MB
KEYS = 300  # datagrams from one key
BURST = 50
PING_EVERY = 0.1


class Victim:
    """`pockethive node` in a process of its own, on an empty home."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "log"
        command = [str(Path(sys.executable).parent / "pockethive"), "node", "--no-work"]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*command, "--home", str(folder / "home")],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )

    async def contact(self) -> Contact:
        for _ in range(300):
            found = re.search(r"--join (\S+)", self.log.read_text())
            if found:
                return Contact.parse(found[1])
            await asyncio.sleep(0.1)
        raise SystemExit(f"the node did not start: {self.log.read_text()[-2000:]}")

    def cpu(self) -> float:
        """Seconds of CPU so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self) -> str:
        """Interrupt it; what it printed."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(20)
        finally:
            self.process.kill()
        return self.log.read_text()


async def ping(friend: Node, contact: Contact, answers: list[bool]) -> None:
    while True:
        try:
            await friend._protocol.call(contact, "ping")  # noqa: SLF001
            answers.append(True)
        except NetworkError:
            answers.append(False)
        await asyncio.sleep(PING_EVERY)


async def attack(forge: Forge, address: tuple[str, int], count: int, rate: int) -> float:
    """Send them all; datagrams a second as they went out."""
    loop, began = asyncio.get_running_loop(), time.perf_counter()
    transport, _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, remote_addr=address
    )
    for number in range(0, count, BURST):
        for _ in range(min(BURST, count - number)):
            transport.sendto(forge.datagram()[:65_000])
        if number % KEYS == 0:
            forge.turn()
        late = (number + BURST) / rate - (time.perf_counter() - began) if rate else 0.0
        await asyncio.sleep(max(0.0, late))
    transport.close()
    return count / (time.perf_counter() - began)


async def trial(victim: Victim, options: argparse.Namespace) -> list[str]:
    contact = await victim.contact()
    answers: list[bool] = []
    async with Node(NodeSettings(), somebody("friend"), RULES) as friend:
        await friend.join([contact])
        quiet = resident(victim.process.pid)
        pinging = asyncio.create_task(ping(friend, contact, answers))
        forge, cpu = Forge(options.seed, contact.public, time.time), victim.cpu()
        rate = await attack(forge, contact.address, options.datagrams, options.rate)
        cpu = victim.cpu() - cpu
        await asyncio.sleep(1)
        pinging.cancel()
        alive = victim.process.poll() is None
        grown = resident(victim.process.pid) - quiet
    share = sum(answers) / len(answers)
    print(f"{options.datagrams} hostile datagrams, {rate:,.0f} a second, seed {options.seed}")
    print(f"the node: {'up' if alive else 'DOWN'}, {quiet:.1f} MB before, {grown:+.1f} MB after")
    print(f"its CPU: {1e6 * cpu / options.datagrams:.0f} microseconds a datagram")
    print(f"a peer's pings meanwhile: {sum(answers)} of {len(answers)} answered ({share:.1%})")
    faults = [] if alive else ["the node went down"]
    faults += [f"it grew by {grown:.1f} MB"] if grown > GROWTH else []
    faults += [f"only {share:.1%} of the pings were answered"] if share < 0.9 else []
    return faults


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="A live node under hostile datagrams.")
    parser.add_argument("--datagrams", type=int, default=30_000)
    parser.add_argument("--rate", type=int, default=3000, help="a second; 0: as fast as it goes")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="pockethive-hostile-") as name:
        victim = Victim(Path(name))
        try:
            faults = asyncio.run(trial(victim, options))
        finally:
            printed = victim.end()
        if "Traceback" in printed:
            faults.append(f"it printed: {printed[-2000:]}")
    print("faults:", faults or "none")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
