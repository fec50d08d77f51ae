"""Phrases of a sentence that could answer a question, as places in the passage.

A phrase is a run of a few words that neither begins nor ends with a small word and crosses no
punctuation, or a whole clause. Rule guarded here: the number of phrases is bounded, because each
is read by the model.
"""

import re

from pockethive.inference.spans import Offsets

MOST_WORDS = 5
MOST_PHRASES = 96

_WORD = re.compile(r"[^\W_](?:[\w'’.-]*\w)?(?:\(\))?|_+\w+(?:\(\))?")
_CLAUSE_END = re.compile(r"[,;:.!?()\[\]—–]+(?=\s|$)|\s[—–-]\s|\(")
SMALL_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a an the and or but if of to in on at by for from with as is are was were be been being "
        "it its this that these those which who whom what when where how than then so not no do "
        "does did has have had can could will would may might must should he she they we i you "
        "his her their our your there also into about over under after before between only very "
        "more most such other since until because while during",
    )
)


def phrases(passage: str, sentence: Offsets) -> tuple[Offsets, ...]:
    """Offsets in `passage` of the candidate phrases of one of its sentences, in order."""
    found: set[Offsets] = set()
    for clause in _clauses(passage, sentence):
        words = [match.span() for match in _WORD.finditer(passage, *clause)]
        if words:
            found.add((words[0][0], words[-1][1]))
        found.update(_runs(passage, words))
    return tuple(sorted(found)[:MOST_PHRASES])


def _clauses(passage: str, sentence: Offsets) -> list[Offsets]:
    start, end = sentence
    clauses = []
    for match in _CLAUSE_END.finditer(passage, start, end):
        clauses.append((start, match.start()))
        start = match.end()
    return [*clauses, (start, end)]


def _runs(passage: str, words: list[Offsets]) -> set[Offsets]:
    strong = [passage[a:b].lower() not in SMALL_WORDS for a, b in words]
    return {
        (words[first][0], words[last][1])
        for first in range(len(words))
        for last in range(first, min(first + MOST_WORDS, len(words)))
        if strong[first] and strong[last]
    }
