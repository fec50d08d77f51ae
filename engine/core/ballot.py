"""Pledges and ballots: how devices answer alike without having seen one another's answer.

Commit, then reveal: H(domain, task, device, nonce, output) is signed and published first, the nonce
and the output are shown when nobody may pledge any more. Guards: a vote counts for what its device
signed before anything was revealed; a device has one; without the owner's ballot none counts. Pure,
the same at ledger, witnesses and readers.
"""

from collections.abc import Iterable
from typing import Final

from pockethive.core.canonical import digest, from_text
from pockethive.core.entry import Ballot, Entry, Pledge
from pockethive.core.task import DeviceId, Policy, Task, TaskId

RECOMPUTE: Final = "recompute"  # what the check of a task that is voted on is called
MAX_ANSWERS: Final = 10  # devices that are asked at most, as BOINC's max_total_results
NONCE: Final = 32  # bytes


def votes(task: Task) -> bool:
    """Whether several devices do this task, and the answer of most of them counts."""
    return any(check.policy is Policy.RECOMPUTE for check in task.verification.checks)


def wanted(task: Task) -> int:
    """m: how many devices must answer alike, whoever holds the lease included."""
    return max(1, task.verification.verdicts) + 1


def pledge_of(task: TaskId, device: DeviceId, nonce: str, output: str) -> str:
    """What a device signs before it shows that it made `output`; hex. `nonce` is base64url.

    Raises BadEncoding: a device or nonce that is not 32 bytes.
    """
    parts = (task.encode(), from_text(device, 32), from_text(nonce, NONCE), output.encode())
    return digest("pledge", *parts).hex()


def opens(entry: Entry, nonce: str, output: str) -> bool:
    """Whether this is what the author of a pledge had pledged. Raises BadEncoding: see above."""
    body = entry.body
    return isinstance(body, Pledge) and body.pledge == pledge_of(
        body.task, entry.author, nonce, output
    )


def proof(task: Task, output: str, said: Iterable[Entry]) -> tuple[Entry, ...]:
    """What shows that m devices answered `output` blindly: the owner's ballot, then their pledges.

    Nothing where `said` does not show it. Ties go to the smallest digests.
    """
    known = sorted(said, key=lambda entry: entry.digest)
    for ballot in known:
        body = ballot.body
        if not isinstance(body, Ballot) or ballot.author != task.owner:
            continue
        if (body.task, body.output) != (task.id, output) or len(body.votes) < wanted(task):
            continue
        pledges = [_pledge(task, body, vote, known) for vote in body.votes]
        if len({device for device, _ in body.votes}) == len(body.votes) and all(pledges):
            return (ballot, *(entry for entry in pledges if entry is not None))
    return ()


def _pledge(
    task: Task, ballot: Ballot, vote: tuple[DeviceId, str], said: list[Entry]
) -> Entry | None:
    device, nonce = vote
    for entry in said:
        about = isinstance(entry.body, Pledge) and entry.body.task == task.id
        if about and entry.author == device and opens(entry, nonce, ballot.output):
            return entry
    return None
