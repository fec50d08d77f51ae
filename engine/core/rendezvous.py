"""Who goes first: rendezvous order of devices, and the choice of a task's witnesses.

Rendezvous hashing (Thaler and Ravishankar, 1998): every device computes the same order, and one
that leaves changes nothing among the others. The order is politeness; leases are what is safe.
"""

from collections.abc import Container, Iterable, Sequence

from pockethive.core.canonical import digest_after
from pockethive.core.entry import Member
from pockethive.core.task import Committee, DeviceId, TaskId

_LARGE, _SMALL, _OWN = 7, 4, 3
_QUORUM = {_LARGE: 5, _SMALL: 3, _OWN: 2}


def rank(task: TaskId, devices: Iterable[DeviceId], salt: str = "") -> tuple[DeviceId, ...]:
    """The devices in the order in which they should take `task`; the same at every device."""
    weight = digest_after("rank", salt.encode(), task.encode())
    weights = {device: weight(device.encode()) for device in devices}
    return tuple(sorted(weights, key=weights.__getitem__, reverse=True))


def choose_committee(
    members: Iterable[Member],
    owner_device: DeviceId,
    owner_key: str,
    unsteady: Container[DeviceId] = (),
) -> Committee:
    """The witnesses of a run's tasks, from the devices known when it opens.

    Seven (q=5, two liars) where there are as many, else four (q=3, one liar), three (q=2, no liar)
    when they are all the owner's, else the owner's device alone. Distinct owners come first; the
    owner's own device serves when it is needed to make up the number, before any that is
    `unsteady`: a quorum that comes and goes decides nothing.
    """
    owners = {member.device: member.owner_key for member in members}
    owners[owner_device] = owner_key
    if len(owners) >= _SMALL:
        size = _LARGE if len(owners) >= _LARGE else _SMALL
        best = sorted(_spread(owners, owner_device), key=lambda device: device in unsteady)
        return _committee(best[:size])
    if len(owners) == _OWN and set(owners.values()) == {owner_key}:
        return _committee(_spread(owners, owner_device))
    return Committee(witnesses=(owner_device,), quorum=1)


def witness_candidates(
    members: Iterable[Member], owner_device: DeviceId, owner_key: str
) -> tuple[DeviceId, ...]:
    """The devices to be asked for an answer before some of them are named, best first.

    Twice as many as may be named; nobody where the owner's device would be alone in any case.
    """
    known = tuple(members)
    if len(choose_committee(known, owner_device, owner_key).witnesses) == 1:
        return ()
    owners = {member.device: member.owner_key for member in known}
    owners[owner_device] = owner_key
    return tuple(_spread(owners, owner_device)[:-1][: 2 * _LARGE])


def _committee(witnesses: Sequence[DeviceId]) -> Committee:
    return Committee(witnesses=tuple(witnesses), quorum=_QUORUM[len(witnesses)])


def _spread(owners: dict[DeviceId, str], owner_device: DeviceId) -> list[DeviceId]:
    """Each owner's first device, then each owner's second, …; the owner's own device at the end."""
    seed = TaskId(owner_device)
    others = rank(seed, (device for device in owners if device != owner_device), "witness")
    turns: dict[str, int] = {}
    keyed = []
    for place, device in enumerate(others):
        turn = turns.get(owners[device], 0)
        turns[owners[device]] = turn + 1
        keyed.append((turn, place, device))
    return [device for _, _, device in sorted(keyed)] + [owner_device]
