"""Wrong results accepted, and what it costs to find them: simulation against theory.

    python -m bench.validation [--seed N] [--size X] [--json OUT]

m-first voting, spot checks with blacklist and backtracking (Sarmenta), adaptive replication
(BOINC), group credibility; then a table for shares of saboteurs, with this hive's own rules. What
the ledger decides by is asked of the core. Every figure has an interval of three standard errors.
"""

import argparse
import json
import math
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.machine import machine
from pockethive.core.credibility import LEAST_IN_A_ROW, Standing, after, drawn, trust
from pockethive.core.task import TaskId
from pockethive.core.voting import expected_votes, group_credibility, m_first, voting_error

Z = 3.0  # standard errors either way: 99.7 %
SHARES = (0.05, 0.1, 0.2, 0.35)
SPOT_CHECKS = ((0.1, 0.1, 100), (0.2, 0.1, 50), (0.05, 0.05, 200))  # f, q, n
GROUPS: Mapping[str, Sequence[float]] = {"Z": (0.967, 0.998), "M": (0.933,)}
RATES = (1.0, 0.3, 0.1, 0.03)  # of sabotage, once trusted


@dataclass(frozen=True, slots=True)
class Estimate:
    """A simulated figure, its interval, and what theory says, if it says anything."""

    value: float
    low: float
    high: float
    theory: float | None = None

    @property
    def holds(self) -> bool:
        """Whether theory lies within the interval."""
        return self.theory is None or self.low <= self.theory <= self.high


def share(hits: int, of: int, theory: float | None = None) -> Estimate:
    """A share with Wilson's interval."""
    p, z2 = hits / of, Z * Z
    middle = (p + z2 / (2 * of)) / (1 + z2 / of)
    half = Z * math.sqrt(p * (1 - p) / of + z2 / (4 * of * of)) / (1 + z2 / of)
    return Estimate(p, max(0.0, middle - half), middle + half, theory)


def average(values: Sequence[float], theory: float | None = None) -> Estimate:
    """A mean with a normal interval."""
    mean = sum(values) / len(values)
    spread = sum((value - mean) ** 2 for value in values) / max(1, len(values) - 1)
    half = Z * math.sqrt(spread / len(values))
    return Estimate(mean, mean - half, mean + half, theory)


# m-first voting


def votes(chance: random.Random, wrong: float) -> Iterator[tuple[int, str]]:
    """Votes of ever new devices; all wrong ones agree."""
    device = 0
    while True:
        yield device, "wrong" if chance.random() < wrong else "right"
        device += 1


def counted(chance: random.Random, m: int, wrong: float) -> tuple[bool, int]:
    """One m-first vote: whether the wrong answer won, and how many votes it took."""
    seen: list[tuple[int, str]] = []

    def watched() -> Iterator[tuple[int, str]]:
        for vote in votes(chance, wrong):
            seen.append(vote)
            yield vote

    return m_first(watched(), m) == "wrong", len(seen)


def voting(chance: random.Random, m: int, wrong: float, trials: int) -> tuple[Estimate, Estimate]:
    """The error of m-first voting and the votes it takes."""
    results = [counted(chance, m, wrong) for _ in range(trials)]
    errors = share(sum(lost for lost, _ in results), trials, voting_error(m, wrong))
    return errors, average([float(count) for _, count in results], expected_votes(m, wrong))


# spot checks


def spot_error(f: float, q: float, n: int, s: float) -> float:
    """Wrong results accepted when checks at rate `q` find saboteurs, who then lose everything."""
    stays = (1 - q * s) ** n
    return f * s * stays / ((1 - f) + f * stays)


def worst_rate(f: float, q: float, n: int) -> float:
    """The rate of sabotage that harms most, to four places; about 1 / (q * (n + 1))."""
    return max((step / 10_000 for step in range(1, 10_001)), key=lambda s: spot_error(f, q, n, s))


def spot_bound(f: float, q: float, n: int) -> float:
    """No saboteur can do more harm than this."""
    return f / (1 - f) / (q * n * math.e)


def spot_checks(chance: random.Random, f: float, q: float, n: int, workers: int) -> Estimate:
    """Workers with `n` results each beside checks; a caught one leaves, its results are void."""
    s, saboteurs = worst_rate(f, q, n), round(f * workers)
    done = [(0, n)] * (workers - saboteurs)
    for _ in range(saboteurs):
        wrong = 0
        for _ in range(n):
            if chance.random() < q and chance.random() < s:
                break
            wrong += chance.random() < s
        else:
            done.append((wrong, n))
    accepted = sum(count for _, count in done)
    error = sum(wrong for wrong, _ in done) / accepted
    spread = sum((wrong - error * count) ** 2 for wrong, count in done)
    half = Z * math.sqrt(spread) / accepted
    return Estimate(error, error - half, error + half, spot_error(f, q, n, s))


# adaptive replication


def honest_overhead(jobs: int) -> float:
    """The share of an honest device's first `jobs` that is verified, exactly: every verified one
    lengthens the row, so the chance of each row is followed job by job."""
    rows = {0: 1.0}
    for _ in range(jobs):
        then: dict[int, float] = {}
        for row, chance in rows.items():
            unchecked = trust(Standing(row))
            then[row] = then.get(row, 0.0) + chance * unchecked
            then[row + 1] = then.get(row + 1, 0.0) + chance * (1 - unchecked)
        rows = {row: chance for row, chance in then.items() if chance > 1e-15}
    return sum(row * chance for row, chance in rows.items()) / jobs


def honest(secret: bytes, jobs: int, devices: int) -> Estimate:
    """Honest devices under the ledger's own rule."""
    found = []
    for device in range(devices):
        standing = Standing()
        for job in range(jobs):
            if drawn(secret, TaskId(f"{device}/{job}"), 1) >= trust(standing):
                standing = after(standing, valid=True)
        found.append(standing.valid / jobs)
    return average(found, honest_overhead(jobs))


# group credibility


def groups(chance: random.Random, trials: int) -> dict[str, Estimate]:
    """Voters as right as they are credible; what is looked at is when at most one group was."""
    right, kept = dict.fromkeys(GROUPS, 0), 0
    for _ in range(trials):
        all_right, mixed = [], False
        for answer, credibilities in GROUPS.items():
            good = [chance.random() < each for each in credibilities]
            mixed = mixed or any(good) != all(good)
            if all(good):
                all_right.append(answer)
        if mixed or len(all_right) > 1:
            continue
        kept += 1
        for answer in all_right:
            right[answer] += 1
    theory = group_credibility(GROUPS)
    return {answer: share(right[answer], kept, theory[answer]) for answer in GROUPS}


# this hive's rules against saboteurs


@dataclass(frozen=True, slots=True, kw_only=True)
class Hive:
    """Saboteurs work honestly until they are trusted, then cheat at `rate`. Where an output is
    verified, two equal answers decide, and saboteurs stand by each other.

    `forgives`: whether a caught device can earn credit again.
    """

    saboteurs: float
    rate: float
    forgives: bool
    devices: int = 20
    runs: int = 100
    run_jobs: int = 100


@dataclass(slots=True)
class _Run:
    instances: int = 0
    wrong: int = 0


def adaptive(chance: random.Random, hive: Hive) -> tuple[float, float]:
    """Wrong outputs that stand when their run ends, and instances beyond one, as shares of jobs."""
    bad = round(hive.saboteurs * hive.devices)
    standings = [Standing()] * hive.devices
    total = _Run()
    for _ in range(hive.runs):
        credit: dict[int, list[bool]] = {}  # by device: which of its waived outputs are wrong
        for _ in range(hive.run_jobs):
            device = chance.randrange(hive.devices)
            standing = standings[device]
            trusted = trust(standing) if hive.forgives or not standing.invalid else 0.0
            lies = device < bad and trusted > 0 and chance.random() < hive.rate
            total.instances += 1
            if chance.random() < trusted:
                credit.setdefault(device, []).append(lies)
                continue
            won, count = _verified(chance, bad / hive.devices, lies=lies)
            total.instances += count
            total.wrong += won
            standings[device] = after(standing, valid=won or not lies)
            if lies and not won:
                for _ in credit.pop(device, []):  # done anew by somebody else, and verified
                    again, count = _verified(chance, bad / hive.devices, lies=None)
                    total.instances += 1 + count
                    total.wrong += again
        total.wrong += sum(sum(outputs) for outputs in credit.values())
    jobs = hive.runs * hive.run_jobs
    return total.wrong / jobs, total.instances / jobs - 1


def _verified(chance: random.Random, wrong: float, *, lies: bool | None) -> tuple[bool, int]:
    """Whether a wrong output was accepted, and how many votes it took beside the first.

    `lies`: what the first vote is; None: a device's like any other. Saboteurs defend a lie.
    """
    first = chance.random() < wrong if lies is None else lies
    seen: list[tuple[int, str]] = [(-1, "wrong" if first else "right")]
    for vote in votes(chance, wrong if first or lies is None else 0.0):
        seen.append(vote)
        winner = m_first(seen, 2)
        if winner is not None:
            return winner == "wrong", len(seen) - 1
    raise AssertionError("votes never end")


def table_row(chance: random.Random, f: float, size: float) -> dict[str, Any]:
    """Wrong results accepted and overhead with a share `f` of saboteurs."""
    row: dict[str, Any] = {"saboteurs": f}
    for m in (2, 3):
        error, count = voting(chance, m, f, max(2_000, round(200_000 * size)))
        row[f"m={m}"] = {"wrong": asdict(error), "instances": asdict(count)}
    for name, forgives in (("adaptive", True), ("adaptive, no second chance", False)):
        worst: dict[str, Any] = {}
        for rate in RATES:
            hive = Hive(saboteurs=f, rate=rate, forgives=forgives)
            plays = [adaptive(chance, hive) for _ in range(max(3, round(10 * size)))]
            wrong = average([play[0] for play in plays])
            if not worst or wrong.value > worst["wrong"]["value"]:
                cost = average([play[1] for play in plays])
                worst = {"rate": rate, "wrong": asdict(wrong), "overhead": asdict(cost)}
        row[name] = worst
    return row


def everything(seed: int, size: float) -> dict[str, Any]:
    """All figures. `size` 1 takes about a minute; a smaller one widens the intervals."""
    chance = random.Random(seed)
    trials = max(2_000, round(400_000 * size))
    votings: dict[str, Any] = {}
    for m, wrong in ((2, 0.05), (2, 0.1), (2, 0.2), (3, 0.05), (3, 0.1), (15, 0.35)):
        error, count = voting(chance, m, wrong, max(2_000, trials // m))
        votings[f"m={m} phi={wrong:g}"] = {"error": error, "instances": count}
    workers = max(4_000, round(100_000 * size))
    spots = {
        f"f={f:g} q={q:g} n={n}": {
            "error": spot_checks(chance, f, q, n, workers),
            "bound": spot_bound(f, q, n),
        }
        for f, q, n in SPOT_CHECKS
    }
    secret = b"seed %d" % seed
    rows = {
        str(jobs): honest(secret, jobs, max(5, round(devices * size)))
        for jobs, devices in ((100, 2_000), (1_000, 400), (10_000, 40))
    }
    found = groups(chance, max(100_000, round(4_000_000 * size)))
    return {
        "seed": seed,
        "size": size,
        "voting": votings,
        "spot checks": spots,
        "honest overhead": rows,
        "group credibility": found,
        "table": [table_row(chance, f, size) for f in SHARES],
    }


def estimates(value: object) -> Iterator[Estimate]:
    """Every estimate with a theory, wherever it is."""
    if isinstance(value, Estimate):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from estimates(inner)


def main() -> int:
    """Simulate, print, and return 0 when theory lies within every interval."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--seed", type=int, default=1)
    asked.add_argument("--size", type=float, default=1.0)
    asked.add_argument("--json", type=Path)
    given = asked.parse_args()
    found = everything(given.seed, given.size)
    text = json.dumps({**machine(), "least_in_a_row": LEAST_IN_A_ROW, **found}, default=asdict)
    if given.json:
        given.json.write_text(text, "utf-8")
    for name in ("voting", "spot checks", "honest overhead", "group credibility"):
        for what, one in found[name].items():
            for each in estimates({"": one}):
                print(
                    f"{name}, {what}: {each.value:.6f} in [{each.low:.6f}, {each.high:.6f}], "
                    f"theory {each.theory:.6f}{'' if each.holds else '  OUTSIDE'}"
                )
    for row in found["table"]:
        print(f"saboteurs {row['saboteurs']:.0%}")
        for m in (2, 3):
            one = row[f"m={m}"]
            extra = one["instances"]["value"] - 1
            print(f"  m={m}: wrong {one['wrong']['value']:.4%}, overhead {extra:.1%}")
        for name in ("adaptive", "adaptive, no second chance"):
            one = row[name]
            wrong, cost = one["wrong"], one["overhead"]["value"]
            half = wrong["high"] - wrong["value"]
            print(
                f"  {name}: wrong {wrong['value']:.3%} ± {half:.3%} at s={one['rate']:g}, "
                f"overhead {cost:.1%}"
            )
    return 0 if all(each.holds for each in estimates(found)) else 1


if __name__ == "__main__":
    sys.exit(main())
