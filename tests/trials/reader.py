"""A naive reader of worlds: what their documents say, by regular expressions over the forms alone.

It knows nothing of how worlds are made or truth is kept: of what is said of the same thing, the
source of higher standing is right, and of two such the newer one.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import yaml

RAW: dict[str, Any] = yaml.safe_load(
    files("pockethive.trials").joinpath("sentences.yaml").read_text(encoding="utf-8")
)
NAME = {
    "person": r"[A-Z]\w+ [A-Z]\w+",
    "place": r"[A-Z][a-z]+",
    "shipment": r"[Ss]hipment [A-Z]{2}-\d+",
    "meter": r"[Mm]eter \d+",
    "trade": r"[a-z]+",
    "river": r"[A-Z][a-z]+",
    "year": r"\d{4}",
    "number": r"\d+",
}
DATE = r"\d{1,2} [A-Z][a-z]+ \d{4}"
Day = tuple[int, int, int]
STANDING = {"Register": 3, "Report": 2, "Letter": 1}


@dataclass(frozen=True, slots=True)
class Read:
    """What one sentence says."""

    kind: str
    thing: str
    value: str
    place: str
    when: Day | None
    rank: tuple[int, Day]
    corrects: bool


def day(text: str) -> Day:
    number, month, year = text.split()
    return int(year), RAW["months"].index(month) + 1, int(number)


def pattern(kind: dict[str, Any], form: str, *, corrected: bool) -> re.Pattern[str]:
    value, thing = NAME[kind["gives"]], NAME[kind["of"]]
    text = re.escape(form).replace(r"\ ", " ")
    for name, shape in (("thing", thing), ("value", value), ("old", value)):
        text = text.replace(rf"\{{{name}\}}", f"(?P<{name}>{shape})", 1)
    text = text.replace(r"\{place\}", f"(?P<place>{NAME['place']})")
    text = text.replace(r"\{when\}", f"(?P<when>{DATE})")
    before = f"Correction of (?P<corrected>{DATE}): " if corrected else ""
    return re.compile(rf"{before}{text} \(x\w+\)\.", re.ASCII)


PATTERNS = [
    (name, pattern(kind, form, corrected=False))
    for name, kind in RAW["kinds"].items()
    for form in kind["said"]
] + [
    (name, pattern(kind, kind["corrected"], corrected=True))
    for name, kind in RAW["kinds"].items()
    if "corrected" in kind
]


def read(texts: Sequence[str]) -> list[Read]:
    """Everything that documents say; a sentence that two forms fit is an error."""
    found = []
    for text in texts:
        title, *sentences = [line for line in text.splitlines() if line and line[:2] != "##"]
        assert title.startswith("# ")
        word, date = title[2:].split()[0], title.rsplit(", ", 1)[1]
        for sentence in sentences:
            fits = [(kind, m) for kind, form in PATTERNS if (m := form.fullmatch(sentence))]
            assert len(fits) <= 1, sentence
            for kind, match in fits:
                said = match.groupdict()
                thing = said["thing"]
                thing = thing[0].lower() + thing[1:] if thing[-1].isdigit() else thing
                found.append(
                    Read(
                        kind,
                        thing,
                        said["value"],
                        said.get("place") or "",
                        day(said["when"]) if said.get("when") else None,
                        (STANDING[word], day(date)),
                        "old" in said,
                    )
                )
    return found


def believed(said: Sequence[Read]) -> dict[tuple[str, str, Day | None], Read]:
    """Of what is said of the same, what is right."""
    right: dict[tuple[str, str, Day | None], Read] = {}
    for each in sorted(said, key=lambda each: each.rank):
        right[each.kind, each.thing, each.when] = each
    return right


class Answers:
    """Questions answered by what is believed, by regular expressions over the asking forms."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.facts = believed(read(texts))

    def answer(self, kind: str, text: str) -> tuple[str, ...]:
        if kind in RAW["asked"]:
            return self._several(kind, text)
        for name, said in RAW["kinds"].items():
            for form in said["asked"]:
                if (place := _place(form, text)) is not None:
                    return self._value(name, place)
        raise AssertionError(text)

    def _value(self, kind: str, named: str) -> tuple[str, ...]:
        for name, said in RAW["kinds"].items():
            if said.get("named") and (inner := _place(said["named"], named)) is not None:
                (named,) = self._value(name, inner)
                break
        fact = self.facts.get((kind, named, None))
        return (fact.value,) if fact else ()

    def _several(self, kind: str, text: str) -> tuple[str, ...]:
        for about, forms in RAW["asked"][kind].items():
            for form in forms:
                by = _place(form, text)
                if by is None:
                    continue
                rows = [
                    each
                    for each in self.facts.values()
                    if each.kind == about and by in (each.thing, each.place, each.value)
                ]
                return self._reckoned(kind, rows)
        raise AssertionError(text)

    def _reckoned(self, kind: str, rows: list[Read]) -> tuple[str, ...]:
        if kind == "count":
            return (str(len(rows)),)
        if kind == "sum":
            return (str(sum(int(each.value) for each in rows)),)
        if kind == "timeline":
            return tuple(each.value for each in sorted(rows, key=lambda each: each.when or (0,)))
        best = max(rows, key=lambda each: int(each.value))
        if best.when is None:
            return (best.thing,)
        year, month, number = best.when
        return (f"{number} {RAW['months'][month - 1]} {year}",)


def _place(form: str, text: str) -> str | None:
    parts = re.escape(form).replace(r"\ ", " ")
    parts = parts.replace(r"\{when\}", f"(?P<when>{DATE})")
    match = re.fullmatch(re.sub(r"\\\{(thing|place)\\\}", "(?P<x>.+)", parts), text)
    return match["x"] if match else None
