"""The prompt forms and the fitted confidence in `answers.yaml` and `confidence.yaml`, read once.

Rule guarded here: what a prompt says and how sure an answer may be are data; code only fills in.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from pockethive.core.errors import ModelError
from pockethive.core.ports import ChoiceForm

_FORMAT = 1
_FILES = ("answers.yaml", "confidence.yaml", "prompts.yaml")


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
    fill: TextForm
    sure: Mapping[str, tuple[float, ...]]


@cache
def answer_forms() -> AnswerForms:
    """The shipped forms. Raises ModelError when the package data is of another version."""
    asked, sure = _read("answers.yaml"), _read("confidence.yaml")
    return AnswerForms(
        choose=_choices(asked["choose"]),
        choose_in=_choices(asked["choose_in"]),
        label=_choices(asked["label"]),
        asked_by=TextForm(**asked["asked_by"]),
        fill=TextForm(**asked["fill"]),
        sure={name: tuple(map(float, weights)) for name, weights in sure["weights"].items()},
    )


@cache
def forms_sha256() -> str:
    """Of all files that say how is asked: what was measured was measured with these."""
    whole = hashlib.sha256()
    for name in _FILES:
        whole.update(hashlib.sha256((files(__package__) / name).read_bytes()).digest())
    return whole.hexdigest()


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
