"""Voting: how many equal answers make an answer, and what that is worth.

m-first voting and group credibility after Sarmenta ("Sabotage-tolerance mechanisms for volunteer
computing systems", 2002). Guards: a device has one vote, whatever it says again.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from math import comb, prod
from typing import TypeVar

from pockethive.core.errors import BadInput

A = TypeVar("A", bound=Hashable)


def m_first(votes: Iterable[tuple[Hashable, A]], m: int) -> A | None:
    """The first answer that `m` distinct devices gave; None while there is none.

    `votes` are (device, answer) in the order they came. Raises BadInput: `m` below 1.
    """
    if m < 1:
        raise BadInput(f"an answer needs at least one vote, not {m}")
    counts: Counter[A] = Counter()
    voted: set[Hashable] = set()
    for device, answer in votes:
        if device in voted:
            continue
        voted.add(device)
        counts[answer] += 1
        if counts[answer] >= m:
            return answer
    return None


def voting_error(m: int, wrong: float) -> float:
    """The chance that m-first accepts a wrong answer when a share `wrong` of all votes gives the
    same wrong one: at least m of 2m-1 votes are wrong (Watanabe and Fukushi, eq. 7)."""
    most = 2 * m - 1
    return sum(comb(most, j) * wrong**j * (1 - wrong) ** (most - j) for j in range(m, most + 1))


def expected_votes(m: int, wrong: float) -> float:
    """How many votes m-first takes on average with two possible answers: the loser has j < m."""
    right = 1 - wrong
    return sum(
        (m + j) * comb(m + j - 1, j) * (right**m * wrong**j + wrong**m * right**j) for j in range(m)
    )


def group_credibility(groups: Mapping[A, Sequence[float]]) -> dict[A, float]:
    """The chance of each answer to be right, given the credibility of those who gave it.

    A group is good when all of it is, bad when nobody is; at most one group is good, and the
    chances are those under this condition. Raises BadInput: a credibility outside (0, 1).
    """
    if any(not 0 < each < 1 for group in groups.values() for each in group):
        raise BadInput("a credibility lies between 0 and 1, both excluded")
    good = {answer: prod(group) for answer, group in groups.items()}
    bad = {answer: prod(1 - each for each in group) for answer, group in groups.items()}
    alone = {
        answer: good[answer] * prod(bad[other] for other in groups if other != answer)
        for answer in groups
    }
    total = prod(bad.values()) + sum(alone.values())
    return {answer: chance / total for answer, chance in alone.items()}
