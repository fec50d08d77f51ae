"""docs/benchmarks.md, made of the records: `python -m bench.swarm.page`.

Each benchmark says its own part in `SECTIONS`; one that never ran is said to be missing. Never edit
the page by hand.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bench.swarm.record import Record, best

PAGE: Final = Path(__file__).parents[2] / "docs" / "benchmarks.md"
_HEAD: Final = """# Does a swarm of small models beat one device?

Made by `make bench NAME=all` from the JSON files under `bench/swarm/results/`; do not edit. How it
is built: [proof.md](proof.md). A share stands with its 95 % interval (Wilson). *live* is a run of
device processes; *resampled* draws votes again from chances that the real model gave; *law* is
computed.
"""


def sections() -> Mapping[str, Callable[[Record], str]]:
    """By name of the benchmark, what turns its record into a part of the page."""
    from bench.swarm import peers, shards, steps_page, topics, verification

    return {
        "shards": shards.section,
        "shards_cheats": shards.cheats_section,
        "topics": topics.section,
        "steps": steps_page.section,
        "verification": verification.section,
        "peers": peers.section,
    }


def main() -> int:
    """Write the page."""
    parts = [_HEAD]
    for name, section in sections().items():
        record = best(name)
        if record is None:
            parts.append(f"## {name}\n\nNot measured yet: `{command(name)}`.\n")
        else:
            parts.append(f"{section(record)}\n{footing(record)}\n")
    PAGE.write_text("\n".join(parts), encoding="utf-8")
    return 0


def footing(record: Record) -> str:
    """Where and how a record was made."""
    told = record.machine
    packages = ", ".join(f"{name} {number}" for name, number in told["packages"].items())
    return (
        f"*`{command(record.name)}{' --full' * record.full} --seed {record.seed}`, {record.ended}, "
        f"{record.seconds:.0f} s wall, {record.cpu_seconds:.0f} s of processor time; "
        f"{told['processor']}, {told['cores']} cores, load {told['load_1_minute']}; "
        f"Python {told['python']}, {packages}.*\n"
    )


def command(name: str) -> str:
    """What makes a record of this name; `make bench` gives it no more than FULL and SEED."""
    module, _, option = name.partition("_")
    return f"python -m bench.swarm.{module}" + f" --{option}" * bool(option)


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines) + "\n"


def share(right: int, of: int, interval: Sequence[float]) -> str:
    """`19 of 20 (76 to 99 %)`."""
    low, high = (round(100 * each) for each in interval)
    return f"{right} of {of} ({low} to {high} %)"


if __name__ == "__main__":
    sys.exit(main())
