"""How good a model is at least, from what it got right: what a card may claim.

Guards: a card claims no more than what was measured supports; a few lucky items are no accuracy.
"""

from math import floor, sqrt

from pockethive.core.errors import BadInput

_Z = 1.959964  # of the normal distribution: 95 % lie within so many deviations


def lower_bound(right: int, asked: int) -> float:
    """The lower end of the 95 % interval of an accuracy (Wilson 1927), rounded down to 0.001.

    Raises BadInput: not `right` of `asked` items.
    """
    if not 0 <= right <= asked or asked < 1:
        raise BadInput(f"{right} of {asked} items right", cure="write 170/200: right of all asked")
    share, z = right / asked, _Z * _Z / asked
    low = (share + z / 2 - _Z * sqrt(share * (1 - share) / asked + z / asked / 4)) / (1 + z)
    return max(0.0, floor(1000 * low) / 1000)


def measured(text: str) -> float:
    """The lower bound behind `right/asked`. Raises BadInput."""
    right, slash, asked = text.partition("/")
    if not slash or not (right + asked).isascii() or not (right.isdigit() and asked.isdigit()):
        raise BadInput(f"{text[:40]!r} is no measurement", cure="write 170/200: right of all asked")
    return lower_bound(int(right), int(asked))
