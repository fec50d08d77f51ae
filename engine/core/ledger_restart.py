"""The ledger after a restart: what it had asked for, told or published may never have been done.

Guards: nothing is taken back and nothing is done twice because of a restart. What was asked is
asked again of whoever decides it, and the answer is the same; what was being worked on goes on.
"""

from collections.abc import Iterable, Iterator, Sequence
from math import inf

from pockethive.core.credibility import Credit
from pockethive.core.effects import Effect, KeepBlob, ReadTask, Send
from pockethive.core.entry import Entry, Member, Output
from pockethive.core.events import CreditsRead, Event, MembersChanged, PingAnswered
from pockethive.core.fold import fold
from pockethive.core.ledger_local import order
from pockethive.core.ledger_questions import kept_remarks
from pockethive.core.ledger_state import RunState, TaskState
from pockethive.core.ledger_votes import VoteDesk
from pockethive.core.ledger_work import WorkDesk
from pockethive.core.lifecycle import Move, Status
from pockethive.core.ports import VerifySignature
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

    def __init__(self, work: WorkDesk, votes: VoteDesk, verify: VerifySignature) -> None:
        self._work, self._votes, self._verify = work, votes, verify

    def runs(self, runs: Iterable[RunState], now: float) -> Effects:
        """Everything is due in the next round."""
        for run in runs:
            run.agenda.mark_all()
            for state in (*run.tasks.values(), *run.retired):
                yield from self._task(run, state, now)

    def read(
        self, run: RunState, state: TaskState, entries: Sequence[Entry], now: float
    ) -> Effects:
        """What stands in the DHT of a task: a commit ends it; what was proven may be needed.

        A ledger that is older than its last words, because the last rows of its journal were lost,
        has it from here that a task was committed, or what its witnesses have accepted.
        """
        view = fold(entries, self._verify, state.id)
        if view is None or state.task not in (view.task, view.judged):
            return
        state.found = {entry.digest: entry for entry in (*view.outputs, *view.verdicts)}
        made = [e for e in view.outputs if view.commit and _value(e) == (view.worker, view.output)]
        if view.commit is None or not made:
            return
        if state.status is Status.WAITING:
            state.move(Move.UNLOCK, now, "its end was read")
        state.move(Move.COMMIT, now, "committed before: read in the DHT")
        state.output, state.epoch, state.end = made[-1], view.epoch, view.commit
        state.verdicts |= {entry.digest: entry for entry in view.verdicts}
        if view.waiver is not None:
            state.verdicts[view.waiver.digest] = view.waiver
        state.publishing = state.sealing = state.commit_poll = None
        run.touched(state, now)
        yield from self._work.desk.ended(run, state)

    def _task(self, run: RunState, state: TaskState, now: float) -> Effects:
        """Make one task due; ask its holder how it goes, and the DHT how far it came."""
        state.publish_at = now
        if not state.open:
            return
        if state.local is not None:
            if state.status is Status.CLAIMED:
                yield order(state, state.local)
            return
        yield KeepBlob(data=state.planned.spec(), label=state.planned.label.value)
        if state.question.remarks:
            yield kept_remarks(state)
        if state.offered:
            yield ReadTask(task=state.id)
        state.nobody_since = state.patience = None
        state.repeat_at = now
        if state.sealing is not None:
            going = state.sealing
            going.rounds = 0
            going.ask_at = now if going.next_task is None else inf
        elif state.status is Status.CLAIMED:
            yield from self._ask_holder(run, state, now)
            yield from self._votes.ask_again(run, state, now)
        elif state.status is Status.PROPOSED:
            state.begin_round()

    def _ask_holder(self, run: RunState, state: TaskState, now: float) -> Effects:
        """One that still has it says so with its next renewal; one that restarted begins anew."""
        state.heard_at = now
        if state.holder is not None and state.entry is not None:
            offer = self._work.offer_to(run, state, state.holder)
            yield Send(to=state.holder, message=offer)


def _value(entry: Entry) -> tuple[DeviceId, str]:
    assert isinstance(entry.body, Output)
    return entry.author, entry.body.output
