"""The prompt forms, the fitted weights and the fitted confidence, read once.

`answers.yaml`, `weights.yaml` and `confidence.yaml`.

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

    choose: ChoiceForm
    choose_number: ChoiceForm
    choose_in: ChoiceForm
    label: tuple[ChoiceForm, ...]
    asked_by: TextForm
    titled: TextForm
    extract: Mapping[str, float]
    fill: Mapping[str, str]
    compress: Mapping[str, float]
    weights: Mapping[str, Mapping[str, float]]
    sure: Mapping[str, tuple[float, ...]]
    revisions: Mapping[str, int]


@cache
def answer_forms() -> AnswerForms:
    """The shipped forms. Raises ModelError when the package data is of another version."""
    asked, sure = _read("answers.yaml"), _read("confidence.yaml")
    return AnswerForms(
        choose=ChoiceForm(**asked["choose"]),
        choose_number=ChoiceForm(**asked["choose_number"]),
        choose_in=ChoiceForm(**asked["choose_in"]),
        label=_choices(asked["label"]),
        asked_by=TextForm(**asked["asked_by"]),
        titled=TextForm(**asked["titled"]),
        extract=asked["extract"],
        fill=asked["fill"],
        compress=asked["compress"],
        weights=_read("weights.yaml")["weights"],
        sure={name: tuple(map(float, weights)) for name, weights in sure["weights"].items()},
        revisions=asked["revisions"],
    )


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a primitive asks by, weighs by, and is sure by."""

    forms: tuple[str, ...]
    sure: tuple[str, ...]
    weights: tuple[str, ...] = ()


_OPTIONS: Final = ("option", "title_option", "short_option", "number_option", "said")
_PARTS: Final[Mapping[str, _Parts]] = {
    "choose": _Parts(
        ("choose", "choose_number", "choose_in", "asked_by", "titled"),
        _OPTIONS,
        (*_OPTIONS, "sentence"),
    ),
    "label": _Parts(("label",), ("label",)),
    "extract": _Parts(
        ("asked_by", "choose_in", "extract"), ("extract", "extract_none"), ("sentence", "phrase")
    ),
    "rank": _Parts(("asked_by",), ("rank",)),
    "fill": _Parts(("asked_by", "choose_in", "extract", "fill"), ("fill",), ("sentence", "phrase")),
    "compress": _Parts(("compress",), ("compress",)),
}


def forms_sha256(primitive: str) -> str:
    """Of everything that says how one primitive asks: what was measured was measured with this."""
    told, parts = answer_forms(), _PARTS[primitive]
    said = {
        "revision": told.revisions[primitive],
        "forms": {name: _plain(getattr(told, name)) for name in parts.forms},
        "weights": {name: told.sure[name] for name in parts.sure},
    }
    if parts.weights:
        said["weighed"] = {name: told.weights[name] for name in parts.weights}
    return hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _plain(form: TextForm | ChoiceForm | tuple[ChoiceForm, ...] | Mapping[str, object]) -> object:
    if isinstance(form, TextForm | ChoiceForm):
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
