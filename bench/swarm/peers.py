"""Engine against peers: ratios of what the other benchmarks measure, in one table.

    make bench NAME=swarm.peers [FULL=1]

Runs `bench.tasks --peers` (dask, langgraph, autogen-core and bare pykka, where `build/task-peers`
has them), `bench.dht` (kademlia; hivemind where `build/peers` has it) and, in full, `bench.models`
(llama.cpp and others). A quick run takes the last `build/models.json` where there is one. Of a peer
that is not installed the rows of the record before are kept, with its day. Each measure is
interleaved within its own benchmark; processor time where there is any, medians.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bench.swarm.page import table
from bench.swarm.record import Record, Watch, keep, parser, quick

NAME: Final = "peers"
ROOT: Final = Path(__file__).parents[2]
_MODELS: Final = ROOT / "build" / "models.json"
_HIVEMIND: Final = ROOT / "build" / "peers" / "bin" / "python"
_LIMIT: Final = 3_600.0


def main() -> int:
    """Measure, keep and print."""
    options = _options()
    watch = Watch()
    results: dict[str, Any] = {"tasks": tasks(full=options.full), "dht": dht(full=options.full)}
    if options.full:
        ran("bench.models")
    if _MODELS.exists():
        results["models"] = json.loads(_MODELS.read_text(encoding="utf-8"))
    results["rows"] = with_earlier(rows(results), quick(NAME))
    for row in results["rows"]:
        print(row)
    keep(NAME, options, results, watch)
    return 0


def tasks(*, full: bool) -> dict[str, Any]:
    """What a no-op task costs here and elsewhere."""
    repeats = "5" if full else "2"
    given = ("--tasks", "1000", "--shapes", "chain", "fan", "--repeats", repeats, "--peers")
    found: dict[str, Any] = json.loads(ran("bench.tasks", *given))
    return found


def dht(*, full: bool) -> dict[str, Any]:
    """What a set and a get cost here and elsewhere."""
    given = ["--nodes", "32", "--rounds", "7" if full else "2"]
    given += ["--hivemind", str(_HIVEMIND)] if _HIVEMIND.exists() else []
    raw, _, figures = ran("bench.dht", *given, fails=True).partition("\n")
    return {"raw": json.loads(raw), **json.loads(figures)}


def ran(module: str, *given: str, fails: bool = False) -> str:
    """What a benchmark prints. `fails`: exit code 1 is a missed target, and told by its figures."""
    command = [sys.executable, "-m", module, *given]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=_LIMIT
    )
    if done.returncode and not (fails and done.returncode == 1):
        raise SystemExit(f"{module} failed: {done.stderr[-2_000:]}")
    return done.stdout


def rows(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Ours, theirs, and theirs by ours (above 1: ours is better), for every measure."""
    made = []
    figures = results["tasks"]["figures"]
    for shape in ("chain", "fan"):
        ours = figures[f"alone {shape} 1000"]
        for name, theirs in figures.items():
            peer, what = name.partition(" ")[0], f"a no-op task in a {shape} of 1,000, us"
            if name == f"{peer} {shape} 1000" and peer != "alone" and "run_us" in theirs:
                made.append(_row(what, peer, ours["run_us"], theirs["run_us"], better="less"))
    for size, seen in results["dht"]["figures"].items():
        made += _dht(size, seen)
    models = results.get("models", {}).get("medians", {})
    best = [name for name in models if name.startswith("PocketHive")]
    for measure in ("prefill512", "decode32", "decode512", "together8") if best else ():
        ours_name = max(best, key=lambda name, of=measure: models[name].get(of, 0.0))  # type: ignore[misc]  # mypy cannot see lambda defaults
        ours = models[ours_name][measure]
        for name, seen in models.items():
            if name not in best and measure in seen:
                row = (f"{measure}, tokens/s ({ours_name})", name, ours, seen[measure])
                made.append(_row(*row, better="more"))
    return made


def with_earlier(now: Sequence[Mapping[str, Any]], before: Record | None) -> list[dict[str, Any]]:
    """Rows of now, and those of an earlier record that have no peer here to be measured with."""
    if before is None:
        return [dict(row) for row in now]
    measured = set(map(_measure, now))
    kept = (row for row in before.results["rows"] if _measure(row) not in measured)
    return [*map(dict, now), *({"measured": before.ended, **row} for row in kept)]


def _measure(row: Mapping[str, Any]) -> tuple[str, str]:
    """What a row is of, whichever of our settings was best."""
    return row["what"].partition(" (PocketHive")[0], row["peer"]


def _dht(size: str, seen: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Ours with stock's own k beside each other contestant."""
    made = []
    for act in ("set", "get"):
        ours = seen["pockethive k=20"][f"{act}_cpu_ms"]
        for name, theirs in seen.items():
            if not name.startswith("pockethive"):
                what = f"a {act} among {size} nodes (k=20), ms of processor time of all"
                made.append(_row(what, name, ours, theirs[f"{act}_cpu_ms"], better="less"))
    return made


def _row(what: str, peer: str, ours: float, theirs: float, *, better: str) -> dict[str, Any]:
    ratio = theirs / ours if better == "less" else ours / theirs
    return {"what": what, "peer": peer, "ours": ours, "theirs": theirs, "ratio": round(ratio, 3)}


def section(record: Record) -> str:
    """This benchmark's part of the page."""
    told = [
        [
            *(row["what"], row["peer"], f"{row['ours']:.4g}", f"{row['theirs']:.4g}", row["ratio"]),
            row.get("measured", ""),
        ]
        for row in record.results["rows"]
    ]
    head = ["measure", "peer", "ours", "theirs", "ratio (above 1: ours is better)"]
    head += ["measured before, this peer not being here now"]
    return (
        "## Engine against peers\n\nNone of the task peers but langgraph with SQLite keeps "
        "anything; none signs, leases or verifies. kademlia's get believes the first answer.\n\n"
        f"{table(head, told)}"
    )


def _options() -> argparse.Namespace:
    return parser("bench.swarm.peers", home=False).parse_args()


if __name__ == "__main__":
    sys.exit(main())
