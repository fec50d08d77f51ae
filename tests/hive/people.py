"""Founders, members and lists for the tests of private hives: the real classes, known keys."""

import random
from collections.abc import Callable, Iterable

from pockethive.core.canonical import digest
from pockethive.dht.charter import Charter, FounderKey
from pockethive.dht.hive_key import seal_key
from pockethive.dht.identity import Identity, OwnerKey, certify
from pockethive.dht.member_list import LIFE, Listed, MemberList, changed, sign_list
from pockethive.dht.record import Record
from pockethive.dht.testing import NOW, somebody

FOUNDER = FounderKey.from_seed(digest("test founder"))
CHARTER = Charter(FOUNDER.public, "village")
STRANGER = FounderKey.from_seed(digest("test stranger"))


def owner_of(name: str) -> OwnerKey:
    """The same person for the same name."""
    return OwnerKey.from_seed(digest("test owner", name.encode()))


def chance(seed: int) -> Callable[[int], bytes]:
    """Random bytes that repeat themselves."""
    return random.Random(seed).randbytes


def generation_key(generation: int) -> bytes:
    """The key of a generation in these tests."""
    return digest("test generation", b"%d" % generation)


def listed(device: Identity, *, owner: str = "anna", name: str = "laptop", at: int = 1) -> Listed:
    """A device's entry on a list of generation `at`."""
    person = owner_of(owner)
    return Listed(
        owner=person.public,
        owner_name=owner,
        device=device.public,
        device_name=name,
        certificate=certify(person, device.public),
        since=int(NOW),
        sealed=seal_key(generation_key(at), device.public, CHARTER.id, at, chance(at)),
    )


def history(*steps: Iterable[str]) -> list[MemberList]:
    """One version a step: the devices of these names; a device that goes is a new generation."""
    lists: list[MemberList] = []
    before: frozenset[str] = frozenset()
    generation = 1
    for step in map(frozenset, steps):
        generation += bool(before - step)
        members = [listed(somebody(name), name=name, at=generation) for name in step]
        lists.append(changed(lists[-1] if lists else None, generation, members))
        before = step
    return lists


def records_of(lists: Iterable[MemberList], founder: FounderKey = FOUNDER) -> list[Record]:
    """What carries them, each version living longer than the one before."""
    return [
        record
        for one in lists
        for record in sign_list(founder, CHARTER, one, int(NOW) + LIFE + one.version)
    ]
