"""The serving end of blob connections.

Guards: connections are accepted only while there is room for them, handshakes included; no peer
holds all of them; each answer leaves within a time limit; whatever a peer sends ends as an answer
or as one counted drop.
"""

import asyncio
import logging
import secrets
import socket
import ssl
import tempfile
from collections import Counter
from pathlib import Path
from typing import Final

from pockethive.core.errors import PocketHiveError, ProtocolError
from pockethive.dht import blob_wire, reasons
from pockethive.dht.carrier import Answer, Reply
from pockethive.dht.certificate import certificate_pem
from pockethive.dht.contact import Contact
from pockethive.dht.identity import PUBLIC_SIZE, Identity, verify
from pockethive.dht.wire import is_address

log = logging.getLogger(__name__)

MAX_CONNECTIONS: Final = 64  # at a time, also those that are not yet authenticated
MAX_UNPROVED: Final = 32  # of one address, before they have proved a key
MAX_OF_PEER: Final = 8  # of one key
_HANDSHAKE: Final = 5.0  # seconds, TLS and ours
_IDLE: Final = 60.0  # seconds that a silent connection is kept
_STALL: Final = 20.0  # seconds that a peer may take to take an answer
_BACKLOG: Final = 100
_SENDING: Final = 2**19  # bytes of an answer that wait in memory while the next one is read
_REQUESTS: Final = 4096  # bytes of requests read ahead
_SHORT: Final = 16_384  # bytes of an answer that leave with its head: one record of TLS


class BlobServer:
    """Listens and answers. Belongs to one event loop."""

    def __init__(self, identity: Identity, answer: Answer, counters: reasons.Counts) -> None:
        self._identity, self._answer, self._counters = identity, answer, counters
        self._context = _context(identity)
        self._slots = asyncio.Semaphore(MAX_CONNECTIONS)
        self._unproved: Counter[str] = Counter()
        self._of_peer: Counter[bytes] = Counter()
        self._listener: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self.serving: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """The one that is listened on."""
        assert self._listener is not None
        port: int = self._listener.getsockname()[1]
        return port

    async def open(self, contact: Contact) -> None:
        """Listen at the contact's host and port, at `::` for IPv4 too. Raises OSError: taken."""
        host, port = contact.address
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        if not is_address(host):  # else no thread has to ask for it
            loop = asyncio.get_running_loop()
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            family, host = found[0][0], str(found[0][4][0])
        both = host == "::" and socket.has_dualstack_ipv6()
        self._listener = socket.create_server(
            (host, port), family=family, backlog=_BACKLOG, dualstack_ipv6=both
        )
        self._listener.setblocking(False)  # noqa: FBT003 - the socket's own name for it
        self._accepting = asyncio.create_task(self._accept(), name="pockethive-blob-server")

    async def close(self) -> None:
        """Stop listening, end what is being served."""
        tasks = [*self.serving, *([self._accepting] if self._accepting else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._listener is not None:
            self._listener.close()
        await asyncio.sleep(0)  # aborted transports close their sockets in the loop's next round

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        assert self._listener is not None
        while True:
            await self._slots.acquire()
            try:
                sock, address = await loop.sock_accept(self._listener)
            except OSError as error:  # no file handle is left, or the peer is gone already
                self._slots.release()
                log.debug("a blob connection was not accepted: %s", error)
                await asyncio.sleep(0.1)
                continue
            task = asyncio.create_task(self._serve(sock, address[0]), name="pockethive-blobs")
            self.serving.add(task)
            task.add_done_callback(self._served)

    def _served(self, task: "asyncio.Task[None]") -> None:
        self.serving.discard(task)
        self._slots.release()

    async def _serve(self, sock: socket.socket, host: str) -> None:
        if self._unproved[host] >= MAX_UNPROVED:
            self._counters[reasons.BLOB_BUSY] += 1
            sock.close()
            return
        streams = _Streams()
        try:
            peer = await self._meet(streams, sock, host)
            if self._of_peer[peer] >= MAX_OF_PEER:
                raise ProtocolError("too many connections of one peer", where=reasons.BLOB_BUSY)
            self._of_peer[peer] += 1
            try:
                await self._converse(streams, peer)
            finally:
                _less(self._of_peer, peer)
        except ProtocolError as error:
            self._counters.note(error)
        except (OSError, TimeoutError, PocketHiveError) as error:
            log.debug("a blob connection ended: %s", error)
        except Exception:
            self._counters[reasons.INTERNAL] += 1
            log.exception("serving a blob failed")
        finally:
            streams.abort()

    async def _meet(self, streams: "_Streams", sock: socket.socket, host: str) -> bytes:
        """TLS, then the client's key, proved. Raises ProtocolError: it did not come to that."""
        self._unproved[host] += 1
        try:
            async with asyncio.timeout(_HANDSHAKE):
                await streams.secure(sock, self._context)
                return await self._prove(streams)
        except (OSError, EOFError, TimeoutError) as error:
            raise ProtocolError(
                f"no blob connection: {error}", where=reasons.BLOB_HANDSHAKE
            ) from error
        finally:
            _less(self._unproved, host)

    async def _prove(self, streams: "_Streams") -> bytes:
        nonce = secrets.token_bytes(blob_wire.NONCE_SIZE)
        streams.writer.write(blob_wire.MAGIC + nonce)
        proof = await streams.reader.readexactly(blob_wire.PROOF_SIZE)
        peer, signature = proof[:PUBLIC_SIZE], proof[PUBLIC_SIZE:]
        if not verify(peer, blob_wire.challenge(nonce, self._identity.public, peer), signature):
            raise ProtocolError("a client that cannot prove its key", where=reasons.BLOB_PROOF)
        return peer

    async def _converse(self, streams: "_Streams", peer: bytes) -> None:
        while True:
            try:
                async with asyncio.timeout(_IDLE):
                    request = await streams.reader.readexactly(blob_wire.REQUEST.size)
            except asyncio.IncompleteReadError as error:
                if error.partial:
                    raise ProtocolError("half a request", where=reasons.BLOB_FRAME) from error
                return
            name, index = blob_wire.unpack_request(request)
            reply = await asyncio.to_thread(self._answer, peer, name, index)
            async with asyncio.timeout(_STALL):
                await streams.send(reply)


class _Streams:
    """A reader and a writer on an accepted socket, once TLS has come about."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None

    async def secure(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        """Raises OSError, TimeoutError: the socket is closed then."""
        loop = asyncio.get_running_loop()
        # asyncio does so for sockets that name their protocol; an accepted one does not. With
        # Nagle's algorithm a small answer waits 40 ms for an acknowledgement that is delayed.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = asyncio.StreamReader(limit=_REQUESTS)
        protocol = asyncio.StreamReaderProtocol(self.reader)
        self._transport, _ = await loop.connect_accepted_socket(
            lambda: protocol,
            sock,
            ssl=context,
            ssl_handshake_timeout=_HANDSHAKE,
            ssl_shutdown_timeout=1.0,
        )
        self._transport.set_write_buffer_limits(high=_SENDING)
        self.writer = asyncio.StreamWriter(self._transport, protocol, self.reader, loop)

    async def send(self, reply: Reply) -> None:
        """One answer; returns when little of it waits in memory. Raises OSError."""
        head = blob_wire.ANSWER.pack(reply.kind, len(reply.data))
        if len(reply.data) <= _SHORT:
            self.writer.write(head + reply.data)
        else:
            self.writer.write(head)
            self.writer.write(reply.data)
        await self.writer.drain()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()


def _less(counter: "Counter[str] | Counter[bytes]", key: "str | bytes") -> None:
    """Count one down; what is at zero takes no place."""
    counts: Counter[str | bytes] = counter  # type: ignore[assignment]  # one of the two
    counts[key] -= 1
    if counts[key] <= 0:
        del counts[key]


def _context(identity: Identity) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0  # sessions are not resumed
    with tempfile.TemporaryDirectory() as folder:  # mode 0700; ssl reads keys from files only
        file = Path(folder) / "pair.pem"
        file.touch(mode=0o600)
        file.write_bytes(certificate_pem(identity))
        context.load_cert_chain(file)
    return context
