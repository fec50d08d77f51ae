"""The interpreter's mailbox: events of a device, taken one at a time, on one thread at a time.

Guards: whoever drives the machines has their turn, and nobody else drives them meanwhile. That is
the actor's own thread, or one that brings events, has nothing else to do and would only have to
wake it; letters that wait go first. What a machine crashes with is the actor's crash, whoever
drove it, and ends them all.
"""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pockethive.actors.base import BaseActor
from pockethive.actors.interpreter import Interpreter
from pockethive.core.events import Event

MAX_DUE = 64

Fetch = Callable[[], Iterable[Event]]


@dataclass(frozen=True, slots=True)
class Post:
    """An event for one machine, or for all of them."""

    event: Event
    to: str | None = None


@dataclass(frozen=True, slots=True)
class PostFrom:
    """Events to be fetched when it is their turn."""

    fetch: Fetch
    to: str | None


class InterpreterActor(BaseActor):
    """Drives an `Interpreter`. Effects of letters that wait together are carried out together."""

    def __init__(self, interpreter: Interpreter) -> None:
        super().__init__()
        self._interpreter = interpreter
        self._turn = threading.Lock()
        self._wanted = False  # the actor's own thread has a letter and waits for its turn
        self._fault: BaseException | None = None

    def on_receive(self, message: Any) -> None:
        """Feed one event, or all that are fetched."""
        match message:
            case Post(event=event, to=to):
                self._take_turn(lambda: (event,), to)
            case PostFrom(fetch=fetch, to=to):
                self._take_turn(fetch, to)
            case _:
                super().on_receive(message)

    def drive(self, letter: PostFrom) -> bool:
        """Feed what is fetched on the caller's thread, if that can begin at once; else False.

        Never waits for another driver. Raises nothing.
        """
        if self._wanted or not self.actor_inbox.empty() or not self._turn.acquire(blocking=False):
            return False
        try:
            if self._fault is not None or self.actor_stopped.is_set():
                return False
            self._take(letter.fetch, letter.to)
        except BaseException:  # noqa: BLE001 - the next letter tells the actor's thread
            return False
        finally:
            self._turn.release()
        return True

    def _take_turn(self, fetch: Fetch, to: str | None) -> None:
        self._wanted = True
        with self._turn:
            self._wanted = False
            if self._fault is not None:
                raise self._fault
            self._take(fetch, to)

    def _take(self, fetch: Fetch, to: str | None) -> None:
        try:
            for event in fetch():
                self._interpreter.take(event, to)
            if self.actor_inbox.empty() or self._interpreter.due >= MAX_DUE:
                self._interpreter.flush()
        except BaseException as error:
            self._fault = error
            raise

    def on_stop(self) -> None:
        """What was decided is done."""
        with self._turn:
            self._interpreter.flush()

    def on_failure(self, *_error: object) -> None:
        """So is what was decided before a crash."""
        with self._turn:
            self._interpreter.flush()
