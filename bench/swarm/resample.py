"""Votes drawn again from what a model once made of every state of a job: curves over k and length.

A vote draws a way of asking, then an option by the chances that the model gave in that way. The
chances are real and recorded; drawing from them again is what another device of the same class
would do. Figures made so are called resampled wherever they stand.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, log
from statistics import fmean
from typing import Any, Final

import numpy as np

from pockethive.trials.laws import expected_votes, step_success, wilson

CAP: Final = 200  # votes on a step at most


@dataclass(frozen=True, slots=True)
class Seen:
    """A state: chances of its options in each way [ways][options], and the right one's place."""

    chances: tuple[tuple[float, ...], ...]
    right: int

    @property
    def pooled(self) -> tuple[float, ...]:
        """What a vote is for, its way being drawn."""
        return tuple(map(fmean, zip(*self.chances, strict=True)))

    @property
    def p(self) -> float:
        """The chance that a vote is right."""
        return self.pooled[self.right]

    @property
    def rival(self) -> float:
        """The chance that it is for the best wrong option."""
        return max((c for place, c in enumerate(self.pooled) if place != self.right), default=0.0)

    def cheated(self, share: float) -> "Seen":
        """The same where such a share of the votes is always for the best wrong option."""
        pooled = self.pooled
        wrong = [place for place in range(len(pooled)) if place != self.right]
        lie = max(wrong, key=lambda place: pooled[place], default=self.right)
        told = (each * (1 - share) + share * (at == lie) for at, each in enumerate(pooled))
        return Seen((tuple(told),), self.right)


@dataclass(frozen=True, slots=True)
class Job:
    """Which states a job goes through on the right way, by place in `states`, in order."""

    states: Sequence[Seen]
    path: Sequence[int]

    def cut(self, length: int) -> "Job":
        """Its first steps; a longer one goes through them again."""
        whole = len(self.path)
        return Job(self.states, [self.path[place % whole] for place in range(length)])


def predicted(job: Job, k: int) -> dict[str, float]:
    """What the law says, state by state: success of the whole job, votes a step."""
    sure = [step_success(each.p, each.rival, k) for each in job.states]
    votes = [expected_votes(each.p, each.rival, k) for each in job.states]
    success = float(np.prod([sure[place] for place in job.path]))
    return {"success": success, "votes": fmean(votes[place] for place in job.path)}


def from_mean(job: Job, k: int) -> float:
    """The success that the mean p would promise: what one must not reckon with."""
    p = fmean(job.states[place].p for place in job.path)
    rival = fmean(job.states[place].rival for place in job.path)
    return float(step_success(p, rival, k) ** len(job.path))


def resampled(job: Job, k: int, jobs: int, seed: int, cap: int = CAP) -> dict[str, Any]:
    """Play the vote of every step of so many jobs: whole jobs that came out right, votes a step."""
    chance = np.random.default_rng([seed, k, len(job.path)])
    counts = np.bincount(np.asarray(job.path), minlength=len(job.states)) * jobs
    wrong, votes, undecided = 0, 0, 0
    failed = np.zeros(jobs, bool)
    for place, count in enumerate(counts):
        if not count:
            continue
        good, read, decided = _vote(job.states[place], k, int(count), cap, chance)
        failed |= ~good.reshape(jobs, -1).all(axis=1)
        wrong += int((~good).sum())
        votes += int(read.sum())
        undecided += int((~decided).sum())
    steps = int(counts.sum())
    right = int(jobs - failed.sum())
    return {
        "right": right,
        "of": jobs,
        "interval": wilson(right, jobs),
        "wrong_steps": wrong,
        "steps": steps,
        "votes": votes / steps,
        "undecided": undecided,
    }


def correlation(states: Sequence[Seen]) -> float:
    """How alike the errors of two votes on one state are: variance of p over states by p (1 - p).

    0 where all states are alike, 1 where each is always right or always wrong: votes add nothing.
    """
    p = np.array([each.p for each in states])
    mean = float(p.mean())
    return float(p.var() / (mean * (1 - mean))) if 0 < mean < 1 else 0.0


def hopeless(states: Sequence[Seen]) -> int:
    """States where the right option is not ahead: no number of votes helps there."""
    return sum(each.p <= each.rival for each in states)


def half_length(states: Sequence[Seen], k: int) -> float:
    """Steps after which half of all jobs are still right, states coming up evenly."""
    sure = [step_success(each.p, each.rival, k) for each in states]
    if min(sure) == 0:
        return 0.0
    lost = -fmean(map(log, sure))
    return log(2) / lost if lost > 0 else inf


def _vote(
    seen: Seen, k: int, count: int, cap: int, chance: np.random.Generator
) -> tuple[Any, Any, Any]:
    """Of so many votes on a state: which came out right, votes read, which were decided."""
    pooled = np.array(seen.pooled)
    tally = np.zeros((count, len(pooled)), np.int32)
    read, decided = np.zeros(count, np.int32), np.zeros(count, bool)
    open_ = np.arange(count)
    edges = np.cumsum(pooled / pooled.sum())
    while len(open_) and read[open_[0]] < cap:
        drawn = np.minimum(np.searchsorted(edges, chance.random(len(open_))), len(pooled) - 1)
        tally[open_, drawn] += 1
        read[open_] += 1
        two = np.partition(tally[open_], -2, axis=1)[:, -2:] if len(pooled) > 1 else None
        ahead = two[:, 1] - two[:, 0] >= k if two is not None else tally[open_, 0] >= k
        decided[open_[ahead]] = True
        open_ = open_[~ahead]
    return tally.argmax(axis=1) == seen.right, read, decided
