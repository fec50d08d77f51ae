"""Supervision: children that crash are started again under their name and keep their letters.

Rule guarded here: a supervisor touches the actors it started and no others, so that swarms live in
one process beside each other and beside foreign Pykka actors. A name's mailbox outlives crashes:
references stay valid, letters wait for the successor, only the one that crashed is gone (its asker
was told). No thread of its own: a crashed actor's thread starts the successor and ends.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from pockethive.actors.base import START_SECONDS, BaseActor, Ref
from pockethive.actors.letters import MAILBOX_LIMIT, DeadLetters, Mailbox
from pockethive.core.errors import ActorFailure

_log = logging.getLogger(__name__)

_GRACE = 0.1  # seconds; an idle child needs a moment to end though a busy one used up the time

OnCrash = Callable[[str, BaseException], None]
"""`(name of the child, what it crashed with)`. Called on the crashed actor's thread."""


class Restart(Enum):
    """What becomes of a crashed child. One that stopped in order is never started again."""

    PERMANENT = "permanent"  # started again
    TEMPORARY = "temporary"  # not started again


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSpec:
    """One child: `workers` actors made by `factory`, which take letters from one mailbox.

    More than `max_restarts` crashes within `window_seconds` end the child.
    """

    name: str
    factory: Callable[[], BaseActor]
    restart: Restart = Restart.PERMANENT
    max_restarts: int = 3
    window_seconds: float = 60.0
    workers: int = 1
    mailbox_limit: int = MAILBOX_LIMIT


@dataclass(slots=True)
class _Child:
    spec: ChildSpec
    mailbox: Mailbox
    actors: list[BaseActor] = field(default_factory=list)
    crashes: deque[float] = field(default_factory=deque)
    launching: int = 0


def _ignore(name: str, error: BaseException) -> None:
    """The hook of somebody who does not care; the log has it."""


class Supervisor:
    """Starts, restarts and stops children. Safe on any thread; `start` and `stop` block.

    `on_restart` is called at a crash, before the successor starts. `on_escalate` is called instead
    when there will be none: the child is temporary or crashed too often. By then its mailbox is
    closed: letters that waited are dead, later ones are refused to their senders. Hooks must not
    block and must not call `stop`.
    """

    def __init__(
        self,
        name: str,
        *,
        on_restart: OnCrash = _ignore,
        on_escalate: OnCrash = _ignore,
        dead_letters: DeadLetters | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.dead_letters = dead_letters or DeadLetters()
        self._on_restart, self._on_escalate, self._clock = on_restart, on_escalate, clock
        self._changed = threading.Condition()
        self._children: dict[str, _Child] = {}
        self._stopping = False

    def start(self, spec: ChildSpec) -> Ref:
        """Start a child and wait until its `on_start` is done; crashes in there are not retried.

        Raises:
            ActorFailure: the name is taken, the supervisor is stopping, or the child cannot start.
        """
        mailbox = Mailbox(
            f"{self.name}/{spec.name}", limit=spec.mailbox_limit, dead_letters=self.dead_letters
        )
        child = _Child(spec, mailbox)
        with self._changed:
            if self._stopping:
                raise ActorFailure(f"cannot start {spec.name}: already stopping", where=self.name)
            if spec.name in self._children:
                raise ActorFailure(f"there is a child named {spec.name} already", where=self.name)
            self._children[spec.name] = child
        try:
            for _ in range(spec.workers):
                self._launch(child)
        except BaseException:
            mailbox.close()
            self._wait(child, time.monotonic() + START_SECONDS)
            with self._changed:
                del self._children[spec.name]
            raise
        return Ref(mailbox)

    def ref(self, name: str) -> Ref:
        """The address of a child; valid across restarts. Raises ActorFailure for unknown names."""
        with self._changed:
            child = self._children.get(name)
        if child is None:
            raise ActorFailure(f"has no child named {name}", where=self.name)
        return Ref(child.mailbox)

    def stop(self, timeout: float) -> tuple[str, ...]:
        """Stop all children, the last started first, within `timeout` seconds in all.

        Each finishes the message in hand; letters that wait become dead letters. Once half the time
        is over all mailboxes are closed, so that a busy child that waits for another is answered.
        Returns the names of those still busy at the end; their threads are daemons.
        """
        halfway = time.monotonic() + timeout / 2
        with self._changed:
            self._stopping = True
            children = tuple(reversed(self._children.values()))
        busy = []
        for child in children:
            child.mailbox.close()
            if not self._wait(child, halfway):
                busy.append(child)
        deadline = halfway + timeout / 2
        left = tuple(child.spec.name for child in busy if not self._wait(child, deadline))
        if left:
            _log.warning("%s: not stopped within %g s: %s", self.name, timeout, ", ".join(left))
        return left

    def _wait(self, child: _Child, deadline: float) -> bool:
        """Wait for a child's threads to end; its mailbox is closed and no successor may start."""
        with self._changed:
            remaining = max(0.0, deadline - time.monotonic())
            settled = self._changed.wait_for(lambda: child.launching == 0, remaining)
            actors = tuple(child.actors)
        ended = [actor.join(max(_GRACE, deadline - time.monotonic())) for actor in actors]
        return settled and all(ended)

    def _launch(self, child: _Child) -> None:
        """Start one actor of a child. Raises ActorFailure, or whatever the factory raised."""
        with self._changed:
            if self._stopping:
                raise ActorFailure(f"cannot start {child.spec.name}: stopping", where=self.name)
            child.launching += 1
        try:
            actor = child.spec.factory()
            with self._changed:
                child.actors = [one for one in child.actors if not one.over]
                child.actors.append(actor)
            actor.launch(child.mailbox, lambda _, error: self._ended(child, error))
        finally:
            with self._changed:
                child.launching -= 1
                self._changed.notify_all()

    def _ended(self, child: _Child, error: BaseException | None) -> None:
        """An actor's last act, on its own thread."""
        if error is not None:
            self._crashed(child, error)
            return
        with self._changed:
            left = any(actor.actor_ref.is_alive() for actor in child.actors)
        if not left:
            child.mailbox.close()  # somebody else stopped it in order: no one takes its letters

    def _crashed(self, child: _Child, error: BaseException) -> None:
        """Start a successor; one that cannot start is another crash."""
        while not self._stopping:
            _log.error("%s crashed: %s", child.mailbox.owner, error, exc_info=error)
            if not self._may_restart(child):
                child.mailbox.close()
                self._call(self._on_escalate, child.spec.name, error)
                return
            self._call(self._on_restart, child.spec.name, error)
            try:
                self._launch(child)
            except Exception as failure:  # noqa: BLE001 - the factory's or on_start's; counted
                error = failure
            else:
                return

    def _may_restart(self, child: _Child) -> bool:
        if child.spec.restart is Restart.TEMPORARY:
            return False
        now = self._clock()
        with self._changed:
            child.crashes.append(now)
            while child.crashes[0] < now - child.spec.window_seconds:
                child.crashes.popleft()
            return len(child.crashes) <= child.spec.max_restarts

    def _call(self, hook: OnCrash, name: str, error: BaseException) -> None:
        try:
            hook(name, error)
        except Exception as second:  # noqa: BLE001 - a faulty hook must not prevent the restart
            _log.error("the hook of %s failed: %s", self.name, second, exc_info=second)
