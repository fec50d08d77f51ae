"""What a small model does well, as methods of whatever has one: a session, a proxy, a stand-in.

A model of 135 million parameters chooses well among given answers and badly invents its own, so
every primitive weighs candidates; answers.py says how, docs/models.md what each is worth. Guards:
there is one way to each answer.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pockethive.core.ports import Answer
from pockethive.inference import answers
from pockethive.inference.scoring import Scorer, Work

PRIMITIVES: Final = {
    each.__name__: each
    for each in (
        answers.choose,
        answers.label,
        answers.rank,
        answers.extract,
        answers.fill,
        answers.compress,
    )
}


def begun(name: str, model: Scorer, *given: Any) -> Work[Answer]:
    """The work of a primitive. Raises KeyError for an unknown name."""
    work: Work[Answer] = PRIMITIVES[name](model, *given)
    return work


class Primitives(ABC):
    """The primitives of `pockethive.core.ports.Model`; all raise BadInput and ContextOverflow."""

    @abstractmethod
    def answer(self, primitive: str, *given: Any) -> Answer:
        """What a primitive makes of what it is given."""

    def choose(self, question: str, options: Sequence[str], text: str = "") -> Answer:
        """The index of the option that answers `question`, about `text` if there is one."""
        return self.answer("choose", question, tuple(options), text)

    def label(self, text: str, labels: Sequence[str]) -> Answer:
        """The index of the label that names what `text` is about."""
        return self.answer("label", text, tuple(labels))

    def rank(self, question: str, passages: Sequence[str]) -> Answer:
        """The order of the passages, the one that most likely answers first."""
        return self.answer("rank", question, tuple(passages))

    def extract(self, passage: str, question: str) -> Answer:
        """A `Span` of `passage` that answers `question`, or None when nothing does."""
        return self.answer("extract", passage, question)

    def fill(self, text: str, fields: Mapping[str, str]) -> Answer:
        """An object with a phrase of `text` for each field; fields map names to questions."""
        return self.answer("fill", text, dict(fields))

    def compress(self, text: str, budget: int) -> Answer:
        """Whole sentences of `text` in at most `budget` characters."""
        return self.answer("compress", text, budget)
