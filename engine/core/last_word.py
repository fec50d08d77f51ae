"""The last verifier's word: an output with enough verdicts is committed though its owner is silent.

Guards: whoever holds sufficient verdicts may ask for the commit, and nothing but a quorum's acks
makes one; witnesses give them to others than the owner only for verdicts of those they gave slots.
"""

from collections.abc import Iterable

from pockethive.core.effects import AskWitness
from pockethive.core.entry import Commit, Entry, Kind, Output
from pockethive.core.events import WitnessAnswered
from pockethive.core.fold import fold
from pockethive.core.lease import Ack, AskCommit, Yes, ack_bytes
from pockethive.core.polling import Poll
from pockethive.core.ports import VerifySignature
from pockethive.core.signed import signed_by
from pockethive.core.task import DeviceId, Task
from pockethive.core.verification import evidence


class LastWord:
    """One output's. `ended`: the task's end stands in the DHT."""

    def __init__(self, task: Task, output: Entry, verify: VerifySignature) -> None:
        assert isinstance(output.body, Output)
        self._task, self._output, self._made = task, output, output.body
        self._verify = verify
        self._poll: Poll | None = None
        self.ended: Entry | None = None

    def sufficient(self, entries: Iterable[Entry], own: Entry) -> AskCommit | None:
        """What to ask the witnesses, given a task's entries and this device's own verdict.

        None: verdicts are missing, the task has ended, or other witnesses have taken over.
        """
        known = (*entries, own)
        view = fold(known, self._verify, self._task.id)
        if view is not None:
            self.ended = view.commit or view.close
            if self.ended is not None or view.task.committee != self._task.committee:
                return None
        said = [entry for entry in known if entry.kind is Kind.VERDICT]
        proof = evidence(self._task, self._output, said)
        if not proof:
            return None
        return AskCommit(
            task=self._task.id,
            epoch=self._made.epoch,
            output=self._made.output,
            evidence=(self._output, *proof),
        )

    def ask(self, request: AskCommit, poll: Poll) -> tuple[AskWitness, ...]:
        """Ask all witnesses."""
        self._poll = poll
        return poll.questions(request)

    def answered(self, event: WitnessAnswered) -> Commit | None:
        """An answer; the commit once a quorum has acked."""
        poll = self._poll
        if poll is None or not poll.take(event, lambda yes: self._good(event.witness, yes)):
            return None
        if not poll.won:
            return None
        self._poll = None
        made, committee = self._made, self._task.committee
        return Commit(
            task=self._task.id,
            generation=committee.generation,
            epoch=made.epoch,
            output=made.output,
            acks=tuple((who, ack.signature) for who, ack in poll.acks[: committee.quorum]),
        )

    def _good(self, witness: DeviceId, yes: Yes) -> bool:
        made = self._made
        wanted = (self._task.id, self._task.committee.generation, made.epoch, made.output)
        if not isinstance(yes, Ack):
            return False
        if (yes.task, yes.generation, yes.epoch, yes.output) != wanted:
            return False
        return signed_by(witness, ack_bytes(*wanted), yes.signature, self._verify)
