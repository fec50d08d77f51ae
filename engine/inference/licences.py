"""Under which licence a model may be had, and whether that was agreed to.

Known permissive licences (`licences.yaml`) are taken without a word. Guards: any other, or none, is
refused until the person has named it, and before anything large is fetched; what a stranger wrote
is read with bounds and shown as one line.
"""

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final

import yaml

from pockethive.core.errors import RefusedModel

UNSTATED: Final = "unstated"
"""The licence of a model that names none; also what has to be accepted then."""
CUSTOM: Final = "custom"
"""The licence of a model with a text that nobody here knows."""

_MOST_BYTES: Final = 256 << 10  # of a file that is looked at
_MOST_LETTERS: Final = 80  # of a name that is shown
_TEXTS: Final = ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "LICENCE.txt", "COPYING")
_LINE: Final = re.compile(r"(license|license_name):[ \t]*(.*)")
_ITEM: Final = re.compile(r"[ \t]*-[ \t]+(.+)")


def check_licence(licence: str, accepted: str, what: str) -> str:
    """The licence as it stands on a card. `accepted`: the name that the person gave, or nothing.

    Raises RefusedModel: it is neither permissive nor accepted.
    """
    name = tidy(licence) or UNSTATED
    if whole := permissive(name):
        return whole
    known = [permissive(part) for part in name.split(",")]
    if all(known):
        return ", ".join(known)
    if _key(accepted) == _key(name):
        return name
    said = "names no licence" if name == UNSTATED else f"stands under the licence {name!r}"
    instead = f", not {tidy(accepted)!r}" if accepted else ""
    raise RefusedModel(
        f"{what} {said}{instead}; it is not one of those that are taken without asking",
        cure=f"if you agree to it: pockethive models get … --accept-licence {_quoted(name)}",
    )


def permissive(name: str) -> str:
    """The usual name of a permissive licence; empty for any other."""
    return _names().get(_key(name), "")


def licence_of_folder(folder: Path) -> str:
    """What a model's folder says: its README.md as model hubs have it, else its licence's text."""
    stated = stated_in(_read(folder / "README.md"))
    if stated:
        return stated
    for name in _TEXTS:
        text = " ".join(_read(folder / name).split()).lower()
        if text:
            begun = (known for known, begin in _beginnings() if text.startswith(begin))
            return next(begun, CUSTOM)
    return ""


def stated_in(readme: str) -> str:
    """The licence in the head of a README (`license:` between lines of `---`), or nothing.

    Read line by line: the head is a stranger's YAML, and no more than this is wanted of it.
    """
    lines = readme.splitlines()
    if not lines or lines[0].strip() != "---":
        return ""
    told: dict[str, list[str]] = {}
    key = ""
    for line in lines[1:]:
        if line.strip() == "---":
            break
        if found := _LINE.fullmatch(line.rstrip()):
            key = found[1]
            told[key] = [found[2]] if found[2] else []
        elif key and (item := _ITEM.fullmatch(line.rstrip())):
            told[key].append(item[1])
        else:
            key = ""
    names = [tidy(part) for part in told.get("license", [])]
    if names == ["other"] and told.get("license_name"):
        return tidy(told["license_name"][0])
    return ", ".join(name for name in names if name)


def tidy(name: str) -> str:
    """A name that a stranger wrote, as one line that can be shown and typed."""
    kept = "".join(c if c.isprintable() and c not in "\"'[]" else " " for c in name)
    return " ".join(kept.split())[:_MOST_LETTERS]


def _key(name: str) -> str:
    return tidy(name).casefold()


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[\w.+-]+", name) else f'"{name}"'


def _read(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return stream.read(_MOST_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""  # no such file says nothing


@cache
def _table() -> Mapping[str, Mapping[str, list[str]]]:
    raw = yaml.safe_load((files(__package__) / "licences.yaml").read_text(encoding="utf-8"))
    table: Mapping[str, Mapping[str, list[str]]] = raw["permissive"]
    return table


@cache
def _names() -> Mapping[str, str]:
    """The usual name by any name."""
    table = _table().items()
    return {_key(name): usual for usual, told in table for name in (usual, *told["names"])}


@cache
def _beginnings() -> list[tuple[str, str]]:
    """Usual names and how their texts begin, the longest first."""
    pairs = [(usual, text) for usual, told in _table().items() for text in told.get("begins", ())]
    return sorted(pairs, key=lambda pair: -len(pair[1]))
