"""Questions about a world, with exact truth and the sentences that prove it.

Truth is taken from what the world was made of, not from its sentences. Rule guarded here: of what
is asked there is one right answer: no ties, no thing without a fact but where "not known" is right.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import product
from typing import Final

from pockethive.core.errors import BadInput
from pockethive.trials.sentences import Sentences, sentences
from pockethive.trials.world import Fact, Statement, World

NOT_KNOWN: Final = "not known"
LEAST, MOST = 2, 9  # statements that a question over several is about
CHAINS: Final = {
    "join2": (
        *product(("receiver", "keeper"), ("home", "trade", "born")),
        *product(("home", "site"), ("mayor", "river")),
    ),
    "join3": (
        *((first, "home", last) for first in ("receiver", "keeper") for last in ("mayor", "river")),
        *(("site", "mayor", last) for last in ("home", "trade", "born")),
    ),
}
_LOOKED_UP: Final = ("home", "trade", "born", "mayor", "river", "receiver", "keeper", "site")


@dataclass(frozen=True, slots=True)
class Question:
    """`answer`: one value; several, in order, of a timeline; none where it is not known.

    `proof`: ids of the sentences that prove it. `rivals`: of those that say otherwise and are
    overruled, and of what overrules them; whoever answers well will have come upon them.
    """

    id: str
    kind: str
    text: str
    answer: tuple[str, ...]
    proof: tuple[str, ...] = ()
    rivals: tuple[str, ...] = ()


def ask(world: World, each: int, kinds: Sequence[str] = (), seed: int = 0) -> tuple[Question, ...]:
    """`each` questions of every kind (all kinds unless some are named).

    Raises BadInput for an unknown kind, or where the world is too small for so many.
    """
    if unknown := sorted(set(kinds) - set(KINDS)):
        raise BadInput(
            f"no kind of question: {', '.join(unknown)}", where="kinds", cure=", ".join(KINDS)
        )
    asker = _Asker(world, sentences())
    found = list[Question]()
    for kind in kinds or tuple(KINDS):
        rng = random.Random(f"{world.seed}/{seed}/{kind}")  # noqa: S311 to be repeated
        drawn = dict[str, Question]()
        for _ in range(50 * each):
            if len(drawn) == each:
                break
            if made := KINDS[kind](asker, kind, rng):
                drawn.setdefault(made.text, made)
        if len(drawn) < each:
            raise BadInput(
                f"only {len(drawn)} questions of kind {kind}", where="world", cure="more facts"
            )
        found += [
            Question(f"{kind}-{n}", kind, q.text, q.answer, q.proof, q.rivals)
            for n, q in enumerate(drawn.values(), start=1)
        ]
    return tuple(found)


def canaries(world: World, questions: Sequence[Question]) -> tuple[str, ...]:
    """Marks of the sentences that no question needs or must weigh: none may cross unlogged."""
    used = {name for question in questions for name in (*question.proof, *question.rivals)}
    return tuple(each.mark for each in world.statements() if each.id not in used)


class _Asker:
    """A world's facts and sentences, looked up by what questions need."""

    def __init__(self, world: World, words: Sentences) -> None:
        self.world, self.words = world, words
        self._said: dict[tuple[str, str, date | None], list[Statement]] = {}
        for statement in world.statements():
            if statement.fact:
                self._said.setdefault(statement.fact.key, []).append(statement)
        self.facts = tuple(world.facts.values())
        self.groups = dict[tuple[str, str], list[Fact]]()
        for fact in self.facts:
            by = fact.thing if fact.kind in ("reading", "visit") else fact.place or fact.value
            if fact.kind in ("reading", "visit", "cargo", "site"):
                self.groups.setdefault((fact.kind, by), []).append(fact)

    def question(self, text: str, answer: Sequence[str], facts: Sequence[Fact]) -> Question:
        """A question proven by `facts`, with what else was said of them."""
        said = [(each, fact) for fact in facts for each in self._said[fact.key]]
        proof = tuple(each.id for each, fact in said if each.fact == fact)
        rivals = tuple(each.id for each, fact in said if each.fact != fact)
        return Question("", "", text, tuple(answer), proof, rivals)

    def overruled(self, kind: str, place: str) -> tuple[str, ...]:
        """Ids of sentences that wrongly put something in `place`, and of those that say better."""
        return tuple(
            each.id
            for key, statements in self._said.items()
            if self.world.facts[key].value != place
            and any(s.fact and s.fact.kind == kind and s.fact.value == place for s in statements)
            for each in statements
        )


def _lookup(asker: _Asker, _: str, rng: random.Random) -> Question:
    kind = rng.choice(_LOOKED_UP)
    fact = rng.choice([each for each in asker.facts if each.kind == kind])
    text = rng.choice(asker.words.kinds[kind].asked).format(thing=fact.thing)
    return asker.question(text, [fact.value], [fact])


def _unknown(asker: _Asker, _: str, rng: random.Random) -> Question | None:
    kind = asker.words.kinds[rng.choice(_LOOKED_UP)]
    thing = rng.choice(asker.world.things[kind.of])
    if (kind.name, thing, None) in asker.world.facts:
        return None
    return asker.question(rng.choice(kind.asked).format(thing=thing), [], [])


def _join(asker: _Asker, kind: str, rng: random.Random) -> Question | None:
    chain = rng.choice(CHAINS[kind])
    kinds = asker.words.kinds
    thing = named = rng.choice(asker.world.things[kinds[chain[0]].of])
    facts = list[Fact]()
    for step in chain:
        fact = asker.world.facts.get((step, thing, None))
        if fact is None:
            return None
        facts.append(fact)
        thing = fact.value
        if step != chain[-1]:
            named = kinds[step].named.format(thing=named)
    text = rng.choice(kinds[chain[-1]].asked).format(thing=named)
    return asker.question(text, [thing], facts)


def _group(asker: _Asker, kind: str, rng: random.Random) -> tuple[str, str, list[Fact]]:
    about = rng.choice(tuple(asker.words.asked[kind]))
    by, facts = rng.choice([(by, facts) for (of, by), facts in asker.groups.items() if of == about])
    text = rng.choice(asker.words.asked[kind][about]).format(place=by, thing=by)
    return text, by, facts


def _sized(facts: Sequence[Fact]) -> bool:
    return LEAST <= len(facts) <= MOST


def _count(asker: _Asker, kind: str, rng: random.Random) -> Question | None:
    text, by, facts = _group(asker, kind, rng)
    if not _sized(facts):
        return None
    made = asker.question(text, [str(len(facts))], facts)
    if facts[0].kind != "site":
        return made
    wrong = asker.overruled("site", by)
    return Question("", "", text, made.answer, made.proof, (*made.rivals, *wrong))


def _sum(asker: _Asker, kind: str, rng: random.Random) -> Question | None:
    text, _, facts = _group(asker, kind, rng)
    if not _sized(facts):
        return None
    return asker.question(text, [str(sum(int(fact.value) for fact in facts))], facts)


def _greatest(asker: _Asker, kind: str, rng: random.Random) -> Question | None:
    text, _, facts = _group(asker, kind, rng)
    ordered = sorted(facts, key=lambda fact: -int(fact.value))
    if not _sized(facts) or ordered[0].value == ordered[1].value:
        return None
    best = ordered[0]
    answer = asker.words.date(best.when) if best.when else best.thing
    return asker.question(text, [answer], facts)


def _timeline(asker: _Asker, kind: str, rng: random.Random) -> Question | None:
    text, _, facts = _group(asker, kind, rng)
    if not _sized(facts):
        return None
    return asker.question(text, [fact.value for fact in _by_day(facts)], facts)


def _by_day(facts: Sequence[Fact]) -> Iterator[Fact]:
    dated = [(fact.when, place, fact) for place, fact in enumerate(facts) if fact.when]
    yield from (fact for _, _, fact in sorted(dated, key=lambda item: item[:2]))


KINDS: Final[Mapping[str, Callable[[_Asker, str, random.Random], Question | None]]] = {
    "lookup": _lookup,
    "join2": _join,
    "join3": _join,
    "count": _count,
    "sum": _sum,
    "greatest": _greatest,
    "timeline": _timeline,
    "unknown": _unknown,
}
