"""Word lists and sentences that jobs are made of: package data, each half kept for one split."""

from collections.abc import Sequence
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


def half(given: Sequence[T], seed: int) -> Sequence[T]:
    """Every other one of a list: those of held seeds are not those of the others."""
    return given[is_held(seed) :: 2]
