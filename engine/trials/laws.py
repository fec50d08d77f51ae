"""What voting should come to: the laws that a measurement is held against.

From Meyerson et al. 2025, arXiv 2511.09030, and the gambler's ruin (Feller, vol. 1, ch. XIV). They
take votes to be independent; where they are not, measurement falls short of them.

Throughout: `p` is the chance that a vote is right, `q` that it is for the strongest wrong option;
both are shares of all votes; what is left of 1 is blank or scattered. `k` is the lead wanted.
"""

from collections.abc import Iterable
from math import ceil, exp, expm1, log, log1p, prod, sqrt
from typing import Final

from pockethive.core.errors import BadInput

Z95: Final = 1.959963984540054
"""Standard errors on either side that hold 95 in 100 of a normal distribution."""


def step_success(p: float, q: float, k: int) -> float:
    """The chance that the right option is first ahead by `k`: 1 / (1 + (q/p)^k).

    Exact for one rival. Raises BadInput for what are no chances.
    """
    _chances(p, q, k)
    if p == 0:
        return 0.0
    if q == 0:
        return 1.0
    odds = k * log(q / p)
    return 1 / (1 + exp(odds)) if odds < 0 else exp(-odds) / (1 + exp(-odds))


def job_success(steps: Iterable[float]) -> float:
    """The chance that every step of a job comes out right, of those of its steps."""
    return prod(steps)


def expected_votes(p: float, q: float, k: int) -> float:
    """Votes until a step is decided, blank ones included: k (2P - 1) / (p - q).

    `k` squared over p + q where p equals q. Those for either option alone are p + q times as many.
    By Wald's identity on the lead. Raises BadInput for what are no chances, or for p = q = 0.
    """
    _chances(p, q, k)
    if p + q == 0:
        raise BadInput("nobody ever votes for anything", cure="give a p or q above 0")
    if abs(p - q) < 1e-9:
        return k * k / (p + q)
    return k * (2 * step_success(p, q, k) - 1) / (p - q)


def least_ahead(p: float, q: float, steps: float, target: float) -> int:
    """The smallest k by which `steps` steps all come out right with a chance of `target`.

    ceil(ln(t^(-1/s) - 1) / ln(q/p)). Raises BadInput unless p > q: then no k is enough.
    """
    _chances(p, q, 1)
    if not p > q:
        raise BadInput(
            f"the best rival has {q:g}, the right option {p:g}: no lead is enough",
            cure="make the step simpler until its p is above that of every rival",
        )
    if not (0 < target < 1 and steps > 0):
        raise BadInput(
            f"a chance of {target:g} over {steps:g} steps", cure="0 < target < 1 < steps"
        )
    if q == 0:
        return 1
    return max(1, ceil(log(expm1(-log(target) / steps)) / (log(q) - log(p))))


def wilson(right: int, asked: int, z: float = Z95) -> tuple[float, float]:
    """The interval of a share by Wilson 1927. Raises BadInput unless 0 <= right <= asked > 0."""
    if not 0 <= right <= asked or asked == 0:
        raise BadInput(
            f"{right} of {asked}", cure="count at least one, and no more than were asked"
        )
    share, square = right / asked, z * z / asked
    middle = share + square / 2
    reach = z * sqrt(share * (1 - share) / asked + square / (4 * asked))
    return max(0.0, (middle - reach) / (1 + square)), min(1.0, (middle + reach) / (1 + square))


def job_band(right: int, asked: int, k: int, steps: int) -> tuple[float, float]:
    """The chance of a whole job, at either end of the Wilson interval of its p (and q = 1 - p)."""
    low, high = (
        exp(-steps * log1p((1 - p) ** k / p**k)) if p > 0 else 0.0 for p in wilson(right, asked)
    )
    return low, high


def _chances(p: float, q: float, k: int) -> None:
    if not (0 <= p <= 1 and 0 <= q <= 1 and p + q <= 1 + 1e-9) or k < 1:
        raise BadInput(
            f"p = {p:g}, q = {q:g}, k = {k}", cure="chances of at most 1 together, k >= 1"
        )
