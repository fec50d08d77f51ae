"""Filling a method's slots with pieces of the goal, and seeing whether they make sense.

Rule guarded here: a slot holds words of the goal, never words of the model. The model writes after
worked examples, and what it wrote counts only where the goal has it; a method whose slots make no
sense is not applicable.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pockethive.core.ports import Model, Sampling, Span
from pockethive.core.spec import Method

_WORD = re.compile(r"\w+")
_WHOLE = 0.8  # a slot with more of the goal's words than this has taken nothing out of it
_EDGES = " \t\n.,;:?!\"'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """Texts of slots by name, or None when a needed one stayed empty; and the model's tokens."""

    places: Mapping[str, str] | None
    prompt_tokens: int = 0
    generated_tokens: int = 0


def fill_slots(method: Method, goal: str, model: Model) -> Filled:
    """Ask `model` for each slot in turn. Stops at the first needed one without a sensible span."""
    goal = " ".join(goal.split())
    prompt = _examples(method) + f"Request: {goal}\n"
    places: dict[str, str] = {}
    taken: list[Span] = []
    read = written = 0
    for slot in method.slots:
        asked = f"{prompt}{slot.question}:"
        made = model.generate(asked, Sampling(max_tokens=48, stop=("\n",)))
        read, written = read + made.prompt_tokens, written + made.generated_tokens
        span = find_span(goal, made.text)
        if span is not None and is_sensible(span, goal, taken):
            places[slot.name] = span.text
            taken.append(span)
        elif slot.optional:
            places[slot.name] = goal
        else:
            return Filled(places=None, prompt_tokens=read, generated_tokens=written)
        prompt = f"{asked} {places[slot.name]}\n"
    return Filled(places=places, prompt_tokens=read, generated_tokens=written)


def find_span(goal: str, text: str) -> Span | None:
    """Where `goal` has `text`, as whole words in any case; None when it does not."""
    wanted = text.strip(_EDGES)
    if not wanted:
        return None
    found = re.search(rf"(?<!\w){re.escape(wanted)}(?!\w)", goal, re.IGNORECASE)
    return Span(found.group(), found.start(), found.end()) if found else None


def is_sensible(span: Span, goal: str, taken: Sequence[Span]) -> bool:
    """Has words, is not nearly the whole goal, and overlaps no other slot."""
    inside, outside = _WORD.findall(span.text), _WORD.findall(goal)
    if not inside or len(inside) > _WHOLE * len(outside):
        return False
    return all(span.end <= other.start or other.end <= span.start for other in taken)


def _examples(method: Method) -> str:
    return "".join(
        f"Request: {one.goal}\n"
        + "".join(
            f"{s.question}: {one.slots[s.name]}\n" for s in method.slots if s.name in one.slots
        )
        + "\n"
        for one in method.examples
    )
