"""The ledger's questions to a person: outputs that wait for the word of the run's owner.

Guards: the owner is asked about what his device has, and about one output of a task at a time; what
he said is on the disk before it is said to anybody, and he is not asked again; a device that goes
while he thinks costs no output that his device has. As in `ledger_work`, what is refused leaves a
task as it was.
"""

from collections.abc import Iterator

from pockethive.core.effects import AskOwner, CloseQuestion, Effect, KeepBlob
from pockethive.core.entry import Entry, Kind, Ruling
from pockethive.core.events import OwnerAnswered, QuestionShown
from pockethive.core.fields import clip
from pockethive.core.ledger_state import RunState, TaskState
from pockethive.core.ledger_work import WorkDesk
from pockethive.core.lifecycle import Move, Status
from pockethive.core.question import MAX_REMARK, MAX_REMARKS, question_id, remarks_blob
from pockethive.core.ruling import asks, ruled
from pockethive.core.task import DeviceId, TaskId

AGAIN_SECONDS = 2.0  # after an output that could not be had
SILENT_SECONDS = 60.0  # when nothing is heard of the question at all
TRIES = 5

Effects = Iterator[Effect]


class QuestionDesk:
    """Changes the states it is given, and knows which questions are open."""

    def __init__(self, work: WorkDesk) -> None:
        self._work, self._desk = work, work.desk
        self._open: dict[TaskId, tuple[TaskState, CloseQuestion]] = {}

    def tend(self, run: RunState, state: TaskState, now: float) -> Effects:
        """Ask about a proposed output that its owner has not accepted yet."""
        question = state.question
        if state.publishing is not None:  # his ruling
            return
        proven = state.proven()
        if proven:  # it was made again while another lease was wanted for the one he accepted
            state.move(Move.PROPOSE, now, "its owner has accepted an earlier output")
            state.output = max(proven, key=lambda entry: entry.digest)
            return
        if question.tries >= TRIES:
            reason = "its output could not be fetched for its owner to see"
            yield from self._work.retry(run, state, reason, now)
        elif not question.asked or (not question.shown and now >= question.ask_at):
            assert state.output is not None
            question.asked, question.ask_at = state.output.digest, now + SILENT_SECONDS
            yield AskOwner(task=state.task, planned=state.planned, output=state.output)

    def heard(
        self,
        known: tuple[RunState, TaskState] | None,
        event: QuestionShown | OwnerAnswered,
        now: float,
    ) -> Effects:
        """The owner sees an output, or says what he thinks of it. What is not asked, is over."""
        if known is None or not self._awaits(known[1], event):
            yield closed(event, "over")
        elif isinstance(event, QuestionShown):
            yield from self._shown(*known, event, now)
        else:
            yield from self._answered(known[1], event, now)

    def stored(self, run: RunState, state: TaskState, entry: Entry, now: float) -> Effects:
        """The owner's ruling stands."""
        ruling, question = entry.body, state.question
        assert isinstance(ruling, Ruling)
        current = state.status is Status.PROPOSED and state.sha == ruling.output
        state.verdicts[entry.digest] = entry
        reason = question.remarks[-1] if question.remarks and not ruling.accept else ""
        word = "accepted by its owner" if ruling.accept else f"rejected by its owner: {reason}"
        state.tell(now, word)
        yield self._desk.happened(run, state, "ruled", entry.author, word)
        if not ruling.accept:
            yield kept_remarks(state)
        if not ruling.accept and current:  # else its maker was lost meanwhile
            yield from self._work.retry(run, state, word, now)

    def left(self, state: TaskState, device: DeviceId, epoch: int, now: float) -> bool:
        """Whether it costs nothing that a worker lets go of an output: its owner sees it."""
        mine = (device, epoch) == (state.holder, state.epoch)
        if not (mine and state.status is Status.PROPOSED and state.question.shown):
            return False
        if state.question.freed != epoch:
            state.question.freed = epoch
            state.tell(now, f"{device[:8]} let go of it; its owner has the output")
        return True

    def unheld(self, state: TaskState) -> None:
        """Witnesses know no holder of the epoch: it was given back while the owner was away."""
        if asks(state.task):
            state.question.freed, state.commit_poll = state.epoch, None

    def reclaims(self, state: TaskState, now: float) -> bool:
        """Whether an accepted output needs another lease: its maker has let go. Then it is offered.

        Whoever gets the lease works on nothing: what is proven is committed at its epoch.
        """
        if state.question.freed != state.epoch or state.commit_poll is not None:
            return False
        state.move(Move.RETRY, now, "accepted, and to be committed under another lease")
        state.holder = state.output = None
        state.offer_anew(now)
        return True

    def sweep(self) -> Effects:
        """Take back what nobody needs to know any more."""
        for task, (state, closing) in list(self._open.items()):
            current = state.status is Status.PROPOSED and state.sealing is None
            if not current or (state.made.epoch, state.sha) != (closing.epoch, closing.output):
                del self._open[task]
                yield closing

    def _shown(self, run: RunState, state: TaskState, event: QuestionShown, now: float) -> Effects:
        question = state.question
        if not event.shown:
            question.tries, question.ask_at = question.tries + 1, now + AGAIN_SECONDS
            return
        self._open[state.id] = (state, closed(event, "over"))
        if question.shown:
            return
        question.shown = True
        if state.made_by != self._desk.device:
            state.kept |= {self._desk.device}
        state.tell(now, "its owner is asked")
        name = question_id(event.task, event.epoch, event.output)
        yield self._desk.happened(run, state, "asked", None, name)

    def _answered(self, state: TaskState, event: OwnerAnswered, now: float) -> Effects:
        body = Ruling(
            task=state.id,
            epoch=event.epoch,
            output=event.output,
            worker=state.made_by,
            accept=event.accept,
        )
        if not event.accept:
            remark = clip(event.reason, MAX_REMARK)
            state.question.remarks = (*state.question.remarks, remark)[-MAX_REMARKS:]
        self._open.pop(state.id, None)
        yield from self._desk.publish(state, Kind.RULING, body, now)
        yield closed(event, "accepted" if event.accept else "rejected")

    def _awaits(self, state: TaskState, event: QuestionShown | OwnerAnswered) -> bool:
        """Whether the output is the one that its owner is asked about, and he has said nothing."""
        if state.output is None or state.status is not Status.PROPOSED or not asks(state.task):
            return False
        if state.publishing is not None or state.sealing is not None:
            return False
        if (state.made.epoch, state.sha) != (event.epoch, event.output):
            return False
        return ruled(state.task, state.output, state.verdicts.values()) is None


def stopped(state: TaskState, detail: str) -> str:
    """Why a task is closed, with the question that its owner has not answered, if there is one."""
    waits = asks(state.task) and state.status is Status.PROPOSED and state.publishing is None
    if not waits or state.proven():
        return detail
    state.question.unanswered = True
    return f"{detail}; its owner had not said whether he accepts its output"


def kept_remarks(state: TaskState) -> KeepBlob:
    """Keep what the next worker is told."""
    data = remarks_blob(state.question.remarks)
    return KeepBlob(data=data, label=state.planned.label.value)


def closed(event: QuestionShown | OwnerAnswered, how: str) -> CloseQuestion:
    """The end of the question that an event is about."""
    return CloseQuestion(task=event.task, epoch=event.epoch, output=event.output, how=how)
