"""The ledger's way from a waiting task to an output: offers, claims, failures, lost devices."""

from collections.abc import Iterator, Sequence

from pockethive.core.effects import Effect, Send
from pockethive.core.entry import Member
from pockethive.core.graph import Outcome, Readiness
from pockethive.core.ledger_desk import Desk
from pockethive.core.ledger_state import FIRST_WAVE, RunState, TaskState
from pockethive.core.lifecycle import Move, Status
from pockethive.core.message import LetGo, Offer, Progress
from pockethive.core.people import workers
from pockethive.core.task import DeviceId, TaskId
from pockethive.core.watch import Watch

OFFER_AGAIN_SECONDS = 3.0
LET_GO_SECONDS = 0.3  # so that a holder has given its lease back before it is offered again
SILENT_LEASES = 1.5  # a holder says that it works with every renewal, three times a lease
NOBODY_SECONDS = 10.0  # how long a task waits for a device that can do or verify it

Effects = Iterator[Effect]


class WorkDesk:
    """Moves tasks towards an output. Changes the states it is given and nothing else."""

    def __init__(self, desk: Desk, watch: Watch) -> None:
        self.desk, self._watch = desk, watch

    @property
    def lost(self) -> set[DeviceId]:
        """Devices that stopped answering."""
        return self._watch.lost

    def unlock(self, run: RunState, state: TaskState, now: float) -> Effects:
        """See whether a waiting task may start, or never will."""
        outcomes = run.outcomes(state.planned.sources)
        readiness = run.graph.readiness(state.task.name, outcomes, now - run.began)
        if readiness is Readiness.READY:
            state.move(Move.UNLOCK, now, "ready")
        elif readiness is Readiness.IMPOSSIBLE:
            gone = [n for n in state.planned.sources if outcomes.get(n) is Outcome.FAILED]
            reason = f"what it needs did not come: {', '.join(gone)}"
            yield from self.desk.close(run, state, Move.FAIL, reason, now)

    def offer(
        self, run: RunState, state: TaskState, members: Sequence[Member], now: float
    ) -> Effects:
        """Offer a ready task, and again while nobody takes it."""
        task = state.task
        if task.place is not None and task.place in self._watch.lost:
            reason = f"device {task.place[:8]} stopped answering"
            yield from self.desk.close(run, state, Move.LOSE, reason, now)
            return
        if now < state.offer_at or state.entry is None:
            return
        devices = workers(task, members, self._watch.lost, state.blamed)[: state.wave]
        if not devices:
            yield from self._nobody(run, state, now)
            return
        state.nobody_since = None
        state.wave += FIRST_WAVE
        state.offer_at = now + OFFER_AGAIN_SECONDS
        inputs = committed_inputs(run, state)
        if not state.offered:
            state.least_inputs = frozenset(name for name, _ in inputs)
        for place, device in enumerate(devices):
            offer = Offer(
                task=task.id,
                skill=task.skill,
                needs_model=task.needs_model,
                label=task.label,
                place=task.place,
                rank=place,
                entry=state.entry,
                inputs=inputs,
            )
            yield Send(to=device, message=offer)
        if not set(devices) <= state.offered:
            state.offered.update(devices)
            state.tell(now, f"offered to {len(devices)} devices")
            yield self.desk.happened(run, state, "offered", None, f"to {len(devices)} devices")

    def claimed(
        self, run: RunState, state: TaskState, device: DeviceId, epoch: int, now: float
    ) -> Effects:
        """A device holds the lease. Told again with every renewal."""
        if epoch < state.epoch or state.task.place not in (None, device):
            return
        state.heard_at = now
        if epoch == state.epoch and state.holder == device:
            return
        state.claims += 1
        state.holder, state.epoch, state.patience = device, epoch, None
        state.move(Move.CLAIM, now, f"claimed by {device[:8]} at epoch {epoch}")
        yield self.desk.happened(run, state, "claimed", device, "")

    def overdue(self, run: RunState, state: TaskState, now: float) -> Effects:
        """A holder that lives but says nothing more has given up, and its word was lost or late."""
        if now > state.heard_at + SILENT_LEASES * state.task.lease_seconds:
            who = "nobody" if state.holder is None else state.holder[:8]
            yield from self.retry(run, state, f"device {who} said nothing more of it", now)

    def failed(
        self,
        run: RunState,
        state: TaskState,
        device: DeviceId,
        progress: Progress,
        now: float,
    ) -> Effects:
        """A worker gave up; it has freed the lease."""
        if state.holder == device and state.epoch == progress.epoch:
            yield from self.retry(run, state, progress.reason, now)

    def retry(self, run: RunState, state: TaskState, reason: str, now: float) -> Effects:
        """An attempt ended without a commit: let the holder go, offer it again or close it."""
        state.failures += 1
        holder, state.holder = state.holder, None
        state.output, state.commit_poll, state.patience = None, None, None
        if holder is not None:
            state.blamed.append(holder)
            letter = LetGo(task=state.id, epoch=state.epoch, reason=reason[:60])
            yield Send(to=holder, message=letter)
        if state.failures >= self.desk.limits.attempts:
            told = f"{state.failures} attempts failed, the last one: {reason}"
            yield from self.desk.close(run, state, Move.FAIL, told, now)
            return
        state.move(Move.RETRY, now, f"attempt {state.failures} failed: {reason}")
        state.offer_at = now + LET_GO_SECONDS

    def device_lost(self, run: RunState, state: TaskState, device: DeviceId, now: float) -> Effects:
        """A device stopped answering: what that means for one task."""
        if device in state.asked:
            state.declined.add(device)
        if device not in (state.holder, state.task.place):
            return
        reason = f"device {device[:8]} stopped answering"
        if state.status is Status.PROPOSED:  # a verifier may have the output already
            if state.patience is None:
                state.patience = now + state.task.lease_seconds
            state.tell(now, reason)
        elif state.task.place == device:
            yield from self.desk.close(run, state, Move.LOSE, reason, now)
        elif state.status is Status.CLAIMED:
            yield from self.retry(run, state, reason, now)
            alive = self._watch.last_alive(device)
            lease_end = (now if alive is None else alive) + 1.1 * state.task.lease_seconds
            state.offer_at = max(now, lease_end)

    def _nobody(self, run: RunState, state: TaskState, now: float) -> Effects:
        """No device can do it: wait a little for one to come, then say so."""
        if state.nobody_since is None:
            state.nobody_since = now
        if now < state.nobody_since + NOBODY_SECONDS:
            return
        task = state.task
        if task.place is not None:
            reason = f"device {task.place[:8]} is not here or has not the skill {task.skill}"
            yield from self.desk.close(run, state, Move.LOSE, reason, now)
            return
        model = " and a model" if task.needs_model else ""
        reason = f"no device here has the skill {task.skill}{model}"
        yield from self.desk.close(run, state, Move.FAIL, reason, now)


def committed_inputs(run: RunState, state: TaskState) -> tuple[tuple[str, TaskId], ...]:
    """The sources of a task that were committed, by name."""
    outcomes = run.outcomes(state.planned.sources)
    return tuple(
        (name, run.tasks[name].id)
        for name in state.planned.sources
        if outcomes[name] is Outcome.COMMITTED
    )
