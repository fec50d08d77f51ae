"""Going on with runs that an earlier process of this device began: what is said, once, and to whom.

Guards: machines are told once that they were away; an outcome that nobody has asked for yet waits
for whoever does.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pockethive.core.errors import BadInput
from pockethive.core.events import Event, Restarted, RunAdopted
from pockethive.core.lease_codec import OpenEntry
from pockethive.core.report import Outcome
from pockethive.core.task import RunId
from pockethive.journal import RunJournal

if TYPE_CHECKING:
    from pockethive.elsewhere import Elsewhere


def adopted(found: "Elsewhere", open_entry: OpenEntry) -> RunAdopted:
    """What machines are told of a run that another device began; when, is yet to be filled in.

    Raises BadInput: what it is about is not known. ProtocolError: its claim does not open.
    """
    record = found.record
    if record is None:
        raise BadInput(f"what run {found.run[:8]} is about is not known")
    return RunAdopted(
        run=found.run,
        goal=record.goal,
        wall=0.0,
        graph=record.graph,
        withheld=record.withheld,
        claim=open_entry(found.claim),
    )


class GoingOn:
    """What one device has to say of runs it revived. Not thread-safe: guarded by the device."""

    def __init__(self, journal: RunJournal | None) -> None:
        self._journal = journal
        self._told = False
        self._outcomes: dict[RunId, Outcome] = {}

    def check(self, run: RunId) -> None:
        """See that a run was revived and not yet delivered. Raises BadInput."""
        if self._journal is None or run not in self._journal.open:
            raise BadInput(
                f"run {run} cannot be gone on with by this device",
                cure="start the swarm with Swarm.from_run, or see: pockethive runs",
            )

    def unclaimed(self, outcome: Outcome) -> None:
        """A run has ended for which nobody has asked yet."""
        if self._journal is not None and outcome.run in self._journal.revived_runs:
            self._outcomes[outcome.run] = outcome

    def due(
        self, wanted: Iterable[RunId], wall: float
    ) -> tuple[tuple[Event, ...], tuple[Outcome, ...]]:
        """What the machines are told at unix time `wall`, and how runs wanted ended before."""
        events: tuple[Event, ...] = ()
        if self._journal is not None and not self._told:
            self._told = True
            self._outcomes |= self._journal.revived.outcomes
            events = (*self._journal.revived.pending, Restarted(wall=wall))
        known = [run for run in wanted if run in self._outcomes]
        return events, tuple(self._outcomes.pop(run) for run in known)
