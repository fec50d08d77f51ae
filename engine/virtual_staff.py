"""Agents in virtual time: the same actors, without their threads.

Rule guarded here: only the thread is replaced. A letter is handled by the actor's own `handle`, on
the loop, after the virtual seconds that such work takes; an actor handles one letter at a time.
"""

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

from pykka._envelope import Envelope

from pockethive.actors.agent import DoChecks, DoWork
from pockethive.actors.base import Ref
from pockethive.actors.letters import Mailbox
from pockethive.actors.planner_actor import PlanAsked
from pockethive.actors.supervisor import ChildSpec
from pockethive.core.errors import ActorFailure

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How many virtual seconds an agent takes for a plan, an output, a judgement."""

    plan: float = 0.2
    work: float = 1.0
    check: float = 0.3

    def seconds(self, message: object) -> float:
        """For one message."""
        match message:
            case PlanAsked():
                return self.plan
            case DoWork():
                return self.work
            case DoChecks():
                return self.check
            case _:
                return 0.0


class _VirtualMailbox(Mailbox):
    """Whoever puts a letter in has it handled later, on the loop."""

    def __init__(self, owner: str, spec: ChildSpec, pace: Pace) -> None:
        super().__init__(owner, limit=spec.mailbox_limit)
        self._spec, self._pace = spec, pace
        self._actor = spec.factory()
        self._free_at = 0.0

    def put(self, envelope: Envelope[Any], /) -> None:
        """Deliver, or refuse as the real one does. On the loop."""
        super().put(envelope)
        loop = asyncio.get_running_loop()
        begin = max(loop.time(), self._free_at)
        self._free_at = begin + self._pace.seconds(envelope.message)
        loop.call_at(self._free_at, self._deliver)

    def _deliver(self) -> None:
        if self.closed:
            return
        error = self._actor.handle(self.get())
        if error is not None:
            _log.error("%s crashed and is started again", self.owner, exc_info=error)
            self._actor = self._spec.factory()


class VirtualStaff:
    """What a `Supervisor` is to real agents. A crashed one is started again, however often."""

    def __init__(self, name: str, pace: Pace) -> None:
        self._name, self._pace = name, pace
        self._mailboxes: dict[str, _VirtualMailbox] = {}

    def start(self, spec: ChildSpec) -> Ref:
        """Start a child."""
        mailbox = _VirtualMailbox(f"{self._name}/{spec.name}", spec, self._pace)
        self._mailboxes[spec.name] = mailbox
        return Ref(mailbox)

    def ref(self, name: str) -> Ref:
        """The address of a child. Raises ActorFailure for unknown names."""
        if name not in self._mailboxes:
            raise ActorFailure(f"has no child named {name}", where=self._name)
        return Ref(self._mailboxes[name])

    def stop(self) -> None:
        """Nobody handles anything any more; those who wait for an answer are told."""
        for mailbox in self._mailboxes.values():
            mailbox.close()
