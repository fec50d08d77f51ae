"""What the base actor costs beside bare Pykka, in the same process and run; prints JSON.

    python -m bench.actors [--messages N] [--repeats N]

CPU is that of the whole process (both threads of a round trip), in microseconds a message.
`raw` holds every repeat; figures are medians.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any, TypeAlias

from pykka import ActorRef, ThreadingActor

from bench.machine import machine
from pockethive.actors.base import BaseActor, Ref
from pockethive.actors.letters import Mailbox
from pockethive.actors.supervisor import ChildSpec, Supervisor

WAIT = 60.0

Target: TypeAlias = "Ref | ActorRef[Bare]"


class Bare(ThreadingActor):
    """Pykka's own, echoing."""

    def on_receive(self, message: Any) -> Any:
        return message


class Ours(BaseActor):
    """The base actor, echoing; raises what it is told to."""

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, Exception):
            raise message
        return message


def measured(run: Callable[[Target, int], None], ref: Target, count: int) -> dict[str, float]:
    """CPU and wall microseconds for each of `count` messages."""
    cpu, wall = time.process_time(), time.perf_counter()
    run(ref, count)
    return {
        "cpu_us": (time.process_time() - cpu) / count * 1e6,
        "wall_us": (time.perf_counter() - wall) / count * 1e6,
    }


def ask(ref: Target, count: int) -> None:
    """Round trips, one after another."""
    for number in range(count):
        ref.ask(number, timeout=WAIT)


def tell(ref: Target, count: int) -> None:
    """One-way messages; an ask at the end waits until all are handled."""
    for number in range(count):
        ref.tell(number)
    ref.ask(0, timeout=WAIT)


def messages(count: int, repeats: int) -> dict[str, list[dict[str, float]]]:
    """Asks and tells, bare and ours in turn, so that a noisy moment hits both."""
    bare, actor = Bare.start(), Ours()
    ours = actor.launch(Mailbox("ours", limit=count + 1))

    raw: dict[str, list[dict[str, float]]] = {}
    for _ in range(repeats):
        targets: tuple[tuple[str, Target], ...] = (("bare", bare), ("ours", ours))
        for name, ref in targets:
            for kind in (ask, tell):
                figures = measured(kind, ref, count)
                raw.setdefault(f"{kind.__name__}_{name}", []).append(figures)
    bare.stop()
    actor.actor_ref.stop()
    return raw


def restarts(repeats: int) -> list[float]:
    """Milliseconds from sending what crashes an actor to its successor's first answer."""
    supervisor = Supervisor("bench")
    spec = ChildSpec(name="child", factory=Ours, max_restarts=repeats)
    ref: Ref = supervisor.start(spec)
    raw = []
    for _ in range(repeats):
        began = time.perf_counter()
        ref.tell(ValueError("crash"))
        ref.ask(0, timeout=WAIT)
        raw.append((time.perf_counter() - began) * 1e3)
    supervisor.stop(WAIT)
    return raw


CROWD = 4
WAITING = 1_000


def crashes(repeats: int) -> dict[str, list[float]]:
    """One of four agents crashes while a thousand letters wait for each of them.

    `crowd_crash_ms`, `crowd_calm_ms`: until a letter to that agent is answered, with and without a
    crash before it; all share one interpreter lock. `crowd_lost`: letters of all four that were not
    answered.
    """
    raw: dict[str, list[float]] = {"crowd_crash_ms": [], "crowd_calm_ms": [], "crowd_lost": []}
    for turn in range(2 * repeats):
        crash = turn % 2 == 0
        supervisor = Supervisor("bench")
        refs = [
            supervisor.start(ChildSpec(name=f"agent {n}", factory=Ours, mailbox_limit=2 * WAITING))
            for n in range(CROWD)
        ]
        others = [ref.request(n) for ref in refs[1:] for n in range(WAITING)]
        began = time.perf_counter()
        if crash:
            refs[0].tell(ValueError("crash"))
        refs[0].ask(0, timeout=WAIT)
        raw[f"crowd_{'crash' if crash else 'calm'}_ms"].append((time.perf_counter() - began) * 1e3)
        own = [refs[0].request(number) for number in range(WAITING)]
        answered = sum(reply.get(timeout=WAIT) is not None for reply in (*own, *others))
        raw["crowd_lost"].append(float(CROWD * WAITING - answered))
        supervisor.stop(WAIT)
    return raw


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    raw = messages(args.messages, args.repeats)
    restart_ms, crashed = restarts(20), crashes(args.repeats)
    figures = {
        name: {unit: round(statistics.median(run[unit] for run in runs), 2) for unit in runs[0]}
        for name, runs in raw.items()
    }
    report = {
        "bench": "actors",
        "machine": machine("pykka"),
        "messages": args.messages,
        "figures": figures
        | {"restart_ms": round(statistics.median(restart_ms), 3)}
        | {name: round(statistics.median(values), 3) for name, values in crashed.items()},
        "raw": raw | {"restart_ms": restart_ms} | crashed,
    }
    json.dump(report, sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
