"""Candidates weighed by clues: named figures, weights that were fitted, shares of one. Pure.

A conditional logit (McFadden 1974): the share of a candidate is e to its weighed sum over that of
all. The weights are weights.yaml, fitted by bench/weights.py. Guards: how sure an answer is follows
from how far the others are behind.
"""

import math
from collections.abc import Mapping, Sequence

from pockethive.core.errors import BadInput

Clues = Mapping[str, float]
_MOST = 30.0  # nats


def shares(weights: Clues, candidates: Sequence[Clues]) -> list[float]:
    """The share of each candidate; together one. Raises BadInput for a clue without a weight."""
    if unknown := sorted({name for each in candidates for name in each} - set(weights)):
        raise BadInput(f"no weight was fitted for {', '.join(unknown)}")
    sums = [sum(weights[name] * value for name, value in each.items()) for each in candidates]
    most = max(sums, default=0.0)
    parts = [math.exp(each - most) for each in sums]
    total = sum(parts)
    return [part / total for part in parts]


def first(values: Sequence[float]) -> int:
    """The place of the largest, the first among equals."""
    return max(range(len(values)), key=lambda i: (values[i], -i))


def log_odds(share: float) -> float:
    """Nats for against against, between -30 and 30."""
    return max(-_MOST, min(_MOST, math.log(max(share, 1e-15) / max(1 - share, 1e-15))))


def logistic(total: float) -> float:
    """The share whose log-odds are `total`."""
    return 1 / (1 + math.exp(-max(-_MOST, min(_MOST, total))))
