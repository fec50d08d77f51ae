"""`reckon`: an answer made of what devices gathered, or the next question that it leads to.

No model is asked. Of what is said differently about the same thing the source that stands higher is
right, and of equal standing the newer; both are read off a document's title. Rule guarded here: an
answer is a function of rows, so anybody who has them can reckon again, and cites each row it is
made of.

Params: `question`; `standing`: first words of titles, the highest first; `agreeing`: how many
devices must quote a sentence of a document (1). Inputs: what was gathered, and the last reckoning.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pockethive.actors.skill import Finding, Product, Tools, Work
from pockethive.actors.skills.gathering import (
    MOST_CITED,
    MOST_HOPS,
    last_reckoning,
    open_question,
    unsound,
)
from pockethive.actors.skills.telling import Kind, kinds
from pockethive.actors.skills.wording import days, described, named, told_day
from pockethive.core.canonical import same
from pockethive.core.errors import BadInput
from pockethive.core.ports import VerifySignature

FORMAT: Final = 1
NOT_KNOWN: Final = "not known"
_WHOLE: Final = re.compile(r"\d{1,15}")


@dataclass(frozen=True, slots=True)
class Row:
    """A sentence as it counts: `rank` orders what differs, the greatest is right."""

    thing: str
    value: str
    place: str
    when: str
    rank: tuple[int, str, int, str]
    finding: Mapping[str, Any]


class Reckon:
    """The reckoner's skill."""

    name = "reckon"
    needs_model = False

    def run(self, work: Work, tools: Tools) -> Product:
        """Reckon from rows. Raises BadInput for params that make no sense."""
        return Product(value=reckoned(work, tools.verify))


class Reckoned:
    """A reckoning is what this device reckons of the same rows. Pure."""

    name = "reckoned"
    needs_model = False

    def check(self, work: Work, value: Any, tools: Tools) -> Finding:
        """Judge an output of `reckon` by reckoning again."""
        if not same(value, reckoned(work, tools.verify)):
            return Finding(accept=False, reason="reckoned again it is another answer")
        return Finding(accept=True, reason="reckoned again it is the same")


def reckoned(work: Work, verify: VerifySignature) -> dict[str, Any]:
    """The value of `reckon`: a function of params and inputs."""
    last, question = last_reckoning(work), open_question(work)
    if last is not None and not question:
        return dict(last)
    hops = 1 if last is None else last["hops"] + 1
    cited = [] if last is None else list(last["citations"])
    wish, rows = gathered(work, verify)
    if not wish or not rows:
        return _value("", NOT_KNOWN, hops, [])
    shape, name = wish.split("-", 1)
    inner = described(question)
    about = named(question if inner is None else f"What is {inner.phrase}?")
    answer, used = _SHAPES[shape](kinds().kinds[name], about, rows)
    if not used:
        return _value("", answer, hops, cited)
    cited += [_citation(len(cited) + n, row) for n, row in enumerate(used[:MOST_CITED], start=1)]
    if inner is None:
        return _value("", answer, hops, cited)
    if hops >= MOST_HOPS:
        return _value("", NOT_KNOWN, hops, [])
    return _value(inner.rest.replace("{}", answer), NOT_KNOWN, hops, cited)


def gathered(work: Work, verify: VerifySignature) -> tuple[str, list[Row]]:
    """What most devices took the question for, and the rows of those that did; sound ones alone.

    Outputs are looked at again: who accepted one may be a friend of who made it. Each counts once
    for what it quotes, whatever keys it signs with and however often its document says so.
    """
    outputs = [each for each in work.beside if not unsound(each, verify)]
    wishes = Counter(each["wanted"] for each in outputs if each["wanted"])
    if not wishes:
        return "", []
    wish = min(wishes, key=lambda each: (-wishes[each], each))
    standing = _standing(work)
    told: dict[tuple[str, ...], dict[int, Row]] = {}
    for number, output in enumerate(outputs):
        for row in output["rows"] if output["wanted"] == wish else ():
            said = (row["thing"], row["value"], row["place"], row["when"])
            key = (row["finding"]["source"], row["finding"]["quote"], *said)
            told.setdefault(key, {}).setdefault(number, _row(row, standing))
    least = _agreeing(work)
    kept = [next(iter(rows.values())) for rows in told.values() if len(rows) >= least]
    return wish, sorted(kept, key=lambda row: (row.thing, row.when, row.rank))


def _row(row: Mapping[str, Any], standing: Sequence[str]) -> Row:
    finding = row["finding"]
    title = str(finding["passage"]["title"])
    first = title.split(" ", 1)[0].lower()
    height = len(standing) - standing.index(first) if first in standing else 0
    day = next(iter(days(title)), "")
    rank = (height, day, -int(finding["passage"]["index"]), str(finding["source"]))
    return Row(row["thing"], row["value"], row["place"], row["when"], rank, finding)


def _right(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Of each thing (and day) the row that is right; and all that say as it does."""
    best: dict[tuple[str, str], Row] = {}
    for row in rows:
        key = (row.thing, row.when)
        if key not in best or row.rank > best[key].rank:
            best[key] = row
    backing = [row for row in rows if row.value == best[row.thing, row.when].value]
    return list(best.values()), backing


Made = tuple[str, list[Row]]


def _one(_: Kind, about: str, rows: Sequence[Row]) -> Made:
    right, backing = _right([row for row in rows if row.thing == about])
    return (right[0].value, backing) if right else (NOT_KNOWN, [])


def _group(kind: Kind, about: str, rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """The right rows that belong to what was asked about, and what backs them."""
    right, backing = _right(rows)
    by: Callable[[Row], str] = lambda row: getattr(row, kind.by or "thing")  # noqa: E731
    mine = [row for row in right if by(row) == about]
    keys = {(row.thing, row.when) for row in mine}
    return mine, [row for row in backing if (row.thing, row.when) in keys]


def _count(kind: Kind, about: str, rows: Sequence[Row]) -> Made:
    mine, backing = _group(kind, about, rows)
    return (str(len(mine)), backing) if mine else (NOT_KNOWN, [])


def _sum(kind: Kind, about: str, rows: Sequence[Row]) -> Made:
    mine, backing = _group(kind, about, rows)
    if not mine or not all(_WHOLE.fullmatch(row.value) for row in mine):
        return NOT_KNOWN, []
    return str(sum(int(row.value) for row in mine)), backing


def _greatest(kind: Kind, about: str, rows: Sequence[Row]) -> Made:
    mine, backing = _group(kind, about, rows)
    sized = [row for row in mine if _WHOLE.fullmatch(row.value)]
    if not sized:
        return NOT_KNOWN, []
    best = max(sized, key=lambda row: int(row.value))
    return told_day(best.when) if kind.dated and best.when else best.thing, backing


def _order(kind: Kind, about: str, rows: Sequence[Row]) -> Made:
    mine, backing = _group(kind, about, rows)
    if not mine:
        return NOT_KNOWN, []
    return ", ".join(row.value for row in sorted(mine, key=lambda row: row.when)), backing


_SHAPES: Final[Mapping[str, Callable[[Kind, str, Sequence[Row]], Made]]] = {
    "one": _one,
    "count": _count,
    "sum": _sum,
    "greatest": _greatest,
    "order": _order,
}


def _value(question: str, answer: str, hops: int, cited: list[dict[str, Any]]) -> dict[str, Any]:
    """`question`: what is still to be found, or ""; `answer` is "not known" until then."""
    known = answer != NOT_KNOWN
    return {
        "v": FORMAT,
        "answer": answer,
        "citations": cited,
        "found": known,
        "hops": hops,
        "question": question,
    }


def _citation(number: int, row: Row) -> dict[str, Any]:
    names = ("device", "passage", "quote", "source")
    return {"number": number, **{name: row.finding[name] for name in names}}


def _standing(work: Work) -> tuple[str, ...]:
    told = work.params.get("standing", [])
    if not isinstance(told, Sequence) or isinstance(told, str):
        raise BadInput(f"standing is {told!r}", where=work.name, cure="a list, the highest first")
    return tuple(str(each).lower() for each in told)


def _agreeing(work: Work) -> int:
    told = work.params.get("agreeing", 1)
    if type(told) is not int or told < 1:
        raise BadInput(f"agreeing is {told!r}", where=work.name, cure="a whole number from 1")
    return told
