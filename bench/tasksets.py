"""Makes the task sets that `pockethive models eval` asks: python -m bench.tasksets [FOLDER].

Six primitives, a tune and a held-out split each; what was held out once and then tuned on is
`spent` (of `compress`: drawn from the same words to be tuned on). The splits share no source: other
kinds of things, names, sentences and questions (bench/taskset_words.yaml), other topics of the
language reference and licences, or, last, the standard library's module descriptions. Guards: items
are drawn by a seed and never by what a model makes of them; what came out was frozen
(pockethive/inference/tasks.py names the hashes), because such texts differ between systems.
"""

import argparse
import ast
import random
import re
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any, Final

import orjson
import yaml

from pockethive.actors.documents.passages import plain
from pockethive.core.canonical import digest
from pockethive.inference.spans import sentences

Item = dict[str, Any]
Section = tuple[str, str]  # heading, its first sentences

COUNTS: Final = {"tune": 150, "spent": 300, "held": 300}
SETS: Final = {
    "choose": ("tune", "spent", "held"),
    "label": ("tune", "held"),
    "extract": ("tune", "spent", "held"),
    "rank": ("tune", "held"),
    "fill": ("tune", "spent", "held"),
    "compress": ("tune", "spent", "held"),
}
UNTOUCHED: Final = ("label", "rank")
"""Their first held-out sets still are: nothing of how they ask was changed since."""
LICENCES: Final = {
    "tune": ("MPL-1.1", "GFDL-1.2"),
    "spent": ("Apache-2.0", "GPL-3", "MPL-2.0", "LGPL-3"),
}
FOLDER: Final = Path("engine/inference/tasksets")
_LICENCE_FOLDER = Path("/usr/share/common-licenses")
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MODULE = re.compile(r"^[\w.]+\s*(?:--?|:|—)\s+")
_LEFT_OUT: Final = {
    "site-packages",
    "dist-packages",
    "test",
    "tests",
    "idlelib",
    "distutils",
    "lib2to3",
}
_UNDERLINED = re.compile(r"^(.{4,60})\n([*=\-~]{4,})\n+(.+?)(?=\n\n)", re.MULTILINE | re.DOTALL)
_NUMBERED = re.compile(
    r"^\s*\d+(?:\.\d+)?\.?\s+([A-Z][A-Za-z ,'-]{6,50}?)\.?\s*\n+(.+?)(?=\n\s*\n)",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that is so in a world."""

    name: str
    attribute: str
    value: str
    says: str
    asks: str


class World:
    """Draws things and facts of one split of the words."""

    def __init__(self, words: str, rng: random.Random) -> None:
        path = Path(__file__).parent / "taskset_words.yaml"
        self.words: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))[words]
        self.rng = rng

    def value(self, told: Mapping[str, Any]) -> str:
        """A value of one attribute."""
        kind, rng = told["value"], self.rng
        if kind == "year":
            return str(rng.randint(1790, 2019))
        if kind == "price":
            return f"{rng.randint(2, 48)} {rng.choice(('euros', 'pounds', 'crowns'))}"
        if kind == "count":
            return f"{rng.randint(12, 480)} {told['unit']}"
        chosen: str = rng.choice(self.words[kind] if isinstance(kind, str) else kind)
        return chosen

    def fact(self, kind: str, name: str, attribute: str, apart: str = "") -> Fact:
        """A fact about `name` whose value is not `apart`."""
        told = self.words["kinds"][kind]["facts"][attribute]
        value = self.value(told)
        while value == apart:
            value = self.value(told)
        says = self.rng.choice(told["says"]).replace("{n}", name).replace("{v}", value)
        asks = self.rng.choice(told["asks"]).replace("{n}", name)
        return Fact(name, attribute, value, says[0].upper() + says[1:], asks)

    def again(self, kind: str, fact: Fact) -> str:
        """The same fact in other words."""
        told: list[str] = self.words["kinds"][kind]["facts"][fact.attribute]["says"]
        said = [each.replace("{n}", fact.name).replace("{v}", fact.value) for each in told]
        return next(s[0].upper() + s[1:] for s in said if s[0].upper() + s[1:] != fact.says)

    def thing(self) -> tuple[str, list[str], list[str]]:
        """A kind, its names and its attributes, both shuffled."""
        kind = self.rng.choice(sorted(self.words["kinds"]))
        told = self.words["kinds"][kind]
        names, attributes = list(told["names"]), sorted(told["facts"])
        self.rng.shuffle(names)
        self.rng.shuffle(attributes)
        return kind, names, attributes

    def text(self, parts: Sequence[str], filler: int) -> str:
        """Sentences in any order, with some that say nothing."""
        mixed = [*parts, *self.rng.sample(self.words["filler"], filler)]
        self.rng.shuffle(mixed)
        return " ".join(mixed)


def choose(world: World, sections: Sequence[Section]) -> Item:
    """Four options: sentences, values, what a heading is about, or numbers and dates."""
    rng = world.rng
    draw = rng.random()
    if draw < 0.4:
        kind, names, attributes = world.thing()
        right = world.fact(kind, names[0], attributes[0])
        others = [world.fact(kind, names[0], name).says for name in attributes[1:3]]
        others.append(world.fact(kind, names[1], attributes[0], right.value).says)
        return _options(rng, "sentence", {"question": right.asks}, right.says, others)
    if draw < 0.7:
        return _values(world)
    if draw < 0.9:
        drawn = rng.sample(sections, 4)
        asks = f'What does the section "{drawn[0][0]}" say?'
        texts = [text for _, text in drawn]
        return _options(rng, "section", {"question": asks}, texts[0], texts[1:])
    return _sum(rng) if draw < 0.95 else _date(rng)


def _values(world: World) -> Item:
    kind, names, attributes = world.thing()
    right = world.fact(kind, names[0], attributes[0])
    others = [world.fact(kind, names[0], name) for name in attributes[1:3]]
    other = world.fact(kind, names[1], attributes[0], right.value)
    values = {other.value, right.value}
    told = world.words["kinds"][kind]["facts"][attributes[0]]
    while len(values) < 4:
        values.add(world.value(told))
    text = world.text([right.says, other.says, *(fact.says for fact in others)], 1)
    wrong = sorted(values - {right.value})
    places = {"text": text, "question": right.asks}
    return _options(world.rng, "value", places, right.value, wrong)


def _sum(rng: random.Random) -> Item:
    a, b = rng.randint(2, 60), rng.randint(2, 39)
    wrong = [str(a + b + by) for by in rng.sample((-10, -3, -2, -1, 1, 2, 3, 10), 3)]
    return _options(rng, "sum", {"question": f"What is {a} + {b}?"}, str(a + b), wrong)


def _date(rng: random.Random) -> Item:
    at, by = rng.randrange(7), rng.randint(1, 4)
    right = _DAYS[(at + by) % 7]
    wrong = rng.sample([day for day in _DAYS if day != right], 3)
    asks = f"Today is {_DAYS[at]}. Which day is it in {by} days?"
    return _options(rng, "date", {"question": asks}, right, wrong)


def label(world: World, sections: Sequence[Section]) -> Item:
    """A text of three sentences, four subjects."""
    del sections
    rng, subjects = world.rng, world.words["subjects"]
    names = rng.sample(sorted(subjects), 4)
    parts = rng.sample(subjects[names[0]], 2)
    text = world.text(parts, 1).replace("DAY", rng.choice(_DAYS))
    return _options(rng, "subject", {"text": text}, names[0], names[1:])


def extract(world: World, sections: Sequence[Section]) -> Item:
    """A paragraph and a question; of ten, one has no answer in it."""
    del sections
    kind, names, attributes = world.thing()
    right = world.fact(kind, names[0], attributes[0])
    parts = [world.fact(kind, names[0], name).says for name in attributes[1:4]]
    absent = world.rng.random() < 0.1
    if not absent:
        parts.append(right.says)
    if world.rng.random() < 0.5:
        parts.append(world.fact(kind, names[1], attributes[0], right.value).says)
    said = {"passage": world.text(parts, 1), "question": right.asks}
    return {"kind": "absent" if absent else "span", **said, "right": "" if absent else right.value}


def rank(world: World, sections: Sequence[Section]) -> Item:
    """Six passages, one of which answers."""
    rng = world.rng
    if rng.random() < 0.4:
        drawn = rng.sample(sections, 6)
        texts = [text for _, text in drawn]
        return _options(rng, "section", {"question": drawn[0][0]}, texts[0], texts[1:])
    kind, names, attributes = world.thing()
    right = world.fact(kind, names[0], attributes[0])
    passages = [world.text([right.says, world.fact(kind, names[0], attributes[1]).says], 1)]
    plan = [(names[0], attributes[2:4]), (names[1], attributes[:2]), (names[2], attributes[:3:2])]
    plan += [(names[3], attributes[1:3]), (names[4], attributes[2:4])]
    for name, about in plan:
        parts = [world.fact(kind, name, each, right.value).says for each in about]
        passages.append(world.text(parts, 1))
    return _options(rng, "passage", {"question": right.asks}, passages[0], passages[1:])


def fill(world: World, sections: Sequence[Section]) -> Item:
    """A text, three fields to fill from it."""
    del sections
    kind, names, attributes = world.thing()
    facts = [world.fact(kind, names[0], each) for each in attributes[:3]]
    text = world.text([fact.says for fact in facts], 1)
    return {
        "kind": kind,
        "text": text,
        "fields": {fact.attribute: fact.asks for fact in facts},
        "right": {fact.attribute: fact.value for fact in facts},
    }


def compress(world: World, sections: Sequence[Section]) -> Item:
    """Three facts, one of them said again, one about another thing, and three that say nothing.

    Room for about the three facts.
    """
    del sections
    kind, names, attributes = world.thing()
    facts = [world.fact(kind, names[0], each) for each in attributes[:3]]
    again = world.again(kind, facts[0])
    beside = world.fact(kind, names[1], attributes[3])
    room = sum(len(fact.says) + 1 for fact in facts) + max(0, len(again) - len(facts[0].says)) + 12
    text = world.text([*(fact.says for fact in facts), again, beside.says], 3)
    return {"kind": kind, "text": text, "budget": room, "right": [fact.value for fact in facts]}


def compress_mixed(world: World, sections: Sequence[Section]) -> Item:
    """Two to four facts, none to two of them said again, one to three about other things.

    Room for the facts, more or less: what confidence is fitted on has to go wrong now and then.
    """
    del sections
    kind, names, attributes = world.thing()
    rng = world.rng
    facts = [world.fact(kind, names[0], each) for each in attributes[: rng.randint(2, 4)]]
    again = [world.again(kind, fact) for fact in facts[: rng.randint(0, 2)]]
    beside = [
        world.fact(kind, name, rng.choice(attributes)).says for name in names[1 : rng.randint(2, 4)]
    ]
    room = sum(len(fact.says) + 1 for fact in facts) + rng.randint(-2, 40)
    parts = [*(fact.says for fact in facts), *again, *beside]
    text = world.text(parts, rng.randint(1, 4))
    return {"kind": kind, "text": text, "budget": room, "right": [fact.value for fact in facts]}


def _options(rng: random.Random, kind: str, places: Item, right: str, wrong: Sequence[str]) -> Item:
    options = [right, *wrong]
    rng.shuffle(options)
    return {"kind": kind, **places, "options": options, "right": options.index(right)}


def sections(words: str) -> list[Section]:
    """Headings of the texts of one split with what stands first below them."""
    found = described() if words == "held" else referred(words)
    return [(heading, text) for heading, text in sorted(found.items()) if _readable(text)]


def referred(words: str) -> dict[str, str]:
    """From the split's topics and licences."""
    found: dict[str, str] = {}
    for name in sorted(topics):
        if (digest("split", name.encode())[0] % 3 == 0) == (words == "tune"):
            for match in _UNDERLINED.finditer(str(topics[name])):
                if len(match[1]) == len(match[2]):  # a heading of one line, as it is underlined
                    found.setdefault(plain(match[1]), _beginning(match[3]))
    for name in LICENCES[words]:
        for match in _NUMBERED.finditer((_LICENCE_FOLDER / name).read_text(encoding="utf-8")):
            found.setdefault(plain(match[1]).capitalize(), _beginning(match[2]))
    return found


def described() -> dict[str, str]:
    """What the standard library's modules call themselves, and what they say next."""
    root, found = Path(sysconfig.get_paths()["stdlib"]), dict[str, str]()
    for path in sorted(root.rglob("*.py")):
        if _LEFT_OUT.isdisjoint(path.relative_to(root).parts):
            said = ast.get_docstring(ast.parse(path.read_bytes())) or ""
            title, _, rest = said.partition("\n\n")
            heading = _MODULE.sub("", plain(title)).rstrip(".")
            if rest and 4 <= len(heading) <= 60 and " " in heading:
                found.setdefault(heading, _beginning(rest.split("\n\n")[0]))
    return found


def _readable(text: str) -> bool:
    """Neither grammar nor a mere cross-reference, nor long."""
    return 40 <= len(text) <= 320 and "::=" not in text


def _beginning(text: str) -> str:
    flat = plain(text)
    spans = sentences(flat)
    return flat[spans[0][0] : spans[min(1, len(spans) - 1)][1]] if spans else ""


MAKERS: Final[dict[str, Callable[[World, Sequence[Section]], Item]]] = {
    "choose": choose,
    "label": label,
    "extract": extract,
    "rank": rank,
    "fill": fill,
    "compress": compress,
}


def made(primitive: str, split: str, known: Sequence[Section]) -> bytes:
    """The JSON lines of one set; no two items are the same."""
    seed = f"{primitive} {split} 2"
    if primitive in UNTOUCHED or split in ("tune", "spent"):
        seed = f"{primitive} {'held' if split == 'spent' else split} 1"
    world = World(words_of(primitive, split), random.Random(seed))
    mixed = (primitive, split) == ("compress", "spent")
    make = compress_mixed if mixed else MAKERS[primitive]
    lines: dict[bytes, None] = {}
    while len(lines) < COUNTS[split]:
        item = make(world, known)
        lines[orjson.dumps(item, option=orjson.OPT_SORT_KEYS)] = None
    return b"\n".join(lines) + b"\n"


def words_of(primitive: str, split: str) -> str:
    """The split of the words that a set is made of."""
    return "spent" if primitive in UNTOUCHED and split == "held" else split


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.tasksets", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    folder: Path = parser.parse_args().folder
    known = {words: sections(words) for words in COUNTS}
    for primitive, splits in SETS.items():
        for split in splits:
            body = made(primitive, split, known[words_of(primitive, split)])
            (folder / f"{primitive}.{split}.jsonl").write_bytes(body)
    print(", ".join(f"{words}: {len(found)} sections" for words, found in known.items()))


if __name__ == "__main__":
    main()
