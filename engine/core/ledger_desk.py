"""What every part of the ledger does: publish, tell, end."""

from collections.abc import Iterator

from pockethive.core.certificate import Certificate, certified
from pockethive.core.effects import Effect, Publish, Send, Tell, TellCoordinator
from pockethive.core.entry import Body, Close, CloseReason, Entry, Kind, Output, Pledge, Verdict
from pockethive.core.errors import ProtocolError
from pockethive.core.events import TaskEnded
from pockethive.core.fields import clip
from pockethive.core.ledger_state import RunState, TaskState
from pockethive.core.lifecycle import CLOSES, Move, Status
from pockethive.core.message import Ended
from pockethive.core.polling import Poll
from pockethive.core.ports import VerifySignature
from pockethive.core.report import Happening
from pockethive.core.spec import Limits
from pockethive.core.task import DeviceId, TaskId

PUBLISH_AGAIN_SECONDS = 5.0

Effects = Iterator[Effect]
_REASONS = {move: reason for reason, move in CLOSES.items()}


class Desk:
    """Shared by the ledger's parts. Stateless but for who it is."""

    def __init__(self, device: DeviceId, limits: Limits, verify: VerifySignature) -> None:
        self.device, self.limits, self._verify = device, limits, verify

    def poll(self, state: TaskState, now: float) -> Poll:
        """A new question to all witnesses of a task."""
        state.polls += 1
        return Poll(state.id, state.polls, state.task.committee, now)

    def certify(self, state: TaskState, device: DeviceId, epoch: int, grants: Certificate) -> None:
        """See that a device holds or held a lease. Raises ProtocolError; changes nothing."""
        if (device, epoch) == (state.holder, state.epoch):  # it has shown them before
            return
        if not certified(state.task, device, epoch, grants, self._verify):
            raise ProtocolError(
                f"{device[:8]} names epoch {epoch} without the grants of a quorum", where=state.id
            )

    def publish(self, state: TaskState, kind: Kind, body: Body, now: float) -> Effects:
        """Publish, and again every few seconds until the entry stands; what concerns nobody else
        is only kept."""
        if state.local is not None:
            state.local.said = (state.task, body)
            return
        beside = _shown(state) if kind is Kind.COMMIT else ()
        state.publishing = Publish(kind=kind, body=body, expires=state.task.expires, beside=beside)
        state.publish_at = now + PUBLISH_AGAIN_SECONDS
        yield state.publishing

    def publish_due(self, state: TaskState, now: float) -> Effects:
        """Publish once more what does not stand yet, when it is time."""
        if state.publishing is not None and now >= state.publish_at:
            state.publish_at = now + PUBLISH_AGAIN_SECONDS
            yield state.publishing

    def close(
        self, run: RunState, state: TaskState, move: Move, reason: str, now: float
    ) -> Effects:
        """End a task without an output, and report it at once."""
        why = _REASONS[move]
        yield from self.retire(state, move, reason, now)
        what = "lost" if why is CloseReason.LOST else "closed"
        yield self.happened(run, state, what, state.holder, reason)
        yield self._report(run, state)

    def retire(self, state: TaskState, move: Move, reason: str, now: float) -> Effects:
        """End a task without an output; whether that is told is another matter."""
        why = _REASONS[move]
        state.move(move, now, f"closed as {why.value}: {reason}")
        state.reason = reason
        body = Close(task=state.id, reason=why, detail=clip(reason))
        yield from self.publish(state, Kind.CLOSE, body, now)

    def ended(self, run: RunState, state: TaskState) -> Effects:
        """The commit or close stands: tell everybody who was asked something."""
        asked = {*state.offered, *state.asked, *state.vote.asked}
        for device in sorted({*asked, *filter(None, (state.holder,))}):
            yield from self.tell_end(state, device)
        if state.status is Status.COMMITTED:
            worker = None if state.output is None else state.output.author
            told = "on credit" if state.waiver is not None else ""
            yield self.happened(run, state, "committed", worker, told)
            if run.tasks[state.task.name] is state:  # else it was planned anew meanwhile
                yield self._report(run, state)

    def tell_end(self, state: TaskState, device: DeviceId) -> Effects:
        """Tell one device how the task ended, once that stands."""
        if state.end is not None:
            yield Send(to=device, message=Ended(task=state.id, entry=state.end))

    def happened(
        self, run: RunState, state: TaskState, what: str, device: DeviceId | None, detail: str
    ) -> Tell:
        """Something users may watch."""
        return Tell(
            happening=Happening(
                what=what,
                run=run.id,
                task=state.task.name,
                device=device,
                detail=detail,
                data={"role": state.task.role, "epoch": state.epoch},
            )
        )

    def _report(self, run: RunState, state: TaskState) -> TellCoordinator:
        return TellCoordinator(event=TaskEnded(run=run.id, report=state.report()))


def task_of(sender: DeviceId, entry: Entry) -> TaskId | None:
    """The task of an output, verdict or pledge that its author itself brings."""
    body = entry.body
    if sender != entry.author or not isinstance(body, Output | Verdict | Pledge):
        return None
    return body.task


def _shown(state: TaskState) -> tuple[Entry, ...]:
    """The output and the verdicts on it, as their makers showed them."""
    return () if state.output is None else (state.output, *state.verdicts_on(state.output))
