"""The words and sentences that worlds are made of, as `sentences.yaml` has them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

import yaml


@dataclass(frozen=True, slots=True)
class Kind:
    """What is said of a thing. `corrected`, `named`: "" where there is no such form."""

    name: str
    of: str
    gives: str
    said: tuple[str, ...]
    asked: tuple[str, ...]
    corrected: str = ""
    named: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """A kind of document. Of two that differ, the one of higher `standing` is right."""

    name: str
    standing: int
    title: str


@dataclass(frozen=True, slots=True)
class Sentences:
    """All of `sentences.yaml`. `asked`: kind of question -> kind of statement -> forms."""

    kinds: Mapping[str, Kind]
    sources: Mapping[str, Source]
    asked: Mapping[str, Mapping[str, tuple[str, ...]]]
    words: Mapping[str, tuple[str, ...]]
    forms: Mapping[str, str]

    def date(self, day: date) -> str:
        """A day as sentences write it: 3 May 2021."""
        return f"{day.day} {self.words['months'][day.month - 1]} {day.year}"


@cache
def sentences() -> Sentences:
    """The package's own sentences, read once."""
    text = files("pockethive.trials").joinpath("sentences.yaml").read_text(encoding="utf-8")
    raw: dict[str, Any] = yaml.safe_load(text)
    return Sentences(
        kinds=MappingProxyType({name: _kind(name, said) for name, said in raw["kinds"].items()}),
        sources=MappingProxyType({n: Source(n, **said) for n, said in raw["sources"].items()}),
        asked=MappingProxyType({n: _tuples(forms) for n, forms in raw["asked"].items()}),
        words=_tuples({name: said for name, said in raw.items() if isinstance(said, list)}),
        forms=MappingProxyType({name: said for name, said in raw.items() if isinstance(said, str)}),
    )


def _kind(name: str, raw: Mapping[str, Any]) -> Kind:
    many = {"said": tuple(raw["said"]), "asked": tuple(raw["asked"])}
    return Kind(name=name, **{**raw, **many})


def _tuples(raw: Mapping[str, Any]) -> Mapping[str, tuple[str, ...]]:
    return MappingProxyType({name: tuple(items) for name, items in raw.items()})
