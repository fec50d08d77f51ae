"""The ledger after a restart: what it had asked for, told or published may never have been done.

Guards: nothing is taken back and nothing is done twice because of a restart. What was asked is
asked again of whoever decides it, and the answer is the same; what was being worked on goes on.
"""

from collections.abc import Iterable, Iterator

from pockethive.core.credibility import Credit
from pockethive.core.effects import Effect, KeepBlob, Send
from pockethive.core.entry import Member
from pockethive.core.events import CreditsRead, Event, MembersChanged, PingAnswered
from pockethive.core.ledger_local import order
from pockethive.core.ledger_state import RunState, TaskState
from pockethive.core.ledger_work import WorkDesk
from pockethive.core.lifecycle import Status
from pockethive.core.task import DeviceId
from pockethive.core.watch import MISSES

Effects = Iterator[Effect]


def ground(
    credits_: tuple[Credit, ...], members: tuple[Member, ...], lost: Iterable[DeviceId]
) -> tuple[Event, ...]:
    """What a ledger was told that is of no run, in the fewest events that say the same."""
    silent = (PingAnswered(device=device, alive=False) for device in sorted(lost))
    return (
        CreditsRead(credits=credits_),
        MembersChanged(members=members),
        *(event for event in silent for _ in range(MISSES)),
    )


class RestartDesk:
    """Changes the states it is given and nothing else."""

    def __init__(self, work: WorkDesk) -> None:
        self._work = work

    def task(self, run: RunState, state: TaskState, now: float) -> Effects:
        """Make one task due in the next round; ask its holder how it goes."""
        state.publish_at = now
        if not state.open:
            return
        if state.local is not None:
            if state.status is Status.CLAIMED:
                yield order(state, state.local)
            return
        yield KeepBlob(data=state.planned.spec(), label=state.planned.label.value)
        state.nobody_since = state.patience = None
        if state.sealing is not None:
            state.sealing.rounds, state.sealing.ask_at = 0, min(state.sealing.ask_at, now)
            if state.sealing.next_task is not None:
                state.sealing.ask_at = float("inf")
        elif state.status is Status.CLAIMED:
            yield from self._ask_holder(run, state, now)
        elif state.status is Status.PROPOSED:
            state.begin_round()

    def _ask_holder(self, run: RunState, state: TaskState, now: float) -> Effects:
        """One that still has it says so with its next renewal; one that restarted begins anew."""
        state.heard_at = now
        if state.holder is not None and state.entry is not None:
            offer = self._work.offer_to(run, state, state.holder, 0)
            yield Send(to=state.holder, message=offer)
