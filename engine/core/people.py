"""Which devices can do or verify a task, best first."""

from collections.abc import Iterable

from pockethive.core.entry import Entry, Member
from pockethive.core.labels import Label
from pockethive.core.rendezvous import rank
from pockethive.core.task import DeviceId, Task
from pockethive.core.verification import able, independent

MAX_OFFERED = 8  # devices a task is offered to at once


def workers(
    task: Task, members: Iterable[Member], lost: set[DeviceId], blamed: Iterable[DeviceId]
) -> tuple[DeviceId, ...]:
    """Devices that can do `task`; those that failed at it before come last."""
    fit = [
        member.device
        for member in members
        if member.works
        and member.device not in lost
        and task.skill in member.skills
        and task.place in (None, member.device)
        and (member.model or not task.needs_model)
    ]
    last = set(blamed)
    ordered = rank(task.id, fit)
    ordered = (*(d for d in ordered if d not in last), *(d for d in ordered if d in last))
    return ordered[:MAX_OFFERED]


def verifiers(
    task: Task, members: Iterable[Member], lost: set[DeviceId], output: Entry
) -> tuple[DeviceId, ...]:
    """Devices that may judge `output`, in no order that matters: who is asked is drawn (`lots`)."""
    if task.label is Label.DEVICE:
        return ()
    known = {member.device: member for member in members}
    worker = known.get(output.author)
    return tuple(
        member.device
        for member in known.values()
        if member.device != output.author
        and member.device not in lost
        and able(task, member.checkers, has_model=bool(member.model))
        and independent(task.owner_key, worker, member)
    )
