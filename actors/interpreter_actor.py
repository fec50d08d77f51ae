"""The interpreter's mailbox: events of a device, taken one at a time on one thread."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pockethive.actors.base import BaseActor
from pockethive.actors.interpreter import Interpreter
from pockethive.core.events import Event


@dataclass(frozen=True, slots=True)
class Post:
    """An event for one machine, or for all of them."""

    event: Event
    to: str | None = None


@dataclass(frozen=True, slots=True)
class PostFrom:
    """Events to be fetched when it is their turn."""

    fetch: Callable[[], Iterable[Event]]
    to: str | None


MAX_DUE = 64


class InterpreterActor(BaseActor):
    """Drives an `Interpreter`. Effects of letters that wait together are carried out together."""

    def __init__(self, interpreter: Interpreter) -> None:
        super().__init__()
        self._interpreter = interpreter

    def on_receive(self, message: Any) -> None:
        """Feed one event, or all that are fetched."""
        match message:
            case Post(event=event, to=to):
                self._interpreter.take(event, to)
            case PostFrom(fetch=fetch, to=to):
                for event in fetch():
                    self._interpreter.take(event, to)
            case _:
                super().on_receive(message)
                return
        if self.actor_inbox.empty() or self._interpreter.due >= MAX_DUE:
            self._interpreter.flush()

    def on_stop(self) -> None:
        """What was decided is done."""
        self._interpreter.flush()

    def on_failure(self, *_error: object) -> None:
        """So is what was decided before a crash."""
        self._interpreter.flush()
