"""Nodes that live for exponential times, each replaced by a new one: what is lost, and why.

Played by `bench.faults` (scenario `churn`). A ledger knows at every moment which
living nodes hold a record, and what each repair left behind it. A record is lost when its last
holder dies. Then either

- all of its holders died after the last repair and before the next could run: no protocol helps
  against that, and a model says how often it should happen; or
- repair had a living holder and did not make as many copies as there should be, or it did not run
  for longer than it should take (`PROMISED`). That is a defect, and the scenario
  fails on the first.
"""

import asyncio
import math
import random
from dataclasses import dataclass, field
from typing import Any, Final

from pockethive.core.errors import NetworkError
from pockethive.dht.node import Node
from pockethive.dht.record import Record
from pockethive.dht.simulation import World
from pockethive.dht.testing import RULES, signed

MEAN_LIFE: Final = 1200.0  # seconds
DAY: Final = 86400.0
PROMISED: Final = 300.0  # seconds in which a node that lives mends what a death left open
_LOOK: Final = 300.0  # seconds between reads
_READS: Final = 10  # at a time


@dataclass(slots=True)
class _Place:
    """Where one record is."""

    holders: set[bytes] = field(default_factory=set)
    open_since: float | None = None  # virtual second since when one of the k nearest lacks it
    whole: bool = True  # the last repair changed that, whenever it ran
    lost: bool = False


class Ledger:
    """Who holds what, from moment to moment, and what repairs leave. It only looks on."""

    def __init__(self, world: World, k: int, patience: float) -> None:
        self._now, self._k, self._patience = world.loop.time, k, patience
        self._places: dict[bytes, _Place] = {}
        self._ids: dict[bytes, int] = {}  # of the living, by public key
        self.deaths = self.repairs = 0
        self.short = 0  # repairs after which one of the k nearest still lacked the record
        self.before_repair = self.though_seen = 0
        self.fewest = k
        self.mended: list[float] = []  # seconds until all of the k nearest held a record again

    def follow(self, node: Node) -> None:
        """Hear of all that a node that runs stores and repairs."""
        public, server = node.identity.public, node._running  # noqa: SLF001 - who else could see it
        self._ids[public] = int.from_bytes(node.identity.node_id, "big")
        told, republish = server.storage.arrived, server.upkeep.republish

        def arrived(record: Record) -> None:
            place = self._places.setdefault(record.key, _Place())
            place.holders.add(public)
            self._look(record.key, place)
            told(record)

        async def repair(key: bytes) -> None:
            began = self._now()
            await republish(key)
            if node._server is server:  # noqa: SLF001 - else its work broke off
                self._repaired(self._places[key], began)

        server.storage.arrived = arrived
        server.upkeep.republish = server.upkeep.vigil.mend = repair  # type: ignore[method-assign]
        self._look_round()

    def died(self, node: Node) -> None:
        """A node is gone, and with it what it held."""
        public = node.identity.public
        self._ids.pop(public)
        self.deaths += 1
        for place in self._places.values():
            if public in place.holders:
                place.holders.remove(public)
                self.fewest = min(self.fewest, len(place.holders))
                if not place.holders:
                    self._lose(place)
        self._look_round()

    def lost(self, key: bytes) -> bool:
        """Whether nobody holds it any more."""
        return self._places[key].lost

    def _repaired(self, place: _Place, began: float) -> None:
        self.repairs += 1
        place.whole = place.open_since is None or place.open_since >= began
        self.short += not place.whole

    def _look_round(self) -> None:
        for key, place in self._places.items():
            self._look(key, place)

    def _look(self, key: bytes, place: _Place) -> None:
        """Whether the k nearest that live all hold it; newcomers count from their first moment."""
        goal = int.from_bytes(key, "big")
        near = sorted(self._ids, key=lambda public: self._ids[public] ^ goal)[: self._k]
        if not place.holders.issuperset(near):
            place.open_since = place.open_since or self._now()
        elif place.open_since is not None:
            self.mended.append(self._now() - place.open_since)
            place.open_since = None

    def _lose(self, place: _Place) -> None:
        """Its last holder died. Was there time to mend what was missing before?"""
        place.lost = True
        since = self._now() if place.open_since is None else place.open_since
        if place.whole and self._now() - since <= self._patience:
            self.before_repair += 1
        else:
            self.though_seen += 1


def expected(interval: float, copies: int, seconds: float) -> float:
    """How often so many exponential lives all end between two repairs, in all that time."""
    all_die = (1 - math.exp(-interval / MEAN_LIFE)) ** copies
    return float(f"{all_die * seconds / interval:.3g}")


class Town:
    """Nodes that die and are replaced. Each has a time of its own to live."""

    def __init__(self, world: World, nodes: list[Node], ledger: Ledger) -> None:
        self.living = list(nodes)
        self.rng = random.Random(world.seed)
        self._world, self._first, self._ledger = world, nodes, ledger
        self._settings = nodes[0].settings
        for node in nodes:
            ledger.follow(node)

    async def live(self, end: float) -> None:
        """Until unix second `end`: the next to die is drawn and dies, and a new one comes."""
        async with asyncio.TaskGroup() as coming:
            while True:
                await asyncio.sleep(self.rng.expovariate(len(self.living) / MEAN_LIFE))
                if self._world.clock() >= end:
                    return
                victim = self.living.pop(self.rng.randrange(len(self.living)))
                await victim.stop()
                self._ledger.died(victim)
                coming.create_task(self._come())  # the others do not live longer meanwhile

    async def _come(self) -> None:
        node = self._world.node(RULES, self._settings)
        await node.start()
        self._ledger.follow(node)
        await self._join(node)
        self.living.append(node)

    async def _join(self, node: Node) -> None:
        """Through some living nodes; one of them may have died a moment ago."""
        while True:
            try:
                await node.join(other.contact for other in self.rng.sample(self.living, 3))
            except NetworkError:
                continue
            return

    async def end(self) -> None:
        """Stop those who came later; who was there first is stopped by `play`."""
        for node in self.living:
            if node not in self._first:
                await node.stop()


async def churn(world: World, nodes: list[Node], count: int, seconds: float) -> dict[str, Any]:
    """So many records, for so long. No record is lost of which repair had a living holder."""
    settings = nodes[0].settings
    ledger = Ledger(world, settings.k, PROMISED)
    town = Town(world, nodes, ledger)
    records = []
    for number in range(count):
        writer = town.rng.choice(town.living)
        records.append(signed(world, writer, f"place {number}", b"%d" % number, 2 * DAY))
        await writer.put(records[-1])
    sent, size, begun = world.net.sent, world.net.bytes, world.loop.time()
    dying = asyncio.ensure_future(town.live(world.clock() + seconds))
    reads, hidden = await _read(town, records, begun + seconds, ledger)
    await dying
    minutes = (world.loop.time() - begun) / 60 * len(nodes)
    await town.end()
    mended = sorted(ledger.mended)
    late = int(len(mended) * 0.95)
    return {
        "deaths": ledger.deaths,
        "lost_though_repair_saw_a_holder": ledger.though_seen,
        "lost_before_repair_could_run": ledger.before_repair,
        "model_with_republishing_alone": expected(settings.republish, settings.k, seconds) * count,
        "fewest_holders_seen": ledger.fewest,
        "repairs": ledger.repairs,
        "repairs_that_left_too_few": ledger.short,
        "mended_after_p50": round(mended[len(mended) // 2], 1),
        "mended_after_p95": round(mended[late], 1),
        "mended_after_max": round(mended[-1], 1),
        "model_if_all_were_mended_after_p95": expected(mended[late], settings.k, seconds) * count,
        "reads": reads,
        "held_but_not_found": hidden,
        "messages_a_node_and_minute": round((world.net.sent - sent) / minutes, 1),
        "bytes_a_node_and_minute": round((world.net.bytes - size) / minutes),
        "kept": not ledger.though_seen and not hidden,
    }


async def _read(town: Town, records: list[Record], end: float, ledger: Ledger) -> tuple[int, int]:
    """Read some records every now and then; how many reads, and how many missed a held record."""
    loop, reads, hidden = asyncio.get_running_loop(), 0, 0
    while loop.time() < end:
        await asyncio.sleep(_LOOK)
        for record in town.rng.sample(records, min(_READS, len(records))):
            reader = town.rng.choice(town.living)
            if ledger.lost(record.key):
                continue
            try:
                found = await reader.get(record.key)
            except NetworkError:  # it died meanwhile
                continue
            if not ledger.lost(record.key):
                reads += 1
                hidden += record not in found
    return reads, hidden
