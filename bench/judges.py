"""Who gets to judge when friends of a worker race for verify slots: three rules compared.

    python -m bench.judges [--outputs N] [--seed N]

`none`: slots go to whoever asks first. `opening`: a device's rank is a number x in [0, 1); a slot
is open to x <= slots/n at once, and the bound doubles every second. `invited`: only whom the owner
drew gets one. Colluders ask the moment a rule lets them; honest verifiers when they are drawn, and
check for some seconds. Prints JSON: in how many of the outputs colluders could give the verdicts
that decide before the honest verifier drawn first has ended.
"""

import argparse
import json
import random

from bench.machine import machine

SPARE = 2  # slots beyond the one that is needed


def decided(rule: str, dice: random.Random, count: int, bad: int, seconds: float) -> bool:
    """Whether a colluder holds a slot before the first honest verdict; the first `bad` collude."""
    ranks = [dice.random() for _ in range(count)]
    first = min(range(count), key=ranks.__getitem__)
    if rule == "invited" or first < bad:
        return first < bad
    if rule == "none":
        return bad > 0
    bound: float = (1 + SPARE) / count * 2 ** int(seconds)
    return min(ranks[:bad]) <= bound


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.judges", description=__doc__)
    parser.add_argument("--outputs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(json.dumps({"machine": machine(), **vars(options)}))
    for count, bad in ((10, 1), (40, 12), (500, 25), (500, 150)):
        for seconds in (0.5, 4.0):
            row: dict[str, float | int] = {"devices": count, "collude": bad, "check": seconds}
            for rule in ("none", "opening", "invited"):
                dice = random.Random(options.seed)
                wins = sum(decided(rule, dice, count, bad, seconds) for _ in range(options.outputs))
                row[rule] = round(wins / options.outputs, 4)
            print(json.dumps(row))


if __name__ == "__main__":
    main()
