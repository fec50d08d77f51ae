"""Filling a method's slots with pieces of the goal, and seeing whether they make sense.

Rule guarded here: a slot holds words of the goal, never words of the model; a method whose slots
make no sense is not applicable.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pockethive.core.ports import Model, Span
from pockethive.core.spec import Slot

_WORD = re.compile(r"\w+")
_WHOLE = 0.8  # a slot with more of the goal's words than this has taken nothing out of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """Texts of slots by name, or None when a needed one stayed empty; and the model's tokens."""

    places: Mapping[str, str] | None
    prompt_tokens: int = 0
    generated_tokens: int = 0


def fill_slots(slots: Sequence[Slot], goal: str, model: Model) -> Filled:
    """Ask `model` for each slot. Stops at the first needed one that finds nothing sensible."""
    places: dict[str, str] = {}
    taken: list[Span] = []
    prompt = generated = 0
    for slot in slots:
        span = model.extract(goal, slot.question)
        if span is not None:
            prompt, generated = prompt + span.prompt_tokens, generated + span.generated_tokens
        if span is not None and _is_sensible(span, goal, taken):
            places[slot.name] = span.text.strip(" \t\n.,;:?!\"'")
            taken.append(span)
        elif slot.optional:
            places[slot.name] = goal
        else:
            return Filled(places=None, prompt_tokens=prompt, generated_tokens=generated)
    return Filled(places=places, prompt_tokens=prompt, generated_tokens=generated)


def _is_sensible(span: Span, goal: str, taken: Sequence[Span]) -> bool:
    """Has words, is not nearly the whole goal, and overlaps no other slot."""
    inside, outside = _WORD.findall(span.text), _WORD.findall(goal)
    if not inside or len(inside) > _WHOLE * len(outside):
        return False
    return all(span.end <= other.start or other.end <= span.start for other in taken)
