"""The model actor: one loaded model, asked by all agents of a device one after another.

Rule guarded here: a model is touched by one thread only, the actor's. Requests are served in the
order they arrive; the mailbox bounds how many wait.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any

from pockethive.actors.base import BaseActor
from pockethive.core.errors import ActorFailure, ModelError, PocketHiveError
from pockethive.core.ports import ChoiceForm, Model, Sampling

_log = logging.getLogger(__name__)

PIECES_LIMIT = 32
PATIENCE_SECONDS = 5.0
"""How long a stream's reader may leave the model waiting; others wait behind it."""


class Pieces:
    """Hands pieces of text from the model's thread to one reader; at most `limit` wait."""

    def __init__(self, limit: int = PIECES_LIMIT) -> None:
        self._limit = limit
        self._waiting: deque[str] = deque()
        self._changed = threading.Condition()
        self._complete = self._abandoned = False

    def put(self, piece: str) -> bool:
        """Hand over a piece; False when the reader has gone: stop the model.

        Raises:
            ActorFailure: the reader left the model waiting for PATIENCE_SECONDS.
        """
        with self._changed:
            room = self._changed.wait_for(
                lambda: self._abandoned or len(self._waiting) < self._limit, PATIENCE_SECONDS
            )
            if not room:
                raise ActorFailure(
                    f"nobody read the stream for {PATIENCE_SECONDS:g} s",
                    cure="read the pieces at once and keep them, or call generate",
                )
            if self._abandoned:
                return False
            self._waiting.append(piece)
            self._changed.notify_all()
            return True

    def end(self) -> None:
        """No more pieces will come."""
        with self._changed:
            self._complete = True
            self._changed.notify_all()

    def abandon(self) -> None:
        """The reader wants no more."""
        with self._changed:
            self._abandoned = True
            self._waiting.clear()
            self._changed.notify_all()

    def take(self, timeout: float) -> str | None:
        """The next piece; None at the end. Raises TimeoutError after `timeout` s."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._waiting or self._complete, timeout):
                raise TimeoutError
            if not self._waiting:
                return None
            self._changed.notify_all()
            return self._waiting.popleft()


@dataclass(frozen=True, slots=True)
class Describe:
    """Answered by (ModelClass, context in tokens, whether it may plan freely)."""


@dataclass(frozen=True, slots=True)
class Count:
    """Answered by an int."""

    text: str


@dataclass(frozen=True, slots=True)
class Generate:
    """Answered by a Generation."""

    prompt: str
    sampling: Sampling


@dataclass(frozen=True, slots=True)
class Stream:
    """Answered by None once the last piece is in `pieces`."""

    prompt: str
    sampling: Sampling
    pieces: Pieces


@dataclass(frozen=True, slots=True)
class Chat:
    """Answered by a prompt."""

    system: str
    user: str


@dataclass(frozen=True, slots=True)
class Score:
    """Answered by one log-probability for each option."""

    prompt: str
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Remember:
    """Answered by how many tokens that took."""

    beginning: str


@dataclass(frozen=True, slots=True)
class Constrain:
    """Answered by a Generation whose text is JSON."""

    prompt: str
    schema: dict[str, object]
    sampling: Sampling


@dataclass(frozen=True, slots=True)
class Choose:
    """Answered by a Ranking."""

    forms: tuple[ChoiceForm, ...]
    places: dict[str, str]
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Extract:
    """Answered by a Span or None."""

    passage: str
    question: str


Request = (
    Describe | Count | Generate | Stream | Chat | Score | Remember | Constrain | Choose | Extract
)


class ModelActor(BaseActor):
    """Loads its model when it is first asked, and again after an error nobody foresaw.

    Deliberate errors of the model reach the asker as they are; any other becomes a ModelError with
    the cause, and the model is loaded anew for the next request.
    """

    def __init__(self, load: Callable[[], Model], idle_seconds: float | None = None) -> None:
        """`load` runs on the actor's thread. After `idle_seconds` unused the model is dropped."""
        super().__init__()
        self._load = load
        self._model: Model | None = None
        self.idle_seconds = idle_seconds

    def on_receive(self, message: Any) -> Any:
        """Serve one request."""
        if not isinstance(message, Request):
            return super().on_receive(message)
        try:
            if self._model is None:
                self._model = self._load()
            return _serve(self._model, message)
        except PocketHiveError:
            raise
        except Exception as error:
            _log.warning("the model failed and is dropped: %s", error, exc_info=error)
            self._model = None
            raise ModelError(
                f"the model failed: {type(error).__name__}: {error}", where=self.name
            ) from error

    def on_idle(self) -> None:
        """Give the memory back."""
        self._model = None

    def on_stop(self) -> None:
        """Drop the model on the thread that used it."""
        self._model = None


def _serve(model: Model, request: Request) -> object:  # noqa: C901 - one line per request
    match request:
        case Describe():
            return model.model_class, model.context, model.plans
        case Count(text):
            return model.count(text)
        case Generate(prompt, sampling):
            return model.generate(prompt, sampling)
        case Stream(prompt, sampling, pieces):
            _pump(model.stream(prompt, sampling), pieces)
            return None
        case Chat(system, user):
            return model.chat(system, user)
        case Score(prompt, options):
            return model.score(prompt, options)
        case Remember(beginning):
            return model.remember(beginning)
        case Constrain(prompt, schema, sampling):
            return model.constrain(prompt, schema, sampling)
        case Choose(forms, places, options):
            return model.choose(forms, places, options)
        case Extract(passage, question):
            return model.extract(passage, question)


def _pump(made: Iterator[str], pieces: Pieces) -> None:
    """Move pieces to the reader until either side has had enough."""
    try:
        for piece in made:
            if not pieces.put(piece):
                return
    finally:
        if isinstance(made, Generator):
            made.close()
