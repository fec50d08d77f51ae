"""Mailboxes, replies and dead letters: everything a message passes through between two actors.

Rule guarded here: no queue grows without bound and no message vanishes. A letter is delivered,
refused to its sender, or counted as dead; whoever asked always gets an answer.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, TypeAlias

from pykka import Future, ThreadingFuture
from pykka._envelope import Envelope
from pykka.messages import _ActorStop

from pockethive.core.errors import ActorFailure

_log = logging.getLogger(__name__)

MAILBOX_LIMIT = 1_000
DEAD_LETTERS_KEPT = 256

ExcInfo: TypeAlias = tuple[type[BaseException] | None, BaseException | None, TracebackType | None]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message nobody handled: to whom, what, and why."""

    actor: str
    message: object
    reason: str


class DeadLetters:
    """Counts dead letters and keeps the last ones. Safe on any thread."""

    def __init__(self, kept: int = DEAD_LETTERS_KEPT) -> None:
        self._lock = threading.Lock()
        self._recent: deque[DeadLetter] = deque(maxlen=kept)
        self._count = 0

    def add(self, letter: DeadLetter) -> None:
        """Count a letter; the oldest one kept makes room."""
        with self._lock:
            self._count += 1
            self._recent.append(letter)
        _log.debug(
            "dead letter to %s (%s): %s", letter.actor, letter.reason, describe(letter.message)
        )

    @property
    def count(self) -> int:
        """How many there were in all."""
        return self._count

    @property
    def recent(self) -> tuple[DeadLetter, ...]:
        """The last ones, oldest first."""
        with self._lock:
            return tuple(self._recent)


class Reply(ThreadingFuture[Any]):
    """A Pykka future that calls back when it is settled, and that its asker can give up."""

    def __init__(self) -> None:
        super().__init__()
        self._hooks: list[Callable[[], None]] = []
        self.abandoned = False

    def when_done(self, hook: Callable[[], None]) -> None:
        """Call `hook` once, on the thread that settles the reply; at once when it is settled."""
        with self._condition:
            if self._result is None:
                self._hooks.append(hook)
                return
        hook()

    def abandon(self) -> None:
        """The asker waits no longer: an actor that has not begun with the message skips it."""
        self.abandoned = True

    def set(self, value: Any | None = None) -> None:
        """Settle with a value (Pykka's method)."""
        super().set(value)
        self._call_hooks()

    def set_exception(self, exc_info: ExcInfo | None = None) -> None:
        """Settle with an exception (Pykka's method)."""
        super().set_exception(exc_info)
        self._call_hooks()

    def _call_hooks(self) -> None:
        hooks, self._hooks = self._hooks, []
        for hook in hooks:
            hook()


def fail(reply: Future[Any], error: BaseException) -> None:
    """Settle a reply with `error`."""
    reply.set_exception((type(error), error, error.__traceback__))


class Mailbox:
    """A bounded queue with an end, shared by an actor and its restarted successors.

    Implements Pykka's inbox protocol, so that Pykka's own references meet the same bounds. Several
    actors may take from one mailbox. Safe on any thread; nothing but `get` blocks.
    """

    def __init__(
        self, owner: str, *, limit: int = MAILBOX_LIMIT, dead_letters: DeadLetters | None = None
    ) -> None:
        self.owner, self.limit = owner, limit
        self.dead_letters = dead_letters or DeadLetters()
        self._letters: SimpleQueue[Envelope[Any] | None] = SimpleQueue()  # None: the end
        self._lock = threading.Lock()
        self._closed = False

    def __len__(self) -> int:
        return 0 if self._closed else self._letters.qsize()

    @property
    def closed(self) -> bool:
        """True when nothing is delivered any more."""
        return self._closed

    def empty(self) -> bool:
        """True when no letter waits."""
        return self._closed or self._letters.empty()

    def put(self, envelope: Envelope[Any], /) -> None:
        """Deliver, or refuse at once.

        Raises:
            ActorFailure: the mailbox is full, or its actor has stopped (then a dead letter, too).
        """
        stop = isinstance(envelope.message, _ActorStop)  # must arrive even at a full mailbox
        with self._lock:
            closed = self._closed
            if not closed and (stop or self._letters.qsize() < self.limit):
                self._letters.put(envelope)
                return
        if closed and stop:
            _answer_stop(envelope)
            return
        if not closed:
            raise ActorFailure(
                f"the mailbox is full ({self.limit} messages); {describe(envelope.message)} "
                "was refused",
                where=self.owner,
                cure="send less at a time, or wait for answers",
            )
        self.bury(envelope, "the actor has stopped")
        raise self._gone(envelope.message)

    def get(self, timeout: float | None = None) -> Envelope[Any]:
        """The next letter; a stop once the mailbox is closed. Raises queue.Empty after `timeout`.

        `timeout` is in seconds; None waits as long as it takes.
        """
        envelope = self._letters.get(timeout=timeout)
        if envelope is None:
            self._letters.put(None)  # for whoever else takes from here
            return Envelope(_ActorStop())
        return envelope

    def close(self) -> None:
        """Deliver nothing more. Letters that wait become dead ones, and those who ask are told."""
        left: list[Envelope[Any]] = []
        with self._lock:
            self._closed = True
            while not self._letters.empty():
                with suppress(Empty):  # an actor was quicker
                    envelope = self._letters.get_nowait()
                    left += () if envelope is None else (envelope,)
            self._letters.put(None)
        for envelope in left:
            if isinstance(envelope.message, _ActorStop):
                _answer_stop(envelope)
                continue
            self.bury(envelope, "the actor stopped before it came to this message")
            if envelope.reply_to is not None:
                fail(envelope.reply_to, self._gone(envelope.message))

    def bury(self, envelope: Envelope[Any], reason: str) -> None:
        """Count a letter as dead."""
        self.dead_letters.add(DeadLetter(self.owner, envelope.message, reason))

    def _gone(self, message: object) -> ActorFailure:
        return ActorFailure(f"has stopped and did not handle {describe(message)}", where=self.owner)


def describe(message: object) -> str:
    """A message's type: what errors and logs may say of it. Its contents may be private."""
    return type(message).__name__


def _answer_stop(envelope: Envelope[Any]) -> None:
    if envelope.reply_to is not None:
        envelope.reply_to.set(None)
