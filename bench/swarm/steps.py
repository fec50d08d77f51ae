"""Many small steps without error: jobs cut into micro-steps, voted on until one is ahead by k.

    make bench NAME=swarm.steps [FULL=1] [SEED=N]     (or python -m bench.swarm.steps [--full] …)

For each family: a job of held seeds long enough that one vote a step fails; every state on its
right way is put to the model in every form, once (`recorded`). From these chances: what the law
says, state by state; jobs played again by drawn votes (`resampled`); and what the mean p would
promise. Live runs are device processes with a team (`live.py`). Controls: the whole job in one
call, at this length and at the live one; one device with one vote a step; one device, greedy, in
each single form; choices replaced by random ones; in full runs, live too: one device with one vote,
and one that casts all votes.
`steps_page.py` makes the part of the page and its pictures.
"""

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

from bench.swarm.live import Played, Setting, rounds_for, seated
from bench.swarm.record import Watch, keep, parser
from bench.swarm.resample import (
    Job,
    Seen,
    correlation,
    from_mean,
    half_length,
    hopeless,
    predicted,
    resampled,
)
from bench.swarm.step_p import chances_of
from bench.swarm.whole import tried
from pockethive.actors.skills.voting import Ballot
from pockethive.core.ports import Model
from pockethive.inference import DEFAULT_MODEL, open_model
from pockethive.trials.families import family
from pockethive.trials.family import HELD_FROM, Step, walk
from pockethive.trials.laws import wilson

LEADS: Final = tuple(range(1, 9))
NAME: Final = "steps"
SHARE_OF_CHEATS: Final = 0.2


@dataclass(frozen=True, slots=True)
class Plan:
    """One family: lengths of the recorded job and of the live one, in the family's own units (0: no
    live one); how many steps live devices vote on in a round, by how much the first must be ahead,
    and how many votes each device has."""

    family: str
    long: int
    live: int
    at_once: int
    ahead: int = 4
    draws: int = 4


QUICK: Final = (
    Plan("tally", 40, 0, 16),
    Plan("labels", 120, 16, 16),
    Plan("timeline", 40, 0, 16),
    Plan("sums-by-counting", 200, 0, 16),
    Plan("sorting-by-counting", 64, 0, 16),
    Plan("hanoi-by-counting", 7, 0, 4),
)
FULL: Final = (
    Plan("tally", 300, 10, 20),
    Plan("labels", 1_000, 40, 40),
    Plan("timeline", 300, 10, 20),
    Plan("sums-by-counting", 1_000, 16, 32),
    Plan("products-by-counting", 12, 0, 16),
    Plan("sorting-by-counting", 256, 14, 16),
    Plan("hanoi-by-counting", 9, 6, 4),
)


def main() -> int:
    """Measure, keep and print."""
    options = _options()
    watch = Watch()
    plans = [each for each in (FULL if options.full else QUICK) if each.family in options.family]
    model = open_model(DEFAULT_MODEL, options.home)
    found: dict[str, Any] = {}
    for plan in plans:
        found[plan.family] = recorded(model, plan, options)
        print(_line(plan.family, found[plan.family]), flush=True)
    del model
    for plan in [each for each in plans if each.live and not options.no_live]:
        found[plan.family]["live"] = live(plan, options)
        print(plan.family, found[plan.family]["live"], flush=True)
    keep(NAME, options, found, watch)
    return 0


def recorded(model: Model, plan: Plan, options: argparse.Namespace) -> dict[str, Any]:
    """A job's states, the law, votes drawn again, and the controls that need no devices."""
    kind, seed, ballot = family(plan.family), HELD_FROM + options.seed, Ballot(model)
    job = kind.job(seed, plan.long)
    places: dict[tuple[str, tuple[tuple[str, str], ...]], int] = {}
    states: list[Seen] = []
    told: list[tuple[Step, str]] = []
    path = []
    for step in walk(kind, job):
        key = (step.form, tuple(sorted(step.places.items())))
        if key not in places:
            places[key] = len(states)
            right = kind.right(job, step)
            chances = tuple(
                tuple(round(each, 6) for each in way) for way in chances_of(ballot, step)
            )
            states.append(Seen(chances, step.options.index(right)))
            told.append((step, right))
        path.append(places[key])
    whole = Job(states, path)
    runs = 2_000 if options.full else 400
    return {
        "plan": asdict(plan),
        "steps": len(path),
        "states": len(states),
        "p": _summary(states),
        "hopeless": [_shown(told[n]) for n, each in enumerate(states) if each.p <= each.rival],
        "correlation": correlation(states),
        "leads": {
            k: {
                "law": predicted(whole, k),
                "mean_p": from_mean(whole, k),
                "half_length": half_length(states, k),
                "resampled": resampled(whole, k, runs, options.seed),
            }
            for k in LEADS
        },
        "lengths": _lengths(whole, options.seed, runs),
        "controls": _controls(model, plan, whole, options),
        "chances": [{"right": each.right, "ways": each.chances} for each in states],
    }


def _controls(model: Model, plan: Plan, whole: Job, options: argparse.Namespace) -> dict[str, Any]:
    tries = 20 if options.full else 2
    ways = range(min(len(each.chances) for each in whole.states))
    greedy = {
        way: sum(
            each.chances[way].index(max(each.chances[way])) == each.right for each in whole.states
        )
        for way in ways
    }
    pooled = sum(each.pooled.index(max(each.pooled)) == each.right for each in whole.states)
    return {
        "whole": whole_calls(model, plan.family, plan.long, tries),
        "whole_short": whole_calls(model, plan.family, plan.live, tries) if plan.live else None,
        "one_vote": resampled(whole, 1, 2_000, options.seed),
        "greedy_states": {"of": len(whole.states), "ways": greedy, "pooled": pooled},
        "random": _random(whole, options.seed),
        "cheats": {k: _cheated(whole, k, options.seed) for k in LEADS},
    }


def whole_calls(model: Model, name: str, length: int, tries: int) -> dict[str, Any]:
    """So many jobs of a length, each in one call."""
    kind, first = family(name), HELD_FROM + 1_000
    calls = [tried(model, kind, first + number, length) for number in range(tries)]
    right = sum(each["right"] for each in calls)
    return {
        "length": length,
        "right": right,
        "of": tries,
        "interval": wilson(right, tries),
        "wrote": [each["wrote"] or each["why"] for each in calls[:3]],
    }


def _random(whole: Job, seed: int) -> dict[str, Any]:
    """Votes that know nothing, as many as k = 3 may read."""
    even = [
        Seen((tuple(1 / len(s.chances[0]) for _ in s.chances[0]),), s.right) for s in whole.states
    ]
    return resampled(Job(even, whole.path), 3, 50, seed)


def _cheated(whole: Job, k: int, seed: int) -> dict[str, Any]:
    """One device of five always votes for the best wrong option; votes come from all alike."""
    return resampled(
        Job([each.cheated(SHARE_OF_CHEATS) for each in whole.states], whole.path), k, 200, seed
    )


def _lengths(whole: Job, seed: int, runs: int) -> list[dict[str, Any]]:
    """Success by length, states coming up in an order drawn by the seed."""
    order = list(whole.path)
    Random(seed).shuffle(order)
    mixed, made = Job(whole.states, order), []
    for length in (10, 30, 100, 300, 1_000, 3_000):
        cut = mixed.cut(length)
        ks = {
            k: {"law": predicted(cut, k)["success"], "resampled": resampled(cut, k, runs, seed)}
            for k in (1, 2, 3, 5)
        }
        made.append({"length": length, "leads": ks})
    return made


def live(plan: Plan, options: argparse.Namespace) -> dict[str, Any]:
    """Jobs through device processes; in full through one device, too, with as many votes or one."""
    runs = options.runs or (20 if options.full else 1)
    ways = {"3 devices": (3, plan.draws, plan.ahead)}
    if options.full:
        ways["1 device, as many votes"] = (1, 3 * plan.draws, plan.ahead)
        ways["1 device, one vote"] = (1, 1, 1)
    return {name: _seated(plan, how, runs, options) for name, how in ways.items()}


def _seated(
    plan: Plan, how: tuple[int, int, int], runs: int, options: argparse.Namespace
) -> dict[str, Any]:
    """Jobs by so many devices, each with so many votes, until one option is so far ahead."""
    devices, draws, ahead = how
    kind, first = family(plan.family), HELD_FROM + 2_000 + options.seed
    seeds = range(first, first + runs)
    setting = Setting(
        devices=devices,
        rounds=rounds_for(kind, [kind.job(seed, plan.live) for seed in seeds], plan.at_once),
        at_once=plan.at_once,
        draws=draws,
        ahead=ahead,
        salt=f"seed {options.seed}",
    )
    with (
        tempfile.TemporaryDirectory() as scratch,
        seated(setting, Path(scratch), options.home) as seats,
    ):
        played = [_shown_run(seats.play(plan.family, seed, plan.live)) for seed in seeds]
    right = sum(each.right for each in played)
    return {
        "setting": asdict(setting),
        "right": right,
        "of": runs,
        "interval": wilson(right, runs),
        "runs": [asdict(each) for each in played],
    }


def _shown_run(played: Played) -> Played:
    print(f"  {played.job}: {'right' if played.right else 'wrong'}, {played.seconds} s", flush=True)
    return played


def _summary(states: Sequence[Seen]) -> dict[str, Any]:
    p = sorted(each.p for each in states)
    right = sum(each.p > each.rival for each in states)
    return {
        "mean": sum(p) / len(p),
        "least": p[0],
        "median": p[len(p) // 2],
        "rival": sum(each.rival for each in states) / len(states),
        "right": right,
        "interval": wilson(right, len(states)),
        "hopeless": hopeless(states),
    }


def _shown(told: tuple[Step, str]) -> dict[str, Any]:
    return {"places": dict(told[0].places), "right": told[1]}


def _line(name: str, found: Mapping[str, Any]) -> str:
    leads = {
        k: each["resampled"]["right"] / each["resampled"]["of"]
        for k, each in found["leads"].items()
    }
    p = found["p"]
    return (
        f"{name}: {found['steps']} steps, {found['states']} states, p {p['mean']:.3f} (least "
        f"{p['least']:.3f}, rival {p['rival']:.3f}, hopeless {p['hopeless']}), whole jobs right: "
        + ", ".join(f"k={k} {value:.2f}" for k, value in leads.items())
    )


def _options() -> argparse.Namespace:
    told = parser("bench.swarm.steps")
    told.add_argument("--runs", type=int, default=0, help="live runs of a family")
    told.add_argument("--no-live", action="store_true")
    told.add_argument("--family", nargs="+", default=[each.family for each in FULL])
    return told.parse_args()


if __name__ == "__main__":
    sys.exit(main())
