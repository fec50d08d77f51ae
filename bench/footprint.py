"""What an idle node costs: time to be ready, memory, processor, bytes sent, in a hive of processes.

    python -m bench.footprint [--nodes N] [--settle SECONDS] [--seconds SECONDS] [--starts N]

Real `pockethive node` processes on loopback, without model and documents, joined through the first.
Bytecode is cached, as an installed package's is: a node that compiles is 1 MB larger, and later.
`ready` counts from exec to the ready line. Bytes are those of UDP datagrams, as the node itself
counts them on /metrics when it has one; else as `strace -f -e sendto` would, from /proc (none).
Prints JSON; timings are noisy on a shared machine: compare medians.
"""

import argparse
import contextlib
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.machine import machine

TICK = os.sysconf("SC_CLK_TCK")
TARGETS = {"ready_s": 0.7, "rss_mb": 45.0, "cpu_percent": 0.3, "sent_per_minute": 3_000}


@dataclass(frozen=True, slots=True)
class Running:
    """A node process that is ready."""

    process: subprocess.Popen[str]
    contact: str
    ready: float  # seconds from exec
    metrics: str  # URL

    def cpu(self) -> float:
        """Processor seconds used so far, user and system."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def rss(self) -> float:
        """Resident megabytes (10^6 bytes)."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", text)
        assert found
        return int(found.group(1)) * 1024 / 1e6

    def sent(self) -> float:
        """Bytes of datagrams sent so far."""
        with urllib.request.urlopen(self.metrics, timeout=10) as answer:
            text = answer.read().decode()
        found = re.search(r'^pockethive_datagram_bytes_total\{direction="out"\} (\S+)', text, re.M)
        assert found, text[:500]
        return float(found.group(1))


def start(home: Path, join: str | None) -> Running:
    """Start a node; back when it is ready."""
    command = [sys.executable, "-m", "pockethive", "node", f"--home={home}"]
    command += ["--metrics", "127.0.0.1:0", *([f"--join={join}"] if join else [])]
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if "--join" in line:
            ready = time.perf_counter() - began
            facts = json.loads((home / "node" / "node.json").read_text())
            metrics = f"http://{facts['metrics']}/metrics"
            return Running(process, line.split()[-1], ready, metrics)
    raise AssertionError("a node did not become ready")


@contextlib.contextmanager
def hive(nodes: int) -> Iterator[list[Running]]:
    """Nodes joined through the first; ended, and their homes removed, at the end."""
    with tempfile.TemporaryDirectory(prefix="pockethive-footprint-") as name:
        running: list[Running] = []
        try:
            for number in range(nodes):
                join = running[0].contact if running else None
                running.append(start(Path(name) / str(number), join))
            yield running
        finally:
            for one in running:
                one.process.send_signal(signal.SIGINT)
            for one in running:
                one.process.wait(30)


def starts(times: int) -> list[float]:
    """Seconds from exec to the ready line, each in a home of its own."""
    found = []
    for _ in range(times):
        with hive(1) as (one,):
            found.append(one.ready)
    return found


def measure(nodes: int, settle: float, seconds: float) -> dict[str, Any]:
    """A hive left alone: its first `settle` seconds, then a window of `seconds`."""
    with hive(nodes) as running:
        early = [one.sent() for one in running]
        time.sleep(settle)
        cpu, sent = [one.cpu() for one in running], [one.sent() for one in running]
        began = time.monotonic()
        time.sleep(seconds)
        took = time.monotonic() - began
        spent = [one.cpu() - before for one, before in zip(running, cpu, strict=True)]
        out = [one.sent() - before for one, before in zip(running, sent, strict=True)]
        settling = [after - before for before, after in zip(early, sent, strict=True)]
        return {
            "ready_s": [round(one.ready, 3) for one in running],
            "rss_mb": [round(one.rss(), 1) for one in running],
            "cpu_percent": [round(100 * used / took, 3) for used in spent],
            "sent_per_minute": [round(60 * size / took) for size in out],
            "sent_per_minute_while_settling": [
                round(60 * size / settle) if settle else 0 for size in settling
            ],
        }


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures and whether they meet the targets; 1 when not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=8)
    parser.add_argument("--settle", type=float, default=120.0, help="seconds before the window")
    parser.add_argument("--seconds", type=float, default=300.0, help="length of the window")
    parser.add_argument("--starts", type=int, default=9, help="starts to take the median of")
    options = parser.parse_args(arguments)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory(prefix="pockethive-bytecode-") as name:
        os.environ["PYTHONPYCACHEPREFIX"] = name
        starts(1)  # what it compiles, an installed one has found compiled
        alone = starts(options.starts)
        figures = measure(options.nodes, options.settle, options.seconds)
    medians = {name: statistics.median(figures[name]) for name in TARGETS}
    medians["ready_s"] = round(statistics.median(alone), 3)
    held = {name: medians[name] <= most for name, most in TARGETS.items()}
    report = {
        "machine": machine("kademlia", "cryptography"),
        **vars(options),
        "ready_alone_s": [round(each, 3) for each in alone],
        "all": figures,
        "median": medians,
        "target": TARGETS,
        "held": held,
    }
    print(json.dumps(report, indent=1))
    return int(not all(held.values()))


if __name__ == "__main__":
    raise SystemExit(main())
