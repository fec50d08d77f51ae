"""Contested tasks in bad company: how many histories keep every promise, and which mutants do not.

    python -m bench.histories [--count N] [--seed N] [--mutants N] [--only NAME]

Plays `count` histories of the protocol as it is, from `seed` on, then up to `mutants` of each
mutant. Prints a line of JSON each. The exit status is 1 when a history broke a promise or a mutant
got away. `--count 1 --seed N` plays one again and tells its faults.
"""

import argparse
import json
import sys
import time
from typing import Any

from bench.histories.contest import Contest, Rules
from bench.histories.mutants import MUTANTS
from bench.machine import machine


def told(seeds: range, rules: Rules) -> dict[str, Any]:
    """What some histories were, summed; the faults of the first three that had any."""
    sums = {"leases": 0, "commits": 0, "replaced": 0, "lost": 0}
    broken: dict[int, list[str]] = {}
    for seed in seeds:
        history = Contest(seed, rules).play()
        sums["leases"] += len(history.leases)
        sums["commits"] += sum(map(len, history.commits.values()))
        sums["replaced"] += history.replaced
        sums["lost"] += history.lost
        if history.faults:
            broken[seed] = history.faults
    return {
        "histories": len(seeds),
        "first_seed": seeds.start,
        **sums,
        "broken": len(broken),
        "faults": {seed: faults[:3] for seed, faults in list(broken.items())[:3]},
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.histories", description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--mutants", type=int, default=40)
    parser.add_argument("--only", choices=(*MUTANTS, "protocol"))
    options = parser.parse_args()
    print(json.dumps({"machine": machine()}), flush=True)
    good = True
    if options.only in (None, "protocol"):
        begun = time.process_time()
        found = told(range(options.seed, options.seed + options.count), Rules())
        found["cpu_seconds"] = round(time.process_time() - begun, 1)
        print(json.dumps({"protocol": found}), flush=True)
        good = not found["broken"]
    for name, mutant in MUTANTS.items():
        if options.only not in (None, name) or not options.mutants:
            continue
        with mutant() as rules:
            found = told(range(options.seed, options.seed + options.mutants), rules)
        print(json.dumps({name: found}), flush=True)
        good = good and found["broken"] > 0
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
