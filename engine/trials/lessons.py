"""Lines to train a specialist on: what a small model does badly when it is only asked.

Arithmetic (`sum`, `product`, `next`), comparing (`smaller`) and Hanoi (`move`). A line is a prompt
in one of the ways that the family asks in, and the answer behind it. Seeded and endless.

What is kept apart from what is tested: of `move` every state that a job comes by when all is right,
of any number of disks, and one in `KEPT` of the others, so that p can be measured on states that
nobody was taught. Of digits nothing can be: there are 100 sums, 100 products, 90 comparisons and
10 numbers that come next, and a job needs them all. There whole jobs are held out, by their seeds
(`family.HELD_FROM`), and a specialist that does them has learned a table, not a rule.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from random import Random
from typing import Final

from pockethive.core.errors import BadInput
from pockethive.trials.counting import NAMES
from pockethive.trials.digits import PRODUCTS, SUMS, right_digit
from pockethive.trials.family import Step
from pockethive.trials.forms import asked, forms_of
from pockethive.trials.hanoi import (
    MOST_DISKS,
    Pegs,
    move_step,
    random_pegs,
    right_move,
    solution,
)
from pockethive.trials.sorting import right_smaller

TAUGHT: Final = ("sum", "product", "next", "smaller", "move")
KEPT: Final = 10
_LEAST_DISKS: Final = 3
_UP_TO_TEN: Final = NAMES[:11]


@dataclass(frozen=True, slots=True)
class Lesson:
    """One line. A model is to write `answer` (with its lead and end) after `prompt`."""

    form: str
    way: str
    prompt: str
    answer: str
    wrong: tuple[str, ...]  # the other options, written likewise


def lessons(form: str, seed: int, *, examples: bool = False) -> Iterator[Lesson]:
    """Lines without end. `examples`: with those of the form before each, as an untaught model is
    asked; a specialist needs none. Raises BadInput for a form without lessons.
    """
    if form not in TAUGHT:
        raise BadInput(f"no lessons for {form!r}", cure=f"one of {', '.join(TAUGHT)}")
    chance = Random(f"lessons {form} {seed}")  # noqa: S311
    while True:
        step = move_lesson(chance) if form == "move" else chance.choice(facts(form))
        way = chance.choice(forms_of(step).ways)
        put = asked(step, way if examples else replace(way, shots=""))
        at = step.options.index(right(step))
        others = (*put.options[:at], *put.options[at + 1 :])
        yield Lesson(form, way.name, put.prompt, put.options[at], others)


def right(step: Step) -> str:
    """The right option of a step that lessons are given on."""
    if step.form == "move":
        return right_move(step)
    return right_smaller(step) if step.form == "smaller" else right_digit(step)


@cache
def facts(form: str) -> tuple[Step, ...]:
    """All there is to know about digits under one form."""
    digits = range(10)
    if form == "next":
        return tuple(_step(form, {"number": NAMES[one]}, _UP_TO_TEN) for one in digits)
    pairs = [(one, two) for one in digits for two in digits if form != "smaller" or one != two]
    names = [(NAMES[one], NAMES[two]) for one, two in pairs]
    if form == "smaller":
        return tuple(_step(form, _both(one, two), (one, two)) for one, two in names)
    if form == "sum":
        return tuple(_step(form, _both(one, two), SUMS) for one, two in names)
    return tuple(_step(form, _both(str(one), str(two)), PRODUCTS) for one, two in pairs)


def move_lesson(chance: Random) -> Step:
    """A state at Hanoi that is not kept for a test."""
    while True:
        pegs = random_pegs(chance, chance.randint(_LEAST_DISKS, MOST_DISKS))
        if not is_kept(pegs):
            return move_step(pegs)


def move_test(chance: Random, disks: int) -> Step:
    """A state at Hanoi that no lesson shows."""
    while True:
        pegs = random_pegs(chance, disks)
        if is_kept(pegs):
            return move_step(pegs)


def is_kept(pegs: Sequence[Sequence[int]]) -> bool:
    """Whether a state is one of a job's, or of those that p is measured on."""
    state = tuple(map(tuple, pegs))
    if state in _on_the_way(sum(map(len, pegs))):
        return True
    return hashlib.sha256(repr(state).encode()).digest()[0] % KEPT == 0


@cache
def _on_the_way(disks: int) -> frozenset[tuple[tuple[int, ...], ...]]:
    pegs: Pegs = [list(range(disks, 0, -1)), [], []]
    seen = {tuple(map(tuple, pegs))}
    for here, there in solution(disks, 0, 2):
        pegs[there].append(pegs[here].pop())
        seen.add(tuple(map(tuple, pegs)))
    return frozenset(seen)


def _both(one: str, two: str) -> Mapping[str, str]:
    return {"one": one, "two": two}


def _step(form: str, places: Mapping[str, str], options: Sequence[str]) -> Step:
    return Step("lesson", form, places, tuple(options))
