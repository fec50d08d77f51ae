"""Dead, stale, lying and churning nodes: the DHT's promises on the virtual network, with figures.

    python -m bench.faults [--only NAME …] [--seed N] [--nodes N] [--count N] [--once]

Each scenario is played twice with one seed, and both traces must be the same. It prints one line
of JSON a scenario: what was seen, virtual seconds, processor seconds of one play, the trace's hash
and whether the promise was kept. The exit status is 1 when one was not.

    dead      30 % of the nodes die at once; sets and gets right afterwards, from the living
    stale     a tenth of the nodes is cut off, misses a new version, comes back
    expired   records of one to two hours, with all upkeep running
    lying     20 % of the nodes lie from the start (`testing.Liar`); plain and careful reads
    churn     nodes live for exponential times of 20 minutes in the mean, each replaced by a new one
"""

import argparse
import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.churn import DAY, churn
from bench.machine import machine
from pockethive.dht.node import Node
from pockethive.dht.settings import NodeSettings
from pockethive.dht.simulation import World
from pockethive.dht.testing import LIES, Liar, nearest, play, signed

Figures = dict[str, Any]

BRISK = NodeSettings(upkeep=60, republish=600)
K = BRISK.k
SMALL = 10  # with so few records, churn ends after two hours


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How many nodes, and how many operations or records."""

    nodes: int
    count: int


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which that share lies; seconds, rounded for people."""
    return round(sorted(values)[min(len(values) - 1, int(len(values) * share))], 3)


async def timed(world: World, work: Awaitable[Any]) -> tuple[Any, float]:
    """A result and the virtual seconds it took."""
    begun = world.loop.time()
    return await work, world.loop.time() - begun


async def dead(world: World, nodes: list[Node], size: Size) -> Figures:
    """30 % die at once: set p50 under 1.5 s, get p95 under 2 s, everything found."""
    rng = random.Random(world.seed)
    before = [
        signed(world, node, f"before {n}", b"x") for n, node in enumerate(nodes[: size.count])
    ]
    for node, record in zip(nodes, before, strict=False):
        await node.put(record)
    rng.shuffle(nodes)
    living = nodes[len(nodes) * 3 // 10 :]
    for node in nodes[: len(nodes) - len(living)]:
        await node.stop()
    sets, gets, wrong = [], [], 0
    for number in range(size.count):
        writer, reader = rng.sample(living, 2)
        record = signed(world, writer, f"after {number}", b"y")
        _, seconds = await timed(world, writer.put(record))
        sets.append(seconds)
        found, seconds = await timed(world, reader.get(record.key))
        gets.append(seconds)
        wrong += found != (record,)
    lost = 0
    for record in before:
        found, seconds = await timed(world, rng.choice(living).get(record.key))
        gets.append(seconds)
        lost += found != (record,)
    figures: Figures = {
        "set_p50": percentile(sets, 0.5),
        "set_p95": percentile(sets, 0.95),
        "set_max": percentile(sets, 1),
        "get_p50": percentile(gets, 0.5),
        "get_p95": percentile(gets, 0.95),
        "get_max": percentile(gets, 1),
        "not_found": wrong,
        "lost_of_before": lost,
    }
    figures["kept"] = figures["set_p50"] < 1.5 and figures["get_p95"] < 2 and not wrong + lost
    return figures


async def stale(world: World, nodes: list[Node], size: Size) -> Figures:
    """A tenth comes back from a partition with old versions: nobody ever reads or holds them."""
    rng = random.Random(world.seed)
    cut_off = nodes[1::10]
    away = {node.contact.address for node in cut_off}
    writers = [node for node in nodes if node not in cut_off]
    names = [f"place {number}" for number in range(size.count)]
    for number, name in enumerate(names):
        await rng.choice(nodes).put(signed(world, writers[number % 7], name, b"old", 40_000))
    world.net.cut = lambda a, b: (a in away) != (b in away)
    new = []
    for number, name in enumerate(names):
        writer = writers[number % 7]
        new.append(signed(world, writer, name, b"new", 80_000))
        await writer.put(new[-1])
    old_held = sum(node._running.storage.live(r.key)[:1] != (r,) for node in cut_off for r in new)  # noqa: SLF001
    await asyncio.sleep(3600)
    world.net.cut = None
    reverted = 0
    for _ in range(12):  # three hours in which everybody republishes and reads
        await asyncio.sleep(900)
        for record in new:
            found = await rng.choice(writers).get(record.key)
            reverted += found[:1] != (record,)
    behind = strays = 0
    for record in new:
        near = nearest(nodes, record.key, K)
        for node in nodes:
            held = node._running.storage.live(record.key)  # noqa: SLF001
            behind += held[:1] != (record,) and node.contact in near
            strays += bool(held) and held[0] != record and node.contact not in near
    return {
        "cut_off": len(cut_off),
        "old_or_none_there_before_healing": old_held,
        "reads_reverted": reverted,
        "holders_behind_after_3_hours": behind,
        "others_that_keep_an_old_copy": strays,
        "kept": not reverted and not behind,
    }


async def expired(world: World, nodes: list[Node], size: Size) -> Figures:
    """Records live one to two hours and are gone from every node within a round of upkeep."""
    rng = random.Random(world.seed)
    records = []
    for number in range(size.count):
        writer = rng.choice(nodes)
        life = rng.uniform(3600, 7200)
        records.append(signed(world, writer, f"mayfly {number}", b"x", life))
        await writer.put(records[-1])
    await asyncio.sleep(3300)
    found = [await rng.choice(nodes).get(record.key) for record in records]
    alive = sum(map(bool, found))
    outlived = 0
    until = max(record.expires for record in records)
    while world.clock() < until:
        await asyncio.sleep(600)
        for record in records:
            dead_by_now = record.expires <= world.clock()
            outlived += dead_by_now and bool(await rng.choice(nodes).get(record.key))
    await asyncio.sleep(nodes[0].settings.upkeep + 60)
    left = sum(node._running.storage.count for node in nodes)  # noqa: SLF001
    return {
        "found_before": alive,
        "read_after_expiry": outlived,
        "left_in_stores": left,
        "kept": alive == size.count and not outlived and not left,
    }


async def lying(world: World, nodes: list[Node], size: Size) -> Figures:
    """20 % lie: no careful read is wrong, at least 99 % find their record."""
    rng = random.Random(world.seed)
    rng.shuffle(nodes)
    honest, liars = nodes[len(nodes) // 5 :], nodes[: len(nodes) // 5]
    for number, node in enumerate(liars):
        Liar(node, LIES[number % len(LIES)])
    records = []
    for number in range(max(10, size.count // 10)):
        writer = rng.choice(honest)
        records.append(signed(world, writer, f"place {number}", b"%d" % number, 50_000))
        await writer.put(records[-1])
    figures: Figures = {}
    for name, careful, count in (("plain", False, size.count // 4), ("careful", True, size.count)):
        wrong = found = 0
        seconds = []
        before = world.net.sent
        for _ in range(count):
            record = rng.choice(records)
            got, took = await timed(world, rng.choice(honest).get(record.key, careful=careful))
            seconds.append(took)
            found += got == (record,)
            wrong += got not in {(record,), ()}
        figures |= {
            f"{name}_reads": count,
            f"{name}_wrong": wrong,
            f"{name}_found": found,
            f"{name}_p50": percentile(seconds, 0.5),
            f"{name}_p95": percentile(seconds, 0.95),
            f"{name}_packets_a_read": round((world.net.sent - before) / count, 1),
        }
    poisoned = sum(
        node._running.storage.live(record.key) not in {(record,), ()}  # noqa: SLF001
        for node in honest
        for record in records
    )
    figures["stores_poisoned"] = poisoned
    enough = figures["careful_found"] >= 0.99 * figures["careful_reads"]
    figures["kept"] = enough and not figures["careful_wrong"] and not poisoned
    return figures


async def churning(world: World, nodes: list[Node], size: Size) -> Figures:
    """Every record that repair saw at a living holder survives, and every read finds it."""
    return await churn(world, nodes, size.count, DAY if size.count > SMALL else DAY / 12)


Scenario = Callable[[World, list[Node], Size], Awaitable[Figures]]
SCENARIOS: dict[str, tuple[Scenario, Size, NodeSettings]] = {
    "dead": (dead, Size(nodes=200, count=100), NodeSettings()),
    "stale": (stale, Size(nodes=60, count=30), NodeSettings()),
    "expired": (expired, Size(nodes=60, count=60), NodeSettings()),
    "lying": (lying, Size(nodes=200, count=1000), NodeSettings()),
    "churn": (churning, Size(nodes=64, count=100), BRISK),
}


def measure(name: str, seed: int, size: Size | None = None) -> Figures:
    """Play one scenario once; its figures and its trace's hash."""
    scenario, full, settings = SCENARIOS[name]
    size = size or full
    figures: Figures = {}

    async def story(world: World, nodes: list[Node]) -> None:
        figures["meeting_packets_a_node"] = round(world.net.sent / len(nodes), 1)
        figures.update(await scenario(world, nodes, size))
        figures["virtual_seconds"] = round(world.loop.time(), 1)
        figures["packets"] = world.net.sent

    began = time.process_time()
    trace = play(story, size.nodes, seed, settings=settings)
    figures["cpu_seconds"] = round(time.process_time() - began, 1)
    return {"scenario": name, "nodes": size.nodes, "count": size.count, **figures, "trace": trace}


def main(arguments: Sequence[str] | None = None) -> int:
    """Play scenarios; 1 when a promise was not kept, or two plays differ."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, default=list(SCENARIOS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--nodes", type=int, help="instead of the scenario's own number; 20 to 2000"
    )
    parser.add_argument("--count", type=int, help="operations or records; 10 to 10000")
    parser.add_argument("--once", action="store_true", help="do not compare with a second play")
    options = parser.parse_args(arguments)
    if not 20 <= (options.nodes or 20) <= 2000 or not 10 <= (options.count or 10) <= 10_000:
        parser.error("--nodes: 20 to 2000; --count: 10 to 10000")
    print(json.dumps({"machine": machine("kademlia"), "seed": options.seed}), flush=True)
    held = True
    for name in options.only:
        full = SCENARIOS[name][1]
        size = Size(nodes=options.nodes or full.nodes, count=options.count or full.count)
        figures = measure(name, options.seed, size)
        if not options.once:
            figures["same_trace_twice"] = (
                measure(name, options.seed, size)["trace"] == figures["trace"]
            )
        print(json.dumps(figures), flush=True)
        held = held and figures["kept"] and figures.get("same_trace_twice", True)
    return 0 if held else 1


if __name__ == "__main__":
    raise SystemExit(main())
