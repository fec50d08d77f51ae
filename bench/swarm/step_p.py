"""How often a model is right about single micro-steps, per form and over all forms.

    python -m bench.swarm.step_p --family NAME… [--split dev|held] [--states N] [--seed S]

States are drawn, evenly and by seed, among the distinct steps (form and places) of jobs whose
earlier choices were all right; jobs are made until there are several times as many as wanted or no
new ones come. Every state is put to the model in every way. `p`: the chance of the right option,
softmax over the options' nats (see `trials.forms`); `rival`: that of the best wrong one; `right`:
how often p is above it; `below`: how often it is not. `pooled`: of the mean over ways, from which a
vote is drawn when its way is. Intervals are Wilson's, 95 in 100. Prints one JSON object; with
`--worst N` the N states of the lowest pooled p, too.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Any

from bench.bundles import default_folder
from bench.machine import machine
from bench.swarm.resample import Seen as State
from pockethive.actors.skills.voting import Ballot
from pockethive.configs.home import default_home
from pockethive.inference.bundle import open_bundle
from pockethive.inference.session import Session
from pockethive.trials.families import FAMILIES, family
from pockethive.trials.family import HELD_FROM, Family, Job, Step, walk
from pockethive.trials.forms import forms_of
from pockethive.trials.laws import wilson

LENGTHS = {"hanoi": 7, "products": 4, "sums": 12, "sorting": 24}
LENGTH = 40
JOBS = 40  # at most, to draw states from


@dataclass(frozen=True, slots=True)
class Seen:
    """One state: its step, the right option, and the chances of all options in each way."""

    step: Step
    right: str
    chances: tuple[tuple[float, ...], ...]

    @property
    def state(self) -> State:
        """What a vote on it comes to, its way being drawn."""
        return State(self.chances, self.step.options.index(self.right))


def main() -> int:
    """Measure and print."""
    options = _options()
    folder = default_folder(options.home)
    session = Session(open_bundle(folder), threads=options.threads)
    report: dict[str, Any] = {
        "machine": machine("openvino", "numpy"),
        "class": session.model_class.id,
        "split": options.split,
        "seed": options.seed,
        "families": {name: measured(session, name, options) for name in options.family},
    }
    text = json.dumps(report, indent=2, ensure_ascii=False)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text + "\n")
    print(text)
    return 0


def measured(session: Session, name: str, options: argparse.Namespace) -> dict[str, Any]:
    """One family's figures: for each form of its steps, over its states."""
    began, kind = time.monotonic(), family(name)
    found = states(kind, options.split, options.seed)
    only = set(options.form) or set(found)
    made: dict[str, Any] = {}
    for form, steps in found.items():
        if form in only:
            drawn = Random(options.seed).sample(steps, min(options.states, len(steps)))
            ballot = Ballot(session)
            seen = [
                Seen(step, kind.right(job, step), chances_of(ballot, step)) for job, step in drawn
            ]
            made[form] = {"of": len(steps), **figures(seen, options.worst)}
    return {"forms": made, "seconds": round(time.monotonic() - began)}


def states(kind: Family, split: str, seed: int) -> dict[str, list[tuple[Job, Step]]]:
    """Distinct steps of jobs of a split, by form."""
    found: dict[str, dict[object, tuple[Job, Step]]] = {}
    first = (HELD_FROM if split == "held" else 0) + seed * JOBS
    length = next((n for part, n in LENGTHS.items() if kind.name.startswith(part)), LENGTH)
    for number in range(first, first + JOBS):
        job = kind.job(number, length)
        for step in walk(kind, job):
            key = tuple(sorted(step.places.items()))
            found.setdefault(step.form, {}).setdefault(key, (job, step))
        if kind.name.startswith("hanoi"):
            break  # there is one job of a length
    return {form: list(each.values()) for form, each in found.items()}


def chances_of(ballot: Ballot, step: Step) -> tuple[tuple[float, ...], ...]:
    """The chances of a step's options in each way, as a device that votes reckons them."""
    return tuple(ballot.chances(step, way) for way in forms_of(step).ways)


def figures(seen: Sequence[Seen], worst: int) -> dict[str, Any]:
    """Per way and pooled."""
    ways, states_ = forms_of(seen[0].step).ways, [each.state for each in seen]
    made = {
        way.name: _row([State((each.chances[number],), each.right) for each in states_])
        for number, way in enumerate(ways)
    }
    found: dict[str, Any] = {"pooled": _row(states_), "ways": made}
    if worst:
        found["worst"] = [_told(e) for e in sorted(seen, key=lambda each: each.state.p)[:worst]]
    return found


def _row(given: Sequence[State]) -> dict[str, Any]:
    count, right = len(given), sum(each.p > each.rival for each in given)
    low, high = wilson(right, count)
    return {
        "states": count,
        "right": round(right / count, 4),
        "interval": [round(low, 4), round(high, 4)],
        "p": round(fmean(each.p for each in given), 4),
        "rival": round(fmean(each.rival for each in given), 4),
        "below": round(1 - right / count, 4),
        "least_p": round(min(each.p for each in given), 4),
    }


def _told(each: Seen) -> dict[str, Any]:
    rounded = (round(x, 3) for x in each.state.pooled)
    chances = dict(zip(each.step.options, rounded, strict=True))
    most = sorted(chances.items(), key=lambda row: -row[1])[:4]
    return {"places": dict(each.step.places), "right": each.right, "chances": dict(most)}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--family", nargs="+", choices=tuple(FAMILIES), required=True)
    parser.add_argument("--form", nargs="*", default=(), help="only these forms of steps")
    parser.add_argument("--split", choices=("dev", "held"), default="dev")
    parser.add_argument("--states", type=int, default=60, help="of each form, at most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--worst", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--home", type=Path, default=default_home())
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
