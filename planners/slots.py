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
_WORD_RUN = re.compile(r"\w[^\s,;:?!\"]*(?<!\.)")
_OPENING = 3
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
        if span is None or not is_sensible(span, goal, taken):
            span = copy_span(model, asked, goal, taken)
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


def copy_span(model: Model, asked: str, goal: str, taken: Sequence[Span]) -> Span | None:
    """The piece of `goal` outside `taken` that the model likes best after `asked`.

    First where it begins, by the likelihood of the next three words, then where it ends.
    """
    words = list(_WORD_RUN.finditer(goal))
    free = [all(w.end() <= t.start or t.end <= w.start() for t in taken) for w in words]
    runs = [[j for j in range(i, len(words)) if all(free[i : j + 1])] for i in range(len(words))]
    runs = [run for run in runs if run]
    if not runs:
        return None
    openings = [_piece(goal, words, run[:_OPENING]) for run in runs]
    liked = model.score(asked, [f" {opening}" for opening in openings])
    run = runs[max(range(len(runs)), key=liked.__getitem__)]
    ends = [_piece(goal, words, run[: n + 1]) for n in range(len(run))]
    liked = model.score(asked, [f" {end}\n" for end in ends])
    best = max(range(len(run)), key=liked.__getitem__)
    return Span(ends[best], words[run[0]].start(), words[run[best]].end())


def _piece(goal: str, words: Sequence[re.Match[str]], run: Sequence[int]) -> str:
    return goal[words[run[0]].start() : words[run[-1]].end()]


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
