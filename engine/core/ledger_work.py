"""The ledger's way from a waiting task to an output: offers, claims, failures, lost devices.

Guards: every handler decides and moves first and changes the rest after, so that what is refused
leaves a task as it was.
"""

from collections.abc import Iterable, Iterator, Sequence

from pockethive.core.ballot import votes
from pockethive.core.effects import Effect, Send
from pockethive.core.entry import Member
from pockethive.core.graph import Outcome, Readiness
from pockethive.core.ledger_deadlines import begin, overdue
from pockethive.core.ledger_desk import Desk
from pockethive.core.ledger_doubts import doubted
from pockethive.core.ledger_state import FIRST_WAVE, SILENT_LEASES, RunState, TaskState
from pockethive.core.lifecycle import Move, Status
from pockethive.core.message import LetGo, Offer, Progress
from pockethive.core.notice import may_post
from pockethive.core.people import Past, workers
from pockethive.core.task import DeviceId, Task, TaskId
from pockethive.core.watch import Watch

OFFER_AGAIN_SECONDS = 3.0  # to devices that it was not offered to before
MOST_REPEAT_SECONDS = 48.0  # to one device: who is busy keeps an offer
STAGGER_SECONDS = 0.3  # between one device of a wave and the next
LET_GO_SECONDS = 0.3  # so that a holder has given its lease back before it is offered again
COME_BACK_SECONDS = 5.0  # how long what only a lost device can do waits for it to answer again
COME_BACK_SHARE = 0.1  # of what is left of the run's time, if that is less
STRANGER_SECONDS = 60.0  # how long it waits for a stranger who reads the bulletin
STRANGER_SHARE = 0.25  # of what is left of the run's time, if that is less
MAX_RETURNS = 16  # devices may give a task back so often at no cost; beyond that each is an attempt
NOBODY_SECONDS = 10.0  # how long a task waits for a device that can do or verify it

Effects = Iterator[Effect]


class WorkDesk:
    """Moves tasks towards an output. Changes the states it is given and nothing else."""

    def __init__(self, desk: Desk, watch: Watch, *, posts: bool = False) -> None:
        self.desk, self._watch, self._posts = desk, watch, posts

    @property
    def lost(self) -> set[DeviceId]:
        """Devices that stopped answering."""
        return self._watch.lost

    def announces(self, task: Task, members: Sequence[Member]) -> bool:
        """Whether strangers may read of a task on the bulletin; not where there is no hive."""
        return self._posts and len(members) > 1 and may_post(task)

    def unlock(self, run: RunState, state: TaskState, now: float) -> Effects:
        """See whether a waiting task may start, or never will."""
        if run.has(state.planned.sources):  # whatever its edges ask for; mostly that is all
            state.move(Move.UNLOCK, now, "ready")
            return
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
        if now < state.offer_at or state.entry is None:
            return
        vote = state.vote
        gone = self._watch.lost | vote.outvoted
        past = Past(first=vote.won, blamed={*state.blamed, *run.slow}, doubted=doubted(run))
        devices = workers(task, members, gone, past)[: state.wave]
        if not devices:
            yield from self._nobody(run, state, members, now)
            return
        state.nobody_since = None
        needs, able = (task.skill, task.place), 1 if task.place else len(members)
        if not (state.offered or run.agenda.pace.admits(state.place, needs, able, now)):
            return
        if state.turn == 0 and now >= state.repeat_at:
            state.repeating, state.repeat_at = True, now + state.repeat
            state.repeat = min(2 * state.repeat, MOST_REPEAT_SECONDS)
        elif state.turn == 0:
            state.repeating = False
        due = [
            place
            for place, device in enumerate(devices)
            if place >= state.turn and (state.repeating or device not in state.offered)
        ]
        for place in due[:1]:
            device, new = devices[place], devices[place] not in state.offered
            yield Send(to=device, message=self.offer_to(run, state, device))
            if new:
                told = f"to {device[:8]}"
                state.tell(now, f"offered {told}")
                yield self.desk.happened(run, state, "offered", device, told)
        if len(due) > 1:  # the others as long as nobody takes it
            state.turn, state.offer_at = due[0] + 1, now + STAGGER_SECONDS
        else:
            state.turn, state.offer_at = 0, now + OFFER_AGAIN_SECONDS
            state.wave += FIRST_WAVE

    def offer_to(self, run: RunState, state: TaskState, device: DeviceId) -> Offer:
        """The offer of a task that stands, to one whose turn it is."""
        task, inputs = state.task, committed_inputs(run, state)
        assert state.entry is not None
        if votes(task):  # all who vote read the same
            inputs = state.vote.inputs = inputs if state.vote.inputs is None else state.vote.inputs
        if not (state.offered or state.claims):
            state.least_inputs = frozenset(name for name, _ in inputs)
        state.offered |= {device}
        return Offer(
            task=task.id,
            skill=task.skill,
            needs_model=task.needs_model,
            label=task.label,
            place=task.place,
            entry=state.entry,
            inputs=inputs,
            remarks=state.question.remarks_sha,
        )

    def claimed(
        self,
        run: RunState,
        state: TaskState,
        device: DeviceId,
        progress: Progress,
        now: float,
    ) -> Effects:
        """A device holds the lease. Told again with every renewal."""
        epoch = progress.epoch
        if epoch < state.epoch or state.task.place not in (None, device):
            return
        if epoch <= max(state.given_back, state.overtaken.get(device, 0)):
            return
        if epoch == state.epoch and state.holder == device:
            state.heard_at = now
            return
        self.desk.certify(state, device, epoch, progress.grants)
        yield from self.taken(run, state, device, epoch, now)

    def taken(
        self, run: RunState, state: TaskState, device: DeviceId, epoch: int, now: float
    ) -> Effects:
        """A device is known to hold the lease at this epoch; one lease too many ends the task."""
        if state.claims >= self.desk.limits.claims:
            told = f"{state.claims} leases of it ended without an output that counts"
            yield Send(to=device, message=LetGo(task=state.id, epoch=epoch, reason=told))
            told = "; ".join((told, *state.failed))
            yield from self.desk.close(run, state, Move.FAIL, told, now)
            return
        state.move(Move.CLAIM, now, f"claimed by {device[:8]} at epoch {epoch}")
        state.heard_at = now
        state.claims += 1
        run.cost.begun += 1
        state.holder, state.epoch, state.patience = device, epoch, None
        begin(state, now)
        yield self.desk.happened(run, state, "claimed", device, "")
        yield from self._taken(state, device)

    def _taken(self, state: TaskState, device: DeviceId) -> Effects:
        """Who else has its offer need not ask the witnesses; if the holder fails, all are asked."""
        for other in sorted(state.offered - {device}):
            yield Send(to=other, message=LetGo(task=state.id, epoch=0, reason="it is taken"))
        state.offered = frozenset((device,))

    def overdue(self, run: RunState, state: TaskState, now: float) -> Effects:
        """A holder that is beyond its time limit has failed. One that lives but says nothing more
        has given up, and its word was lost or late."""
        late = overdue(state, now)
        if late:
            yield from self.retry(run, state, late, now)
            return
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
        """A worker gave up, or only gave it back, which is no failure; it has freed the lease."""
        if state.holder != device or state.epoch != progress.epoch:
            if device in state.offered and progress.epoch > state.epoch:
                state.overtaken[device] = progress.epoch  # its claim may come yet, and is none
            return
        if progress.state == "returned" and state.returns < MAX_RETURNS:
            state.may(Move.RETRY)
            state.returns += 1
            yield from self._let_go(state, progress.reason)
            self._ready(state, f"given back: {progress.reason}", now)
        else:
            yield from self.retry(run, state, progress.reason, now)
        state.given_back = progress.epoch

    def retry(self, run: RunState, state: TaskState, reason: str, now: float) -> Effects:
        """An attempt ended without a commit: let the holder go, offer it again or close it."""
        state.may(Move.RETRY)
        state.failures += 1
        state.failed.append(f"{'nobody' if state.holder is None else state.holder[:8]}: {reason}")
        yield from self._let_go(state, reason)
        if state.failures >= self.desk.limits.attempts:
            told = f"{state.failures} attempts failed: {'; '.join(state.failed)}"
            yield from self.desk.close(run, state, Move.FAIL, told, now)
            return
        self._ready(state, f"attempt {state.failures} failed: {reason}", now)

    def _let_go(self, state: TaskState, reason: str) -> Effects:
        holder, state.holder = state.holder, None
        state.output, state.commit_poll, state.patience = None, None, None
        if holder is not None:
            state.blamed.append(holder)
            letter = LetGo(task=state.id, epoch=state.epoch, reason=reason[:60])
            yield Send(to=holder, message=letter)

    def _ready(self, state: TaskState, told: str, now: float) -> None:
        state.move(Move.RETRY, now, told)
        state.offer_anew(now + LET_GO_SECONDS)

    def device_lost(self, runs: Iterable[RunState], device: DeviceId, now: float) -> None:
        """A device stopped answering: for how long tasks that need it wait for it."""
        for run in runs:
            run.agenda.mark_all()
            for state in run.tasks.values():
                if state.open:
                    self._lost_for(run, state, device, now)

    def _lost_for(self, run: RunState, state: TaskState, device: DeviceId, now: float) -> None:
        if device in state.asked:
            state.declined |= {device}
        if device not in (state.holder, state.task.place):
            return
        state.tell(now, f"device {device[:8]} stopped answering")
        if state.patience is None:
            state.patience = now + self._patience(run, state, device, now)

    def device_restarted(self, runs: Iterable[RunState], device: DeviceId, now: float) -> Effects:
        """A device forgot its part: what it held is offered again, others judge in its place.

        Its output, if it made one, is left to verifiers that have it already.
        """
        for run in runs:
            run.agenda.mark_all()
            for state in [state for state in run.tasks.values() if state.open]:
                if device in state.asked:
                    state.declined |= {device}
                judges = state.checking - state.declined or state.verdicts_on(state.output)
                judged = state.question.shown or judges
                if device == state.holder and (
                    state.status is Status.CLAIMED
                    or (state.status is Status.PROPOSED and not judged)
                ):
                    reason = f"device {device[:8]} was started again"
                    yield from self.retry(run, state, reason, now)

    def missing(self, run: RunState, state: TaskState, now: float) -> Effects:
        """Wait for the device that a task needs; without it in the end, lose or retry the task."""
        device = state.task.place or state.holder
        if device is None or device not in self._watch.lost:
            state.patience = None
            return
        if state.patience is None:  # it was lost before it was needed
            state.patience = now + self._patience(run, state, device, now)
        if now < state.patience:
            return
        reason = f"device {device[:8]} stopped answering"
        if state.task.place is not None:
            yield from self.desk.close(run, state, Move.LOSE, reason, now)
        else:
            yield from self.retry(run, state, reason, now)

    def awaits(self, state: TaskState) -> bool:
        """Whether the device that a task needs does not answer, or did not until now."""
        needed = state.task.place or state.holder
        return state.patience is not None or needed in self._watch.lost

    def _patience(self, run: RunState, state: TaskState, device: DeviceId, now: float) -> float:
        """Seconds. Longer where nothing is to be gained by giving up."""
        lease = state.task.lease_seconds
        if state.status is Status.PROPOSED:  # a verifier may have the output already
            return float(lease)
        left = run.began + self.desk.limits.timeout_seconds - now
        short = max(0.0, min(COME_BACK_SECONDS, COME_BACK_SHARE * left))
        if state.task.place is not None:
            return short
        alive = self._watch.last_alive(device)
        until = (now if alive is None else alive) + 1.1 * lease  # nobody else gets its lease before
        return max(short, until - now)

    def _nobody(
        self, run: RunState, state: TaskState, members: Sequence[Member], now: float
    ) -> Effects:
        """No device can do it: wait for one to come, longer where strangers may read of it."""
        if state.nobody_since is None:
            state.nobody_since = now
        patience = NOBODY_SECONDS
        if self.announces(state.task, members):
            left = run.began + self.desk.limits.timeout_seconds - state.nobody_since
            patience = max(patience, min(STRANGER_SECONDS, STRANGER_SHARE * left))
        if now < state.nobody_since + patience:
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


def debtors(runs: Iterable[RunState]) -> set[DeviceId]:
    """Devices from which an open task awaits something."""
    found: set[DeviceId] = set()
    for run in runs:
        for state in map(run.at, run.busy):
            found.update(state.task.committee.witnesses)
            if state.status in (Status.CLAIMED, Status.PROPOSED):
                found.update(filter(None, (state.holder,)), state.verifiers())
            elif state.task.place is not None:
                found.add(state.task.place)
    return found


def mark_all(runs: Iterable[RunState]) -> None:
    """Something changed that may concern any task."""
    for run in runs:
        run.agenda.mark_all()
