"""A tally over hundreds of records: read each, extract the amount, then add.

What the code knows: where numbers stand in a record, each with the words behind it, up to three.
What the model decides: which of them is the amount that is asked for. `adds` says who adds up:
"code", or "model", which does it column by column (digits.py). The length of a job is its records.
"""

import re
from dataclasses import dataclass
from random import Random
from typing import Any, Final, Literal

from pockethive.core.errors import BadInput
from pockethive.trials.digits import added, right_digit
from pockethive.trials.family import Job, State, Step, origin
from pockethive.trials.programme import Programme, Work, place, plain
from pockethive.trials.wordlists import of_split, words

_NUMBER: Final = re.compile(r"\d+(?: [a-z]+){0,3}")
MOST: Final = 99
"""The greatest amount of a record."""


@dataclass(frozen=True, slots=True)
class Tally(Programme):
    """How many of one thing all records tell of."""

    adds: Literal["code", "model"] = "code"

    @property
    def name(self) -> str:
        """See `Family`."""
        return "tally" if self.adds == "code" else "tally-by-model"

    def job(self, seed: int, length: int) -> Job:
        """See `Family`. Raises BadInput without records."""
        if length < 1:
            raise BadInput(f"{length} records", where=self.name, cure="give 1 at least")
        thing, records = _made(seed, length)
        given = {"thing": thing, "records": [record for record, _ in records]}
        return Job(self.name, given, (seed, length))

    def start(self, job: Job) -> State:  # noqa: ARG002
        """See `Programme`: amounts still to be added, and the total so far."""
        return {"read": False, "amounts": [], "total": "0"}

    def unit(self, job: Job, at: State) -> Work[State] | None:
        """See `Programme`: all records are read in one round; then amounts are added one by one."""
        if not at["read"]:
            return self._reading(job)
        return self._adding(at) if at["amounts"] else None

    def said(self, job: Job, at: State) -> str:  # noqa: ARG002
        """See `Programme`."""
        return str(at["total"])

    def truth(self, job: Job) -> str:
        """See `Family`."""
        return str(sum(amount for _, amount in _made(*origin(job))[1]))

    def right(self, job: Job, step: Step) -> str:
        """See `Family`."""
        if step.form != "amount":
            return right_digit(step)
        thing, records = _made(*origin(job))
        amount = records[place(step)][1]
        return next(each for each in step.options if each.startswith(f"{amount} {thing}"))

    def _reading(self, job: Job) -> Work[State]:
        thing = plain(job, "thing")
        chosen = yield tuple(
            Step("", "amount", {"record": record, "thing": thing}, candidates(record))
            for record in plain(job, "records")
        )
        amounts = [each.partition(" ")[0] for each in chosen]
        if self.adds == "code":
            return {"read": True, "amounts": [], "total": str(sum(map(int, amounts)))}
        return {"read": True, "amounts": amounts, "total": "0"}

    def _adding(self, at: State) -> Work[State]:
        first, *rest = at["amounts"]
        total = yield from added(at["total"], first, "facts")
        return {**at, "amounts": rest, "total": total}


def candidates(record: str) -> tuple[str, ...]:
    """Numbers of a record, with the words behind each."""
    return tuple(dict.fromkeys(_NUMBER.findall(record)))


def _made(seed: int, length: int) -> tuple[str, list[tuple[str, int]]]:
    """The thing, and records with their amounts."""
    chance, told = Random(f"tally {seed} {length}"), words("tally")  # noqa: S311
    things = of_split(told["things"], seed)
    thing = chance.choice(things)
    others = [each for each in things if each != thing]
    return thing, [
        _record(chance, told, of_split(told["records"], seed), (thing, others))
        for _ in range(length)
    ]


def _record(
    chance: Random, told: Any, sentences: Any, things: tuple[str, list[str]]
) -> tuple[str, int]:
    numbers = chance.sample(range(2, MOST + 1), 4)
    near, far = chance.sample(told["places"], 2)
    places = {
        "amount": numbers[0],
        "other_amount": numbers[1],
        "coins": numbers[2],
        "number": numbers[3],
        "hours": chance.randint(2, 9),
        "day": chance.randint(1, 28),
        "month": chance.choice(told["months"]),
        "person": chance.choice(told["people"]),
        "place": near,
        "other_place": far,
        "thing": things[0],
        "other_thing": chance.choice(things[1]),
    }
    return chance.choice(sentences).format(**places), numbers[0]
