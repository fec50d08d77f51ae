"""The prompt forms and the fitted confidence in `answers.yaml` and `confidence.yaml`, read once.

Rule guarded here: what a prompt says and how sure an answer may be are data; code only fills in.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

import orjson
import yaml

from pockethive.core.errors import ModelError
from pockethive.core.ports import ChoiceForm

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class TextForm:
    """Worked examples, a template, and what stands for no text."""

    shots: str
    template: str
    null: str = "N/A"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerForms:
    """How each primitive of answers.py asks; `sure`: the weights of its confidence."""

    choose: tuple[ChoiceForm, ...]
    choose_in: tuple[ChoiceForm, ...]
    label: tuple[ChoiceForm, ...]
    asked_by: TextForm
    extract: Mapping[str, float]
    fill: Mapping[str, str]
    sure: Mapping[str, tuple[float, ...]]
    revisions: Mapping[str, int]


@cache
def answer_forms() -> AnswerForms:
    """The shipped forms. Raises ModelError when the package data is of another version."""
    asked, sure = _read("answers.yaml"), _read("confidence.yaml")
    return AnswerForms(
        choose=_choices(asked["choose"]),
        choose_in=_choices(asked["choose_in"]),
        label=_choices(asked["label"]),
        asked_by=TextForm(**asked["asked_by"]),
        extract=asked["extract"],
        fill=asked["fill"],
        sure={name: tuple(map(float, weights)) for name, weights in sure["weights"].items()},
        revisions=asked["revisions"],
    )


_PARTS: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "choose": (("choose", "choose_in", "asked_by"), ("choose", "choose_in")),
    "label": (("label",), ("label",)),
    "extract": (("asked_by", "choose_in", "extract"), ("extract", "extract_none")),
    "rank": (("asked_by",), ("rank",)),
    "fill": (
        ("asked_by", "choose_in", "extract", "fill"),
        ("extract", "extract_none", "fill"),
    ),
    "compress": ((), ("compress",)),
}
"""Of each primitive: the forms it asks by and the weights it is sure by."""


def forms_sha256(primitive: str) -> str:
    """Of everything that says how one primitive asks: what was measured was measured with this."""
    told = answer_forms()
    forms, weights = _PARTS[primitive]
    said = {
        "revision": told.revisions[primitive],
        "forms": {name: _plain(getattr(told, name)) for name in forms},
        "weights": {name: told.sure[name] for name in weights},
    }
    return hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _plain(form: TextForm | tuple[ChoiceForm, ...] | Mapping[str, object]) -> object:
    if isinstance(form, TextForm):
        return asdict(form)
    return [asdict(each) for each in form] if isinstance(form, tuple) else dict(form)


def _choices(told: list[dict[str, str]]) -> tuple[ChoiceForm, ...]:
    return tuple(ChoiceForm(**each) for each in told)


def _read(name: str) -> Any:
    data = yaml.safe_load((files(__package__) / name).read_text(encoding="utf-8"))
    if data.get("format") != _FORMAT:
        raise ModelError(
            f"{name} has format {data.get('format')}, this program reads {_FORMAT}",
            cure="install pockethive again",
        )
    return data
