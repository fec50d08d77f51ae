"""Fetching a blob, small or large, from whoever gives it.

Guards: a small blob is one question and one answer; a large one's manifest is checked before a
chunk is asked for; one blob is fetched once at a time; tries and waiting times are bounded.
"""

import asyncio
import random
import weakref
from collections.abc import Sequence
from typing import Final

import tenacity

from pockethive.core.errors import NetworkError, ProtocolError
from pockethive.dht.audience import NOBODY, Audience
from pockethive.dht.blobs import BlobStore
from pockethive.dht.carrier import HEAD, BlobCarrier, Kind
from pockethive.dht.chunks import Manifest, check_name, check_small
from pockethive.dht.contact import Contact
from pockethive.dht.download import Download
from pockethive.dht.partial import Partial

FETCH_ROUNDS: Final = 2
_STAGGER: Final = 1.0  # seconds of silence after which the next holder is asked too
_BIG: Final = 2**17  # bytes from which hashing is worth a thread


class Fetcher:
    """Fetches for one node, into its store. Belongs to the loop's thread."""

    def __init__(self, store: BlobStore, carrier: BlobCarrier, rng: random.Random) -> None:
        self._store, self._carrier, self._random = store, carrier, rng
        self._locks: weakref.WeakValueDictionary[str, asyncio.Lock]
        self._locks = weakref.WeakValueDictionary()
        self._partials: dict[str, Partial] = {}

    def got(self, name: str) -> int:
        """Bytes of a large blob that have come so far, while it is being fetched."""
        partial = self._partials.get(name)
        if partial is None:
            return 0
        left = sum(partial.manifest.length(index) for index in partial.missing())
        return partial.manifest.size - left

    async def obtain(
        self, name: str, holders: Sequence[Contact], audience: Audience = NOBODY
    ) -> bytes | None:
        """The bytes of a small blob; None when it is a large one, which is in the store then.

        Raises:
            NetworkError: in `FETCH_ROUNDS` rounds nobody gave it; says why for each.
            StorageError: there is no room for it.
            BadEncoding: not a blob's name.
        """
        check_name(name)
        liars: dict[Contact, str] = {}
        retrying = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(FETCH_ROUNDS),
            wait=lambda _: self._random.uniform(0.1, 0.3),
            retry=tenacity.retry_if_exception_type(NetworkError),
            reraise=True,
        )
        return await retrying(self._round, name, tuple(dict.fromkeys(holders)), liars, audience)

    async def _round(
        self, name: str, holders: Sequence[Contact], liars: dict[Contact, str], audience: Audience
    ) -> bytes | None:
        faults = list(liars.values())
        honest = [holder for holder in holders if holder not in liars]
        head = await self._head(name, honest, liars, faults)
        if head is None:
            raise NetworkError(
                f"no holder gave the blob: {'; '.join(faults) or 'none is known'}",
                where=name,
                cure="is a device that holds it up, and may this one have it?",
            )
        if isinstance(head, Manifest):
            lock = self._locks.setdefault(name, asyncio.Lock())
            async with lock:  # whoever comes next finds it in the store
                if not self._store.has(name):
                    await self._download(head, honest, liars, audience)
            return None
        return head

    async def _download(
        self,
        manifest: Manifest,
        holders: Sequence[Contact],
        liars: dict[Contact, str],
        audience: Audience,
    ) -> None:
        partial = self._partials[manifest.name] = self._store.begin(manifest)
        complete = False
        try:
            await asyncio.to_thread(partial.recheck)
            download = Download(self._carrier, partial, partial.missing())
            try:
                await download.run([holder for holder in holders if holder not in liars])
            finally:
                liars.update(download.liars)
            complete = True
        finally:
            del self._partials[manifest.name]
            if not complete:
                self._store.pause(partial)
        await asyncio.to_thread(self._store.finish, partial, audience)

    async def _head(
        self, name: str, holders: Sequence[Contact], liars: dict[Contact, str], faults: list[str]
    ) -> bytes | Manifest | None:
        """What the first holder says that answers; those that are silent are not waited for."""
        asks: dict[asyncio.Task[bytes | Manifest], Contact] = {}
        waiting = list(reversed(holders))
        try:
            while asks or waiting:
                if waiting:
                    holder = waiting.pop()
                    asks[asyncio.create_task(self._ask_head(holder, name))] = holder
                done, _ = await asyncio.wait(
                    asks,
                    timeout=_STAGGER if waiting else None,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                for task in [one for one in asks if one in done]:  # a set has no order to repeat
                    holder = asks.pop(task)
                    try:
                        return task.result()
                    except NetworkError as error:
                        faults.append(str(error))
                    except ProtocolError as error:
                        liars[holder] = f"{holder.host}:{holder.port}: {error}"
                        faults.append(liars[holder])
                        self._carrier.counters.note(error)
                        self._carrier.hang_up(holder)
            return None
        finally:
            for task in asks:
                task.cancel()
            await asyncio.gather(*asks, return_exceptions=True)

    async def _ask_head(self, holder: Contact, name: str) -> bytes | Manifest:
        reply = await self._carrier.ask(holder, name, HEAD)
        if reply.kind is Kind.MANIFEST:
            return Manifest.decode(name, reply.data)
        if len(reply.data) < _BIG:
            check_small(name, reply.data)
        else:
            await asyncio.to_thread(check_small, name, reply.data)
        return bytes(reply.data)
