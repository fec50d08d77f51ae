"""Actors for tests, what to tell them, and who watches them."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pockethive.actors.base import BaseActor, Ref

WAIT = 10.0  # seconds until a test gives up; never a pause


@dataclass(frozen=True, slots=True)
class Say:
    """Answered by its text."""

    text: str


@dataclass(frozen=True, slots=True)
class Hold:
    """Keeps the actor busy until `go` is set; `begun` is set when it has it in hand."""

    begun: threading.Event
    go: threading.Event


@dataclass(frozen=True, slots=True)
class Break:
    """Makes the actor raise."""

    error: BaseException


class Parrot(BaseActor):
    """Says, holds and breaks as told."""

    def __init__(self, heard: list[str] | None = None) -> None:
        super().__init__()
        self.heard = [] if heard is None else heard

    def on_receive(self, message: Any) -> Any:
        match message:
            case Say(text):
                self.heard.append(text)
                return text
            case Hold(begun, go):
                begun.set()
                assert go.wait(WAIT)
                return None
            case Break(error):
                raise error
            case _:
                return super().on_receive(message)


Launch = Callable[..., Ref]


class Watch:
    """Remembers what a supervisor's hooks were told, and lets a test wait for it."""

    def __init__(self) -> None:
        self.restarts: list[tuple[str, BaseException]] = []
        self.ends: list[tuple[str, BaseException]] = []
        self.ended = threading.Event()

    def on_restart(self, name: str, error: BaseException) -> None:
        self.restarts.append((name, error))

    def on_escalate(self, name: str, error: BaseException) -> None:
        self.ends.append((name, error))
        self.ended.set()


def busy(ref: Ref) -> threading.Event:
    """Have the actor hold a message; set the event returned to let it go on."""
    begun, go = threading.Event(), threading.Event()
    ref.tell(Hold(begun, go))
    assert begun.wait(WAIT)
    return go
