"""What each contestant of `bench.dht` runs: a hive of nodes in one process, told over a pipe.

A line in is JSON `{"do": "set" | "get" | "end", "count": n, "first": n}`; a line out answers with
seconds per operation and the processor time of this process and all below it. Only the standard
library: one contestant lives in an environment of its own.
"""

import asyncio
import json
import os
import random
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

VALUE = bytes(range(256)) + bytes(44)


class Hive(Protocol):
    """The nodes of one contestant."""

    async def build(self, count: int) -> None:
        """Start `count` nodes, each joined through an earlier one."""

    async def set(self, node: int, key: str) -> None:
        """Store VALUE under a key. Fails when nobody took it."""

    async def get(self, node: int, key: str) -> None:
        """Read the key; fails when the value is another."""

    async def close(self) -> None:
        """Stop the nodes."""


def serve(hive: Hive) -> None:
    """Build the hive of `argv[1]` nodes with the seed `argv[2]` and obey."""
    asyncio.run(_serve(hive, int(sys.argv[1]), random.Random(sys.argv[2])))


async def _serve(hive: Hive, count: int, source: random.Random) -> None:
    loop = asyncio.get_running_loop()
    memory, cpu, began = _resident(), _cpu(), time.perf_counter()
    await hive.build(count)
    _say(
        {
            "bootstrap_ms_per_node": (time.perf_counter() - began) / count * 1e3,
            "bootstrap_cpu_ms_per_node": (_cpu() - cpu) / count * 1e3,
            "kib_per_node": (_resident() - memory) / count / 1024,
        }
    )
    ways: dict[str, Callable[[int, str], Awaitable[None]]] = {"set": hive.set, "get": hive.get}
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        order: dict[str, Any] = json.loads(line)
        if order["do"] == "end":
            break
        times: list[float] = []
        cpu = _cpu()
        for number in range(order["first"], order["first"] + order["count"]):
            began = time.perf_counter()
            await ways[order["do"]](source.randrange(count), f"key {number}")
            times.append((time.perf_counter() - began) * 1e3)
        _say({"cpu_ms": (_cpu() - cpu) / order["count"] * 1e3, "wall_ms": times})
    await hive.close()


def _say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


def _family() -> list[int]:
    """This process and all its descendants."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            stat = _read(entry / "stat")
            if stat:
                parents.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(
                    int(entry.name)
                )
    family = [os.getpid()]
    for pid in family:
        family += parents.get(pid, [])
    return family


def _cpu() -> float:
    """Processor seconds of the family, for this process to the microsecond."""
    ticks = os.sysconf("SC_CLK_TCK")
    spent = time.process_time()
    for pid in _family()[1:]:
        fields = _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
        if fields:
            spent += (int(fields[11]) + int(fields[12])) / ticks
    return spent


def _resident() -> int:
    """Bytes of memory of the family."""
    page = os.sysconf("SC_PAGE_SIZE")
    pages = (_read(Path(f"/proc/{pid}/statm")).split() for pid in _family())
    return sum(int(fields[1]) * page for fields in pages if fields)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # it has ended meanwhile
        return ""
