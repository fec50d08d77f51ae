"""A seeded world: facts, each said by sentences that stand in documents.

What is right is decided when the world is made, never read out of its sentences. A fact may be
said wrongly at first and corrected later by a newer document of the same standing, or contradicted
by a document of lower standing, however new. Rule guarded here: the same seed makes the same world,
and every sentence bears a mark (a made-up word) that stands nowhere else, so that what crossed from
one device to another can be searched for.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import product

from pockethive.core.errors import BadInput
from pockethive.trials.sentences import Kind, Sentences, sentences

CORRECTED = 0.12  # of the facts whose kind has a form for it
CONTRADICTED = 0.06
DISTRACTORS = 0.4  # sentences that tell no fact, for each that does
ENTRIES = 30  # sentences in a document
FACTS_A_UNIT = 30  # of one place, four people, three shipments and one meter, about
LEAST_FACTS, MOST_FACTS = 90, 6_000
_VISITS, _READINGS = 4, 4  # of each third person; of each meter
_HARBOURS = 3  # shipments go to every third place, meters stand in every second
_SITES = 2


@dataclass(frozen=True, slots=True)
class Fact:
    """What is so. `when`: the day of a visit or reading. `place`: where a cargo went."""

    kind: str
    thing: str
    value: str
    place: str = ""
    when: date | None = None

    @property
    def key(self) -> tuple[str, str, date | None]:
        """What of a fact is not its value."""
        return self.kind, self.thing, self.when


@dataclass(frozen=True, slots=True)
class Statement:
    """One sentence. `fact`: what it says, right or wrong; None: nothing that is asked."""

    id: str
    text: str
    mark: str
    fact: Fact | None
    document: str


@dataclass(frozen=True, slots=True)
class Document:
    """Sentences under one title, which tells the source and its day."""

    name: str
    title: str
    source: str
    day: date
    statements: tuple[Statement, ...]

    @property
    def text(self) -> str:
        """The file: each sentence under a heading of its own, so that it can be quoted alone."""
        entries = (f"## Entry {n}\n\n{s.text}\n" for n, s in enumerate(self.statements, start=1))
        return "\n".join([f"# {self.title}\n", *entries])


@dataclass(frozen=True, slots=True)
class World:
    """`facts`: what is right, by key. `things`: names by what they are."""

    seed: int
    documents: tuple[Document, ...]
    facts: Mapping[tuple[str, str, date | None], Fact]
    things: Mapping[str, tuple[str, ...]]

    def statements(self) -> tuple[Statement, ...]:
        """All sentences, document after document."""
        return tuple(each for document in self.documents for each in document.statements)


@dataclass(frozen=True, slots=True)
class _Draft:
    """A sentence to be: its words but for mark and day of a correction, and where it will stand."""

    said: str
    fact: Fact | None
    source: str
    late: bool = False


def make(seed: int, facts: int = 3_000) -> World:
    """The world of `seed` with about so many facts.

    Raises:
        BadInput: fewer or more facts than names are made for.
    """
    if not LEAST_FACTS <= facts <= MOST_FACTS:
        raise BadInput(
            f"a world of {facts} facts",
            where="facts",
            cure=f"take {LEAST_FACTS} to {MOST_FACTS}",
        )
    maker = _Maker(random.Random(seed), sentences())  # noqa: S311 a world to repeat, no secret
    things = maker.names(max(LEAST_FACTS, facts) // FACTS_A_UNIT)
    right = maker.facts(things)
    drafts = [draft for fact in right for draft in maker.said(fact, things)]
    drafts += [maker.distractor(things) for _ in range(round(DISTRACTORS * len(drafts)))]
    return World(seed, maker.documents(drafts), {fact.key: fact for fact in right}, things)


class _Maker:
    """What is drawn from one generator, in one order."""

    def __init__(self, rng: random.Random, words: Sentences) -> None:
        self._rng, self._say, self._words = rng, words, words.words

    def names(self, units: int) -> Mapping[str, tuple[str, ...]]:
        """Names of things; none is part of another."""
        words, rng = self._words, self._rng
        people = [" ".join(pair) for pair in product(words["firsts"], words["lasts"])]
        places = ["".join(pair) for pair in product(words["starts"], words["ends"])]
        letters = [first + last for first, last in product("BDGKMPRT", "AEIOU")]
        ships = [
            self._say.forms["shipment"].format(letters=code, number=number)
            for code, number in zip(
                rng.choices(letters, k=3 * units),
                rng.sample(range(100, 1_000), 3 * units),
                strict=True,
            )
        ]
        meters = [
            self._say.forms["meter"].format(number=number)
            for number in rng.sample(range(1_000, 10_000), units)
        ]
        return {
            "person": tuple(rng.sample(people, 4 * units)),
            "place": tuple(rng.sample(places, min(units + 5, len(places)))),
            "shipment": tuple(ships),
            "meter": tuple(meters),
            "trade": words["trades"],
            "river": words["rivers"],
            "year": tuple(map(str, range(1930, 2000))),
            "number": tuple(map(str, range(11, 480))),
        }

    def facts(self, things: Mapping[str, tuple[str, ...]]) -> list[Fact]:
        """What is so. Some things lack a fact, so that it can be asked for in vain."""
        rng, found = self._rng, list[Fact]()
        harbours, sites = things["place"][::_HARBOURS], things["place"][::_SITES]
        for kind in self._say.kinds.values():
            for number, thing in enumerate(things[kind.of]):
                if kind.name in ("reading", "visit"):
                    found += self._events(kind, thing, number, things)
                elif kind.name == "cargo":
                    value, place = rng.choice(things["number"]), rng.choice(harbours)
                    found.append(Fact(kind.name, thing, value, place))
                elif kind.name == "site":
                    found.append(Fact(kind.name, thing, rng.choice(sites)))
                elif rng.random() < 0.9:
                    found.append(Fact(kind.name, thing, rng.choice(things[kind.gives])))
        return found

    def _events(
        self, kind: Kind, thing: str, number: int, things: Mapping[str, tuple[str, ...]]
    ) -> list[Fact]:
        if kind.name == "visit" and number % 3:
            return []
        rng, most = self._rng, _VISITS if kind.name == "visit" else _READINGS
        many = rng.randint(2, most)
        days = sorted(date(2019, 1, 1) + timedelta(n) for n in rng.sample(range(300), many))
        values = rng.sample(things[kind.gives], many)
        return [
            Fact(kind.name, thing, value, when=day) for value, day in zip(values, days, strict=True)
        ]

    def said(self, fact: Fact, things: Mapping[str, tuple[str, ...]]) -> list[_Draft]:
        """The sentences about a fact: rightly, wrongly and corrected, or contradicted, too."""
        rng, kind = self._rng, self._say.kinds[fact.kind]
        source = rng.choice(("register", "register", "report"))
        wrong = Fact(
            fact.kind,
            fact.thing,
            rng.choice([value for value in things[kind.gives] if value != fact.value]),
            fact.place,
            fact.when,
        )
        drawn = rng.random()
        if kind.corrected and drawn < CORRECTED:
            right = self._fill(kind.corrected, fact, old=wrong.value)
            return [self._plain(kind, wrong, source), _Draft(right, fact, source, late=True)]
        drafts = [self._plain(kind, fact, source)]
        # Of where a meter stands only corrections differ: they name the place that is wrong, so
        # that who counts the meters of a place comes upon them.
        if fact.kind not in ("site", "visit") and drawn > 1 - CONTRADICTED:
            drafts.append(self._plain(kind, wrong, "letter"))
        return drafts

    def _plain(self, kind: Kind, fact: Fact, source: str) -> _Draft:
        return _Draft(self._fill(self._rng.choice(kind.said), fact), fact, source)

    def _fill(self, form: str, fact: Fact, old: str = "") -> str:
        when = self._say.date(fact.when) if fact.when else ""
        return form.format(thing=fact.thing, value=fact.value, place=fact.place, when=when, old=old)

    def distractor(self, things: Mapping[str, tuple[str, ...]]) -> _Draft:
        """A sentence that names things and tells nothing that is asked."""
        rng = self._rng
        person, other = rng.sample(things["person"], 2)
        names = {name: rng.choice(things[name]) for name in ("place", "shipment", "meter")}
        said = rng.choice(self._words["distractors"]).format(
            person=person, other=other, number=rng.randint(2, 60), hour=rng.randint(5, 9), **names
        )
        return _Draft(said, None, rng.choice(tuple(self._say.sources)))

    def documents(self, drafts: Sequence[_Draft]) -> tuple[Document, ...]:
        """The sentences, mixed, in documents of one source and one age each."""
        rng = self._rng
        mixed = rng.sample(drafts, len(drafts))
        marks = self._marks(len(mixed))
        made, at = list[Document](), 0
        for source in self._say.sources:
            for late in (False, True):
                here = [each for each in mixed if (each.source, each.late) == (source, late)]
                for start in range(0, len(here), ENTRIES):
                    part = here[start : start + ENTRIES]
                    name = f"{source}-{len(made) + 1:03}.md"
                    made.append(self._document(name, part, marks[at : at + len(part)]))
                    at += len(part)
        return tuple(made)

    def _document(self, name: str, drafts: Sequence[_Draft], marks: Sequence[str]) -> Document:
        rng, source, late = self._rng, self._say.sources[drafts[0].source], drafts[0].late
        # Letters may be newer than what corrects: being new makes nobody right.
        first = date(2021, 1, 1) if late else date(2020, 1, 1)
        day = first + timedelta(rng.randrange(700 if source.name == "letter" else 360))
        title = source.title.format(
            office=rng.choice(self._words["offices"]), date=self._say.date(day)
        )
        statements = tuple(
            Statement(f"{name}:{number}", self._entry(draft, mark, day), mark, draft.fact, name)
            for number, (draft, mark) in enumerate(zip(drafts, marks, strict=True), start=1)
        )
        return Document(name, title, source.name, day, statements)

    def _entry(self, draft: _Draft, mark: str, day: date) -> str:
        said = draft.said
        if draft.late:
            said = self._say.forms["correction"].format(date=self._say.date(day), said=said)
        text = self._say.forms["entry"].format(said=said, mark=mark)
        return text[0].upper() + text[1:]

    def _marks(self, many: int) -> list[str]:
        syllables = self._words["syllables"]
        base, size = len(syllables), len(syllables) ** 4
        return [
            "x" + "".join(syllables[drawn // base**place % base] for place in range(4))
            for drawn in self._rng.sample(range(size), many)
        ]
