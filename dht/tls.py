"""Blobs over TLS 1.3: the server's certificate is its device key, the client proves his inside.

The standard library's `ssl` cannot ask an unknown client for a certificate without a chain to
verify, so the client signs (nonce, server's key, client's key) inside the channel. Nobody can pass
that signature on: the client pins the server's key before it signs, and signs that key too.

Guards: nothing is sent to a server whose certificate holds another key than the contact; one
connection a contact, `_POOL` in all.
"""

import asyncio
from collections import OrderedDict
from typing import Final

from pockethive.core.errors import NetworkError
from pockethive.dht.carrier import HEAD, Answer, Kind, Reply, missing
from pockethive.dht.contact import Contact
from pockethive.dht.identity import Identity
from pockethive.dht.reasons import Counts
from pockethive.dht.tls_client import Link, dial
from pockethive.dht.tls_server import BlobServer

_POOL: Final = 16


class _Way:
    """To one contact: whoever comes first dials, the others wait and share."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.link: Link | None = None

    @property
    def busy(self) -> bool:
        return self.lock.locked() or (self.link is not None and self.link.busy)

    def close(self) -> None:
        if self.link is not None:
            self.link.close()


class TlsCarrier:
    """Serves and fetches blobs of one device. Belongs to one event loop.

    Attributes:
        counters: what peers did wrong, by reason code; set it before `listen` to share it.
    """

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self.counters = Counts()
        self.server: BlobServer | None = None
        self._pool: OrderedDict[Contact, _Way] = OrderedDict()

    async def listen(self, contact: Contact, answer: Answer) -> None:
        """Serve `answer` at the contact's host and port. Raises OSError when it is taken."""
        server = BlobServer(self._identity, answer, self.counters)
        await server.open(contact)
        self.server = server

    async def ask(self, contact: Contact, name: str, index: int) -> Reply:
        """What the contact gives for a chunk; the caller checks it. See `BlobCarrier.ask`."""
        way = self._way(contact)
        link = way.link
        reply: Reply | None = None
        if link is not None and not link.ended:
            try:
                reply = await link.ask(name, index)
            except NetworkError:
                if link.stalled:  # else it was idle too long for the other end: dial anew
                    raise
        if reply is None:
            link = await self._dialled(contact, self._way(contact))
            reply = await link.ask(name, index)
        if reply.kind is Kind.REFUSED:
            raise missing(contact)
        return reply

    def hang_up(self, contact: Contact) -> None:
        way = self._pool.pop(contact, None)
        if way is not None:
            way.close()

    async def close(self) -> None:
        for contact in list(self._pool):
            self.hang_up(contact)
        if self.server is not None:
            await self.server.close()
        await asyncio.sleep(0)  # aborted transports close their sockets in the loop's next round

    def _way(self, contact: Contact) -> _Way:
        way = self._pool.setdefault(contact, _Way())
        self._pool.move_to_end(contact)
        if len(self._pool) > _POOL:
            idle = (one for one, other in self._pool.items() if not other.busy and other is not way)
            self.hang_up(next(idle, next(iter(self._pool))))
        return way

    async def _dialled(self, contact: Contact, way: _Way) -> Link:
        async with way.lock:
            if way.link is not None and not way.link.ended:
                return way.link
            link = await dial(self._identity, contact)
            if self._pool.get(contact) is not way:  # hung up meanwhile
                link.close()
                raise NetworkError("the blob connection was closed", where=contact.host)
            way.link = link
            return link


async def fetch_blob(contact: Contact, name: str, identity: Identity) -> bytes:
    """A small blob over a connection of its own, unchecked. See `TlsCarrier.ask`."""
    carrier = TlsCarrier(identity)
    try:
        return bytes((await carrier.ask(contact, name, HEAD)).data)
    finally:
        await carrier.close()
