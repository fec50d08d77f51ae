"""The fetching end of a blob connection: requests go out ahead, answers come back in order.

The bytes of an answer are decrypted into the buffer that is handed on; nothing is copied. Guards:
a server signs for its key before it hears anything; at most `PIPELINE` answers wait; a silent or
dripping server is given up.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pockethive.core.errors import NetworkError, PocketHiveError, ProtocolError
from pockethive.dht import blob_wire, reasons
from pockethive.dht.carrier import Kind, Reply
from pockethive.dht.certificate import certified_key
from pockethive.dht.contact import Contact
from pockethive.dht.identity import Identity

PIPELINE: Final = 16  # requests of one connection whose answers wait
_HANDSHAKE: Final = 5.0  # seconds, TLS and ours
_STALL: Final = 20.0  # seconds without a byte
_SLOWEST: Final = 120.0  # seconds for one answer, once the one before it has come


@dataclass(slots=True)
class _Asked:
    index: int
    answer: "asyncio.Future[Reply]"


class Link(asyncio.BufferedProtocol):
    """One authenticated connection to a contact; made by `dial`. Belongs to the loop's thread.

    Attributes:
        ended: nothing more can be asked. stalled: because the other end was too slow.
    """

    def __init__(self, identity: Identity, contact: Contact) -> None:
        self._identity, self._contact = identity, contact
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[_Asked] = deque()
        self._slots = asyncio.Semaphore(PIPELINE)
        self._kind: Kind | None = None  # of the answer whose bytes are coming
        self._buffer, self._filled = bytearray(blob_wire.GREETING_SIZE), 0
        self._view = memoryview(self._buffer)
        self._moved = self._turn = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self.ready: asyncio.Future[None] = self._loop.create_future()
        self.ended = self.stalled = False

    @property
    def busy(self) -> bool:
        """Whether somebody waits for an answer."""
        return bool(self._waiting)

    async def ask(self, name: str, index: int) -> Reply:
        """The answer to one request. Raises NetworkError, ProtocolError (a frame out of bounds)."""
        async with self._slots:
            if self.ended or self._transport is None:
                raise self._failure("it has ended")
            asked = _Asked(index, self._loop.create_future())
            if not self._waiting:
                self._moved = self._turn = self._loop.time()
            self._waiting.append(asked)
            self._transport.write(blob_wire.pack_request(name, index))
            if self._timer is None:
                self._timer = self._loop.call_later(_STALL, self._check)
            try:
                return await asked.answer
            finally:
                if self._waiting and all(one.answer.done() for one in self._waiting):
                    self.close()  # what comes now is for nobody: cheaper to dial anew

    def close(self) -> None:
        """End the connection; whoever waits gets a NetworkError."""
        self._end(self._failure("it was closed"))

    # asyncio's protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        channel = transport.get_extra_info("ssl_object")
        if certified_key(channel.getpeercert(binary_form=True)) != self._contact.public:
            self._end(self._failure("another device than the contact's answers there"))

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        return self._view[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        self._filled += nbytes
        self._moved = self._loop.time()
        if self._filled < len(self._view):
            return
        if self.ended:
            self._filled = 0
            return
        try:
            self._complete()
        except ProtocolError as error:
            # Not at once: with the last bytes may have come the end, which asyncio's TLS is just
            # about to see to, and it takes an aborted connection there for a fault of its own.
            self._end(error, self._loop.call_soon)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(self._failure(str(exc or "the other end closed it"), exc))

    # inside

    def _complete(self) -> None:
        """The buffer is full: a greeting, the head of an answer, or its bytes."""
        if not self.ready.done():
            self._greet(bytes(self._buffer))
            self._expect(blob_wire.ANSWER.size)
        elif self._kind is None:
            if not self._waiting:
                raise ProtocolError("an answer that nobody asked for", where=reasons.BLOB_FRAME)
            kind, size = blob_wire.unpack_answer(self._buffer, self._waiting[0].index)
            if size:
                self._kind = kind
                self._expect(size)
            else:
                self._deliver(Reply(kind, b""))
        else:
            self._deliver(Reply(self._kind, self._buffer))

    def _deliver(self, reply: Reply) -> None:
        asked = self._waiting.popleft()
        self._kind, self._turn = None, self._moved
        self._expect(blob_wire.ANSWER.size)
        if not asked.answer.done():
            asked.answer.set_result(reply)

    def _expect(self, size: int) -> None:
        self._buffer, self._filled = bytearray(size), 0
        self._view = memoryview(self._buffer)

    def _greet(self, greeting: bytes) -> None:
        if not greeting.startswith(blob_wire.MAGIC):
            raise ProtocolError("not a blob server of this version", where=reasons.BLOB_FRAME)
        assert self._transport is not None
        own, nonce = self._identity.public, greeting[len(blob_wire.MAGIC) :]
        signature = self._identity.sign(blob_wire.challenge(nonce, self._contact.public, own))
        self._transport.write(own + signature)
        self.ready.set_result(None)

    def _check(self) -> None:
        self._timer = None
        if self.ended or not self._waiting:
            return
        now = self._loop.time()
        due = min(self._moved + _STALL, self._turn + _SLOWEST)
        if now >= due:
            self.stalled = True
            self._end(self._failure("too slow"))
        else:
            self._timer = self._loop.call_later(due - now, self._check)

    def _end(
        self,
        error: PocketHiveError,
        when: Callable[[Callable[[], None]], object] = lambda abort: abort(),
    ) -> None:
        if self.ended:
            return
        self.ended = True
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            when(self._transport.abort)
        if not self.ready.done():
            self.ready.set_exception(error)
            return
        for asked in self._waiting:
            if not asked.answer.done():
                asked.answer.set_exception(error)
                error = self._failure("another answer was out of shape")  # counted once
        self._waiting.clear()

    def _failure(self, why: str, cause: Exception | None = None) -> NetworkError:
        contact = self._contact
        error = NetworkError(
            f"the blob connection failed: {why}", where=f"{contact.host}:{contact.port}"
        )
        error.__cause__ = cause
        return error


async def dial(identity: Identity, contact: Contact) -> Link:
    """A link to a contact, proved from both sides.

    Raises:
        NetworkError: not reachable, too slow, or another key than the contact's.
        ProtocolError: what answers speaks something else.
    """
    link = Link(identity, contact)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_HANDSHAKE):
            await loop.create_connection(
                lambda: link, contact.host, contact.port, ssl=_CLIENT, ssl_shutdown_timeout=1.0
            )
            await asyncio.shield(link.ready)
    except (OSError, TimeoutError) as error:
        link.close()
        raise NetworkError(
            f"the blob connection failed: {error or type(error).__name__}",
            where=f"{contact.host}:{contact.port}",
        ) from error
    except BaseException:
        link.close()
        raise
    finally:
        if not link.ready.cancel():
            link.ready.exception()
    return link


def _client_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # The key is pinned by `Link`: no authority and no name could say more than that.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


_CLIENT: Final = _client_context()
