"""What words alone tell about a question and a text: names shared, words shared, the kind wanted.

Beside the model's likelihoods these are what an answer is weighed by (answers.yaml has the
weights): a small model takes the like fact about another thing for the right one. The kind of an
answer by its question's words: Li and Roth 2002, "Learning Question Classifiers". Pure.

Guards: a clue is a number between -1 and 1, never a verdict; a question whose kind is not known
says so by 0.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Final

from pockethive.inference.phrases import SMALL_WORDS
from pockethive.inference.spans import Offsets

_NAMED_WORD: Final = re.compile(r"\b(?:[A-Z]\w+|\d\w*)\b")
_WORD: Final = re.compile(r"[^\W_]+")
_ENDING: Final = re.compile(r"(?:ings?|edly|ed|ers?|ies|es|s|ly|e|y)$")
_LEAST_STEM: Final = 3

_YEAR: Final = re.compile(r"\b(?:1\d{3}|20\d\d)\b")
_CALENDAR: Final = (
    r"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)days?|January|February|March|April|May|June|July|"
    r"August|September|October|November|December|Christmas|Easter"
)
_TIME: Final = re.compile(
    rf"\b(?:1\d{{3}}|20\d\d|{_CALENDAR}|spring|summer|autumn|winter|noon|midnight|morning|evening|"
    r"night|o'clock|\d\d?:\d\d|years?|months?|weeks?|days?|hours?)\b"
)
_NUMBER: Final = re.compile(
    r"\b(?!(?:1\d{3}|20\d\d)(?:\W*$|\W+[A-Z]))\d|\b(?:one|two|three|four|five|six|seven|eight|"
    r"nine|ten|eleven|twelve|dozen|hundred|thousand|million|half|twice|once|none)\b"
)
_NAME: Final = re.compile(rf"(?!(?:{_CALENDAR})\b)[A-Z][\w.]*(?:[ -][A-Z][\w.]*)*$")
_NAME_RUN: Final = re.compile(
    r"(?:\b[Tt]he )?\b[A-Z][\w']*(?:(?: of(?: the)?| the| and)? [A-Z][\w']*)*"
)
_SUBJECT: Final = re.compile(r"(?!The )\b[A-Z]\w+(?:(?:'s|(?<=s)')? (?:of (?:the )?)?[A-Z]\w+)*")
_TITLE: Final = re.compile(r"[\"“]([^\"“”]{2,80})[\"”]")
_NEXT_WORD: Final = re.compile(r"\s([a-z]\w+)")
_NAME_GOES_ON: Final = re.compile(r"[A-Z]\w*[ -]$")
_AFTER_PLACE: Final = re.compile(r"\b(?:in|at|to|from|near|on|behind|beside)\s+(?:the\s+)?$")
_AFTER_REASON: Final = re.compile(
    r"\b(?:because|since|as|due to|because of|owing to|thanks to|so that)\s+(?:the\s+|an?\s+)?$"
)


class Kind(Enum):
    """What kind of words a question wants."""

    PERSON = "person"
    YEAR = "year"
    TIME = "time"
    NUMBER = "number"
    PLACE = "place"
    REASON = "reason"
    UNKNOWN = "unknown"


_ASKS: Final[tuple[tuple[Kind, re.Pattern[str]], ...]] = tuple(
    (kind, re.compile(pattern, re.IGNORECASE))
    for kind, pattern in (
        (Kind.YEAR, r"\b(?:which|what) year\b|\bhow old\b"),
        (Kind.TIME, r"\b(?:when|which day|what day|what time|which month|what date)\b"),
        (
            Kind.NUMBER,
            r"\bhow (?:many|much|long|far|tall|high|deep|large|big|wide|heavy|fast|often)\b|"
            r"\b(?:what|which) (?:number|price|height|length|depth|size|share|capacity|fee|cost)\b|"
            r"\bwhat (?:is|was|are|were) the (?:number|price|height|length|depth|size|share|"
            r"capacity|fee|cost|width|weight|age|speed|amount)\b|\b(?:cost|pay|earn|receive)\b",
        ),
        (Kind.REASON, r"\bwhy\b|\b(?:what|which) (?:reason|caused?|made|lets?)\b"),
        (
            Kind.PLACE,
            r"\bwhere\b|\b(?:which|what) (?:town|city|place|port|country|village|market|street)\b",
        ),
        (Kind.PERSON, r"\b(?:who|whom|whose)\b"),
    )
)


def wanted(question: str) -> Kind:
    """The kind of answer that the words of a question ask for."""
    return next((kind for kind, asks in _ASKS if asks.search(question)), Kind.UNKNOWN)


def kind_fits(kind: Kind, passage: str, phrase: Offsets) -> float:
    """1 where a phrase of `passage` looks like its kind, -1 where not, 0 for an unknown kind."""
    start, end = phrase
    text, before = passage[start:end], passage[max(0, start - 24) : start]
    if kind is Kind.UNKNOWN:
        return 0.0
    whole = not _NAME_GOES_ON.search(before) and not passage[end : end + 2].strip()[:1].isupper()
    named, place = whole and bool(_NAME.match(text)), bool(_AFTER_PLACE.search(before))
    first = not before.strip() or before.rstrip()[-1:] in ".!?:"  # a capital that says nothing
    looks = {
        Kind.YEAR: bool(_YEAR.search(text)),
        Kind.TIME: bool(_TIME.search(text)),
        Kind.NUMBER: bool(_NUMBER.search(text)),
        Kind.PERSON: named and not place and (" " in text or not first),
        Kind.PLACE: named and place,
        Kind.REASON: bool(_AFTER_REASON.search(before)),
    }
    return 1.0 if looks[kind] else -1.0


def names(question: str) -> frozenset[str]:
    """Words of a question that name something: capital or digit, but not for coming first."""
    return frozenset(found[0] for found in _NAMED_WORD.finditer(question) if found.start() > 0)


def named_text(question: str) -> str:
    """The first name in a question as a text of its own, or nothing.

    What a sentence makes of a question beyond this is what it says, not whom it names.
    """
    for found in _NAME_RUN.finditer(question):
        if found.start() > 0:
            return f"{found[0][0].upper()}{found[0][1:]}."
    return ""


def titled(question: str) -> str:
    """What a question sets in quotation marks, or nothing."""
    found = _TITLE.search(question)
    return found[1].strip() if found else ""


def subject(text: str) -> str:
    """The name that `text` says most often, twice at least, the first among equals; or nothing."""
    counted = Counter(_SUBJECT.findall(text)).most_common(1)
    return counted[0][0] if counted and counted[0][1] > 1 else ""


def unasked(passage: str, found: Sequence[Offsets], question: str) -> Sequence[Offsets]:
    """The phrases without a name or number of the question, or all when none is left.

    Who asks about the Mill Bridge is not answered by its name.
    """
    named = names(question)
    kept = [span for span in found if named.isdisjoint(_WORD.findall(passage[slice(*span)]))]
    return kept or found


def asked_share(question: str, phrase: str) -> float:
    """The share of a phrase's words that the question has, too."""
    said = _WORD.findall(phrase.lower())
    return len(stems(said) & stems(_WORD.findall(question.lower()))) / max(1, len(said))


def is_cut(passage: str, phrase: Offsets) -> float:
    """1 where a phrase leaves a number without the word that it counts."""
    following = _NEXT_WORD.match(passage, phrase[1])
    number = passage[phrase[1] - 1].isdigit()
    return float(bool(number and following and following[1] not in SMALL_WORDS))


def name_share(question: str, text: str) -> float:
    """The share of the question's names that stand in a text; 1 where there is none."""
    named = names(question)
    return len(named.intersection(_WORD.findall(text))) / len(named) if named else 1.0


def word_share(question: str, text: str) -> float:
    """The share of the question's other words, by their stems, that stand in a text."""
    named = {word.lower() for word in names(question)}
    asked = stems(w for w in _WORD.findall(question.lower()) if w not in named)
    return len(asked & stems(_WORD.findall(text.lower()))) / len(asked) if asked else 0.0


def stems(words: Iterable[str]) -> frozenset[str]:
    """Words in small letters without their endings; small words are left out."""
    return frozenset(stem(word) for word in words if word not in SMALL_WORDS)


def stem(word: str) -> str:
    """A word without its ending, `_LEAST_STEM` letters at least."""
    cut = _ENDING.sub("", word)
    return cut if len(cut) >= _LEAST_STEM else word
