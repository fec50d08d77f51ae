"""Replacing a task's witnesses: what their seals say, and the committee that goes on.

Reconfiguration of a Paxos by stopping it (Lamport, Malkhi and Zhou, "Reconfiguring a State
Machine", 2010): a generation is sealed, what may have been chosen is carried over, the next begins.
Rules guarded here: only a quorum of seals ends a generation; a value that may have been committed
is the only one that the next committee accepts; leases of two generations never overlap.

Why a quorum is enough, with K witnesses of which f lie and 2q - K > f: any q seals meet any q
grants or acks in at least one honest witness, and any q other seals, too. So the seals know every
lease that was had and every value that was committed, and no two successors are both chosen.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pockethive.core.canonical import digest
from pockethive.core.entry import Sealing, SealVote
from pockethive.core.fields import MAX_EPOCH
from pockethive.core.lease import DRIFT, Accepted, Sealed, seal_bytes
from pockethive.core.ports import VerifySignature
from pockethive.core.signed import signed_by
from pockethive.core.task import Committee, DeviceId, Task

_MAX_BASE = MAX_EPOCH // 2  # a witness that claims to be further lies, or would use up all epochs


@dataclass(frozen=True, slots=True)
class Succession:
    """What a sealed generation leaves to the next.

    `base`: no epoch up to it may be used again. `bound`: the value that may have been committed.
    `wait`: for how many seconds, by the owner's clock, a lease of it may still run.
    """

    base: int
    bound: str
    wait: float


def successor(committee: Committee, owner: DeviceId | None = None) -> str:
    """What a witness is asked to make way for: who the next witnesses are, and how many decide.

    `owner`: the device whose task it becomes, where that is another one than before. So two that
    take over at a time never stand for one another, whomever they name.
    """
    names = [witness.encode() for witness in committee.witnesses]
    quorum = b"%d" % committee.quorum
    if owner is None:
        return digest("successor", quorum, *names).hex()
    return digest("successor of another device", owner.encode(), quorum, *names).hex()


def succession(
    committee: Committee, seals: Iterable[Sealed], lease_seconds: int
) -> Succession | None:
    """What can be said after these seals; None while they are too few, or name several values.

    More seals can only help: a value that was committed is named by ever more of them, one that a
    few liars invented is not.
    """
    known = [seal for seal in seals if seal.epoch <= _MAX_BASE]
    if len(known) < committee.quorum:
        return None
    values = candidates(committee, known)
    if len(values) > 1:
        return None
    longest = max(min(seal.wait_seconds, lease_seconds) for seal in known)
    return Succession(
        base=max(*(seal.epoch for seal in known), committee.epoch_base),
        bound=values[0] if values else "",
        wait=longest * (1 + DRIFT) / (1 - DRIFT),
    )


def candidates(committee: Committee, seals: Sequence[Sealed]) -> tuple[str, ...]:
    """The values that a quorum may have accepted, as far as these seals can tell.

    A committed value has q acks. All but K - S of those witnesses have sealed, and all but f of
    these say what they accepted.
    """
    unheard = len(committee.witnesses) - len(seals)
    least = max(1, committee.quorum - unheard - committee.liars)
    named = Counter(seal.accepted.output for seal in seals if seal.accepted is not None)
    return tuple(sorted(value for value, count in named.items() if count >= least))


def sealed_by_quorum(task: Task, sealing: Sealing, verify: VerifySignature) -> bool:
    """Whether a quorum of `task`'s witnesses sealed its generation for `sealing.successor`."""
    committee = task.committee
    if (sealing.task, sealing.generation) != (task.id, committee.generation):
        return False
    good = {
        vote.witness
        for vote in sealing.votes
        if vote.witness in committee.witnesses
        and signed_by(vote.witness, seal_bytes(_said(sealing, vote)), vote.signature, verify)
    }
    return len(good) >= committee.quorum


def sealing(seals: Sequence[tuple[DeviceId, Sealed]]) -> Sealing:
    """The entry that shows seals of one generation and one successor, by witness."""
    first = seals[0][1]
    return Sealing(
        task=first.task,
        generation=first.generation,
        successor=first.successor,
        votes=tuple(_vote(witness, seal) for witness, seal in seals),
    )


def _vote(witness: DeviceId, seal: Sealed) -> SealVote:
    said = seal.accepted
    return SealVote(
        witness=witness,
        epoch=seal.epoch,
        accepted=None if said is None else (said.epoch, said.output),
        signature=seal.signature,
    )


def _said(sealing: Sealing, vote: SealVote) -> Sealed:
    return Sealed(
        task=sealing.task,
        generation=sealing.generation,
        successor=sealing.successor,
        epoch=vote.epoch,
        accepted=None if vote.accepted is None else Accepted(*vote.accepted),
        wait_seconds=0,
    )
