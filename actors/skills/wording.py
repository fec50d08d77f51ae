"""Names, numbers and days in English sentences, by general patterns; and phrases within a question.

What is known here is English, not what a document is about: capitalized words name somebody, a noun
and a number name a thing, what stands after "not" is denied, what stands before a colon introduces,
what stands in brackets is a remark, and "the … of NAME" or "the … where NAME …" describes something
within a question. Pure. Rule guarded here: what is found stands in the text as it is returned.
"""

import re
from dataclasses import dataclass
from datetime import date
from typing import Final

MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_DAY: Final = re.compile(rf"\b(\d{{1,2}}) ({'|'.join(MONTHS)}) (\d{{4}})\b")
_THING: Final = re.compile(r"\b([A-Za-z][a-z]+) ((?:[A-Z]+-)?\d+)\b")
_NAME: Final = re.compile(r"\b[A-Z][a-z]+(?: [A-Z][a-z]+)*\b")
_NUMBER: Final = re.compile(r"(?<![\w-])\d+(?![\w-])")
_WORD: Final = re.compile(r"\b[a-z]{4,}\b")
_DENIED: Final = re.compile(r",? (?:but |and )?not\b")
_REMARK: Final = re.compile(r"\s*\([^()]*\)")
_LEADS: Final = re.compile(
    "The|An?|On|In|At|By|With|From|To|Of|As|For|Since|Its?|This|That|There|Who|Whom|What|Where|"
    "When|Which|How|Why|Nobody|Somebody|And|But|If|List"
)
_EMPTY: Final = re.compile(
    "an?|the|who|whom|what|which|where|when|how|is|are|was|were|do|does|did|in|on|at|as|of|to|by|it"
)


@dataclass(frozen=True, slots=True)
class Described:
    """A question within a question. `rest` has `{}` where the phrase stood."""

    phrase: str
    rest: str


def bare(text: str) -> str:
    """A sentence as it is read: without remarks in brackets and what introduces it."""
    said = " ".join(_REMARK.sub("", text).split())
    return said.rsplit(": ", 1)[-1]


def affirmed(text: str) -> tuple[str, str]:
    """What a sentence says is so, and what it says is not."""
    found = _DENIED.search(text)
    return (text[: found.start()], text[found.end() :]) if found else (text, "")


def days(text: str) -> tuple[str, ...]:
    """Days of a text as ISO dates, in its order; what is no day of a calendar is left out."""
    found = []
    for day, month, year in _DAY.findall(text):
        try:
            found.append(date(int(year), MONTHS.index(month) + 1, int(day)).isoformat())
        except ValueError:  # such as 31 June
            continue
    return tuple(found)


def told_day(iso: str) -> str:
    """An ISO date as sentences write it: 3 May 2021."""
    day = date.fromisoformat(iso)
    return f"{day.day} {MONTHS[day.month - 1]} {day.year}"


def things(text: str, noun: str) -> tuple[str, ...]:
    """`noun 123` or `noun AB-123`, in lower case but for the letters of the number."""
    plain = _DAY.sub(";", text)
    return tuple(f"{n.lower()} {k}" for n, k in _THING.findall(plain) if n.lower() == noun)


def names(text: str) -> tuple[str, ...]:
    """Runs of capitalized words that name somebody or some place."""
    plain = _DAY.sub(";", text)
    plain = _THING.sub(lambda m: m[2] if m[1][0].islower() else ";", plain)
    runs = [match.group().split() for match in _NAME.finditer(plain)]
    kept = [run[1:] if _LEADS.fullmatch(run[0]) else run for run in runs]
    return tuple(" ".join(run) for run in kept if run)


def numbers(text: str, thing: str = "") -> tuple[str, ...]:
    """Numbers that are no part of a day or of the name of `thing`."""
    plain = _DAY.sub(";", text)
    if thing:
        plain = re.sub(re.escape(thing), ";", plain, flags=re.IGNORECASE)
    return tuple(_NUMBER.findall(plain))


def words(text: str) -> tuple[str, ...]:
    """Words of four letters and more that are no names, each once."""
    return tuple(dict.fromkeys(_WORD.findall(text)))


def named(question: str) -> str:
    """What a question is about: the last thing with a number in it, else the last name, else ""."""
    plain = _DAY.sub(";", question)
    found = _THING.findall(plain)
    if found:
        return f"{found[-1][0].lower()} {found[-1][1]}"
    told = names(question)
    return told[-1] if told else ""


def described(question: str) -> Described | None:
    """The innermost thing that a question only describes, or None: it names what it is about."""
    about = named(question)
    if not about:
        return None
    pattern = rf"\bthe (?:(?!the )[a-z]+ )+?(?:of {re.escape(about)}|where {re.escape(about)} \w+)"
    found = re.search(pattern, question)
    if found is None:
        return None
    rest = f"{question[: found.start()]}{{}}{question[found.end() :]}"
    asks = any(not _EMPTY.fullmatch(word) for word in re.findall(r"\w+", rest.lower()))
    return Described(found.group(), rest) if asks else None


def mentions(text: str, name: str) -> bool:
    """Whether a text has a name, whole, in upper or lower case."""
    return re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text, re.IGNORECASE) is not None
