"""Homes of simulated devices: each with a store of its own, all let in by the first."""

from pockethive.core.canonical import digest
from pockethive.dht.admission import Application
from pockethive.dht.charter import FounderKey
from pockethive.dht.contact import Contact
from pockethive.dht.hive_key import SEALED_SIZE, open_key
from pockethive.dht.identity import Identity, OwnerKey, certify
from pockethive.dht.invitation import verifier
from pockethive.dht.member_list import Listed
from pockethive.dht.settings import NodeSettings
from pockethive.founding import Founder
from pockethive.hive import PrivateHive
from pockethive.hive_store import HiveStore, invitation_name
from pockethive.simulation import SimulatedHive
from tests.hive.people import chance


class Homes:
    """What `SimulatedHive.private` is set to: founds with the first device, invites the others."""

    def __init__(self, simulated: SimulatedHive) -> None:
        self._clock, self._chance = simulated.world.clock, chance(simulated.seed)
        self.store = HiveStore(None)
        self.key = FounderKey.from_seed(digest("simulated founder", b"%d" % simulated.seed))
        self.founder = Founder(self.key, self.store, self._clock, self._chance)
        self.first: Identity | None = None
        simulated.private = self

    def __call__(self, node: NodeSettings, identity: Identity, owner: OwnerKey) -> PrivateHive:
        if self.first is None:
            self.first = identity
            self.founder.found("village", self._first(identity, owner))
            return PrivateHive(self.store, identity, identity, self.founder)
        self._admit(self.first, identity, owner)
        return PrivateHive(self._home(identity), identity, identity, None)

    def revoke(self, device: str) -> None:
        """Take a device off the list, as `pockethive members --revoke` does."""
        assert self.first is not None
        self.founder.revoke(device, self.first.public)

    def _first(self, identity: Identity, owner: OwnerKey) -> Listed:
        return Listed(
            owner=owner.public,
            owner_name="anna",
            device=identity.public,
            device_name="first",
            certificate=certify(owner, identity.public),
            since=int(self._clock()),
            sealed=bytes(SEALED_SIZE),
        )

    def _admit(self, first: Identity, identity: Identity, owner: OwnerKey) -> None:
        here = Contact(first.public, "10.0.0.1", 1)
        invitation = self.founder.invite([here], first.public, 1, 3600)
        key, charter = verifier(invitation.secret), invitation.charter
        asked = Application(
            invitation=invitation_name(key),
            nonce=bytes(32),
            owner=owner.public,
            owner_name="anna",
            device_name=f"device {identity.public.hex()[:8]}",
            certificate=certify(owner, identity.public),
        ).proven(key, charter.id, first.public, identity.public)
        assert self.founder.admit(first.public, identity.public, asked) == ""

    def _home(self, identity: Identity) -> HiveStore:
        store, listed, charter = HiveStore(None), self.store.newest(), self.store.charter
        assert listed is not None
        assert charter is not None
        entry = listed.of(identity.public)
        assert entry is not None
        store.belong(charter)
        store.keep(self.store.records())
        key = open_key(identity, entry.sealed, charter.id, listed.generation)
        store.keep_key(listed.generation, key)
        return store
