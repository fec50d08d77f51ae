"""Whose devices are whose; and which of them can do or verify a task, best first."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from pockethive.core.canonical import digest, from_text
from pockethive.core.entry import Entry, Member
from pockethive.core.errors import BadEncoding
from pockethive.core.labels import Label
from pockethive.core.ports import VerifySignature
from pockethive.core.rendezvous import rank
from pockethive.core.rescore import by_class, comparable
from pockethive.core.task import DeviceId, Task
from pockethive.core.verification import able, independent, replicates

MAX_OFFERED = 8  # devices a task is offered to at once


def is_own(task: Task, owner_key: str, certified: str | None) -> bool:
    """Whether a task is of this owner: it says so, and the certificate of its owner's device, which
    `certified` is from, proves it. None: that device is not known."""
    return owner_key == task.owner_key == certified


def is_certified(
    owner_key: str, device: DeviceId, certificate: str, verify: VerifySignature
) -> bool:
    """Whether the owner signed for the device (as `dht/identity.py` does). Never raises."""
    try:
        owner, signature = from_text(owner_key, 32), from_text(certificate, 64)
        said = digest("owner-certifies-device", owner, from_text(device, 32))
    except BadEncoding:
        return False
    return verify(owner, said, signature)


def same_owner(one: Task, other: Task) -> bool:
    """Whether two tasks are of one device, or of devices that one owner provably certified."""
    if one.owner == other.owner:
        return one.owner_key == other.owner_key
    shown = bool(one.certificate and other.certificate)
    return shown and one.owner_key == other.owner_key


def may_succeed(later: Task, task: Task) -> bool:
    """Whether `later` may be the next generation of `task`: of its own device, or of another that
    provably is of the owner whom `task` names."""
    if (later.id, later.owner_key) != (task.id, task.owner_key):
        return False
    return later.owner == task.owner or bool(later.certificate)


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What became of earlier attempts. `first`: devices that have its answer; `blamed`: those that
    failed at it; `doubted`: owners whose devices come after all others'."""

    first: Collection[DeviceId] = ()
    blamed: Collection[DeviceId] = ()
    doubted: Collection[str] = ()


NO_PAST = Past()


def workers(
    task: Task, members: Iterable[Member], lost: set[DeviceId], past: Past = NO_PAST
) -> tuple[DeviceId, ...]:
    """Devices that can do `task`, in rendezvous order as far as their past makes no difference.

    Where only the same model class may judge it, those whose class nobody else has are left out,
    unless there are no others.
    """
    members = tuple(members)
    fit = {
        member.device: member.owner_key
        for member in members
        if member.works
        and member.device not in lost
        and task.skill in member.skills
        and task.place in (None, member.device)
        and (member.model or not task.needs_model)
    }
    if by_class(task):
        fit = {one: fit[one] for one in judged(task, members, lost) if one in fit} or fit
    ordered = sorted(
        rank(task.id, fit),
        key=lambda device: (
            device not in past.first,
            fit[device] in past.doubted,
            device in past.blamed,
        ),
    )
    return tuple(ordered[:MAX_OFFERED])


def judged(task: Task, members: Iterable[Member], lost: Collection[DeviceId]) -> set[DeviceId]:
    """Devices whose output of `task` another one of their model class could judge."""
    here = [member for member in members if member.device not in lost]
    judges: dict[str, list[Member]] = {}
    for member in here:
        if able(task, member.checkers, has_model=bool(member.model)):
            judges.setdefault(member.model, []).append(member)
    return {
        member.device
        for member in here
        if any(independent(task.owner_key, member, one) for one in judges.get(member.model, ()))
    }


def spread(
    devices: Iterable[DeviceId], owners: Mapping[DeviceId, str], own: str
) -> tuple[DeviceId, ...]:
    """Devices in their order, but of each stranger one, then of each a second, …: many devices of
    one person are no many minds. Those of the run's owner (`own`) each count for themselves."""
    turns: Counter[str] = Counter()
    keyed = []
    for place, device in enumerate(devices):
        owner = owners.get(device, "")
        keyed.append((0 if owner == own else turns[owner], place, device))
        turns[owner] += 1
    return tuple(device for _, _, device in sorted(keyed))


def verifiers(
    task: Task, members: Iterable[Member], lost: set[DeviceId], output: Entry
) -> tuple[DeviceId, ...]:
    """Devices that may judge `output`, in no order that matters: who is asked is drawn (`lots`)."""
    if task.label is Label.DEVICE:
        return ()
    known = {member.device: member for member in members}
    worker = known.get(output.author)
    kinds: dict[tuple[tuple[str, ...], str], bool] = {}  # devices are many, kinds of them few
    for member in known.values():
        kind = member.checkers, member.model
        if kind not in kinds:
            can = able(task, member.checkers, has_model=bool(member.model))
            kinds[kind] = can and comparable(task, output, member.model)
    return tuple(
        member.device
        for member in known.values()
        if member.device != output.author
        and member.device not in lost
        and kinds[member.checkers, member.model]
        and independent(task.owner_key, worker, member)
    )


def voters(
    task: Task,
    members: Iterable[Member],
    devices: Iterable[DeviceId],
    asked: Iterable[DeviceId],
    doubted: Collection[str] = (),
) -> tuple[DeviceId, ...]:
    """Which of `devices` may vote on `task` beside those that were asked, best first.

    Of a stranger's devices one alone votes; the run owner's may all.
    """
    known = {member.device: member for member in members}
    taken = {known[device].owner_key for device in asked if device in known} - {task.owner_key}
    before, found = set(asked), []
    fit = [d for d in devices if d in known and known[d].works and replicates(task, known[d])]
    for device in sorted(rank(task.id, fit), key=lambda d: known[d].owner_key in doubted):
        owner = known[device].owner_key
        if device in before or owner in taken:
            continue
        taken |= {owner} - {task.owner_key}
        found.append(device)
    return tuple(found)
