"""Hops and messages of lookups from 10 to 10,000 simulated nodes, and the memory of a node.

    python -m bench.scale [--sizes N …] [--lookups N] [--seed N] [--out FOLDER]

The very nodes, sealed datagrams and all, on the virtual network (40 ms and Exp(30 ms) each way),
one process a size. Tables are seeded, not joined, by this rule: of the nodes that part from a
node's id at the same bit, it knows all when they are at most k, else k drawn by the seed - what a
table holds after a long quiet life, and nothing better. Hourly refresh is off.

Each lookup is for a random target by a random node. `asked` counts the nodes asked, `messages` all
datagrams: nodes that never met prove their addresses to each other first, which costs more than
the question. Memory is the growth of the process's resident set over starting the nodes, filling
their tables and all lookups, divided by the nodes; `started` is before the tables, and mostly the
two databases in memory that a simulated node has. Writes scale.json and scale.svg; prints the fit
in log2 N from 100 nodes on and what it says for 10^6 and 10^9 nodes.
"""

import argparse
import asyncio
import json
import math
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.machine import machine
from pockethive.dht.contact import Contact
from pockethive.dht.settings import NodeSettings
from pockethive.dht.simulation import World, seed_tables
from pockethive.dht.testing import RULES

SIZES = (10, 32, 100, 316, 1000, 3162, 10_000)
LARGE = 100
BITS = 160
K = 8
Figures = dict[str, Any]


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def play(world: World, size: int, lookups: int) -> Figures:
    """Start, seed, look up."""
    rng = random.Random(f"scale {world.seed} {size}")
    before, began = resident(), time.process_time()
    nodes = [world.node(RULES, NodeSettings(upkeep=1e9)) for _ in range(size)]
    for node in nodes:
        await node.start()
    started = resident()
    seed_tables(nodes, rng)
    built = time.process_time() - began
    ids = sorted((int.from_bytes(n.identity.node_id, "big"), n.contact) for n in nodes)
    hops, asked, messages, seconds, exact = [], [], [], [], 0
    began = time.process_time()
    for _ in range(lookups):
        asker, target = rng.choice(nodes), rng.randbytes(20)
        sent, begun = world.net.sent, world.loop.time()
        found = await asker._running.locate(target)  # noqa: SLF001
        seconds.append(world.loop.time() - begun)
        await asyncio.sleep(3)  # probes of strangers belong to this lookup too
        messages.append(world.net.sent - sent)
        hops.append(found.hops)
        asked.append(found.asked)
        exact += found.contacts == _nearest(ids, target, asker.contact)
    spent = time.process_time() - began
    known = [len(node.contacts()) for node in nodes]
    figures: Figures = {
        "nodes": size,
        "lookups": lookups,
        "hops_mean": round(statistics.mean(hops), 3),
        "hops_p95": sorted(hops)[int(lookups * 0.95)],
        "hops_max": max(hops),
        "asked_mean": round(statistics.mean(asked), 2),
        "messages_mean": round(statistics.mean(messages), 2),
        "messages_p95": sorted(messages)[int(lookups * 0.95)],
        "seconds_p50": round(statistics.median(seconds), 3),
        "seconds_p95": round(sorted(seconds)[int(lookups * 0.95)], 3),
        "exact": exact,
        "contacts_mean": round(statistics.mean(known), 1),
        "kib_a_node_started": round((started - before) / size / 1024, 1),
        "kib_a_node": round((resident() - before) / size / 1024, 1),
        "cpu_ms_a_node_to_build": round(built / size * 1000, 2),
        "cpu_ms_a_lookup": round(spent / lookups * 1000, 2),
        "trace": world.trace,
    }
    for node in nodes:
        await node.stop()
    return figures


def _nearest(
    ids: Sequence[tuple[int, Contact]], target: bytes, own: Contact
) -> tuple[Contact, ...]:
    goal = int.from_bytes(target, "big")
    near = sorted(ids, key=lambda each: each[0] ^ goal)[: K + 1]
    return tuple(contact for _, contact in near if contact != own)[:K]


def fit(rows: Sequence[Figures], name: str) -> tuple[float, float]:
    """Least squares: intercept and slope against log2 N, of networks that no table holds whole."""
    large = [row for row in rows if row["nodes"] >= LARGE]
    used = large if len(large) > 1 else rows
    xs, ys = [math.log2(row["nodes"]) for row in used], [row[name] for row in used]
    slope, intercept = statistics.linear_regression(xs, ys)
    return intercept, slope


def draw(rows: Sequence[Figures]) -> str:
    """Hops and messages against N, as SVG; each with its own axis and fitted line."""
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" width="760" height="340" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="760" height="340" fill="white"/>',
    ]
    for left, name, title in ((60, "hops_mean", "hops"), (430, "messages_mean", "messages")):
        parts += _panel(rows, left, name, title)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(rows: Sequence[Figures], left: int, name: str, title: str) -> list[str]:
    width, height, top = 290, 230, 40
    most = max(row[name] for row in rows)
    step = 10 ** math.floor(math.log10(most)) / (
        2 if most / 10 ** math.floor(math.log10(most)) < 5 else 1
    )
    ceiling = math.ceil(most / step) * step
    low, high = math.log10(rows[0]["nodes"]), math.log10(rows[-1]["nodes"])

    def at(nodes: float, value: float) -> tuple[float, float]:
        share = (math.log10(nodes) - low) / ((high - low) or 1)
        return left + share * width, top + height - value / ceiling * height

    parts = [f'<text x="{left}" y="24">{title} of a lookup, mean</text>']
    for number in range(round(ceiling / step) + 1):
        _, y = at(1, number * step)
        parts.append(f'<path d="M{left} {y:.1f}h{width}" stroke="#ddd"/>')
        parts.append(
            f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{number * step:g}</text>'
        )
    for row in rows:
        x, _ = at(row["nodes"], 0)
        parts.append(
            f'<text x="{x:.1f}" y="{top + height + 18}" text-anchor="middle">'
            f"{row['nodes']:,}</text>"
        )
    intercept, slope = fit(rows, name)
    sizes = [row["nodes"] for row in rows if row["nodes"] >= LARGE] or [rows[0]["nodes"]]
    ends = [at(n, intercept + slope * math.log2(n)) for n in (sizes[0], rows[-1]["nodes"])]
    line = " L".join(f"{x:.1f} {y:.1f}" for x, y in ends)
    parts.append(f'<path d="M{line}" stroke="#888" stroke-dasharray="4 4" fill="none"/>')
    for row in rows:
        x, y = at(row["nodes"], row[name])
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="#1660a8"/>')
    parts.append(
        f'<text x="{left + width / 2}" y="{top + height + 42}" text-anchor="middle">nodes</text>'
    )
    return parts


def report(rows: Sequence[Figures], folder: Path, told: Figures) -> None:
    """Write what was measured and print the fits."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scale.json").write_text(json.dumps({**told, "rows": rows}, indent=1) + "\n")
    if len(rows) < 2:
        return
    (folder / "scale.svg").write_text(draw(rows))
    for name in ("hops_mean", "asked_mean", "messages_mean"):
        intercept, slope = fit(rows, name)
        said = {f"{n:.0e}": round(intercept + slope * math.log2(n), 2) for n in (1e6, 1e9)}
        print(f"{name} = {intercept:.3f} + {slope:.3f} * log2 N; it says {said}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure each size in a process of its own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="2 to 100000")
    parser.add_argument("--lookups", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("build"))
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if not all(2 <= size <= 100_000 for size in options.sizes) or options.lookups < 1:
        parser.error("--sizes: 2 to 100000; --lookups: at least 1")
    if options.alone:
        world = World(options.seed)
        print(json.dumps(world.run(play(world, options.sizes[0], options.lookups))))
        world.close()
        return 0
    rows: list[Figures] = []
    told = {"machine": machine("kademlia"), "seed": options.seed, "k": K}
    for size in sorted(options.sizes):
        command = [sys.executable, "-m", "bench.scale", "--alone", "--sizes", str(size)]
        more = ["--lookups", str(options.lookups), "--seed", str(options.seed)]
        done = subprocess.run([*command, *more], stdout=subprocess.PIPE, text=True, check=True)
        rows.append(json.loads(done.stdout))
        print(json.dumps(rows[-1]), flush=True)
        report(rows, options.out, told)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
