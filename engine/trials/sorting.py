"""Long sorting by pairwise choice: a merge sort from below, all merges of a layer side by side.

What the code knows: how runs are merged, that numbers of one length are compared from the first
digit on, and whether two digits are the same. What the model decides: which of two unlike digits is
the smaller, as a fact or by counting (counting.py). The length of a job is how many numbers it has.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from pockethive.core.errors import BadInput
from pockethive.trials.counting import NAMES, counted_smaller, digit, name, right_after
from pockethive.trials.digits import By
from pockethive.trials.family import Job, State, Step
from pockethive.trials.programme import Programme, Work, asks, plain, together

WIDTH: Final = 3
"""Digits of a number."""


def smaller_digit(one: str, two: str, by: By) -> Work[str]:
    """The smaller of two unlike digits."""
    if by == "counting":
        return (yield from counted_smaller(one, two))
    named = (name(one), name(two))
    return digit((yield from asks("smaller", dict(zip(("one", "two"), named, strict=True)), named)))


def comes_first(one: str, two: str, by: By) -> Work[bool]:
    """Whether a numeral is not greater than another one of its length."""
    for a, b in zip(one, two, strict=True):
        if a != b:
            return (yield from smaller_digit(a, b, by)) == a
    return True


@dataclass(frozen=True, slots=True)
class Sorting(Programme):
    """`length` numbers of `WIDTH` digits, from the least to the greatest."""

    by: By = "facts"

    @property
    def name(self) -> str:
        """See `Family`."""
        return "sorting" if self.by == "facts" else "sorting-by-counting"

    def job(self, seed: int, length: int) -> Job:
        """See `Family`. Raises BadInput for less than two numbers."""
        if length < 2:
            raise BadInput(f"{length} numbers to sort", where=self.name, cure="give 2 at least")
        chance = Random(f"sorting {seed} {length}")  # noqa: S311
        numbers = [f"{chance.randrange(10**WIDTH):0{WIDTH}}" for _ in range(length)]
        return Job(self.name, {"numbers": numbers}, (seed, length))

    def start(self, job: Job) -> State:
        """See `Programme`: runs that are sorted already."""
        return {"runs": [[each] for each in plain(job, "numbers")]}

    def unit(self, job: Job, at: State) -> Work[State] | None:  # noqa: ARG002
        """See `Programme`: a layer of merges."""
        return None if len(at["runs"]) == 1 else self._layer(at["runs"])

    def said(self, job: Job, at: State) -> str:  # noqa: ARG002
        """See `Programme`."""
        return " ".join(at["runs"][0])

    def truth(self, job: Job) -> str:
        """See `Family`."""
        return " ".join(sorted(plain(job, "numbers")))

    def right(self, job: Job, step: Step) -> str:  # noqa: ARG002
        """See `Family`."""
        return right_smaller(step) if step.form == "smaller" else right_after(step)

    def _layer(self, runs: Sequence[Sequence[str]]) -> Work[State]:
        pairs = zip(runs[::2], runs[1::2], strict=False)
        made = yield from together(self._merged(one, two) for one, two in pairs)
        return {"runs": made + [list(runs[-1])] * (len(runs) % 2)}

    def _merged(self, one: Sequence[str], two: Sequence[str]) -> Work[list[str]]:
        made: list[str] = []
        left, right = list(one), list(two)
        while left and right:
            first = yield from comes_first(left[0], right[0], self.by)
            made.append((left if first else right).pop(0))
        return made + left + right


def right_smaller(step: Step) -> str:
    """The truth about one step that compares."""
    return min(step.options, key=NAMES.index)
