"""The ledger's drawing of lots: who judges an output, and the invitations that say so.

Guards: a verify offer goes out with the owner's signed invitation, and only for the output that is
under verification now.
"""

from collections.abc import Iterator, Sequence

from pockethive.core.effects import Effect, Send, SignEntry
from pockethive.core.entry import Entry, Invite, Kind, Member
from pockethive.core.ledger_doubts import doubted
from pockethive.core.ledger_state import RunState, TaskState
from pockethive.core.ledger_work import WorkDesk, committed_inputs
from pockethive.core.lots import draw, line
from pockethive.core.message import VerifyOffer
from pockethive.core.people import spread, verifiers
from pockethive.core.task import DeviceId

Effects = Iterator[Effect]


class LotsDesk:
    """Draws under the owner's `secret`, which nobody else can know."""

    def __init__(self, work: WorkDesk, secret: bytes) -> None:
        self._work, self._secret = work, secret

    def line(
        self, run: RunState, state: TaskState, members: Sequence[Member]
    ) -> tuple[DeviceId, ...]:
        """Devices that may judge the output, in the order in which they are asked."""
        assert state.output is not None
        fit = verifiers(state.task, members, self._work.lost, state.output)
        lot = draw(self._secret, state.id, state.made.epoch)
        lots = ((lot(device), device) for device in fit)
        owners = {member.device: member.owner_key for member in members}
        ordered = spread(line(lots, run.founders), owners, state.task.owner_key)
        last = doubted(run)
        return tuple(sorted(ordered, key=lambda d: (owners[d] in last, d not in run.founders)))

    def judging(self, state: TaskState, members: Sequence[Member]) -> set[DeviceId]:
        """Devices that were asked to judge the output, still may, and have not answered."""
        assert state.output is not None
        asked = state.verifiers()
        known = [m for m in members if m.device in asked or m.device == state.made_by]
        return asked.intersection(verifiers(state.task, known, self._work.lost, state.output))

    def invite(self, state: TaskState, device: DeviceId, now: float) -> Effects:
        """Ask a device for a verdict: first its invitation is signed."""
        state.asked[device] = now
        made = state.made
        body = Invite(task=state.id, epoch=made.epoch, output=made.output, verifier=device)
        yield SignEntry(kind=Kind.INVITE, body=body, expires=state.task.expires)

    def invited(self, run: RunState, state: TaskState, invite: Entry) -> Effects:
        """An invitation is signed: the offer goes out, unless the output is another by now."""
        said, output = invite.body, state.output
        if not isinstance(said, Invite) or output is None or state.entry is None:
            return
        made = state.made
        if (said.epoch, said.output, said.verifier in state.asked) != (
            made.epoch,
            made.output,
            True,
        ):
            return
        # Other sources may have been committed since: the verifier reads what the worker read.
        read = {name for name, _ in made.inputs}
        offer = VerifyOffer(
            task=state.id,
            entry=state.entry,
            output=output,
            invite=invite,
            inputs=tuple(each for each in committed_inputs(run, state) if each[0] in read),
        )
        yield Send(to=said.verifier, message=offer)
