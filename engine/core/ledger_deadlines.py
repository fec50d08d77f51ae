"""The ledger's deadlines: when a holder is asked to leave a task to others, and when it must.

Guards: there is one holder at a time, so a task is another's only once its holder has given it
back or its lease is over; a holder that has an output keeps it; what takes everybody long does not
go from hand to hand for ever.
"""

from collections.abc import Iterator, Sequence
from math import inf

from pockethive.core.ballot import votes
from pockethive.core.effects import Effect, Send
from pockethive.core.entry import Member
from pockethive.core.ledger_doubts import doubted
from pockethive.core.ledger_state import RunState, TaskState
from pockethive.core.message import LetGo
from pockethive.core.people import workers
from pockethive.core.task import DeviceId

MAX_YIELDS = 3  # holders of a task that are asked, each after twice the time of the one before
ASK_AGAIN_SECONDS = 3.0

Effects = Iterator[Effect]


def begin(state: TaskState, now: float) -> None:
    """A device holds the task from now on. A vote has its own ways with slow devices."""
    deadline = state.planned.deadline
    state.soft_at = state.hard_at = inf
    if deadline.hard:
        state.hard_at = now + deadline.hard
    if deadline.soft and state.yields < MAX_YIELDS and not votes(state.task):
        state.soft_at = now + deadline.soft * 2**state.yields


def soft(
    run: RunState, state: TaskState, members: Sequence[Member], lost: set[DeviceId], now: float
) -> Effects:
    """Ask the holder of a claimed task to yield, if its time is up and another could have it."""
    if now < state.soft_at or state.holder is None:
        return
    state.soft_at = now + ASK_AGAIN_SECONDS
    if not _another(run, state, members, lost):
        return
    if state.yielding != state.epoch:
        state.yields, state.yielding = state.yields + 1, state.epoch
        run.slow.add(state.holder)
        state.tell(now, f"{state.holder[:8]} is asked to leave it to others")
    seconds = state.planned.deadline.soft
    letter = LetGo(
        task=state.id, epoch=state.epoch, reason=f"it took more than {seconds} s", soft=True
    )
    yield Send(to=state.holder, message=letter)


def made(run: RunState, state: TaskState, device: DeviceId, now: float) -> None:
    """A device made something: in time, as far as there was one to keep."""
    if now < state.soft_at:
        run.slow.discard(device)


def overdue(state: TaskState, now: float) -> str:
    """Why the attempt has failed; empty while it has not."""
    if now < state.hard_at:
        return ""
    return f"it was not made within {state.planned.deadline.hard} s"


def _another(
    run: RunState, state: TaskState, members: Sequence[Member], lost: set[DeviceId]
) -> bool:
    """Whether somebody can do it who has not tried, and is neither slow nor in doubt."""
    last = doubted(run)
    fresh = [m for m in members if m.owner_key not in last and m.device not in run.slow]
    return any(
        device != state.holder and device not in state.blamed
        for device in workers(state.task, fresh, lost)
    )
