"""Families of micro-steps: a long job, cut so finely that a small model can decide each piece.

A family is pure. What its code knows and what the model decides stands in its docstring; code may
find candidates, keep the books and go on, but never knows which option is right. `truth` and
`right` are for measuring: no skill may ask them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final, Protocol, TypeAlias

from pockethive.core.errors import BadInput

HELD_FROM: Final = 1_000_000
"""Seeds below are for building (dev); from here on they are for the one measurement (held)."""

State: TypeAlias = Mapping[str, Any]
"""How far a job is, in values that `pockethive.core.canonical` can write."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is given. `given` alone travels, in values that `pockethive.core.canonical` can write.

    `origin` is the seed and length that it was made of: only with it is the truth known of a
    family whose answer does not follow from what is given.
    """

    family: str
    given: Mapping[str, Any]
    origin: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One choice by a model: which of `options` stands after what `form` makes of `places`."""

    id: str  # unlike that of every other step of the job
    form: str  # a name in forms.yaml
    places: Mapping[str, str]
    options: tuple[str, ...]


class Family(Protocol):
    """A kind of job. All methods are pure; `BadInput` when a job is another family's."""

    @property
    def name(self) -> str:
        """What it is asked for by."""

    def job(self, seed: int, length: int) -> Job:
        """A job of `length` (items, disks, digits: the family says which), no answer in it."""

    def begin(self, job: Job) -> State:
        """Where a job starts."""

    def steps(self, job: Job, state: State) -> tuple[Step, ...]:
        """What can be asked now, in any order, none depending on another; () when done."""

    def apply(self, job: Job, state: State, choices: Sequence[str]) -> State:
        """The state after `steps`, with one choice for each. Raises BadInput for another option."""

    def answer(self, job: Job, state: State) -> str:
        """What the job comes to, once `steps` has none left."""

    def truth(self, job: Job) -> str:
        """What `answer` should be, by code. For measuring alone."""

    def right(self, job: Job, step: Step) -> str:
        """The right option of one step, by code. For measuring alone."""


Chooser: TypeAlias = Callable[[Step], str]


def play(family: Family, job: Job, choose: Chooser, most: int = 1_000_000) -> State:
    """The state at the end when `choose` decides. Raises BadInput after `most` steps."""
    state, taken = family.begin(job), 0
    while steps := family.steps(job, state):
        taken += len(steps)
        if taken > most:
            raise BadInput(
                f"not done after {most} steps",
                where=family.name,
                cure="choose better or allow more",
            )
        state = family.apply(job, state, [choose(step) for step in steps])
    return state


def walk(family: Family, job: Job) -> tuple[Step, ...]:
    """Every step of a job when all choices are right: the states that p is measured on."""
    seen: list[Step] = []

    def right(step: Step) -> str:
        seen.append(step)
        return family.right(job, step)

    play(family, job, right)
    return tuple(seen)


def checked(steps: Sequence[Step], choices: Sequence[str], name: str) -> tuple[str, ...]:
    """`choices`, if each is an option of its step; raises BadInput."""
    if len(steps) != len(choices):
        raise BadInput(f"{len(choices)} choices for {len(steps)} steps", where=name)
    for step, choice in zip(steps, choices, strict=True):
        if choice not in step.options:
            raise BadInput(
                f"{choice!r} is no option of step {step.id}",
                where=name,
                cure=f"one of {', '.join(step.options)}",
            )
    return tuple(choices)


def is_held(seed: int) -> bool:
    """Whether a seed is kept for the one measurement."""
    return seed >= HELD_FROM


def origin(job: Job) -> tuple[int, int]:
    """The seed and length that a job was made of. Raises BadInput for one that only travelled."""
    if job.origin is None:
        raise BadInput(
            "the truth of this job is not known here", where=job.family, cure="ask who made it"
        )
    return job.origin


@dataclass(frozen=True, slots=True)
class Control:
    """A family whose choices are thrown away and drawn anew, evenly: what no model at all is worth.

    `seed` and the step's id decide, so that a run can be repeated.
    """

    family: Family
    seed: int = 0

    @property
    def name(self) -> str:
        """See `Family`."""
        return f"{self.family.name}-control"

    def job(self, seed: int, length: int) -> Job:
        """See `Family`."""
        return self.family.job(seed, length)

    def begin(self, job: Job) -> State:
        """See `Family`."""
        return self.family.begin(job)

    def steps(self, job: Job, state: State) -> tuple[Step, ...]:
        """See `Family`."""
        return self.family.steps(job, state)

    def apply(self, job: Job, state: State, choices: Sequence[str]) -> State:
        """See `Family`; `choices` are counted and not read."""
        steps = self.family.steps(job, state)
        checked(steps, choices, self.name)
        return self.family.apply(job, state, [self._drawn(step) for step in steps])

    def answer(self, job: Job, state: State) -> str:
        """See `Family`."""
        return self.family.answer(job, state)

    def truth(self, job: Job) -> str:
        """See `Family`."""
        return self.family.truth(job)

    def right(self, job: Job, step: Step) -> str:
        """See `Family`."""
        return self.family.right(job, step)

    def _drawn(self, step: Step) -> str:
        return Random(f"{self.seed} {step.id}").choice(step.options)  # noqa: S311
