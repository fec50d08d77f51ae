"""The ledger's doubts of strangers: whose devices are asked last in a run, and until when.

Guards: devices cost a stranger nothing, so what one of them did wrong counts against its owner, in
this run and by what this ledger itself saw. A doubt orders and never excludes: where nobody else
is, those in doubt are asked. Of the run's own owner there is none.
"""

from collections.abc import Iterable, Mapping

from pockethive.core.credibility import LEAST_IN_A_ROW, Standing, after
from pockethive.core.entry import Member, Verdict
from pockethive.core.ledger_state import RunState, TaskState
from pockethive.core.task import DeviceId, RunId


def doubted(run: RunState) -> frozenset[str]:
    """Owners whose devices were caught in this run and have not earned it back since: ten right
    outputs or votes in a row, as in `credibility`."""
    return frozenset(
        owner for owner, standing in run.doubts.items() if standing.in_a_row < LEAST_IN_A_ROW
    )


class DoubtDesk:
    """Keeps `RunState.doubts`: a standing for every owner that was ever caught, for no other."""

    def __init__(self, runs: Mapping[RunId, RunState]) -> None:
        self._runs = runs
        self._owners: dict[DeviceId, str] = {}

    def meet(self, members: Iterable[Member]) -> None:
        """The devices of the hive have changed."""
        self._owners = {member.device: member.owner_key for member in members}

    def saw(self, state: TaskState, device: DeviceId, *, valid: bool) -> None:
        """A device was right about a task, or wrong."""
        run, owner = self._runs.get(state.task.run), self._owners.get(device)
        if run is None or owner is None or owner == state.task.owner_key:
            return
        known = run.doubts.get(owner)
        if known is not None or not valid:
            run.doubts[owner] = after(known or Standing(), valid)

    def judged(self, state: TaskState, *, accepted: bool) -> None:
        """It is decided: whose verdicts were contradicted by more devices than agreed with them."""
        said = [(entry.author, entry.body) for entry in state.verdicts_on(state.output)]
        right = {d for d, body in said if isinstance(body, Verdict) and body.accept == accepted}
        wrong = {device for device, _ in said} - right
        if len(wrong) < len(right):
            for device in sorted(wrong):
                self.saw(state, device, valid=False)
