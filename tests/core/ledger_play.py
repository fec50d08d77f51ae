"""A ledger with an open run, what is said to it, and its state as values."""

from functools import cache
from typing import Any

from pockethive.core.effects import Effect, Ping, Publish
from pockethive.core.entry import Member
from pockethive.core.events import (
    EntryArrived,
    GoalSubmitted,
    GraphOpened,
    MembersChanged,
    MessageArrived,
    PingAnswered,
)
from pockethive.core.graph import TaskGraph
from pockethive.core.ledger import Ledger, LedgerSettings
from pockethive.core.message import Made, Opened, Progress
from pockethive.core.seldom import Seldom
from pockethive.core.spec import Limits
from pockethive.core.task import DeviceId, Task
from tests.core.core_play import (
    DEVICES,
    OWNER_KEY,
    RUN,
    edge,
    entry,
    member,
    planned,
    verify,
)

OWNER, WORKER, OTHER = DEVICES[:3]
GRAPH = TaskGraph((planned("a"), planned("b", place=OTHER), planned("c", (edge("a", "b"),))))


def of(kind: type[Any], effects: tuple[Effect, ...]) -> list[Any]:
    return [effect for effect in effects if isinstance(effect, kind)]


def new_ledger(secret: bytes = b"", **limits: int) -> Ledger:
    """A ledger that was given a goal."""
    own = LedgerSettings(device=OWNER, owner_key=OWNER_KEY, limits=Limits(**limits), secret=secret)
    ledger = Ledger(own, verify)
    ledger.handle(GoalSubmitted(run=RUN, goal="why?", wall=1_900_000_000.0), 0.0)
    return ledger


def opened(
    devices: tuple[DeviceId, ...] = DEVICES[:4],
    graph: TaskGraph = GRAPH,
    secret: bytes = b"",
    **limits: int,
) -> tuple[Ledger, list[Task]]:
    """A ledger with an open run whose tasks stand, and those tasks in order."""
    return begin(new_ledger(secret, **limits), tuple(map(member, devices)), graph)


def begin(
    ledger: Ledger, members: tuple[Member, ...], graph: TaskGraph
) -> tuple[Ledger, list[Task]]:
    """Open a run whose tasks stand."""
    ledger.handle(GoalSubmitted(run=RUN, goal="why?", wall=1_900_000_000.0), 0.0)
    ledger.handle(MembersChanged(members=members), 0.0)
    effects = ledger.handle(GraphOpened(run=RUN, graph=graph), 0.0)
    for ping in of(Ping, effects):
        effects = ledger.handle(PingAnswered(device=ping.device, alive=True), 0.0)
    tasks = [publish.body for publish in of(Publish, effects)]
    for task in tasks:
        ledger.handle(EntryArrived(entry=entry(OWNER, task)), 0.1)
    return ledger, tasks


def said(sender: DeviceId, message: Made | Progress | Opened) -> MessageArrived:
    return MessageArrived(sender=sender, message=message)


def claim(task: Task, epoch: int, state: str = "claimed", reason: str = "", **how: Any) -> Progress:
    return Progress(task=task.id, epoch=epoch, state=state, reason=reason, **how)


def frozen(thing: Any, seen: dict[int, tuple[int, Any]] | None = None) -> Any:
    """Everything an object holds, as values that compare: a copy that cannot change."""
    seen = {} if seen is None else seen
    if isinstance(thing, str | bytes | int | float | bool | None):
        return thing
    if id(thing) in seen:
        return f"see {seen[id(thing)][0]}"
    seen[id(thing)] = len(seen), thing  # kept, or another thing would get its id
    if isinstance(thing, dict):
        return [(frozen(key, seen), frozen(value, seen)) for key, value in thing.items()]
    if isinstance(thing, list | tuple):
        return [frozen(item, seen) for item in thing]
    if isinstance(thing, set | frozenset):
        return sorted(map(repr, thing))
    slots = slots_of(thing.__class__)
    held = {name: getattr(thing, name, None) for name in slots} | getattr(thing, "__dict__", {})
    if not held or callable(thing):
        return repr(thing) if not callable(thing) else "callable"
    return [type(thing).__name__, frozen(held, seen)]


@cache
def slots_of(kind: type) -> tuple[str, ...]:
    """The slots of a class and of all it inherits from; of what is made at first sight, each."""
    slots = [name for each in kind.__mro__ for name in getattr(each, "__slots__", ())]
    seldom = [name for name, value in vars(kind).items() if isinstance(value, Seldom)]
    return tuple(name for name in (*slots, *seldom) if not seldom or name != "rare")
