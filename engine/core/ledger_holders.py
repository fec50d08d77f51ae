"""The ledger's care that outputs outlive their makers: who holds a copy besides the worker.

Guards: an output is committed when two devices besides its maker hold it, or one where nobody
verified it; fewer only where the hive has no more that answer in time, and then the story says so.
"""

from collections.abc import Iterator, Sequence
from math import inf

from pockethive.core.effects import Effect, Send
from pockethive.core.entry import Member
from pockethive.core.labels import Label
from pockethive.core.ledger_state import TaskState
from pockethive.core.ledger_work import WorkDesk
from pockethive.core.message import Keep, Progress
from pockethive.core.rendezvous import rank
from pockethive.core.ruling import asks
from pockethive.core.task import DeviceId
from pockethive.core.verification import accepting, needed

HOLDERS = 2  # besides the worker; every verifier that accepts is one
ON_CREDIT = 1  # of an output that nobody verified
KEEP_AGAIN_SECONDS = 3.0
PATIENCE_SECONDS = 6.0  # how long a commit waits for holders

Effects = Iterator[Effect]


class HoldersDesk:
    """Asks devices to keep copies while verifiers are at work."""

    def __init__(self, work: WorkDesk) -> None:
        self._work = work

    def tend(self, state: TaskState, members: Sequence[Member], now: float) -> Effects:
        """Ask as many devices as are lacking, others where some are slow."""
        if state.keep_until is None:
            state.keep_until = now + PATIENCE_SECONDS
        lacking = self._lacking(state) - len(self._awaited(state, now))
        for device in self._others(state, members)[:lacking] if lacking > 0 else ():
            state.keepers[device] = now
            assert state.entry is not None
            assert state.output is not None
            keep = Keep(task=state.id, entry=state.entry, output=state.output)
            yield Send(to=device, message=keep)

    def held(self, state: TaskState, device: DeviceId, progress: Progress) -> None:
        """A device says that it holds a copy, or that it will not."""
        asked = device in state.keepers and state.output is not None
        if not asked or progress.epoch != state.made.epoch:
            return
        if progress.state == "holding":
            state.kept |= {device}
        elif device not in state.kept:
            state.keepers[device] = -inf

    def enough(self, state: TaskState, members: Sequence[Member], now: float) -> bool:
        """Whether the output may be committed as far as its holders go."""
        if self._lacking(state) <= 0 or (state.keep_until is not None and now >= state.keep_until):
            return True
        return not self._awaited(state, now) and not self._others(state, members)

    def tell(self, state: TaskState, now: float) -> None:
        """Let the story say where fewer hold it than should."""
        output = state.output
        if output is None or not needed(state.task):
            return
        verified = accepting(state.task, output, state.verdicts.values())
        held = len({*(entry.author for entry in verified), *state.kept})
        wanted = ON_CREDIT if state.waiver is not None else HOLDERS
        if held < wanted:
            state.tell(now, f"held by {held} besides its maker: no other device here could")

    def _lacking(self, state: TaskState) -> int:
        if not needed(state.task):
            return 0
        by_verifiers = 0 if asks(state.task) else needed(state.task)
        wanted = max(HOLDERS - by_verifiers, ON_CREDIT if state.waiver is not None else 0)
        return wanted - len(state.kept.difference(state.asked))

    def _awaited(self, state: TaskState, now: float) -> set[DeviceId]:
        return {
            device
            for device, at in state.keepers.items()
            if now < at + KEEP_AGAIN_SECONDS and device not in state.kept | self._work.lost
        }

    def _others(self, state: TaskState, members: Sequence[Member]) -> tuple[DeviceId, ...]:
        """Devices that were not asked for anything yet, in an order of the task's own."""
        task, output = state.task, state.output
        assert output is not None
        judges = (entry.author for entry in accepting(task, output, state.verdicts.values()))
        asked = {*state.asked, *state.keepers, *state.kept}
        busy = {state.made_by, *asked, *judges, *self._work.lost}
        fit = (
            member.device
            for member in members
            if member.device not in busy
            and (task.label is not Label.PEOPLE or member.owner_key == task.owner_key)
        )
        return rank(task.id, fit, "keep")
