"""What a set and a get cost, ours beside kademlia 2.2.3 and hivemind, in one interleaved run.

    python -m bench.dht [--nodes 32 128] [--rounds N] [--block N] [--hivemind PYTHON]

Each contestant is one process with all its nodes on loopback and keeps its state over the run.
Every round gives each of them a block of sets and a block of gets of the same 300 bytes, from nodes
drawn by the seed. `cpu_ms` is processor time per operation over the whole hive, daemons included,
the median over blocks; wall times are medians over operations. kademlia's get believes the first
answer and reads its own copy unasked; hivemind's is `latest=True`, which like ours asks all.

hivemind needs an environment of its own, with torch: `--hivemind` names its Python; without one
that contestant is left out. Prints JSON with every block.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.machine import machine

ROOT = Path(__file__).parent.parent
TIMEOUT = 900.0


class Contestant:
    """A hive in a process of its own."""

    def __init__(self, name: str, command: Sequence[str]) -> None:
        self.name = name
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.start = self._answer()
        self.blocks: dict[str, list[dict[str, Any]]] = {"set": [], "get": []}

    def run(self, what: str, first: int, count: int) -> None:
        """One block of operations."""
        self._tell({"do": what, "first": first, "count": count})
        self.blocks[what].append(self._answer())

    def end(self) -> None:
        """Stop the hive."""
        self._tell({"do": "end"})
        self._process.communicate(timeout=TIMEOUT)

    def figures(self) -> dict[str, float]:
        """Medians."""
        told = {name: round(value, 2) for name, value in self.start.items()}
        for what, blocks in self.blocks.items():
            walls = sorted(time for block in blocks for time in block["wall_ms"])
            told[f"{what}_cpu_ms"] = round(statistics.median(b["cpu_ms"] for b in blocks), 2)
            told[f"{what}_p50_ms"] = round(statistics.median(walls), 2)
            told[f"{what}_p95_ms"] = round(walls[int(len(walls) * 0.95)], 2)
        return told

    def _tell(self, order: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended early, with exit code {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def contestants(nodes: int, options: argparse.Namespace) -> list[Contestant]:
    """Start all that can run here."""
    tail = [str(nodes), str(options.seed)]
    ours = [sys.executable, "-m", "bench.dhts.ours", *tail]
    commands = {
        "pockethive k=8": [*ours, "8"],
        "pockethive k=20": [*ours, "20"],
        "kademlia k=20": [sys.executable, "-m", "bench.dhts.stock", *tail],
    }
    if options.hivemind:
        commands["hivemind k=20"] = [options.hivemind, "-m", "bench.dhts.hivemind_dht", *tail]
    return [Contestant(name, command) for name, command in commands.items()]


def measure(nodes: int, options: argparse.Namespace) -> dict[str, Any]:
    """One size of hive: rounds of interleaved blocks."""
    rivals = contestants(nodes, options)
    for number in range(options.rounds):
        for what in ("set", "get"):
            for rival in rivals:
                rival.run(what, number * options.block, options.block)
    for rival in rivals:
        rival.end()
    return {
        "figures": {rival.name: rival.figures() for rival in rivals},
        "raw": {rival.name: rival.blocks for rival in rivals},
    }


def verdicts(figures: dict[str, dict[str, float]], nodes: int) -> dict[str, bool]:
    """The targets, held or not."""
    ours, equal = figures["pockethive k=8"], figures["pockethive k=20"]
    stock = figures["kademlia k=20"]
    held = {
        "set at equal k costs at most stock's": equal["set_cpu_ms"] <= stock["set_cpu_ms"],
        "set at k=8 costs below half of stock's": ours["set_cpu_ms"] < stock["set_cpu_ms"] / 2,
    }
    if nodes == 32:
        held["get from all k under 4 ms"] = ours["get_cpu_ms"] < 4
    if "hivemind k=20" in figures:
        held["get under hivemind's"] = ours["get_cpu_ms"] < figures["hivemind k=20"]["get_cpu_ms"]
    return held


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure all sizes; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--nodes", type=int, nargs="+", default=[32, 128])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--block", type=int, default=40, help="operations in a row")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--hivemind", help="the Python of an environment that has hivemind")
    options = parser.parse_args(arguments)
    sizes = {str(nodes): measure(nodes, options) for nodes in options.nodes}
    held = {nodes: verdicts(size["figures"], int(nodes)) for nodes, size in sizes.items()}
    report = {"machine": machine("kademlia", "rpcudp", "cryptography"), **vars(options)}
    raw = {nodes: size["raw"] for nodes, size in sizes.items()}
    figures = {nodes: size["figures"] for nodes, size in sizes.items()}
    print(json.dumps({**report, "raw": raw}))
    print(json.dumps({"figures": figures, "held": held}, indent=1))
    return 0 if all(all(one.values()) for one in held.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
