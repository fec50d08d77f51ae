"""The model as agents see it: the `Model` port, served by the model actor.

Rule guarded here: an agent never holds the model itself. Every call waits its turn and has a time
limit; closing a stream stops the model.
"""

import time
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from pockethive.actors.base import Ref, no_answer
from pockethive.actors.model_actor import (
    Asked,
    Chat,
    Constrain,
    Count,
    Describe,
    Generate,
    Pieces,
    Primitive,
    Remember,
    Request,
    Rescore,
    Score,
    Stream,
)
from pockethive.core.ports import Answer, Generation, ModelClass, Rescored, Sampling
from pockethive.inference.primitives import Primitives

T = TypeVar("T")


class ModelProxy(Primitives):
    """Implements `pockethive.core.ports.Model` on any thread without an event loop.

    `timeout` (seconds) bounds every call, waiting for others included; for a stream, every piece.
    All methods raise what the model raises, and ActorFailure when no answer comes. `role`: who
    asks; roles share the model alike.
    """

    def __init__(self, ref: Ref, timeout: float, role: str = "") -> None:
        self._ref, self._timeout, self._role = ref, timeout, role
        self._described: tuple[ModelClass, int, bool] | None = None

    def of(self, role: str) -> "ModelProxy":
        """The same model, asked for another role."""
        return ModelProxy(self._ref, self._timeout, role)

    @property
    def model_class(self) -> ModelClass:
        """What makes two devices' outputs comparable. Loads the model when first asked."""
        return self._describe()[0]

    @property
    def context(self) -> int:
        """Tokens the model can read, prompt and answer together."""
        return self._describe()[1]

    @property
    def plans(self) -> bool:
        """Whether the card allows free plans."""
        return self._describe()[2]

    def count(self, text: str) -> int:
        """Tokens in `text`."""
        return self._ask(Count(text), int)

    def generate(self, prompt: str, sampling: Sampling) -> Generation:
        """Continue `prompt`."""
        return self._ask(Generate(prompt, sampling), Generation)

    def rescore(self, prompt: str, ids: Sequence[int], sampling: Sampling) -> Rescored:
        """Read `ids` as if `generate` had drawn them."""
        return self._ask(Rescore(prompt, tuple(ids), sampling), Rescored)

    def stream(self, prompt: str, sampling: Sampling) -> Iterator[str]:
        """Pieces of text as they are made. The request is sent when the first one is taken."""
        pieces = Pieces()
        message = Asked(Stream(prompt, sampling, pieces), self._role)
        reply = self._ref.request(message)
        reply.when_done(pieces.end)
        try:
            while (piece := pieces.take(self._timeout)) is not None:
                yield piece
            reply.get(timeout=self._timeout)  # raises what ended the stream early
        except TimeoutError as error:
            raise no_answer(self._ref.name, message, self._timeout) from error
        finally:
            reply.abandon()
            pieces.abandon()

    def chat(self, system: str, user: str) -> str:
        """The prompt that this model's chat template makes of a turn."""
        return self._ask(Chat(system, user), str)

    def score(self, prompt: str, options: Sequence[str]) -> tuple[float, ...]:
        """Summed log-probability (natural) of each option as the continuation of `prompt`."""
        return self._ask(Score(prompt, tuple(options)), tuple)

    def remember(self, beginning: str) -> int:
        """See `Model`."""
        return self._ask(Remember(beginning), int)

    def constrain(self, prompt: str, schema: dict[str, object], sampling: Sampling) -> Generation:
        """JSON text that satisfies a JSON schema."""
        return self._ask(Constrain(prompt, schema, sampling), Generation)

    def answer(self, primitive: str, *given: Any) -> Answer:
        """See `Primitives`."""
        return self._ask(Primitive(primitive, given), Answer)

    def _describe(self) -> tuple[ModelClass, int, bool]:
        if self._described is None:
            self._described = self._ask(Describe(), tuple)
        return self._described

    def _ask(self, message: Request, answer: type[T]) -> T:
        until = time.monotonic() + self._timeout
        given = self._ref.ask(Asked(message, self._role, until), timeout=self._timeout)
        assert isinstance(given, answer)
        return given
