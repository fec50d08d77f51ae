"""First to be ahead by k: when votes for one option lead those for every other one.

After Meyerson et al. 2025, arXiv 2511.09030. Pure: the same votes in the same order are counted the
same by whoever counts again.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import TypeVar

from pockethive.core.errors import BadInput

T = TypeVar("T")
_GONE = object()


@dataclass(frozen=True, slots=True)
class Count:
    """How a count ended.

    `leader` has the most votes, and of several with as many it was voted for first; None when
    nobody voted for anything. `decided` says whether it was ahead by k; if not, the step is
    undecided and a leader is a guess. `read` counts votes up to the end, blank ones among them.
    """

    leader: str | None
    decided: bool
    read: int
    blank: int
    votes: Mapping[str, int]


def count(votes: Iterable[str | None], ahead: int, cap: int) -> Count:
    """Count until one option leads every other by `ahead`, `cap` votes are read, or none is left.

    A vote of None is blank: who cast it held back. It is read, and counts for nobody.
    Raises BadInput when `ahead` or `cap` is below 1.
    """
    if ahead < 1 or cap < 1:
        raise BadInput(f"ahead by {ahead} of at most {cap} votes", cure="give 1 at least for both")
    tally: Counter[str] = Counter()
    read = 0
    for vote in votes:
        if read == cap:
            break
        read += 1
        if vote is None:
            continue
        tally[vote] += 1
        rivals = max((n for option, n in tally.items() if option != vote), default=0)
        if tally[vote] - rivals >= ahead:
            return _ended(tally, read, decided=True)
    return _ended(tally, read, decided=False)


def in_turn(ballots: Sequence[Sequence[T]]) -> Iterator[T]:
    """First votes of all devices, then second ones, and so on; who has no more is passed over."""
    for vote in chain.from_iterable(zip_longest(*ballots, fillvalue=_GONE)):
        if vote is not _GONE:
            yield vote  # type: ignore[misc]  # what is not _GONE is a T


def _ended(tally: Counter[str], read: int, *, decided: bool) -> Count:
    leader = max(tally, key=lambda option: tally[option], default=None)
    return Count(leader, decided, read, read - tally.total(), dict(tally))
