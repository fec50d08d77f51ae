"""The ledger's way from an output to its commit: verifiers, verdicts, acks.

Guards: as in `ledger_work`, what is refused leaves a task as it was.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

from pockethive.core import ledger_deadlines
from pockethive.core.ballot import votes
from pockethive.core.effects import Effect, ReadTask, Send
from pockethive.core.entry import Commit, Entry, Kind, Member, Output, Verdict
from pockethive.core.entry_codec import MAX_HOLDERS
from pockethive.core.errors import ProtocolError
from pockethive.core.events import WitnessAnswered
from pockethive.core.lease import Ack, AskCommit, Refused, Yes, ack_bytes
from pockethive.core.ledger_credit import CreditDesk
from pockethive.core.ledger_holders import HoldersDesk
from pockethive.core.ledger_lots import LotsDesk
from pockethive.core.ledger_questions import QuestionDesk
from pockethive.core.ledger_state import RunState, TaskState
from pockethive.core.ledger_work import NOBODY_SECONDS, WorkDesk
from pockethive.core.lifecycle import Move, Status
from pockethive.core.message import LetGo, Made, Progress
from pockethive.core.people import judged, workers
from pockethive.core.polling import Poll
from pockethive.core.ports import VerifySignature
from pockethive.core.rescore import lacking
from pockethive.core.ruling import asks
from pockethive.core.signed import signed_by
from pockethive.core.task import DeviceId
from pockethive.core.verification import accepting, evidence, needed, rejected, satisfied

ASK_ANOTHER_SECONDS = 4.0  # a verifier that did not take its slot by then gets company
SLOW_CHECK_SECONDS = 30.0  # one that did, but did not answer
COMMIT_AGAIN_SECONDS = 2.0
COMMIT_ATTEMPTS = 10

Effects = Iterator[Effect]


class VerdictDesk:
    """Moves proposed tasks to their commit. Changes the states it is given and nothing else."""

    def __init__(
        self, work: WorkDesk, credit: CreditDesk, lots: LotsDesk, verify: VerifySignature
    ) -> None:
        self._work, self._desk, self._verify = work, work.desk, verify
        self._credit, self._lots, self._holders = credit, lots, HoldersDesk(work)
        self.questions = QuestionDesk(work)

    def told(
        self, run: RunState, state: TaskState, sender: DeviceId, progress: Progress, now: float
    ) -> Effects:
        """A worker or verifier says how it goes."""
        match progress.state:
            case "claimed":
                yield from self._work.claimed(run, state, sender, progress, now)
                yield from self.at_hand(run, state, now)
            case "failed" | "returned" if self.questions.left(state, sender, progress.epoch, now):
                pass
            case "failed" | "returned":
                if (state.holder, state.epoch) == (sender, progress.epoch):
                    yield from self._credit.withdrawn(state, "its maker took it back")
                yield from self._work.failed(run, state, sender, progress, now)
            case "accepted":
                yield from self.finish(run, state, sender, progress, now)
            case "checking" if sender in state.asked:
                state.checking |= {sender}
            case "holding" | "unheld":
                self._holders.held(state, sender, progress)
            case "unchecked":
                self.unchecked(state, sender, progress, now)

    def made(self, run: RunState, state: TaskState, message: Made, now: float) -> Effects:
        """Somebody brings an output or a verdict."""
        if isinstance(message.entry.body, Output):
            yield from self.proposed(run, state, message, now)
        elif isinstance(message.entry.body, Verdict):
            yield from self.judged(run, state, message.entry, now)

    def proposed(self, run: RunState, state: TaskState, message: Made, now: float) -> Effects:
        """A worker made an output, or says so again. Raises ProtocolError: see `Desk.certify`."""
        entry = message.entry
        made = entry.body
        assert isinstance(made, Output)
        if state.output is not None and state.output.digest == entry.digest:
            return
        if entry.digest in state.outputs or made.epoch < state.epoch:
            letter = LetGo(task=state.id, epoch=made.epoch, reason="it was not accepted")
            yield Send(to=entry.author, message=letter)
            return
        if state.task.place not in (None, entry.author):
            return
        self._desk.certify(state, entry.author, made.epoch, message.grants)
        if made.epoch > state.epoch:  # made at once: its claim was not told
            state.may(Move.PROPOSE)
            yield from self._work.taken(run, state, entry.author, made.epoch, now)
            if not state.open:
                return
        state.move(Move.PROPOSE, now, f"made by {entry.author[:8]} at epoch {made.epoch}")
        if state.output is not None and state.made_by == entry.author:
            yield from self._credit.withdrawn(state, "it was replaced before it was verified")
        state.outputs[entry.digest] = entry
        run.cost.tokens += made.tokens
        ledger_deadlines.made(run, state, entry.author, now)
        state.holder, state.epoch, state.output = entry.author, made.epoch, entry
        state.claims = max(state.claims, 1)
        state.begin_round()
        state.nobody_since = None
        yield self._desk.happened(run, state, "made", entry.author, "")
        yield from self._looked_at(run, state, now)

    def _looked_at(self, run: RunState, state: TaskState, now: float) -> Effects:
        """Whether what was made can count at all; then it is verified or taken on credit."""
        made = state.made
        read = {name for name, _ in made.inputs}
        if not all(_is_output(run, name, sha) for name, sha in made.inputs):
            yield from self._work.retry(run, state, "it read something that is no input", now)
        elif not state.least_inputs <= read:
            yield from self._work.retry(run, state, "it left out an input", now)
        elif votes(state.task):
            if not state.proven(made.output):
                reason = "it is not what was voted for"
                yield from self._work.retry(run, state, reason, now)
        else:
            yield from self._credit.proposed(state, now)

    def judged(self, run: RunState, state: TaskState, entry: Entry, now: float) -> Effects:
        """A verifier's verdict. Of one that was not asked, or says the same again, it is none."""
        said = entry.body
        assert isinstance(said, Verdict)
        if state.output is None or entry.author not in state.asked or _repeats(state, entry):
            return
        known = [*state.verdicts.values(), entry]
        refused = rejected(state.task, state.output, known)
        if refused:
            state.may(Move.RETRY)
        state.verdicts[entry.digest] = entry
        if entry not in state.verdicts_on(state.output):
            return
        word = "verified" if said.accept else "rejected"
        state.tell(now, f"{word} by {entry.author[:8]}{': ' if said.reason else ''}{said.reason}")
        yield self._desk.happened(run, state, word, entry.author, said.reason)
        if refused:
            yield from self._credit.rejected(state, said.reason, now)
            if state.open:  # else it had itself been made of what is done anew
                yield from self._work.retry(run, state, f"rejected: {said.reason}", now)

    def unchecked(self, state: TaskState, device: DeviceId, progress: Progress, now: float) -> None:
        """A verifier could not judge."""
        if device in state.asked and progress.epoch == state.epoch:
            state.declined |= {device}
            state.tell(now, f"{device[:8]} could not verify it: {progress.reason}")

    def finish(
        self, run: RunState, state: TaskState, device: DeviceId, progress: Progress, now: float
    ) -> Effects:
        """A holder found a value that witnesses had accepted before: finish it at its epoch.

        Raises ProtocolError when its grants do not show that value, or are none.
        """
        if progress.epoch < state.epoch or progress.epoch == state.commit_epoch:
            return
        shown = {vote.accepted.output for vote in progress.grants if vote.accepted is not None}
        if progress.reason not in shown:
            raise ProtocolError(f"{device[:8]} shows no accepted value", where=state.id)
        self._desk.certify(state, device, progress.epoch, progress.grants)
        state.adopt(progress.reason)
        proven = state.proven(progress.reason)
        state.may(Move.PROPOSE if proven else Move.RETRY)
        state.holder, state.epoch = device, progress.epoch
        if not proven:
            # It may be proven in the DHT, or committed. If it is not, its verifier is gone with the
            # proof, and every later holder would be shown it, too: other witnesses then.
            yield ReadTask(task=state.id)
            state.split = state.split or state.unproven == progress.reason
            state.unproven = progress.reason
            reason = "witnesses hold an output that nobody here can prove"
            yield from self._work.retry(run, state, reason, now)
            return
        state.output = proven[0]
        state.move(Move.PROPOSE, now, f"finished at epoch {progress.epoch} by {device[:8]}")
        yield from self._ask_commit(state, progress.epoch, now)

    def at_hand(self, run: RunState, state: TaskState, now: float) -> Effects:
        """A device holds the lease of a task that was made and verified before: commit that.

        It happens when the witnesses could not, and others took their place.
        """
        if state.status is not Status.CLAIMED:
            return
        proven = state.proven()
        if not proven:
            return
        state.output = max(proven, key=lambda entry: entry.digest)
        state.move(Move.PROPOSE, now, "it had been verified before: to be committed")
        yield self._desk.happened(run, state, "made", state.output.author, "verified before")
        yield from self._ask_commit(state, state.epoch, now)

    def tend(
        self, run: RunState, state: TaskState, members: Sequence[Member], now: float
    ) -> Effects:
        """Ask for verdicts that are still missing; ask for acks once they are there."""
        yield from self._verify_on(run, state, members, now)
        if state.status is Status.PROPOSED:  # who judges holds a copy, so that comes first
            yield from self._holders.tend(state, members, now)

    def _verify_on(
        self, run: RunState, state: TaskState, members: Sequence[Member], now: float
    ) -> Effects:
        assert state.output is not None
        if satisfied(state.task, state.output, state.verdicts.values()):
            if not self.questions.reclaims(state, now):
                yield from self._commit_on(run, state, members, now)
            return
        if state.holder not in self._work.lost:
            state.patience = None
        if state.patience is not None and now >= state.patience and not state.question.shown:
            yield from self._out_of_patience(run, state, now)
        elif asks(state.task):
            yield from self.questions.tend(run, state, now)
        elif not self._credit.awaits(state):
            yield from self._ask_verifiers(run, state, members, now)

    def _commit_on(
        self, run: RunState, state: TaskState, members: Sequence[Member], now: float
    ) -> Effects:
        if state.commit_poll is None and not self._holders.enough(state, members, now):
            return
        if state.commit_poll is None:
            yield from self._ask_commit(state, state.epoch, now)
        elif now >= state.commit_at and state.commit_attempts < COMMIT_ATTEMPTS:
            yield from self._ask_commit(state, state.commit_epoch, now)
        elif now >= state.commit_at:
            yield from self._work.retry(run, state, "no quorum of witnesses acked it", now)

    def answered(self, state: TaskState, event: WitnessAnswered, now: float) -> Effects:
        """An answer to a request for acks."""
        poll = state.commit_poll
        if poll is None or state.output is None:
            return
        state.may(Move.COMMIT)
        if not poll.take(event, lambda ack: self._good(state, event.witness, ack)):
            return
        if poll.won:
            yield from self._committed(state, poll, now)
        elif poll.lost:
            self._follow(state, poll)

    def _ask_verifiers(
        self, run: RunState, state: TaskState, members: Sequence[Member], now: float
    ) -> Effects:
        task, output = state.task, state.output
        assert output is not None
        said = {entry.author for entry in state.verdicts_on(output)}
        busy = self._lots.judging(state, members)
        patience = min(SLOW_CHECK_SECONDS, state.planned.deadline.soft or SLOW_CHECK_SECONDS)
        slow = sum(
            now > state.asked[d] + (patience if d in state.checking else ASK_ANOTHER_SECONDS)
            for d in busy
        )
        lacking = needed(task) - len(accepting(task, output, state.verdicts.values()))
        wanted = max(0, lacking + slow - len(busy))
        if busy and not wanted:  # as most times; the line of all who could is long
            state.nobody_since = None
            return
        fit = self._lots.line(run, state, members)
        fresh = [d for d in fit if d not in state.asked and d not in said]
        if not busy and not fresh:
            yield from self._nobody(run, state, members, now)
            return
        state.nobody_since = None
        for device in fresh[:wanted]:
            run.cost.begun += 1
            yield from self._lots.invite(state, device, now)

    def _nobody(
        self, run: RunState, state: TaskState, members: Sequence[Member], now: float
    ) -> Effects:
        said = [e.body for e in state.verdicts_on(state.output) if isinstance(e.body, Verdict)]
        against = [verdict.reason for verdict in said if not verdict.accept]
        if against:  # and there is nobody else to ask
            yield from self._work.retry(run, state, f"rejected: {'; '.join(against)}", now)
            return
        if state.nobody_since is None:
            state.nobody_since = now
        if now < state.nobody_since + NOBODY_SECONDS:
            return
        if state.asked:
            reason = "no device that could verify it gave a verdict that decides"
            yield from self._work.retry(run, state, reason, now)
            return
        names = ", ".join(check.checker for check in state.task.verification.checks)
        reason, lost = f"no other device here can verify it ({names})", self._work.lost
        assert state.output is not None
        if why := lacking(state.task, state.output, members, lost):
            reason += f": {why}"
            if judged(state.task, members, lost).intersection(workers(state.task, members, lost)):
                yield from self._work.retry(run, state, reason, now)  # another class can do it
                return
        yield from self._desk.close(run, state, Move.FAIL, reason, now)

    def _out_of_patience(self, run: RunState, state: TaskState, now: float) -> Effects:
        yield from self._credit.withdrawn(state, "its maker was gone before it was verified")
        reason = f"device {(state.holder or '')[:8]} stopped answering before it was verified"
        if state.task.place is not None:
            yield from self._desk.close(run, state, Move.LOSE, reason, now)
        else:
            yield from self._work.retry(run, state, reason, now)

    def _ask_commit(self, state: TaskState, epoch: int, now: float) -> Effects:
        output = state.output
        assert output is not None
        state.commit_epoch, state.commit_at = epoch, now + COMMIT_AGAIN_SECONDS
        state.commit_attempts += 1
        state.commit_poll = self._desk.poll(state, now)
        proof = evidence(state.task, output, state.verdicts.values())
        request = AskCommit(
            task=state.id, epoch=epoch, output=state.made.output, evidence=(output, *proof)
        )
        yield from state.commit_poll.questions(request)

    def _good(self, state: TaskState, witness: DeviceId, ack: Yes) -> bool:
        task = state.task
        if not isinstance(ack, Ack):
            return False
        wanted = (task.id, task.committee.generation, state.commit_epoch, state.made.output)
        if (ack.task, ack.generation, ack.epoch, ack.output) != wanted:
            return False
        return signed_by(witness, ack_bytes(*wanted), ack.signature, self._verify)

    def _committed(self, state: TaskState, poll: Poll, now: float) -> Effects:
        quorum = poll.acks[: state.task.committee.quorum]
        body = Commit(
            task=state.id,
            generation=state.task.committee.generation,
            epoch=state.commit_epoch,
            output=state.made.output,
            acks=tuple((witness, ack.signature) for witness, ack in quorum),
            holders=tuple(sorted(state.kept)[:MAX_HOLDERS]),
        )
        count = len(state.task.committee.witnesses)
        state.move(Move.COMMIT, now, f"committed: {poll.yes} of {count} witnesses acked it")
        state.epoch = state.commit_epoch
        self._holders.tell(state, now)
        yield from self._credit.committed(state)
        yield from self._desk.publish(state, Kind.COMMIT, body, now)

    def _follow(self, state: TaskState, poll: Poll) -> None:
        """Witnesses hold another value: go on with that one if it can be proven."""
        values = [
            (refusal.accepted.epoch, refusal.accepted.output)
            for refusal in poll.refusals
            if refusal.reason is Refused.COMMITTED and refusal.accepted is not None
        ]
        others = Counter(sha for _, sha in values)
        spare = len(state.task.committee.witnesses) - state.task.committee.quorum
        if sum(refusal.reason is Refused.UNPROVEN for refusal in poll.refusals) > spare:
            self.questions.unheld(state)
        if poll.yes > spare and max(others.values(), default=0) > spare:
            state.split = True
            return
        for epoch, sha in sorted(values, reverse=True):
            for entry in state.outputs.values():
                made = entry.body
                if isinstance(made, Output) and made.output == sha:
                    state.output, state.epoch, state.commit_poll = entry, epoch, None
                    return


def _is_output(run: RunState, name: str, sha: str) -> bool:
    """Whether a task of the run is known to have made this."""
    source = run.tasks.get(name)
    return source is not None and source.sha == sha


def _repeats(state: TaskState, entry: Entry) -> bool:
    """Whether its author said as much before; reasons may differ without end."""
    said = entry.body
    assert isinstance(said, Verdict)
    return any(
        isinstance(known.body, Verdict)
        and (known.author, known.body.epoch, known.body.output, known.body.accept)
        == (entry.author, said.epoch, said.output, said.accept)
        for known in state.verdicts.values()
    )
