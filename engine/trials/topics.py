"""Questions about texts that every machine has, with what an answer must say and cite.

`topics.json`, written from the interpreter's reference topics and licence texts in everyday words.
A question asks for one to three things (`parts`); each has phrases, one of which must stand in the
answer as it stands in the text, and the documents that hold one. One without parts asks for what
those texts don't tell. Questions of the split `dev` may be tuned on, those of `held` never; `fresh`
ones come from somebody who had not seen the program answer, when all was set.

Guards: a question is asked only of texts that hold its phrases; one that can't be asked is named.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

from pockethive.core.errors import BadInput

FORMAT: Final = 1
SPLITS: Final = ("dev", "held", "fresh")
MAX_TEXT: Final = 1_000_000  # characters of a file of questions
MAX_QUESTIONS: Final = 1_000
MAX_QUESTION: Final = 300  # characters
MAX_PARTS: Final = 3
MAX_LISTED: Final = 5  # phrases of a part, and documents
_SPLITS_CURE: Final = f"say {', '.join(SPLITS[:-1])} or {SPLITS[-1]}"
_MARKS: Final = re.compile(r"[“”\"'`’‘*]")


@dataclass(frozen=True, slots=True)
class Part:
    """One thing asked for: any of `phrases` says it, and any of `sources` may be cited for it."""

    phrases: tuple[str, ...]
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicQuestion:
    """One question; without `parts`, the texts don't tell."""

    id: str
    split: str
    question: str
    parts: tuple[Part, ...]

    @property
    def known(self) -> bool:
        """Whether the texts answer it."""
        return bool(self.parts)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A question that can't be asked of the texts that are here, and why."""

    id: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What an answer is worth: parts said and cited, and citations of documents that hold one.

    `spans` counts citations that quote a phrase itself.
    """

    parts: int
    said: int
    cited: int
    citations: int
    citations_right: int
    spans: int
    found: bool

    @property
    def right(self) -> bool:
        """Everything said and cited; of what the texts don't tell, nothing claimed."""
        return self.said == self.cited == self.parts if self.parts else not self.found

    @property
    def failure(self) -> str:
        """In which of five ways it falls short; nothing where it is right."""
        if self.right:
            return ""
        if not self.parts:
            return "answered what is not known"
        if not self.found:
            return "refused"
        if not self.cited:
            return "other documents"
        if not self.said:
            return "another passage"
        return "one part only" if self.parts > 1 else "said without its source"


@cache
def topic_questions() -> tuple[TopicQuestion, ...]:
    """The set that comes with the program."""
    text = (files(__package__) / "topics.json").read_text(encoding="utf-8")
    return parse(text, "topics.json")


def of_split(questions: Sequence[TopicQuestion], split: str) -> tuple[TopicQuestion, ...]:
    """Those of one of `SPLITS`. Raises BadInput for any other word."""
    if split not in SPLITS:
        raise BadInput(f"no split {split!r}", where="topics", cure=_SPLITS_CURE)
    return tuple(each for each in questions if each.split == split)


def parse(text: str, where: str) -> tuple[TopicQuestion, ...]:
    """The questions of a file. Raises BadInput, which says where, for whatever is not one."""
    if len(text) > MAX_TEXT:
        raise BadInput(f"more than {MAX_TEXT} characters", where=where, cure="split the file")
    try:
        told = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"not JSON: {error}", where=where, cure="mend it there") from error
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        raise BadInput(f"not of format {FORMAT}", where=where, cure=f'say "format": {FORMAT}')
    rows = told.get("questions")
    if not isinstance(rows, list) or not 0 < len(rows) <= MAX_QUESTIONS:
        raise BadInput(
            f"not 1 to {MAX_QUESTIONS} questions", where=f"{where}: questions", cure="list them"
        )
    found = tuple(_question(row, f"{where}: questions[{n}]") for n, row in enumerate(rows))
    ids = [each.id for each in found]
    if twice := sorted({one for one in ids if ids.count(one) > 1}):
        raise BadInput(f"ids used twice: {', '.join(twice)}", where=where, cure="rename them")
    return found


def askable(
    questions: Sequence[TopicQuestion], texts: Mapping[str, str]
) -> tuple[tuple[TopicQuestion, ...], tuple[LeftOut, ...]]:
    """The questions that the texts (by document name) can be asked, and those left out."""
    level = {name: levelled(text) for name, text in texts.items()}
    asked, left = [], []
    for question in questions:
        why = next((said for part in question.parts if (said := _amiss(part, level))), "")
        if why:
            left.append(LeftOut(question.id, why))
        else:
            asked.append(question)
    return tuple(asked), tuple(left)


def marked(
    question: TopicQuestion, answer: str, citations: Sequence[tuple[str, str]], *, found: bool
) -> Mark:
    """An answer held against what was asked. `citations`: document and quotation of each."""
    level = levelled(answer)
    parts = question.parts if found else ()
    right = {name for part in question.parts for name in part.sources}
    cited = [name for name, _ in citations]
    return Mark(
        parts=len(question.parts),
        said=sum(any(levelled(each) in level for each in part.phrases) for part in parts),
        cited=sum(any(name in cited for name in part.sources) for part in parts),
        citations=len(cited),
        citations_right=sum(name in right for name in cited),
        spans=sum(_quotes(question, name, quote) for name, quote in citations),
        found=found,
    )


def levelled(text: str) -> str:
    """Text for comparing: small letters, single spaces, no quotation marks or asterisks."""
    return " ".join(_MARKS.sub("", text).lower().split())


def _quotes(question: TopicQuestion, name: str, quote: str) -> bool:
    level = levelled(quote)
    return any(
        name in part.sources and any(levelled(each) in level for each in part.phrases)
        for part in question.parts
    )


def _amiss(part: Part, level: Mapping[str, str]) -> str:
    """Why a part can't be asked: the first document that is missing or has none of its phrases."""
    for name in part.sources:
        if name not in level:
            return f"{name} is not here"
        if not any(levelled(phrase) in level[name] for phrase in part.phrases):
            return f"{name} says it otherwise here"
    return ""


def _question(row: Any, where: str) -> TopicQuestion:
    row = _fields(row, {"id", "split", "question", "parts"}, where)
    split, parts = row["split"], row["parts"]
    if split not in SPLITS:
        raise BadInput(f"no split {split!r}", where=f"{where}.split", cure=_SPLITS_CURE)
    if not isinstance(parts, list) or len(parts) > MAX_PARTS:
        raise BadInput(f"not 0 to {MAX_PARTS} parts", where=f"{where}.parts", cure="list them")
    return TopicQuestion(
        id=_words(row["id"], f"{where}.id"),
        split=split,
        question=_words(row["question"], f"{where}.question"),
        parts=tuple(_part(part, f"{where}.parts[{n}]") for n, part in enumerate(parts)),
    )


def _part(row: Any, where: str) -> Part:
    row = _fields(row, {"phrases", "sources"}, where)
    return Part(
        phrases=_listed(row["phrases"], f"{where}.phrases"),
        sources=_listed(row["sources"], f"{where}.sources"),
    )


def _fields(row: Any, names: set[str], where: str) -> Mapping[str, Any]:
    if not isinstance(row, dict) or row.keys() != names:
        told = ", ".join(sorted(names))
        raise BadInput(f"not an object of {told}", where=where, cure="give just these fields")
    return row


def _listed(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not 0 < len(value) <= MAX_LISTED:
        raise BadInput(f"not a list of 1 to {MAX_LISTED}", where=where, cure="list texts")
    return tuple(_words(each, f"{where}[{n}]") for n, each in enumerate(value))


def _words(value: Any, where: str) -> str:
    if not isinstance(value, str) or not levelled(value) or len(value) > MAX_QUESTION:
        raise BadInput(
            f"not a text of 1 to {MAX_QUESTION} characters", where=where, cure="write one"
        )
    return value
