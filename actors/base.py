"""The base actor: Pykka's, with its gaps closed.

A crash in `on_start` reaches whoever starts the actor; mailboxes are bounded; every ask has a time
limit; a crash, also one inside an ask, ends the actor and is reported; letters left behind are
counted and their askers told. Rule guarded here: Pykka actors of other people are never touched
(Pykka stops every actor of the process when a handler raises SystemExit; this loop does not).

Messages are frozen dataclasses, told apart by `match` in `on_receive`.
"""

import asyncio
import itertools
import logging
import threading
from collections.abc import Callable
from queue import Empty
from typing import Any

from pykka import ActorRef, ActorRegistry, Future, ThreadingActor, Timeout
from pykka._envelope import Envelope
from pykka.messages import _ActorStop

from pockethive.actors.letters import Mailbox, Reply, describe, fail
from pockethive.core.errors import ActorFailure, PocketHiveError

_log = logging.getLogger(__name__)
_numbers = itertools.count(1)

START_SECONDS = 10.0

OnExit = Callable[["BaseActor", BaseException | None], None]
"""Called on the actor's thread when it ends; the error is None after an ordinary stop."""


class Unhandled(ActorFailure):
    """A message of a type the actor does not know."""


class Ref:
    """The address of an actor: its mailbox. Stays valid when a supervisor restarts the actor."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    @property
    def name(self) -> str:
        """The actor's name."""
        return self._mailbox.owner

    @property
    def alive(self) -> bool:
        """False once messages are refused because the actor has ended."""
        return not self._mailbox.closed

    @property
    def waiting(self) -> int:
        """Letters not begun with."""
        return len(self._mailbox)

    def tell(self, message: object) -> None:
        """Send without an answer; never blocks. Raises ActorFailure when full or stopped."""
        self._mailbox.put(Envelope(message))

    def request(self, message: object) -> Reply:
        """Send and get the answer's future; never blocks. Raises ActorFailure as `tell` does."""
        reply = Reply()
        self._mailbox.put(Envelope(message, reply_to=reply))
        return reply

    def ask(self, message: object, *, timeout: float) -> Any:
        """Send and wait for the answer, at most `timeout` seconds, on a thread without event loop.

        Raises:
            ActorFailure: full, stopped, crashed, no answer in time, or called on an event loop.
            PocketHiveError: what the actor raised on purpose, the same object.
        """
        if _on_event_loop():
            raise ActorFailure(
                "a blocking ask on an event loop's thread", where=self.name, cure="use ask_async"
            )
        reply = self.request(message)
        try:
            return reply.get(timeout=timeout)
        except Timeout as error:
            reply.abandon()
            raise no_answer(self.name, message, timeout) from error


def no_answer(actor: str, message: object, seconds: float) -> ActorFailure:
    """The error for an ask that outlived its time limit."""
    return ActorFailure(
        f"no answer to {describe(message)} within {seconds:g} s",
        where=actor,
        cure="it may be busy with other requests; allow more time or ask less at once",
    )


class BaseActor(ThreadingActor):
    """Subclass it, implement `on_receive` and, when needed, Pykka's `on_start`, `on_stop`,
    `on_failure`. Start it by `MyActor(...).launch()` or hand a factory to a `Supervisor`.

    `__init__` runs on the starter's thread, all else on the actor's. What `on_receive` raises:

    - in an ask, a PocketHiveError is an answer: the asker gets it, the actor goes on;
    - a message of unknown type becomes a dead letter;
    - anything else is a crash: the asker gets an ActorFailure with the cause, the actor ends.
    """

    use_daemon_thread = True  # a hanging model call must not keep the process alive

    idle_seconds: float | None = None
    """Call `on_idle` after so many seconds without a message; None never does."""

    start_seconds: float = START_SECONDS
    """How long `on_start` may take."""

    def __init__(self) -> None:
        super().__init__()
        # Two underscores throughout: a subclass may call its own things what it likes.
        self.__thread: threading.Thread | None = None
        self.__begun: Future[BaseException | None] = Reply()
        self.__on_exit: OnExit | None = None
        self.__stop_reply: Future[Any] | None = None
        self.__adopt(Mailbox(f"{type(self).__name__}-{next(_numbers)}"))

    @property
    def name(self) -> str:
        """The name of the actor: its mailbox's owner."""
        return self.__mailbox.owner

    def launch(self, mailbox: Mailbox | None = None, on_exit: OnExit | None = None) -> Ref:
        """Start the actor on its own thread and wait until `on_start` is done.

        Unlike Pykka's `start`, the actor is not entered in Pykka's registry: broadcasts and
        `stop_all` of the embedding program pass it by. With `on_exit`, the mailbox outlives the
        actor, and closing it is up to `on_exit`.

        Raises:
            ActorFailure: `on_start` raised (the cause) or took longer than `start_seconds`.
        """
        if mailbox is not None:
            self.__adopt(mailbox)
        self.__on_exit = on_exit
        self._start_actor_loop()
        return Ref(self.__mailbox)

    def join(self, timeout: float) -> bool:
        """Wait for the actor's thread to end, at most `timeout` seconds. True when it has."""
        thread = self.__thread
        if thread is None or thread is threading.current_thread():
            return True
        thread.join(max(0.0, timeout))
        return not thread.is_alive()

    @property
    def over(self) -> bool:
        """True once the actor's thread has ended."""
        return self.__thread is not None and not self.__thread.is_alive()

    def on_idle(self) -> None:
        """Called after `idle_seconds` without a message."""

    def on_receive(self, message: Any) -> Any:
        """Handle a message; what is returned answers an ask. The end of every `match`."""
        raise Unhandled(f"does not know messages of type {describe(message)}", where=self.name)

    # Pykka's hooks for new kinds of actors

    @staticmethod
    def _create_future() -> Future[Any]:
        return Reply()

    def _start_actor_loop(self) -> None:
        self.__thread = threading.Thread(
            target=self._actor_loop, name=self.name, daemon=self.use_daemon_thread
        )
        self.__thread.start()
        try:
            error = self.__begun.get(timeout=self.start_seconds)
        except Timeout as late:
            self.actor_stopped.set()  # when on_start returns after all, the actor ends at once
            raise ActorFailure(
                f"did not start within {self.start_seconds:g} s", where=self.name
            ) from late
        if error is not None:
            self.__thread.join()
            raise ActorFailure(f"could not start: {_told(error)}", where=self.name) from error

    def _actor_loop(self) -> None:
        """The actor's thread, from its first to its last moment."""
        try:
            self.on_start()
        except BaseException as error:  # noqa: BLE001 - handed to whoever starts the actor
            self.__fail(error)
            self.__unregister()
            if self.__on_exit is None:
                self.__mailbox.close()
            self.__begun.set(error)
            return
        self.__begun.set(None)
        self.__end(self.__serve())

    def __serve(self) -> BaseException | None:
        """Handle letters until a stop or a crash; returns the crash."""
        while not self.actor_stopped.is_set():
            try:
                envelope = self.__mailbox.get(self.idle_seconds)
            except Empty:
                error = self.__idle()
            else:
                error = self.handle(envelope)
            if error is not None:
                return error
        return None

    def __idle(self) -> BaseException | None:
        try:
            self.on_idle()
        except BaseException as error:  # noqa: BLE001 - a crash, reported by `__end`
            return error
        return None

    def handle(self, envelope: Envelope[Any]) -> BaseException | None:
        """Handle one letter; returns the error when it is a crash. On the actor's thread."""
        message, reply = envelope.message, envelope.reply_to
        if isinstance(message, _ActorStop):
            self.__stop_reply = reply
            self.actor_stopped.set()
            return None
        if isinstance(reply, Reply) and reply.abandoned:
            self.__mailbox.bury(envelope, "the asker gave up")
            return None
        return self.__receive(envelope)

    def __receive(self, envelope: Envelope[Any]) -> BaseException | None:
        message, reply = envelope.message, envelope.reply_to
        try:
            answer = self.on_receive(message)
        except Unhandled as error:
            self.__mailbox.bury(envelope, str(error))
            if reply is not None:
                fail(reply, error)
        except PocketHiveError as error:
            if reply is None:
                return error
            fail(reply, error)
        except BaseException as error:  # noqa: BLE001 - a crash, reported by `__end`
            if reply is not None:
                fail(reply, self.__crash(message, error))
            return error
        else:
            if reply is not None:
                reply.set(answer)
        return None

    def __end(self, error: BaseException | None) -> None:
        if error is None:
            self.__last_words()
        else:
            self.__fail(error)
        self.__unregister()
        if self.__on_exit is None:
            self.__mailbox.close()
        else:
            self.__on_exit(self, error)
        if self.__stop_reply is not None:
            self.__stop_reply.set(None)

    def __last_words(self) -> None:
        try:
            self.on_stop()
        except BaseException as error:  # noqa: BLE001 - the actor ends all the same
            _log.error("%s failed while stopping: %s", self.name, _told(error), exc_info=error)

    def __fail(self, error: BaseException) -> None:
        try:
            self.on_failure(type(error), error, error.__traceback__)
        except BaseException as second:  # noqa: BLE001 - the first error is the one that counts
            _log.error("%s failed while failing: %s", self.name, _told(second), exc_info=second)

    def __unregister(self) -> None:
        self.actor_stopped.set()
        ActorRegistry.unregister(self.actor_ref)

    def __adopt(self, mailbox: Mailbox) -> None:
        self.__mailbox = self.actor_inbox = mailbox
        self._actor_ref = ActorRef(self)

    def __crash(self, message: object, error: BaseException) -> ActorFailure:
        failure = ActorFailure(f"crashed on {describe(message)}: {_told(error)}", where=self.name)
        failure.__cause__ = error
        return failure


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _on_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
