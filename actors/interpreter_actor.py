"""The interpreter's mailbox: events of a device, taken one at a time on one thread."""

import logging
from dataclasses import dataclass
from typing import Any

from pockethive.actors.base import BaseActor
from pockethive.actors.interpreter import Interpreter
from pockethive.core.errors import ProtocolError
from pockethive.core.events import Event

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Post:
    """An event for one machine, or for all of them."""

    event: Event
    to: str | None = None


class InterpreterActor(BaseActor):
    """Drives an `Interpreter`. What a peer did against the protocol is logged and dropped."""

    def __init__(self, interpreter: Interpreter) -> None:
        super().__init__()
        self._interpreter = interpreter

    def on_receive(self, message: Any) -> None:
        """Feed one event."""
        match message:
            case Post(event=event, to=to):
                try:
                    self._interpreter.feed(event, to)
                except ProtocolError as error:
                    _log.warning("%s was dropped: %s", type(event).__name__, error)
            case _:
                super().on_receive(message)
