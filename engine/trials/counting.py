"""Digits by counting: what a model that knows which number comes next can do with it.

Numbers are put to the model by name: it knows "seven" better than "7". What the code knows: names
of numbers, whether two names are the same, and how sums, products and comparisons are counted out.
What the model decides: which number comes right after a number, and nothing else is ever asked; it
is ten facts. Wrong choices can lead in circles, so each count ends after ten rounds at most.
"""

from collections.abc import Sequence
from typing import Final

from pockethive.trials.family import Step
from pockethive.trials.programme import Work

NAMES: Final = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen"),
)
TEN: Final = "ten"
_UP_TO_TEN: Final = NAMES[:11]


def name(digit: str) -> str:
    """A digit's name."""
    return NAMES[int(digit)]


def digit(named: str) -> str:
    """The numeral of a name."""
    return str(NAMES.index(named))


def after(numbers: Sequence[str]) -> Work[tuple[str, ...]]:
    """What comes right after each of some names up to nine."""
    return (yield tuple(Step("", "next", {"number": each}, _UP_TO_TEN) for each in numbers))


def counted_smaller(one: str, two: str) -> Work[str]:
    """The smaller of two digits: whether counting up from one comes by the other."""
    at, sought = name(one), name(two)
    for _ in range(10):
        (at,) = yield from after([at])
        if at == sought:
            return one
        if at == TEN:
            break
    return two


def counted_sum(one: str, two: str) -> Work[tuple[str, str]]:
    """The digit and the carry of a sum: counting up from one as often as it takes to count two."""
    value, carry, counter = name(one), "0", NAMES[0]
    for _ in range(10):
        if counter in (name(two), TEN):
            break
        value, counter = yield from after([value, counter])
        if value == TEN:
            value, carry = NAMES[0], "1"
    return digit(value), carry


def counted_product(one: str, two: str) -> Work[tuple[str, str]]:
    """The last digit and the tens of a product: `one`, added as often as it takes to count two."""
    value, tens, counter = "0", "0", NAMES[0]
    for _ in range(10):
        if counter in (name(two), TEN):
            break
        value, carry = yield from counted_sum(value, one)
        if carry == "1":
            (raised,) = yield from after([name(tens)])
            tens = digit(raised)[-1]
        (counter,) = yield from after([counter])
    return value, tens


def right_after(step: Step) -> str:
    """The truth about one step."""
    return NAMES[NAMES.index(step.places["number"]) + 1]
