"""A lease's certificate: the grants of a quorum, shown by whoever says that it holds the lease.

Guards: an epoch is believed for the signatures of the task's own witnesses, whoever names it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from pockethive.core.lease import Accepted, Grant, grant_bytes
from pockethive.core.ports import VerifySignature
from pockethive.core.signed import signed_by
from pockethive.core.task import DeviceId, Task


@dataclass(frozen=True, slots=True)
class Vote:
    """One witness's grant, without what all grants of one lease share."""

    witness: DeviceId
    seconds: int
    accepted: Accepted | None
    signature: str


Certificate = tuple[Vote, ...]


def certificate(grants: Iterable[tuple[DeviceId, Grant]]) -> Certificate:
    """What a holder shows of the grants of one lease, by witness."""
    return tuple(
        Vote(witness, grant.seconds, grant.accepted, grant.signature) for witness, grant in grants
    )


def certified(
    task: Task, holder: DeviceId, epoch: int, votes: Certificate, verify: VerifySignature
) -> bool:
    """Whether a quorum of `task`'s witnesses granted `holder` the lease at `epoch`.

    It proves that the lease was had, not that it still runs: grants carry no time of day.
    """
    by_witness = {vote.witness: vote for vote in votes}
    if not set(by_witness) <= set(task.committee.witnesses):
        return False
    good = (vote for vote in by_witness.values() if _granted(task, holder, epoch, vote, verify))
    quorum = task.committee.quorum
    return sum(1 for _ in islice(good, quorum)) == quorum  # more need not be looked at


def _granted(task: Task, holder: DeviceId, epoch: int, vote: Vote, verify: VerifySignature) -> bool:
    grant = Grant(
        task=task.id,
        generation=task.committee.generation,
        epoch=epoch,
        holder=holder,
        seconds=vote.seconds,
        accepted=vote.accepted,
    )
    return signed_by(vote.witness, grant_bytes(grant), vote.signature, verify)
