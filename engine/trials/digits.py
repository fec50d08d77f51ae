"""Long addition and multiplication, column by column, as at school.

What the code knows: where columns stand, that a number is written digit by digit, what is carried
where; columns of a sum are added side by side, then the carries from the last one on. What the
model decides: in each column the digit and the carry. Either as a fact, "seven plus eight is
fifteen" (the name says digit and carry, a carry that comes in is one more fact), or by counting
(counting.py). The length of a job is the number of digits of either number.
"""

from dataclasses import dataclass
from random import Random
from typing import Final, Literal

from pockethive.core.errors import BadInput
from pockethive.trials.counting import (
    NAMES,
    after,
    counted_product,
    counted_sum,
    digit,
    name,
    right_after,
)
from pockethive.trials.family import Job, State, Step
from pockethive.trials.programme import Programme, Work, asks, plain, together

By = Literal["facts", "counting"]
SUMS: Final = NAMES
PRODUCTS: Final = tuple(map(str, sorted({one * two for one in range(10) for two in range(10)})))


def digit_sum(one: str, two: str, by: By) -> Work[tuple[str, str]]:
    """The digit and the carry of the sum of two digits."""
    if by == "counting":
        return (yield from counted_sum(one, two))
    total = digit((yield from asks("sum", {"one": name(one), "two": name(two)}, SUMS)))
    return total[-1], total[:-1] or "0"


def digit_product(one: str, two: str, by: By) -> Work[tuple[str, str]]:
    """The last digit and the tens of the product of two digits."""
    if by == "counting":
        return (yield from counted_product(one, two))
    total = yield from asks("product", {"one": one, "two": two}, PRODUCTS)
    return total[-1], total[:-1] or "0"


def column(one: str, two: str, carry: str, by: By) -> Work[tuple[str, str]]:
    """The digit and the carry of a column of two digits and a carry."""
    value, up = yield from digit_sum(one, two, by)
    return (yield from carried(value, up, carry))


def carried(value: str, up: str, carry: str) -> Work[tuple[str, str]]:
    """The digit and the carry of a column whose digits came to `value` and `up`."""
    if carry == "0":
        return value, up
    (raised,) = yield from after([name(value)])
    total = digit(raised)
    return total[-1], "1" if len(total) > 1 else up


def added(one: str, two: str, by: By) -> Work[str]:
    """The sum of two numerals, from the last column on."""
    width, carry, made = max(len(one), len(two)), "0", ""
    for a, b in zip(reversed(one.zfill(width)), reversed(two.zfill(width)), strict=True):
        value, carry = yield from column(a, b, carry, by)
        made = value + made
    return _trimmed(carry + made)


def times(one: str, two: str, carry: str, by: By) -> Work[tuple[str, str]]:
    """The digit and the carry of a place of a row: a product of two digits, and a carry."""
    value, tens = yield from digit_product(one, two, by)
    if carry == "0":
        return value, tens
    value, up = yield from digit_sum(value, carry, by)
    if up == "1":
        (raised,) = yield from after([name(tens)])
        tens = digit(raised)[-1]
    return value, tens


@dataclass(frozen=True, slots=True)
class Digits(Programme):
    """Two numbers of `length` digits, added or multiplied."""

    what: Literal["sums", "products"]
    by: By = "facts"

    @property
    def name(self) -> str:
        """See `Family`."""
        return self.what if self.by == "facts" else f"{self.what}-by-counting"

    def job(self, seed: int, length: int) -> Job:
        """See `Family`. Raises BadInput for less than a digit."""
        if length < 1:
            raise BadInput(f"numbers of {length} digits", where=self.name, cure="give 1 at least")
        chance = Random(f"{self.what} {seed} {length}")  # noqa: S311
        one, two = (str(chance.randrange(10 ** (length - 1), 10**length)) for _ in range(2))
        return Job(self.name, {"one": one, "two": two}, (seed, length))

    def start(self, job: Job) -> State:  # noqa: ARG002
        """See `Programme`: columns or rows done, from the last one on, and what they came to.

        `digits` and `ups` are what the columns of a sum come to before any carry.
        """
        if self.what == "sums":
            return {"done": 0, "carry": "0", "made": "", "digits": "", "ups": ""}
        return {"done": 0, "carry": "0", "made": "0", "row": ""}

    def unit(self, job: Job, at: State) -> Work[State] | None:
        """See `Programme`: all columns of a sum side by side, then the carry of each.

        Of a product a place of a row, or a row's being added to the others.
        """
        one, two = _numbers(job)
        if at["done"] == len(two):
            return None
        if self.what == "sums":
            return self._carry(at) if at["digits"] else self._columns(one, two, at)
        return self._place(one, two, at) if len(at["row"]) < len(one) else self._row(at)

    def said(self, job: Job, at: State) -> str:  # noqa: ARG002
        """See `Programme`."""
        return _trimmed(at["carry"] + at["made"])

    def truth(self, job: Job) -> str:
        """See `Family`."""
        one, two = map(int, _numbers(job))
        return str(one + two if self.what == "sums" else one * two)

    def right(self, job: Job, step: Step) -> str:  # noqa: ARG002
        """See `Family`."""
        return right_digit(step)

    def _columns(self, one: str, two: str, at: State) -> Work[State]:
        pairs = zip(reversed(one), reversed(two), strict=True)
        sums = yield from together(digit_sum(a, b, self.by) for a, b in pairs)
        digits, ups = map("".join, zip(*sums, strict=True))
        return {**at, "digits": digits, "ups": ups}

    def _carry(self, at: State) -> Work[State]:
        here = at["done"]
        value, carry = yield from carried(at["digits"][here], at["ups"][here], at["carry"])
        return {**at, "done": here + 1, "carry": carry, "made": value + at["made"]}

    def _place(self, one: str, two: str, at: State) -> Work[State]:
        digits = one[-1 - len(at["row"])], two[-1 - at["done"]]
        value, carry = yield from times(*digits, at["carry"], self.by)
        return {**at, "carry": carry, "row": value + at["row"]}

    def _row(self, at: State) -> Work[State]:
        row = at["carry"] + at["row"] + "0" * at["done"]
        total = yield from added(at["made"], _trimmed(row), self.by)
        return {"done": at["done"] + 1, "carry": "0", "made": total, "row": ""}


def right_digit(step: Step) -> str:
    """The truth about one step about digits."""
    if step.form == "next":
        return right_after(step)
    one, two = step.places["one"], step.places["two"]
    if step.form == "product":
        return str(int(one) * int(two))
    return NAMES[NAMES.index(one) + NAMES.index(two)]


def _numbers(job: Job) -> tuple[str, str]:
    one, two = plain(job, "one"), plain(job, "two")
    width = max(len(one), len(two))
    return one.zfill(width), two.zfill(width)


def _trimmed(numeral: str) -> str:
    return numeral.lstrip("0") or "0"
