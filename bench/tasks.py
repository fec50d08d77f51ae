"""What the engine costs per no-op task, beside peers; CPU of whole processes. Prints JSON.

    python -m bench.tasks [--tasks N …] [--shapes S …] [--repeats N] [--devices 3] [--peers]
                          [--plot FILE]

Shapes: `chain`, each task waits for the one before; `fan`, all at once and joined in stages of 16,
which is what one output can name; `lattice`, rows of 8 where each reads two of the row before.

One device alone, everything on: core, actors, journal and blobs in SQLite (WAL, NORMAL). Outputs
all differ and stay on the device. `run` is from the goal to its result. `release` is what the run's
entries cost when they leave, signed under Merkle roots and stored; `single` what signing each by
itself costs instead. Memory is what a task adds to the process. Every run has a process of its own,
which has run fifty tasks before it is measured.

`--devices 3`: three processes on loopback, one owner, K=3 witnesses with q=2, each output verified
by another device; cells FULL with group commit (`task_devices.py`). Peers: `task_peers.py`, by
`build/task-peers/bin/python` where that is. `fsync` is measured beside it all.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.machine import machine, resident
from bench.task_peers import FRAMEWORKS
from pockethive.actors.skill import Product, Tools, Work
from pockethive.core.entry_codec import kind_of
from pockethive.core.labels import Label
from pockethive.core.report import Happening
from pockethive.core.spec import Limits, PlannerKind, PlannerSpec, Role, Step, Team, Wait
from pockethive.core.task import EdgeKind, Verification
from pockethive.device import Device, DeviceSettings
from pockethive.receipt import verify_receipt

SHAPES = ("chain", "fan", "lattice")
WARM = 50
WIDTH, STAGE = 8, 16
ROOT = Path(__file__).parent.parent
PEERS = ROOT / "build" / "task-peers" / "bin" / "python"


class Nothing:
    """A skill that does nothing."""

    name = "nothing"
    needs_model = False

    def run(self, work: Work, tools: Tools) -> Product:
        """Return at once; no two tasks have the same output."""
        return Product(value={"of": work.name})


def edges(shape: str, tasks: int) -> dict[str, tuple[str, ...]]:
    """What each task waits for. Raises ValueError: no such shape."""
    names = [f"t{number}" for number in range(tasks)]
    after: dict[str, tuple[str, ...]] = dict.fromkeys(names, ())
    if shape == "chain":
        after |= {name: (before,) for before, name in pairwise(names)}
    elif shape == "lattice":
        for place in range(WIDTH, tasks):
            row, column = place // WIDTH - 1, place % WIDTH
            above = {row * WIDTH + column, row * WIDTH + (column + 1) % WIDTH}
            after[names[place]] = tuple(names[each] for each in sorted(above))
    elif shape == "fan":
        begin = tasks - (tasks + STAGE - 2) // STAGE  # so many joins make one of all others
        open_ = names[:begin]
        for name in names[begin:]:
            some, open_ = tuple(open_[:STAGE]), [*open_[STAGE:], name]
            after[name] = some
    else:
        raise ValueError(f"no such shape: {shape}")
    return after


def team(shape: str, tasks: int) -> Team:
    """Tasks that need no model and no verdict."""
    role = Role(
        name="idler",
        skill="nothing",
        description="does nothing",
        verification=Verification(checks=()),
        needs_model=False,
    )
    return team_of(shape, tasks, role, Label.DEVICE)


def team_of(shape: str, tasks: int, role: Role, label: Label) -> Team:
    """A team of one role whose plan has this shape."""
    steps = tuple(
        Step(
            name=name,
            role=role.name,
            label=label,
            after=(Wait(kind=EdgeKind.ALL, steps=sources),) if sources else (),
        )
        for name, sources in edges(shape, tasks).items()
    )
    return Team(
        name=shape,
        description="",
        model=None,
        roles=(role,),
        planner=PlannerSpec(kind=PlannerKind.TEMPLATE, steps=steps),
        limits=Limits(timeout_seconds=600, max_tasks=tasks),
    )


def alone(shape: str, tasks: int) -> dict[str, float]:
    """One run of one device: microseconds of CPU and KB of memory, per task."""
    with tempfile.TemporaryDirectory(prefix="pockethive-bench-") as name:
        home = Path(name)
        settings = DeviceSettings(
            home=home, folder=home / "device", skills={"nothing": Nothing()}, checkers={}
        )
        device = Device(settings, team(shape, tasks))
        device.start()
        try:
            ended = _Ended()
            device.subscribe(ended)
            memory, cpu, wall = resident(), time.process_time(), time.perf_counter()
            result = device.submit("nothing").result(600)  # once its entries stand
            release, cpu = time.process_time() - ended.cpu, ended.cpu - cpu
            wall, memory = ended.wall - wall, resident() - memory
            assert result.status == "completed", result.reason
            single = _single(device, result.receipts.encode()) if tasks <= 1_000 else 0.0
        finally:
            device.stop()
    seconds = {"run_us": cpu, "wall_us": wall, "release_us": release, "single_us": single}
    figures = {name: value / tasks * 1e6 for name, value in seconds.items()}
    return {**figures, "memory_kb": memory * 1024 / tasks}


class _Ended:
    """When the last task was committed, by both clocks."""

    cpu = wall = 0.0

    def __call__(self, seen: Happening) -> None:
        if seen.what == "finished":
            self.cpu, self.wall = time.process_time(), time.perf_counter()


def _single(device: Device, receipt: bytes) -> float:
    """Seconds of CPU for signing what the batch signed, one by one; the receipt is verified."""
    verified = verify_receipt(receipt)
    assert all(proof.committed for proof in verified.proofs)
    entries = device.parts.entries
    opened = [entries.open(wire) for wire in verified.receipt.records]
    began = time.process_time()
    for entry in opened:
        entries.sign(kind_of(entry.body), entry.body, entry.expires)
    return time.process_time() - began


def fsync_ms(folder: Path, times: int = 40) -> float:
    """Median milliseconds of writing 4 KB and fsync."""
    spent = []
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        for _ in range(times):
            began = time.perf_counter()
            file.write(bytes(4_096))
            file.flush()
            os.fsync(file.fileno())
            spent.append((time.perf_counter() - began) * 1e3)
    return statistics.median(spent)


def child(python: str, module: str, *arguments: str) -> dict[str, Any]:
    """What a process of its own measured; `{"skipped": why}` where it could not."""
    command = (python, "-m", module, *arguments)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"skipped": (done.stderr.strip().splitlines() or ["it failed"])[-1]}
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def medians(raw: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The medians of repeats that have the same names; threads are told apart in them alone."""
    if any("skipped" in one for one in raw):
        return dict(next(one for one in raw if "skipped" in one))
    names = [name for name, figure in raw[0].items() if not isinstance(figure, dict)]
    return {name: round(statistics.median(one[name] for one in raw), 2) for name in names}


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """Every measurement asked for, interleaved."""
    jobs: dict[str, tuple[str, str, list[str]]] = {}
    for tasks in options.tasks:
        for shape in options.shapes:
            one = ["--one", shape, "--tasks", str(tasks)]
            jobs[f"alone {shape} {tasks}"] = (sys.executable, "bench.tasks", one)
    python = str(PEERS) if PEERS.exists() else sys.executable
    for framework in FRAMEWORKS if options.peers else ():
        for shape in ("chain", "fan"):
            asked = [framework, shape, "1000"]
            jobs[f"{framework} {shape} 1000"] = (python, "bench.task_peers", asked)
    if options.devices == 3:
        for shape, tasks in (("fan", 300), ("chain", 100)):
            asked = [shape, str(tasks)]
            jobs[f"three devices {shape} {tasks}"] = (sys.executable, "bench.task_devices", asked)
    raw: dict[str, list[dict[str, Any]]] = {name: [] for name in jobs}
    for _ in range(options.repeats):
        for name, (python, module, arguments) in jobs.items():
            raw[name].append(child(python, module, *arguments))
    return {"figures": {name: medians(seen) for name, seen in raw.items()}, "raw": raw}


def plot(figures: dict[str, dict[str, Any]], path: Path) -> None:
    """CPU per task against the number of tasks, as SVG; no library is needed for so little."""
    lines: dict[str, list[tuple[int, float]]] = {}
    for name, figure in figures.items():
        kind, _, rest = name.partition(" ")
        if kind == "alone" and "run_us" in figure:
            shape, tasks = rest.split()
            lines.setdefault(shape, []).append((int(tasks), figure["run_us"]))
    top = max(value for line in lines.values() for _, value in line) * 1.1
    counts = sorted({tasks for line in lines.values() for tasks, _ in line})
    across = {
        tasks: 70 + place * 400 / max(1, len(counts) - 1) for place, tasks in enumerate(counts)
    }
    parts = ['<svg xmlns="http://www.w3.org/2000/svg" width="600" height="320" font-size="12">']
    parts.append('<text x="10" y="16">CPU per no-op task (µs) against tasks in a run</text>')
    parts += [f'<text x="{x:.0f}" y="310">{tasks:,}</text>' for tasks, x in across.items()]
    for share in (0, 0.25, 0.5, 0.75, 1):
        height = 290 - share * 250
        parts.append(f'<path d="M60 {height:.0f}H490" stroke="#ccc"/>')
        parts.append(f'<text x="10" y="{height + 4:.0f}">{share * top:.0f}</text>')
    for color, (shape, line) in zip(("#07c", "#c50", "#390"), sorted(lines.items()), strict=False):
        points = [(across[tasks], 290 - value / top * 250) for tasks, value in sorted(line)]
        way = " ".join(f"{x:.0f},{y:.0f}" for x, y in points)
        parts.append(f'<polyline points="{way}" fill="none" stroke="{color}" stroke-width="2"/>')
        x, y = points[-1]
        parts.append(f'<text x="{x + 6:.0f}" y="{y + 4:.0f}" fill="{color}">{shape}</text>')
    path.write_text("\n".join([*parts, "</svg>\n"]))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, nargs="+", default=[100, 1_000])
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--devices", type=int, choices=(1, 3), default=1)
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--one", choices=SHAPES, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.one:
        alone("chain", WARM)
        print(json.dumps(alone(options.one, options.tasks[0])))
        return 0
    before = round(fsync_ms(Path(tempfile.gettempdir())), 2)
    found = compare(options)
    if options.plot:
        plot(found["figures"], options.plot)
    here = machine("pykka", "kademlia", "orjson", "cryptography")
    report = {"machine": here, "fsync_ms": before, "repeats": options.repeats, **found}
    print(json.dumps(report, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
