"""What a node does with blobs: give them, fetch them, announce them.

Guards: a blob that is not here and one that a peer may not have are refused in the same way; a
device announces only what somebody may fetch from it.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pockethive.core.errors import Failure, NetworkError, PocketHiveError, StorageError
from pockethive.dht.audience import NOBODY, Allow, Audience
from pockethive.dht.blobs import BlobStore
from pockethive.dht.carrier import HEAD, REFUSED, Kind, Reply
from pockethive.dht.chunks import check_name, count_of
from pockethive.dht.contact import Contact
from pockethive.dht.fetching import Fetcher
from pockethive.dht.identity import Identity
from pockethive.dht.providers import (
    LIFE,
    Announcements,
    Provider,
    provider_key,
    read_providers,
    sign_provider,
)
from pockethive.dht.record import Record

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """How provider records are written and read: `Node.put`, `Node.get`, its contact and clock."""

    identity: Identity
    contact: Callable[[], Contact]
    put: Callable[[Record], Awaitable[int]]
    get: Callable[[bytes], Awaitable[tuple[Record, ...]]]
    clock: Callable[[], float]


class Exchange:
    """One node's blobs and the others'. Belongs to the loop's thread, but for `answer`."""

    def __init__(self, store: BlobStore, fetcher: Fetcher, directory: Directory) -> None:
        self.store, self._fetcher, self._directory = store, fetcher, directory
        self.allow: Allow | None = None
        self.announcements = Announcements(self.provide)

    def answer(self, peer: bytes, name: str, index: int) -> Reply:
        """What this peer may have of a blob that is here. On a worker thread."""
        allow = self.allow or self.store.allows
        if not self.store.has(name) or not allow(peer, name):
            return REFUSED
        try:
            if index != HEAD and index >= count_of(self.store.size(name)):
                return REFUSED
            if index != HEAD:
                return Reply(Kind.CHUNK, self.store.read_chunk(name, index))
            manifest = self.store.manifest(name)
            if manifest is not None:
                return Reply(Kind.MANIFEST, manifest.encode())
            return Reply(Kind.WHOLE, self.store.get(name))
        except Failure as error:
            log.warning("a blob cannot be served: %s", error)
            return REFUSED

    async def fetch(
        self, name: str, holders: Sequence[Contact], to: Path | None, audience: Audience
    ) -> int:
        """See `Node.fetch`."""
        if not self.store.has(check_name(name)):
            data = await self._obtain(name, holders, audience)
            if data is not None:
                await asyncio.to_thread(self.store.put, data, audience)
        if to is not None:
            await asyncio.to_thread(self.store.copy_to, name, to)
        return self.store.size(name)

    def got(self, name: str) -> int:
        """See `Node.got`."""
        return self.store.size(name) if self.store.has(name) else self._fetcher.got(name)

    async def read(self, name: str, holders: Sequence[Contact]) -> bytes:
        """See `Node.fetch_from`."""
        if not self.store.has(name):
            data = await self._fetcher.obtain(name, holders)
            if data is not None:
                return data
        return await asyncio.to_thread(self.store.get, name)

    async def provide(self, name: str) -> int:
        """See `Node.provide`."""
        size = self.store.size(name)
        if self.allow is None and self.store.audience(name) == NOBODY:
            raise StorageError("nobody may fetch that blob", where=name, cure="give it an audience")
        own = self._directory
        expires = int(own.clock()) + LIFE
        record = sign_provider(own.identity, own.contact(), name, size, expires)
        copies = await own.put(record)
        self.announcements.add(name)
        return copies

    async def providers(self, name: str) -> tuple[Provider, ...]:
        """See `Node.providers`."""
        found = read_providers(await self._directory.get(provider_key(name)))
        return tuple(one for one in found if one.contact.public != self._directory.identity.public)

    async def _obtain(
        self, name: str, holders: Sequence[Contact], audience: Audience
    ) -> bytes | None:
        """From these holders; when they do not give it, from those that announce it."""
        failure: NetworkError | None = None
        if holders:
            try:
                return await self._fetcher.obtain(name, holders, audience)
            except NetworkError as error:
                failure = error
        announced: tuple[Provider, ...] = ()
        with contextlib.suppress(PocketHiveError):  # then there are none
            announced = await self.providers(name)
        more = [one.contact for one in announced if one.contact not in holders]
        if failure is not None and not more:
            raise failure
        return await self._fetcher.obtain(name, more, audience)
