"""The prompt forms in `prompts.yaml`, read once.

Rule guarded here: what a prompt says is data; code only fills its places.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import yaml

from pockethive.core.errors import ModelError

_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractForm:
    """How `extract` asks; see prompts.yaml."""

    sentence: str
    null_text: str
    null_question: str
    words: str
    shots: str


@cache
def extract_form() -> ExtractForm:
    """The shipped form. Raises ModelError when the package data is of another version."""
    text = (files(__package__) / "prompts.yaml").read_text(encoding="utf-8")
    data = yaml.safe_load(text)
    if data.get("format") != _FORMAT:
        raise ModelError(
            f"prompts.yaml has format {data.get('format')}, this program reads {_FORMAT}",
            cure="install pockethive again",
        )
    return ExtractForm(**data["extract"])
