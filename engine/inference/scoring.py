"""What the primitives of answers.py are built on: likelihoods, asked for as work for a batcher.

`works.Works` scores beside other requests; `Plain` makes the same of a model that does one thing at
a time. Guards: an answer is reckoned by one code, whatever model scores for it.
"""

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:  # who only asks a model needs no run time for models
    from pockethive.inference.batcher import Ask

T = TypeVar("T")
Work = Generator["Ask", Any, T]


class Scorer(Protocol):
    """Summed log-probabilities (natural)."""

    def score(self, prompt: str, options: Sequence[str]) -> Work[tuple[float, ...]]:
        """Of each option after `prompt`."""

    def tails(self, prompt: str, texts: Sequence[str], tail: str) -> Work[tuple[float, ...]]:
        """Of `tail` after `prompt` and each of `texts`."""


class Blocking(Protocol):
    """A model that is asked and answers."""

    def score(self, prompt: str, options: Sequence[str]) -> tuple[float, ...]:
        """As `pockethive.core.ports.Model`."""


class Plain:
    """A `Scorer` whose work asks a batcher for nothing: run it by `outcome`."""

    def __init__(self, model: Blocking) -> None:
        self._model = model

    def score(self, prompt: str, options: Sequence[str]) -> Work[tuple[float, ...]]:
        """See `Scorer`."""
        yield from ()
        return self._model.score(prompt, options)

    def tails(self, prompt: str, texts: Sequence[str], tail: str) -> Work[tuple[float, ...]]:
        """See `Scorer`."""
        yield from ()
        return tuple(self._model.score(prompt + text, [tail])[0] for text in texts)


def outcome(work: Work[T]) -> T:
    """What work comes to that asks a batcher for nothing."""
    try:
        while True:
            next(work)
    except StopIteration as ended:
        made: T = ended.value
        return made
