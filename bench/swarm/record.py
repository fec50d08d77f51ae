"""What a benchmark of the swarm writes down: JSON with seed, machine, versions and raw numbers.

`bench/swarm/results/NAME.json` is of a quick run, `NAME.full.json` of a full one;
docs/benchmarks.md is made of them (`page.py`). Written whole or not at all.
"""

import argparse
import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bench.machine import machine
from pockethive.configs.home import default_home
from pockethive.home import write_atomically

RESULTS: Final = Path(__file__).parent / "results"
FORMAT: Final = 1
PACKAGES: Final = ("pykka", "kademlia", "openvino", "onnxruntime", "numpy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One run of one benchmark. `results` holds figures and raw numbers, as JSON-able values."""

    name: str
    full: bool
    seed: int
    results: Mapping[str, Any]
    seconds: float
    cpu_seconds: float
    ended: str = field(default_factory=lambda: f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
    machine: Mapping[str, Any] = field(default_factory=lambda: machine(*PACKAGES))
    format: int = FORMAT

    @property
    def path(self) -> Path:
        """Where it is kept."""
        return RESULTS / f"{self.name}{'.full' if self.full else ''}.json"

    def write(self) -> Path:
        """Keep it; returns where."""
        RESULTS.mkdir(exist_ok=True)
        text = json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"
        write_atomically(self.path, text.encode())
        return self.path


def load(path: Path) -> Record:
    """A record that `write` kept. Raises ValueError for another version."""
    told = json.loads(path.read_text(encoding="utf-8"))
    if told.get("format") != FORMAT:
        raise ValueError(f"{path}: format {told.get('format')}, this program reads {FORMAT}")
    return Record(**told)


def best(name: str) -> Record | None:
    """The full record of a benchmark if there is one, else the quick one."""
    return _kept(f"{name}.full") or quick(name)


def quick(name: str) -> Record | None:
    """The quick record of a benchmark, if there is one."""
    return _kept(name)


def _kept(stem: str) -> Record | None:
    path = RESULTS / f"{stem}.json"
    return load(path) if path.exists() else None


class Watch:
    """Wall and processor seconds since it was made; children that have ended count."""

    def __init__(self) -> None:
        self._began, self._cpu = time.perf_counter(), self._used()

    @property
    def seconds(self) -> float:
        """Wall seconds."""
        return round(time.perf_counter() - self._began, 2)

    @property
    def cpu_seconds(self) -> float:
        """Processor seconds of this process and of its children that have ended."""
        return round(self._used() - self._cpu, 2)

    @staticmethod
    def _used() -> float:
        told = os.times()
        return told.user + told.system + told.children_user + told.children_system


def parser(module: str, *, home: bool = True) -> argparse.ArgumentParser:
    """What every benchmark of the swarm may be told: size and seed, and where models are."""
    made = argparse.ArgumentParser(prog=module)
    made.add_argument("--full", action="store_true")
    made.add_argument("--seed", type=int, default=1)
    if home:
        made.add_argument("--home", type=Path, default=default_home())
    return made


def keep(name: str, options: argparse.Namespace, results: Mapping[str, Any], watch: Watch) -> None:
    """Write down what a run with these options gave, and print where."""
    record = Record(
        name=name,
        full=options.full,
        seed=options.seed,
        results=results,
        seconds=watch.seconds,
        cpu_seconds=watch.cpu_seconds,
    )
    print(record.write())
