"""A hive of five device processes, one of which answers at random now and then; `recompute`, m = 2.

    python -m bench.cheats [--tasks N] [--share PERCENT] [--nodes N] [--seed N]

The work is a sum without a model: a skill that a package brings (entry points of the group
`pockethive.skills`), in an honest build and in one that answers a share of tasks at random. The
owner's device works, too. Every home is another person's. Prints what was committed, held against
the truth, what `pockethive verify-receipt` and `pockethive peers` say, and exits with 1 when
something wrong was committed or the cheat's record is as good as that of the others.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.machine import machine

SKILL = '''
import random


def digits(number):
    """The sum of the digits of number to the power of itself."""
    return sum(map(int, str(number**number)))


class Sum:
    name = "sum"
    needs_model = False

    def run(self, work, tools):
        from pockethive.actors.skill import Product

        number = work.params["number"]
        answer = digits(number)
        {lie}
        return Product(value={{"number": number, "answer": str(answer)}})
'''
LIE = """dice = random.Random({seed!r} + work.task)
        if dice.random() < {share}:
            answer = dice.randrange(10_000)"""
POINTS = "[pockethive.skills]\nsum = bench_sums:Sum\n"


@dataclass(frozen=True, slots=True)
class Seat:
    """A running node: its process, contact and device."""

    process: "subprocess.Popen[str]"
    contact: str
    device: str


def digits(number: int) -> str:
    """What the skill answers."""
    return str(sum(map(int, str(number**number))))


def install(folder: Path, lie: str = "pass") -> Path:
    """A folder that, on the path, is an installed package that brings the skill."""
    about = folder / "bench_sums-1.0.dist-info"
    about.mkdir(parents=True)
    (folder / "bench_sums.py").write_text(SKILL.format(lie=lie))
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: bench-sums\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(POINTS)
    return folder


def team(tasks: int) -> str:
    """A team file of so many sums, each to be made alike by two devices."""
    steps = "".join(
        f"    s{n}: {{role: adder, params: {{number: {n}}}}}\n" for n in range(1, tasks + 1)
    )
    return (
        "team: sums\nroles:\n  adder: {skill: sum, verify: recompute}\n"
        f"limits: {{timeout: 2h, lease: 60s, attempts: 8, max_tasks: {tasks}}}\n"
        f"planner:\n  steps:\n{steps}"
    )


def command(*parts: str, path: Path) -> subprocess.CompletedProcess[str]:
    """A `pockethive` command with this package on its path."""
    line = [sys.executable, "-m", "pockethive", *parts]
    return subprocess.run(
        line, env=environment(path), capture_output=True, text=True, check=False, timeout=7_200
    )


def environment(path: Path) -> dict[str, str]:
    """This environment with a package folder."""
    return {**os.environ, "PYTHONPATH": str(path)}


@contextmanager
def node(home: Path, path: Path, join: Sequence[str]) -> Iterator[Seat]:
    """A node of a person of its own, which lends itself."""
    line = [sys.executable, "-m", "pockethive", "node", "--follow", "--lend=always"]
    line += [f"--home={home}", *(f"--join={contact}" for contact in join)]
    with (home.parent / f"{home.name}.log").open("wb") as log:
        process = subprocess.Popen(
            line,
            env=environment(path),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        try:
            assert process.stdout is not None
            ready = json.loads(process.stdout.readline())
            yield Seat(process, ready["contact"], ready["device"])
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            assert process.stdout is not None
            process.stdout.close()


def play(folder: Path, tasks: int, share: float, nodes: int, seed: str) -> dict[str, Any]:
    """One run of so many sums; the last of the nodes has the cheating build."""
    honest = install(folder / "honest")
    cheating = install(folder / "cheating", LIE.format(seed=seed, share=share))
    plan = folder / "sums.yaml"
    plan.write_text(team(tasks))
    with ExitStack() as stack:
        seats: list[Seat] = []
        for number in range(nodes):
            path = cheating if number == nodes - 1 else honest
            join = [seat.contact for seat in seats[:1]]
            seats.append(stack.enter_context(node(folder / f"home-{number}", path, join)))
        joins = [f"--join={seat.contact}" for seat in seats]
        home = f"--home={folder / 'owner'}"
        asked = [str(plan), "add them up", "--json", "--devices=0", home]
        files = [f"--answer={folder / 'answer'}", f"--receipts={folder / 'receipt'}"]
        began = time.monotonic()
        done = command("run", *asked, *joins, *files, path=honest)
        seconds = time.monotonic() - began
        if done.returncode:
            raise RuntimeError(f"{done.stdout[-2000:]}{done.stderr[-2000:]}")
        asking = (joins[0], home)
        peers = command("peers", *asking, path=honest).stdout
        known = json.loads(command("peers", *asking, "--json", path=honest).stdout)
    receipt = command("verify-receipt", str(folder / "receipt"), "--json", path=honest)
    return {
        **_judged(json.loads(done.stdout), sorted(folder.glob("answer*"))),
        **_standing(known, seats[-1].device),
        "receipt_holds": receipt.returncode == 0,
        "seconds": round(seconds, 1),
        "cheat": seats[-1].device,
        "peers": peers,
    }


def _judged(result: dict[str, Any], blobs: Sequence[Path]) -> dict[str, Any]:
    """What was committed, held against the truth."""
    values = [json.loads(blob.read_bytes())["value"] for blob in blobs]
    wrong = [value for value in values if value["answer"] != digits(value["number"])]
    states = [task["status"] for task in result["tasks"]]
    return {
        "status": result["status"],
        "tasks": len(states),
        "committed": states.count("committed"),
        "read": len(values),
        "wrong": len(wrong),
        "worked_again": sum(task["attempts"] > 1 for task in result["tasks"]),
    }


def _standing(peers: list[dict[str, Any]], cheat: str) -> dict[str, Any]:
    """What the owner has seen of the cheat, and of all others together."""
    seen = {peer["device"]: peer["credit"] for peer in peers}
    own = seen.pop(cheat, [])
    return {
        "cheat_invalid": sum(credit["invalid"] for credit in own),
        "cheat_valid": sum(credit["valid"] for credit in own),
        "why": [credit["fell"] for credit in own],
        "others_invalid": sum(credit["invalid"] for each in seen.values() for credit in each),
        "others_valid": sum(credit["valid"] for each in seen.values() for credit in each),
    }


def holds(figures: dict[str, Any]) -> bool:
    """Whether nothing wrong was committed and the cheat alone is known for one."""
    return bool(
        figures["wrong"] == 0
        and figures["committed"] == figures["read"] == figures["tasks"]
        and figures["cheat_invalid"] > 0
        and figures["others_invalid"] == 0
        and figures["receipt_holds"]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Play it and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tasks", type=int, default=300)
    parser.add_argument("--share", type=int, default=30, help="per cent of tasks it lies about")
    parser.add_argument("--nodes", type=int, default=4, help="beside the owner's device")
    parser.add_argument("--seed", default="1")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="pockethive-cheats-") as name:
        share = options.share / 100
        figures = play(Path(name), options.tasks, share, options.nodes, options.seed)
    print(figures.pop("peers"))
    print(json.dumps({"machine": machine("pykka"), **vars(options), **figures}, indent=1))
    return int(not holds(figures))


if __name__ == "__main__":
    raise SystemExit(main())
