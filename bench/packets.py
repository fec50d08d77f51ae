"""Whose packets a simulated hive sends: those of tasks, of runs that begin, and of being there.

    with told_apart() as packets:
        report = play(scenario, seed)

Every datagram is counted by what its sender was about: the effect of a machine (`task`), asking
before a run who is there (`run`), or anything that a device does as long as it is there, comes, or
misses who has gone (`upkeep`). What answers a question counts for whoever asked, for the virtual
network hands on who that was. One that several messages share counts for the first of them.
"""

import contextlib
import contextvars
import functools
import inspect
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

from pockethive.actors.hands import NodeHands
from pockethive.actors.roster import Roster
from pockethive.core.effects import AskWitness, Effect, Publish, ReadShard, Send
from pockethive.dht.handover import HandOver
from pockethive.dht.reach import Reach
from pockethive.dht.server import HiveServer
from pockethive.dht.simulation import VirtualNet
from pockethive.dht.transport import Address
from pockethive.dht.upkeep import Repairs, Upkeep
from pockethive.dht.vigil import Vigil
from pockethive.sim_report import Mark
from pockethive.sim_watch import ScenarioHive

TASK, RUN, UPKEEP = "task", "run", "upkeep"
_CAUSE = contextvars.ContextVar("cause", default="upkeep, other")
_CAUSES: tuple[tuple[type, str, str], ...] = (
    (Roster, "check", "run, who is there"),
    (Roster, "advertise", "upkeep, advertising"),
    (Roster, "read", "upkeep, members read"),
    (Roster, "_pulse", "upkeep, members asked"),
    (Roster, "_begin_greeting", "upkeep, greetings"),
    (HiveServer, "bootstrap", "upkeep, joining"),
    (HiveServer, "_introduce", "upkeep, joining"),
    (HandOver, "_work", "upkeep, records handed over"),
    (Vigil, "_look_after", "upkeep, neighbours asked"),
    (Vigil, "_work", "upkeep, places filled"),
    (Repairs, "repair", "upkeep, repairs"),
    (Upkeep, "tidy", "upkeep, republishing"),
    (Reach, "settle", "upkeep, joining"),
)


@contextlib.contextmanager
def told_apart() -> Iterator[Counter[str]]:
    """Datagrams by their cause, from when devices are seated to the end of a play."""
    found: Counter[str] = Counter()
    send, mark = VirtualNet.send, Mark.of.__func__  # type: ignore[attr-defined]
    run = NodeHands._run  # noqa: SLF001 - where every effect begins

    def counted(self: VirtualNet, source: Address, data: bytes, target: Address) -> None:
        found[_CAUSE.get()] += 1
        send(self, source, data, target)

    def begun(self: NodeHands, effect: Effect, work: Any) -> None:
        with _about(_of(effect)):
            run(self, effect, work)

    @classmethod  # type: ignore[misc]  # it stands in for one
    def marked(cls: type[Mark], hive: ScenarioHive) -> Mark:
        if hive.world.net.sent and not hive.offered:
            found.clear()
        made: Mark = mark(cls, hive)
        return made

    with contextlib.ExitStack() as stack:
        stack.enter_context(patch.object(VirtualNet, "send", counted))
        stack.enter_context(patch.object(NodeHands, "_run", begun))
        stack.enter_context(patch.object(Mark, "of", marked))
        for owner, name, cause in _CAUSES:
            stack.enter_context(patch.object(owner, name, _tagged(getattr(owner, name), cause)))
        yield found


def share(packets: Counter[str], whose: str) -> int:
    """How many are of tasks, of runs that begin, or upkeep."""
    return sum(count for cause, count in packets.items() if cause.startswith(whose))


@contextlib.contextmanager
def _about(cause: str) -> Iterator[None]:
    token = _CAUSE.set(cause)
    try:
        yield
    finally:
        _CAUSE.reset(token)


def _tagged(function: Callable[..., Any], cause: str) -> Callable[..., Any]:
    @functools.wraps(function)
    def at_once(*given: Any, **named: Any) -> Any:
        with _about(cause):
            return function(*given, **named)

    @functools.wraps(function)
    async def later(*given: Any, **named: Any) -> Any:
        with _about(cause):
            return await function(*given, **named)

    return later if inspect.iscoroutinefunction(function) else at_once


def _of(effect: Effect) -> str:
    match effect:
        case ReadShard():
            return "upkeep, bulletin read"
        case Publish(body=about) | Send(message=about) | AskWitness(request=about):
            return f"{TASK}, {type(effect).__name__} {type(about).__name__}"
        case _:
            return f"{TASK}, {type(effect).__name__}"
