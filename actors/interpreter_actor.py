"""The interpreter's mailbox: events of a device, taken one at a time on one thread."""

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


class InterpreterActor(BaseActor):
    """Drives an `Interpreter`."""

    def __init__(self, interpreter: Interpreter) -> None:
        super().__init__()
        self._interpreter = interpreter

    def on_receive(self, message: Any) -> None:
        """Feed one event."""
        match message:
            case Post(event=event, to=to):
                self._interpreter.feed(event, to)
            case _:
                super().on_receive(message)
