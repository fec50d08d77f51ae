"""Families written as programmes: generators that ask, and go on with what was chosen.

A job is done in units (a column, a move, a layer). Between units its state is what `start` and
`unit` say; within one it is that and what was chosen since, and the unit is run again over it. So a
state stays small, and going on from it needs nothing but the state.
"""

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias, TypeVar

from pockethive.core.errors import BadInput
from pockethive.trials.family import Job, State, Step, checked

T = TypeVar("T")
Round: TypeAlias = tuple[Step, ...]
Work: TypeAlias = Generator[Round, tuple[str, ...], T]


class Programme(ABC):
    """A `Family` over `start`, `unit` and `said`."""

    @property
    @abstractmethod
    def name(self) -> str:
        """See `Family`."""

    @abstractmethod
    def start(self, job: Job) -> State:
        """Where a job starts, before its first unit."""

    @abstractmethod
    def unit(self, job: Job, at: State) -> Work[State] | None:
        """The next unit, which ends with the state after it; None when the job is done.

        Ids of its steps are of no account: they are named by unit, round and place.
        """

    @abstractmethod
    def said(self, job: Job, at: State) -> str:
        """The answer of a job that is done."""

    def begin(self, job: Job) -> State:
        """See `Family`."""
        if job.family != self.name:
            raise BadInput(f"a job of {job.family}", where=self.name, cure="ask its own family")
        return self._settled(job, 0, self.start(job))

    def steps(self, job: Job, state: State) -> Round:
        """See `Family`."""
        if state["done"]:
            return ()
        _, left = self._replayed(job, state)
        assert left is not None, "a unit that ended is settled"
        return left

    def apply(self, job: Job, state: State, choices: Sequence[str]) -> State:
        """See `Family`."""
        taken = checked(self.steps(job, state), choices, self.name)
        on = {**state, "said": [*state["said"], list(taken)]}
        at, left = self._replayed(job, on)
        return on if left is not None else self._settled(job, state["unit"] + 1, at)

    def answer(self, job: Job, state: State) -> str:
        """See `Family`."""
        return self.said(job, state["at"])

    def _settled(self, job: Job, unit: int, at: State) -> State:
        """Units that ask for nothing are passed at once."""
        while (work := self.unit(job, at)) is not None:
            try:
                next(work)
            except StopIteration as ended:
                at, unit = ended.value, unit + 1
            else:
                break
        return {"unit": unit, "at": at, "said": [], "done": work is None}

    def _replayed(self, job: Job, state: State) -> tuple[State, Round | None]:
        """The state after the unit under way, or what it asks next."""
        work = self.unit(job, state["at"])
        assert work is not None, "a job that is done is not gone on with"
        try:
            left = next(work)
            for choices in state["said"]:
                left = work.send(tuple(choices))
        except StopIteration as ended:
            return ended.value, None
        at = f"{state['unit']}.{len(state['said'])}"
        return {}, tuple(replace(step, id=f"{at}.{place}") for place, step in enumerate(left))


def asks(form: str, places: Mapping[str, str], options: Sequence[str]) -> Work[str]:
    """One step on its own."""
    (choice,) = yield (Step("", form, places, tuple(options)),)
    return choice


def together(works: Iterable[Work[T]]) -> Work[list[T]]:
    """Several works side by side: what all of them ask now is asked in one round."""
    ended: dict[int, T] = {}
    running: dict[int, Work[T]] = dict(enumerate(works))
    said: dict[int, tuple[str, ...] | None] = dict.fromkeys(running)
    while running:
        rounds: dict[int, Round] = {}
        for number, work in list(running.items()):
            given = said[number]
            try:
                rounds[number] = next(work) if given is None else work.send(given)
            except StopIteration as end:
                ended[number] = end.value
                del running[number]
        if rounds:
            choices = iter((yield tuple(step for each in rounds.values() for step in each)))
            said = {number: tuple(next(choices) for _ in each) for number, each in rounds.items()}
    return [ended[number] for number in sorted(ended)]


def place(step: Step) -> int:
    """Where in its round a step stands."""
    return int(step.id.rpartition(".")[2])


def plain(job: Job, name: str) -> Any:
    """What a job gives under `name`. Raises BadInput when it does not."""
    if name not in job.given:
        raise BadInput(f"nothing given as {name!r}", where=job.family, cure="make it by `job`")
    return job.given[name]
