"""Word lists and sentences that jobs are made of: package data, each of one split or of both."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, TypeVar

import yaml

from pockethive.trials.family import is_held

T = TypeVar("T")


@cache
def words(name: str) -> Any:
    """What a file of this package holds."""
    return yaml.safe_load((files(__package__) / f"{name}.yaml").read_text(encoding="utf-8"))


def of_split(given: Mapping[str, Sequence[T]], seed: int) -> Sequence[T]:
    """Those of held seeds, or those of the others."""
    return given["held" if is_held(seed) else "dev"]
