"""`gather`: what the sentences of a device's own documents tell of what a question asks for.

The code knows English patterns (`wording.py`): what a question names, which phrase in it describes
something that must be found first, and where names, numbers and days stand. The model decides which
kind of fact a question asks for, which kind a sentence tells, and which of several phrases is the
value (`telling.py`). Types bound its choice: a sentence without a number tells no number. What
kinds there are, with examples, is data of the package; how documents are worded is known nowhere.
Rule guarded here: a sentence leaves the device only as a row, with its proof; the others stay.

Params: `question`. Inputs: the last reckoning, where there was one: its `question` goes before.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pockethive.actors.documents.attestation import MAX_QUOTE, fault, quotation
from pockethive.actors.documents.index import DocumentIndex, Hit
from pockethive.actors.skill import Finding, Product, Tools, Work, documents_of, model_for
from pockethive.actors.skills.telling import NOTHING, Chooser, Kind, kinds
from pockethive.actors.skills.wording import (
    affirmed,
    bare,
    days,
    described,
    mentions,
    named,
    names,
    numbers,
    things,
    words,
)
from pockethive.core.ports import VerifySignature

FORMAT: Final = 1
HITS: Final = 120  # passages that are looked at for a name, best by BM25
MOST_ROWS: Final = 40
MOST_HOPS: Final = 8  # things found one after another
MOST_CITED: Final = 40  # of each
_LONGEST_NAME: Final = 120  # characters of what was found and stands in the next question
_SOMEBODY: Final = "Anna Somebody"  # as names are found in a question
_TOLD: Final = ("thing", "value", "place", "when")
_YEAR: Final = 4  # digits
_ROW: Final = {*_TOLD, "finding"}
_RECKONED: Final = {"answer": str, "citations": list, "found": bool, "hops": int, "question": str}


@dataclass(frozen=True, slots=True)
class Sought:
    """What a device looks for: `kind` of `about`, to be made into `shape` of it."""

    question: str
    about: str
    shape: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Told:
    """What one sentence says: the value that it affirms. `when` is an ISO date or ""."""

    thing: str
    value: str
    place: str = ""
    when: str = ""


class Gather:
    """The gatherer's skill. Its value: what was wanted, rows, and how much was searched."""

    name = "gather"
    needs_model = True

    def run(self, work: Work, tools: Tools) -> Product:
        """Search this device's documents. Raises SkillFailure when it has none."""
        documents = documents_of(work, tools)
        model = model_for("reading sentences", work, tools)
        question = open_question(work)
        chooser = Chooser(model)
        sought = wanted(question, chooser) if question else None
        rows = _rows(sought, documents, chooser) if sought else []
        value = {
            "v": FORMAT,
            "wanted": f"{sought.shape}-{sought.kind.name}" if sought else "",
            "rows": rows,
            "searched": {
                "documents": documents.documents,
                "passages": documents.passages,
            },
        }
        return Product(value=value, prompt_tokens=chooser.tokens)


class Gathered:
    """Every row quotes a document as its device indexed it, and says what stands there. Pure.

    Whether the sentence tells the kind of fact, and whether others were kept back, is not checked.
    """

    name = "gathered"
    needs_model = False

    def check(self, work: Work, value: Any, tools: Tools) -> Finding:
        """Judge an output of `gather`."""
        if wrong := unsound(value, tools.verify, work.device):
            return Finding(accept=False, reason=wrong)
        return Finding(accept=True, reason=f"{len(value['rows'])} rows say what they quote")


def open_question(work: Work) -> str:
    """What is still asked: "" when the last reckoning answered."""
    last = last_reckoning(work)
    return str(work.params["question"]) if last is None else str(last["question"])


def last_reckoning(work: Work) -> Mapping[str, Any] | None:
    """What `reckon` made in the round before, if there was one and it has its form."""
    asked = str(work.params["question"])
    return next((each for each in work.before if _is_reckoning(each, asked)), None)


def _is_reckoning(value: Any, asked: str) -> bool:
    return (
        isinstance(value, Mapping)
        and set(value) == {"v", *_RECKONED}
        and value["v"] == FORMAT
        and all(type(value[name]) is kind for name, kind in _RECKONED.items())
        and all(isinstance(each, Mapping) for each in value["citations"])
        and len(value["citations"]) <= MOST_CITED * MOST_HOPS
        and 1 <= value["hops"] <= MOST_HOPS
        and _goes_on(value["question"], asked)
    )


def _goes_on(question: str, asked: str) -> bool:
    """Whether a question is "", or what was asked with a name in place of what it described.

    So nobody who reckons can have devices look for anything of another kind.
    """
    while question and (inner := described(asked)) is not None:
        before, after = inner.rest.split("{}", 1)
        name = question.removeprefix(before).removesuffix(after)
        if question == f"{before}{name}{after}" and 0 < len(name) <= _LONGEST_NAME:
            return True
        asked = f"{before}{_SOMEBODY}{after}"
    return not question


def wanted(question: str, chooser: Chooser) -> Sought | None:
    """What is sought first: the innermost thing described, or what the question asks itself."""
    inner = described(question)
    asked = question if inner is None else f"What is {inner.phrase}?"
    about = named(asked)
    if not about:
        return None
    among = [name for name in kinds().wanted if _fits(name, about, inner is not None)]
    if not among:
        return None
    shape, name = chooser.wanted(asked, among)[0].split("-", 1)
    return Sought(asked, about, shape, kinds().kinds[name])


def _fits(name: str, about: str, inner: bool) -> bool:
    """Whether so much can be asked of something called so; what is inside another is one thing."""
    shape, kind = name.split("-", 1)
    told = kinds().kinds[kind]
    if inner and (shape != "one" or told.gives != "name"):
        return False
    return _of(about) == ("name" if shape != "one" and told.by else told.of)


def _of(about: str) -> str:
    return about.split(maxsplit=1)[0] if about[-1].isdigit() else "name"


def _rows(sought: Sought, index: DocumentIndex, chooser: Chooser) -> list[dict[str, Any]]:
    found = []
    for hit in index.search(sought.about, HITS):
        if not mentions(hit.passage.text, sought.about):
            continue
        told = read(hit.passage.text, sought, chooser)
        if told is None or len(hit.passage.text) > MAX_QUOTE:
            continue
        row = row_of(index, hit, told)
        if not _unsaid(row, sought.kind):  # others would refuse it, and all rows beside it
            found.append(row)
    return found[:MOST_ROWS]


def read(text: str, sought: Sought, chooser: Chooser) -> Told | None:
    """What a sentence says of what is sought, or None: it tells something else."""
    said = bare(text)
    among = possible(said)
    if sought.kind.name not in among:
        return None
    if chooser.kind(said, (*among, NOTHING))[0] != sought.kind.name:
        return None
    thing = _thing(said, sought)
    if not thing:
        return None
    value = _value(said, sought.kind, thing, chooser)
    if not value:
        return None
    return Told(thing, value, *_where_and_when(said, sought.kind))


def _where_and_when(said: str, kind: Kind) -> tuple[str, str]:
    """The place and the ISO date that a sentence tells of a fact of a kind, or ""."""
    place = next(iter(names(affirmed(said)[0])), "") if kind.by == "place" else ""
    return place, next(iter(days(said)), "") if kind.dated else ""


def possible(said: str) -> tuple[str, ...]:
    """Kinds of fact whose thing, value and day a sentence can have."""
    return tuple(
        kind.name
        for kind in kinds().kinds.values()
        if kind.name != NOTHING
        and bool(days(said)) == kind.dated
        and (names(said) if kind.of == "name" else things(said, kind.of))
        and (kind.of != "name" or not _numbered(said))
        and values(said, kind, _first_thing(said, kind))
    )


def _numbered(said: str) -> bool:
    return any(things(said, kind.of) for kind in kinds().kinds.values())


def _first_thing(said: str, kind: Kind) -> str:
    return next(iter(things(said, kind.of)), "") if kind.of != "name" else ""


def _thing(said: str, sought: Sought) -> str:
    """What the sentence is of: what was asked for, or what it names where a place was."""
    if _of(sought.about) == sought.kind.of:
        return sought.about if mentions(affirmed(said)[0], sought.about) else ""
    return _first_thing(said, sought.kind)


def values(said: str, kind: Kind, thing: str) -> tuple[str, ...]:
    """Phrases that a sentence affirms and that can be a value of a kind."""
    so, _ = affirmed(said)
    if kind.gives == "name":
        return tuple(each for each in names(so) if each != thing)
    if kind.gives == "word":
        return words(so)
    found = numbers(so, thing)
    return tuple(each for each in found if (len(each) == _YEAR) == (kind.gives == "year"))


def _value(said: str, kind: Kind, thing: str, chooser: Chooser) -> str:
    options = values(said, kind, thing)
    if not options:
        return ""
    return chooser.pick(said, f"What is the {kind.label} of {thing}?", options)


def row_of(index: DocumentIndex, hit: Hit, told: Told) -> dict[str, Any]:
    """A sentence as it leaves the device, with its proof."""
    proven = quotation(hit.source, index.device, hit.passage, index.prove(hit))
    finding = {**proven, "quote": hit.passage.text, "score": 0, "start": 0}
    return {"finding": finding, **{name: getattr(told, name) for name in _TOLD}}


def misshapen(value: Any) -> str:
    """What is wrong with the form of an output of `gather`, or ""."""
    if not isinstance(value, Mapping) or set(value) != {"v", "wanted", "rows", "searched"}:
        return "not what was gathered: fields are missing or unknown"
    rows, wish = value["rows"], value["wanted"]
    if value["v"] != FORMAT or not isinstance(rows, list) or len(rows) > MOST_ROWS:
        return f"not what was gathered: more than {MOST_ROWS} rows, or no list of them"
    if wish not in ("", *kinds().wanted) or (rows and not wish):
        return "not what was gathered: nothing is asked for so"
    if not all(_is_row(row) for row in rows):
        return "not what was gathered: a row is none"
    return ""


def unsound(value: Any, verify: VerifySignature, device: str | None = None) -> str:
    """Why a value is nothing that an honest device gathers, or "". `device`: who must have made it;
    else whoever its first row names, and all others with it."""
    if problem := misshapen(value):
        return problem
    if not value["rows"]:
        return ""
    kind = kinds().kinds[value["wanted"].partition("-")[2]]
    maker = str(value["rows"][0]["finding"].get("device")) if device is None else device
    seen = set[tuple[str, int]]()
    for number, row in enumerate(value["rows"], start=1):
        finding = row["finding"]
        if wrong := fault(finding, maker, verify) or _unsaid(row, kind):
            return f"row {number}: {wrong}"
        key = (finding["source"], finding["passage"]["index"])
        if key in seen:
            return f"row {number}: given twice"
        seen.add(key)
    return ""


def _is_row(row: Any) -> bool:
    return (
        isinstance(row, Mapping)
        and set(row) == _ROW
        and all(isinstance(row[name], str) for name in _TOLD)
        and isinstance(row["finding"], Mapping)
    )


def _unsaid(row: Mapping[str, Any], kind: Kind) -> str:
    """Which of a row's values its quotation does not tell of a fact of a kind, or ""."""
    said = bare(row["finding"]["quote"])
    thing = row["thing"]
    if not thing or _of(thing) != kind.of or not mentions(affirmed(said)[0], thing):
        return "its thing is not in it"
    if row["value"] not in values(said, kind, thing):
        return "its value is not in it"
    if (row["place"], row["when"]) != _where_and_when(said, kind):
        return "its place or day is another"
    return ""
