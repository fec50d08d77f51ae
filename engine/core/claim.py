"""The claim of a run: which of its owner's devices keeps it, as the lease of a task nobody does.

It has the witnesses that the run's tasks began with, and is found by the run's id alone. Who keeps
the run renews the lease; another device of the same owner gets it when that has ended. Guards:
only devices that the owner certified may have it. It is politeness between ledgers: what makes two
of them safe are the tasks' own witnesses, whatever becomes of the claim.
"""

from collections.abc import Iterable
from dataclasses import replace
from hashlib import sha256
from typing import Final

from pockethive.core.entry import Claim, Entry
from pockethive.core.labels import Label
from pockethive.core.people import is_certified
from pockethive.core.ports import VerifySignature
from pockethive.core.task import Committee, DeviceId, RunId, Task, TaskId, Verification, task_id

CLAIM_NAME: Final = "~run"
"""No planned task can be called so."""
CLAIM_SECONDS: Final = 9
"""How long it is held without being renewed: so long a run waits for one that died."""


def claim_id(run: RunId) -> TaskId:
    """The id of a run's claim."""
    return task_id(run, CLAIM_NAME, _spec(run))


def is_claim(task: Task) -> bool:
    """Whether a task is a run's claim."""
    return task.name == CLAIM_NAME


def claims_run(task: TaskId) -> bool:
    """Whether an id is that of a claim."""
    return f"/{CLAIM_NAME}/" in task


def claim_of(task: Task, owner: DeviceId, certificate: str) -> Task:
    """The claim of the run that `task` belongs to, for the device that opened it."""
    of = task.committee
    return replace(
        task,
        id=claim_id(task.run),
        name=CLAIM_NAME,
        role="",
        skill="",
        spec=_spec(task.run),
        after=(),
        place=None,
        label=Label.PEOPLE,
        verification=Verification(checks=(), verdicts=0),
        needs_model=False,
        committee=Committee(witnesses=of.witnesses, quorum=of.quorum),
        owner=owner,
        certificate=certificate,
        lease_seconds=CLAIM_SECONDS,
    )


def keepers_of(
    claim: Task, entries: Iterable[Entry], verify: VerifySignature
) -> tuple[tuple[int, DeviceId], ...]:
    """(epoch, device) of whoever said that it took the run over, and provably is the owner's."""
    return tuple(
        (entry.body.epoch, entry.author)
        for entry in entries
        if isinstance(entry.body, Claim)
        and entry.body.task == claim.id
        and is_certified(claim.owner_key, entry.author, entry.body.certificate, verify)
    )


def _spec(run: RunId) -> str:
    return sha256(f"claim of run {run}".encode()).hexdigest()
