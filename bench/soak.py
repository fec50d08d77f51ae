# ruff: noqa: SLF001 - what grows is looked for where it is kept
"""Whole devices idle for weeks of virtual time: what grows, and what they say to each other.

    python -m bench.soak [--devices N] [--days D] [--seed N]

Real classes on a virtual network. Each virtual day prints the sizes of everything that could grow;
the run fails when something still grows in the last third: by then caches are full to their bounds.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Sequence
from typing import Any

from bench.machine import machine
from pockethive.simulation import Seat, SimulatedDevice, SimulatedHive
from pockethive.vitals import resident_bytes

DAY = 86_400.0
SLACK = 1.1


def sizes(hive: SimulatedHive) -> dict[str, int]:
    """Sums over all devices of what could grow; `resident` is this process."""
    devices = hive.devices
    return {
        "tasks": len(asyncio.all_tasks(hive.world.loop)),
        "records": sum(d.node.facts().records for d in devices),
        "record_bytes": sum(d.node.facts().record_bytes for d in devices),
        "cells": sum(d.node.facts().cells for d in devices),
        "peers": sum(d.node.facts().peers for d in devices),
        "members": sum(len(d.roster.members) for d in devices),
        "roster": sum(map(_roster, devices)),
        "entries": sum(len(d.entries._opened._values) for d in devices),
        "resident": resident_bytes(),
    }


def _roster(device: SimulatedDevice) -> int:
    roster = device.roster
    kept = (roster._known, roster._silent, roster._gone, roster._told, roster._heard)
    return sum(len(each) for each in kept) + len(roster._greetings)


async def live(hive: SimulatedHive, days: float) -> list[dict[str, Any]]:
    """Let time pass; one line a day."""
    lines: list[dict[str, Any]] = []
    net = hive.world.net
    for day in range(1, int(days) + 1):
        before = net.bytes, net.sent
        await asyncio.sleep(DAY * min(1.0, days))
        minutes = len(hive.devices) * 1_440
        lines.append(
            {
                "day": day,
                "bytes_per_minute_and_device": round((net.bytes - before[0]) / minutes, 1),
                "datagrams_per_minute_and_device": round((net.sent - before[1]) / minutes, 3),
                **sizes(hive),
            }
        )
    return lines


def grown(lines: Sequence[dict[str, Any]]) -> list[str]:
    """What is larger on the last day than when the last third began, beyond the slack."""
    early, late = lines[2 * len(lines) // 3], lines[-1]
    names = [name for name in early if name not in ("day", "members", "peers")]
    return [name for name in names if late[name] > SLACK * early[name]]


def soak(devices: int, days: int, seed: int) -> list[dict[str, Any]]:
    """One hive, left alone. Raises Failure when something fails on the loop."""
    with SimulatedHive(seed) as hive:
        hive.start([Seat() for _ in range(devices)])
        return hive.play(live(hive, days), (days + 1) * DAY)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the days and what grew; 1 when something did."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=8)
    parser.add_argument("--days", type=int, default=14)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    began = time.process_time()
    lines = soak(options.devices, options.days, options.seed)
    for line in lines:
        print(json.dumps(line))
    report = {
        "machine": machine("kademlia"),
        **vars(options),
        "cpu_seconds": round(time.process_time() - began, 1),
        "grown": grown(lines),
        "all_know_all": lines[-1]["members"] == options.devices**2,
    }
    print(json.dumps(report, indent=1))
    return int(bool(report["grown"]) or not report["all_know_all"])


if __name__ == "__main__":
    raise SystemExit(main())
