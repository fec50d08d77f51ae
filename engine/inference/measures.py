"""What an answer is worth, and whether confidence means anything. Pure.

Guards: confidence is compared with what came true, bin by bin, so that it cannot be claimed.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, sqrt

from pockethive.core.errors import BadInput

BINS = 10
_Z = 1.959964  # of the normal distribution: 95 % lie within so many deviations
_WORD = re.compile(r"\w+")
_ARTICLES = frozenset({"a", "an", "the"})


@dataclass(frozen=True, slots=True)
class Bin:
    """Answers of about the same confidence: how many, their mean confidence, how many right."""

    count: int
    confidence: float
    right: float


def token_f1(given: str, right: str) -> float:
    """Shared words of two texts, as the harmonic mean of precision and recall, 0 to 1.

    Small letters, without punctuation and articles (Rajpurkar et al. 2016, SQuAD, arXiv
    1606.05250). No answer is right only where none was wanted.
    """
    mine, theirs = _words(given), _words(right)
    if not mine or not theirs:
        return float(mine == theirs)
    shared = sum((Counter(mine) & Counter(theirs)).values())
    return 2 * shared / (len(mine) + len(theirs))


def same(given: str, right: str) -> bool:
    """Whether two texts have the same words in the same order, as `token_f1` sees words."""
    return _words(given) == _words(right)


def reliability(
    confidences: Sequence[float], rights: Sequence[float], bins: int = BINS
) -> list[Bin]:
    """Bins of equal width from 0 to 1; an empty one has zeros. Raises BadInput."""
    if len(confidences) != len(rights) or not all(0 <= each <= 1 for each in confidences):
        raise BadInput("a confidence between 0 and 1 belongs to every answer")
    members: list[list[tuple[float, float]]] = [[] for _ in range(bins)]
    for confidence, right in zip(confidences, rights, strict=True):
        members[min(bins - 1, int(confidence * bins))].append((confidence, right))
    return [
        Bin(len(each), _mean([c for c, _ in each]), _mean([r for _, r in each])) for each in members
    ]


def calibration_error(bins: Sequence[Bin]) -> float:
    """Expected calibration error (Naeini et al. 2015): mean distance, weighed by count."""
    count = sum(each.count for each in bins)
    return sum(each.count * abs(each.confidence - each.right) for each in bins) / max(1, count)


def mean_bound(values: Sequence[float]) -> float:
    """The lower end of the normal 95 % interval of a mean, rounded down to 0.001, at least 0."""
    if len(values) < 2:
        raise BadInput("a bound needs two values at least")
    mean = _mean(values)
    variance = sum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return max(0.0, floor(1000 * (mean - _Z * sqrt(variance / len(values)))) / 1000)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _words(text: str) -> list[str]:
    return [word for word in _WORD.findall(text.lower()) if word not in _ARTICLES]
