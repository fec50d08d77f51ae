"""Which questions a goal holds: "When does it open, and who runs it?" holds two.

English. A question begins with what, who, when, ... (perhaps after "of", "up to" and the like), or
with an auxiliary verb. Pure. Rule guarded here: the questions are the goal's own words, in order,
and nothing of it but commas and "and" between them is lost; what is not a row of questions stays
one.
"""

import re
from typing import Final

MOST: Final = 4
_LEAST_WORDS: Final = 3  # of a question that can be asked alone

_BEFORE = r"(?:(?:up|according) to|about|after|at|by|for|from|in|into|of|on|over|to|under|with) "
_WHAT = r"(?:what|which|who|whom|whose)\b"
# "When I stop it, what happens?" is one question: after when, a question turns verb and subject.
_HOW = r"(?:when|where|why|how)\b(?! (?:I|you|we|he|she|it|they|the|an?|this|that|my|one|to)\b)"
_VERB = (
    r"(?:am|are|can|could|did|do|does|has|have|is|may|might|must|shall|should|was|were|will|would)"
    r"\b(?! not\b)"
)
_ASKING = rf"(?:{_BEFORE})?(?:{_WHAT}|{_HOW})"
_FIRST = re.compile(rf"(?:{_ASKING}|{_VERB})", re.IGNORECASE)
_NEXT = re.compile(
    rf"(?:[?;]\s*(?:and |or )?|,\s*and )(?={_ASKING}|{_VERB})|(?:,\s*| and )(?={_ASKING})",
    re.IGNORECASE,
)


def questions(goal: str) -> tuple[str, ...]:
    """The questions of a goal, two to `MOST`; otherwise the goal alone."""
    goal = " ".join(goal.split())
    found = tuple(part.strip(" ,;?.") for part in _NEXT.split(goal))
    rows = len(found) <= MOST and all(map(_is_question, found))
    return found if rows and len(found) > 1 else (goal,)


def _is_question(part: str) -> bool:
    return bool(_FIRST.match(part)) and len(part.split()) >= _LEAST_WORDS
