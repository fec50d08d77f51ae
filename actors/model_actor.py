"""The model actor: one loaded model, asked by all agents of a device.

Rule guarded here: a model is touched by one thread only, the actor's. So many requests are under
way at once, others wait in the mailbox, which is bounded; what nobody waits for any more ends.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from pykka._envelope import Envelope

from pockethive.actors.base import BaseActor
from pockethive.actors.letters import Mailbox, Reply, fail
from pockethive.core.errors import ActorFailure, ModelError, PocketHiveError
from pockethive.core.ports import Model, ModelFacts, Sampling, Shared

_log = logging.getLogger(__name__)

MOST_AT_ONCE = 64
PIECES_LIMIT = 32
PATIENCE_SECONDS = 5.0
"""How long a stream's reader may leave the model waiting; others wait behind it."""
REST_SECONDS = 60.0
"""After so long unused a model that is not dropped forgets what it read."""


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

    def add(self, piece: str) -> None:
        """Hand over a piece without waiting: there are no more than tokens that may be made."""
        with self._changed:
            if not self._abandoned:
                self._waiting.append(piece)
                self._changed.notify_all()

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
class Rescore:
    """Answered by a Rescored."""

    prompt: str
    ids: tuple[int, ...]
    sampling: Sampling


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
class Primitive:
    """Answered by an Answer."""

    name: str
    given: tuple[Any, ...]


Request = (
    Describe | Count | Generate | Stream | Chat | Score | Rescore | Remember | Constrain | Primitive
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, and whose it is: roles share the model alike. `until`: the asker waits so long,
    by `time.monotonic()`."""

    request: Request
    role: str
    until: float = float("inf")


class ModelActor(BaseActor):
    """Loads its model when it is first asked, and again after an error nobody foresaw.

    A model that does many things at once (`Shared`) is given requests as they come, at most
    `MOST_AT_ONCE`; any other serves one after another. Deliberate errors of the model reach the
    asker as they are; any other becomes a ModelError with the cause, and the model is loaded anew.
    """

    def __init__(
        self,
        load: Callable[[], Model],
        idle_seconds: float | None = None,
        tell: Callable[[ModelFacts | None], None] = lambda _: None,
    ) -> None:
        """`load` runs on the actor's thread. After `idle_seconds` unused the model is dropped.

        Without, it stays, but gives back after `REST_SECONDS` what only helps who comes soon.
        `tell` hears on that thread how the model is used, as it changes; None: there is none.
        """
        super().__init__()
        self._load, self._tell = load, tell
        self._model: Model | None = None
        self._drops = idle_seconds is not None
        self.idle_seconds = REST_SECONDS if idle_seconds is None else idle_seconds

    def handle(self, envelope: Envelope[Any]) -> BaseException | None:
        """Handle one letter, and those that come while the model is at work."""
        error = self._take(envelope)
        while error is None and (model := self._shared) is not None and model.under_way:
            error = self._advance(model)
        self._told()
        return error

    def on_receive(self, message: Any) -> Any:
        """Serve one request."""
        if not isinstance(message, Asked):
            return super().on_receive(message)
        try:
            return _serve(self._loaded(), message.request)
        except PocketHiveError:
            raise
        except Exception as error:
            raise self._dropped(error) from error

    def on_idle(self) -> None:
        """Give the memory back, all or what is easily made again."""
        if self._drops:
            self._model = None
        elif (model := self._shared) is not None:
            model.rest()
        self._told()

    def on_stop(self) -> None:
        """Drop the model on the thread that used it."""
        self._model = None
        self._told()

    def _told(self) -> None:
        shared = self._shared
        self._tell(shared.facts() if shared else None if self._model is None else ModelFacts())

    @property
    def _shared(self) -> Shared | None:
        model: object = self._model
        return model if isinstance(model, Shared) else None

    def _loaded(self) -> Model:
        if self._model is None:
            self._model = self._load()
        return self._model

    def _dropped(self, error: Exception) -> ModelError:
        """What nobody foresaw: the model is not to be trusted any more."""
        _log.warning("the model failed and is dropped: %s", error, exc_info=error)
        self._model = None
        return self._failed(error)

    def _failed(self, error: BaseException) -> ModelError:
        failure = ModelError(f"the model failed: {type(error).__name__}: {error}", where=self.name)
        failure.__cause__ = error
        return failure

    def _take(self, envelope: Envelope[Any]) -> BaseException | None:
        """Begin what can be done beside other things; do anything else at once."""
        asked, reply = envelope.message, envelope.reply_to
        long = isinstance(asked, Asked) and not isinstance(asked.request, Describe | Count | Chat)
        if not long or not isinstance(reply, Reply) or reply.abandoned:
            return super().handle(envelope)
        try:
            self._loaded()
        except PocketHiveError as error:
            fail(reply, error)
            return None
        except Exception as error:  # noqa: BLE001 - the asker is told
            fail(reply, self._dropped(error))
            return None
        if (model := self._shared) is None:
            return super().handle(envelope)
        model.begin(
            _work(model.works, asked.request),
            partial(self._ended, reply),
            role=asked.role,
            until=asked.until,
            wanted=lambda: not reply.abandoned,
        )
        return None

    def _ended(self, reply: Reply, made: object, error: BaseException | None) -> None:
        if error is None:
            reply.set(made)
        else:
            fail(reply, error if isinstance(error, PocketHiveError) else self._failed(error))

    def _advance(self, model: Shared) -> BaseException | None:
        """One pass of the model; then begin what has come meanwhile."""
        try:
            model.step()
        except Exception as error:  # noqa: BLE001 - whose requests were under way were told
            self._dropped(error)
        self._told()
        inbox = self.actor_inbox
        assert isinstance(inbox, Mailbox)
        while inbox.closed or (not inbox.empty() and model.under_way < MOST_AT_ONCE):
            crash = self._take(inbox.get())  # a stop, once it is closed
            if crash is not None or self.actor_stopped.is_set():
                model.fail(ActorFailure("has stopped", where=self.name))
                return crash
        return None


def _work(works: Any, request: Request) -> Any:
    """What a model that does many things at once is to begin."""
    if isinstance(request, Stream):
        return works.generate(request.prompt, request.sampling, request.pieces.add)
    return _call(works, request)


def _serve(model: Model, request: Request) -> object:
    match request:
        case Describe():
            return model.model_class, model.context, model.plans
        case Count(text):
            return model.count(text)
        case Chat(system, user):
            return model.chat(system, user)
        case Stream(prompt, sampling, pieces):
            _pump(model.stream(prompt, sampling), pieces)
            return None
        case _:
            return _call(model, request)


def _call(model: Any, request: Request) -> Any:
    """The method of a `Model`, or of the works of a `Shared`, that a request names."""
    match request:
        case Generate(prompt, sampling):
            return model.generate(prompt, sampling)
        case Score(prompt, options):
            return model.score(prompt, options)
        case Rescore(prompt, ids, sampling):
            return model.rescore(prompt, ids, sampling)
        case Remember(beginning):
            return model.remember(beginning)
        case Constrain(prompt, schema, sampling):
            return model.constrain(prompt, schema, sampling)
        case Primitive(name, given):
            return model.answer(name, *given)
        case _:
            raise TypeError(f"{type(request).__name__} is no such request")


def _pump(made: Iterator[str], pieces: Pieces) -> None:
    """Move pieces to the reader until either side has had enough."""
    try:
        for piece in made:
            if not pieces.put(piece):
                return
    finally:
        if isinstance(made, Generator):
            made.close()
