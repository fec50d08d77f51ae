"""What theory says of verification: wrong outputs accepted, and how often work is done for one.

Devices are drawn at random without putting back. Assumed: honest ones always say the same; a task
that was rejected begins anew with a device drawn from all (in truth who made it comes last); who is
asked to judge is drawn from all others, and two rejections are wanted against one acceptance
(`core/verification.py`).
"""

from dataclasses import dataclass
from functools import cache
from typing import Final

ALIKE: Final = "colluders"  # their answers are one and the same wrong one
GUESSING: Final = ("random", "lazy")  # an answer of so many labels, all as likely


@dataclass(frozen=True, slots=True)
class Odds:
    """`wrong`: share of accepted outputs. `executions`: how often a task is done, on average."""

    wrong: float
    executions: float


@dataclass(frozen=True, slots=True)
class Crowd:
    """So many devices, so many of them bad, with a fault; an answer is one of so many labels."""

    devices: int
    bad: int
    fault: str
    labels: int

    @property
    def luck(self) -> float:
        """The chance that a bad device's answer is right all the same."""
        return 0.0 if self.fault == ALIKE else 1 / self.labels

    @property
    def wrongs(self) -> int:
        """How many wrong answers bad devices may give."""
        return 1 if self.fault == ALIKE else self.labels - 1


def odds(policy: str, crowd: Crowd) -> Odds | None:
    """What a policy lets through; None where nothing is known (credit, stale answers)."""
    if crowd.fault not in (ALIKE, *GUESSING):
        return None
    if policy == "none":
        return Odds(_lies(crowd), 1.0)
    if policy.startswith("check"):
        return _checked(crowd)
    if policy.startswith("recompute "):
        return _voted(crowd, int(policy.split()[1]))
    return None


def _lies(crowd: Crowd) -> float:
    return crowd.bad / crowd.devices * (1 - crowd.luck)


def _checked(crowd: Crowd) -> Odds:
    """One other device must accept before two reject. Who guesses at random judges honestly, who is
    lazy accepts all, who colludes accepts what is wrong and nothing else."""
    bad, honest, lies = crowd.bad, crowd.devices - crowd.bad, _lies(crowd)
    against_lies = crowd.devices - 1 if crowd.fault == "random" else honest
    against_truth = bad if crowd.fault == ALIKE else 0
    wrong = lies * (1 - _both(against_lies, crowd.devices - 1))
    right = (1 - lies) * (1 - _both(against_truth, crowd.devices - 1))
    return Odds(wrong / (wrong + right), 1 / (wrong + right))


def _both(some: int, of: int) -> float:
    """The chance that two drawn from `of` are both among `some`."""
    return some * (some - 1) / (of * (of - 1))


def _voted(crowd: Crowd, m: int) -> Odds:
    """The first answer that `m` devices give."""

    @cache
    def on(honest: int, bad: int, right: int, wrong: tuple[int, ...]) -> tuple[float, float]:
        """Chance of a wrong end, and executions to come."""
        if right >= m:
            return 0.0, 0.0
        if max(wrong, default=0) >= m:
            return 1.0, 0.0
        ends: list[tuple[float, tuple[float, float]]] = []
        if honest:
            ends.append((honest, on(honest - 1, bad, right + 1, wrong)))
        if bad and crowd.luck:
            ends.append((bad * crowd.luck, on(honest, bad - 1, right + 1, wrong)))
        for place, count in enumerate(wrong if bad else ()):
            more = tuple(sorted((*wrong[:place], count + 1, *wrong[place + 1 :])))
            ends.append((bad * (1 - crowd.luck) / len(wrong), on(honest, bad - 1, right, more)))
        whole = honest + bad
        return (
            sum(weight * end[0] for weight, end in ends) / whole,
            1 + sum(weight * end[1] for weight, end in ends) / whole,
        )

    return Odds(*on(crowd.devices - crowd.bad, crowd.bad, 0, (0,) * crowd.wrongs))
