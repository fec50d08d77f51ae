"""Whole sentences of a text that say most in little room: what is new, and what surprises.

After maximal marginal relevance (Carbonell and Goldstein 1998): a sentence counts for what those
that are kept already do not say. Guards: nothing is rewritten; what is said twice is kept once.
"""

import re
from collections.abc import Mapping, Sequence

from pockethive.inference.clues import stems, subject

_NAME = re.compile(r"(?<=\s)[A-Z]\w+|\b\d[\d.,]*\b")
_WORD = re.compile(r"[^\W_]+")
_AGAIN = 1.5  # two thirds of its words said already, and a sentence is worth nothing


def condensed(
    texts: Sequence[str], surprises: Sequence[float], budget: int, weights: Mapping[str, float]
) -> tuple[list[int], list[float], list[float]]:
    """Numbers of the sentences to keep, in order; what each was worth; what those left out are.

    `surprises`: nats of each sentence. `weights`: `named`, nats more for one that is about what the
    text names most, and for each name or number in it; `beside`, what another keeps of its worth.
    `budget`: characters. Pure.
    """
    about = subject(" ".join(texts))
    topic = _stems(about)
    kept: list[int] = []
    worth: list[float] = []
    said: frozenset[str] = frozenset()
    room, left = budget, set(range(len(texts)))

    def value(number: int) -> float:
        text = texts[number]
        words = _stems(text) - topic
        fresh = 1 - min(1.0, _AGAIN * len(words & said) / max(1, len(words)))
        if about not in text:
            return weights["beside"] * surprises[number] * fresh
        names = len(_stems(" ".join(_NAME.findall(text))) - topic)
        return (surprises[number] + weights["named"] * (1 + names)) * fresh

    while fitting := sorted(n for n in left if len(texts[n]) <= room):
        best = max(fitting, key=lambda n: (value(n), -n))
        worth.append(value(best))
        kept.append(best)
        left.discard(best)
        said |= _stems(texts[best])
        room -= len(texts[best]) + 1
    return sorted(kept), worth, [value(number) for number in sorted(left)]


def _stems(text: str) -> frozenset[str]:
    return stems(_WORD.findall(text.lower()))


def outlook(worth: Sequence[float], left: Sequence[float]) -> tuple[float, float]:
    """What tells whether nothing is missing, in nats.

    By how much the least that was kept outweighs the most that was left out; and the latter.
    """
    missed = max(left, default=0.0)
    return min(worth, default=0.0) - missed, missed
