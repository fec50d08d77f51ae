"""Hostile bytes against everything that reads what strangers send.

    python -m bench.fuzz [--inputs N] [--seed S]

Datagrams go to a real protocol on a transport that delivers nothing: noise, damaged and replayed
ones, and what somebody with a key of his own can seal (mutated messages, bundles, fragments,
contacts, records, proofs, answers to open requests). Records, contacts, lists of contacts and what
a private hive reads (`fuzz_hive.py`) are read on their own too; beside them blob connections run
over TLS (`fuzz_blobs.py`). Prints inputs a second and the counts of each code. Fails when an
exception gets out of a reader or reaches the loop, when a fault of our own is counted, or when
memory grows.
"""

import argparse
import asyncio
import contextlib
import ctypes
import gc
import logging
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence

from bench.forge import Forge
from bench.fuzz_blobs import BlobFuzzer
from bench.fuzz_hive import HiveFuzzer
from bench.machine import resident
from pockethive.core.errors import BadInvitation, ProtocolError
from pockethive.dht.contact import Contact
from pockethive.dht.record import Record
from pockethive.dht.testing import Receiver, somebody

ROUND = 500  # inputs between two rounds of the loop
WARM = 0.2  # of the inputs fill caches before memory counts
GROWTH = 12.0  # MB
STEADY = 200_000  # inputs after whose first part every cache is full
WEIGHTS = (50, 10, 8, 8, 24)  # of 100 inputs: datagrams, records, contacts, lists of them, hives


class Alarm(logging.Handler):
    """Keeps what the program logs as an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(record.getMessage())


class Fuzzer:
    """Feeds a protocol and the readers beside it."""

    def __init__(self, seed: int) -> None:
        self.ear = Receiver(seed=seed)
        self.ear.protocol.handlers["echo"] = lambda _, body: body
        self.forge = Forge(seed, self.ear.public, lambda: self.ear.now)
        self.rng = self.forge.rng
        self.verdicts: Counter[str] = Counter()
        self.hive = HiveFuzzer(self.forge, self.read)
        self.readers = [self.datagram, self.record, self.contact, self.contacts, self.hive.one]

    def turn(self) -> None:
        """Somebody new attacks, from an address proved or not; time goes on."""
        self.ear.now += 0.5
        self.forge.turn()
        self.forge.guess = list(self.ear.protocol._calls._waiting)[:2]  # noqa: SLF001
        if self.rng.random() < 0.5:
            self.ear.protocol.proofs.add(self.forge.sender, ("127.0.0.1", 9))

    def one(self) -> None:
        """Feed one input."""
        (reader,) = self.rng.choices(self.readers, WEIGHTS)
        reader()

    def datagram(self) -> None:
        host = self.rng.choice(["127.0.0.1", "127.0.0.2", "::ffff:127.0.0.3"])
        address = (host, 9, 0, 0) if ":" in host else (host, 9)
        self.ear.protocol.datagram_received(self.forge.datagram(), address)

    def record(self) -> None:
        data = self.forge.mutated(self.rng.choice(self.forge.records))
        self.read("record", ProtocolError, lambda: Record.decode(data).verify())

    def contact(self) -> None:
        text = self.forge.mutated(self.rng.choice(self.forge.texts)).decode(
            self.rng.choice(["latin-1", "utf-16-le", "utf-8"]), "replace"
        )
        self.read("contact", BadInvitation, lambda: Contact.parse(text))

    def contacts(self) -> None:
        data = self.forge.mutated(self.rng.choice(self.forge.lists) or b"x")
        source = Contact(self.forge.sender, "fe80::9%3", 1)
        self.read("contacts", ProtocolError, lambda: self.ear.protocol.contacts(data, source))

    def read(
        self,
        name: str,
        allowed: type[Exception] | tuple[type[Exception], ...],
        reading: Callable[[], object],
    ) -> None:
        try:
            reading()
        except allowed:
            self.verdicts[f"{name} refused"] += 1
        else:
            self.verdicts[f"{name} read"] += 1


def in_use() -> float:
    """MB of this process without what the allocator keeps for later: TLS turns over megabytes."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    return resident()


async def fuzz(inputs: int, seed: int) -> int:
    alarm, failures = Alarm(), list[object]()
    logging.getLogger("pockethive").addHandler(alarm)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: failures.append(context))
    fuzzer = Fuzzer(seed)
    asked = Contact(somebody("asked").public, "127.0.0.9", 9)
    open_call = asyncio.create_task(fuzzer.ear.protocol.call(asked, "ping", timeout=9e9, tries=1))
    began, warm = time.process_time(), 0.0
    async with BlobFuzzer(fuzzer.rng, fuzzer.forge.mutated) as blobs:
        for number in range(inputs):
            fuzzer.one()
            if number % ROUND == 0:
                fuzzer.ear.line.sent.clear()
                fuzzer.turn()
                await blobs.round()
            if number == int(WARM * inputs):
                warm = in_use()
        spent, growth = time.process_time() - began, in_use() - warm
        drops = Counter(blobs.holder.counters) + Counter(blobs.reader.counters)
        drops += blobs.carrier.counters
    open_call.cancel()
    await asyncio.gather(open_call, return_exceptions=True)
    for task in fuzzer.ear.protocol.stop():
        await asyncio.wait([task])
    counts = fuzzer.ear.protocol.counters
    print(f"{inputs} inputs, seed {seed}: {inputs / spent:,.0f} a CPU second, {spent:.0f} s")
    print("dropped or refused:", dict(counts.most_common()))
    print("read on their own:", dict(fuzzer.verdicts.most_common()))
    frames = sum(blobs.seen.values())
    print(
        f"and {frames} on blob connections:",
        dict(blobs.seen.most_common()),
        "dropped:",
        dict(drops),
    )
    print(f"memory after the first {WARM:.0%}: {warm:.1f} MB, grown by {growth:.1f} MB")
    internal = counts["internal"] + drops["internal"]
    faults = [*failures, *alarm.heard, *blobs.faults, *(["internal"] if internal else [])]
    steady = inputs >= STEADY
    faults += [f"memory grew by {growth:.1f} MB"] if steady and growth > GROWTH else []
    print("faults:", faults[:5] or "none")
    return 1 if faults else 0


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    return asyncio.run(fuzz(options.inputs, options.seed))


if __name__ == "__main__":
    sys.exit(main())
