"""Actors are stopped after each test, and no test leaves a thread behind."""

import threading
from collections.abc import Iterator

import pytest

from pockethive.actors.base import BaseActor, Ref
from pockethive.actors.letters import Mailbox
from pockethive.actors.supervisor import Supervisor
from tests.actors.parrots import WAIT, Launch, Watch


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    left = [t for t in threading.enumerate() if t not in before and "asyncio" not in t.name]
    for thread in left:
        thread.join(1.0)  # Pykka's own actors answer a stop a moment before their thread ends
    assert [thread.name for thread in left if thread.is_alive()] == []


@pytest.fixture
def launch() -> Iterator[Launch]:
    """Start an actor outside of any supervisor; it is stopped after the test."""
    started: list[BaseActor] = []

    def start(actor: BaseActor, mailbox: Mailbox | None = None) -> Ref:
        started.append(actor)
        return actor.launch(mailbox)

    yield start
    for actor in started:
        assert isinstance(actor.actor_inbox, Mailbox)
        actor.actor_inbox.close()
        assert actor.join(WAIT)


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def supervisor(watch: Watch) -> Iterator[Supervisor]:
    made = Supervisor("device", on_restart=watch.on_restart, on_escalate=watch.on_escalate)
    yield made
    assert made.stop(WAIT) == ()
