"""Blobs over TLS 1.3: the server's certificate is its device key, the client proves his inside.

    server: magic 4, nonce 32 | client: key 32, signature 64
    client: hash 32           | server: status 1, size 8, bytes        (again and again)

The standard library's `ssl` cannot ask an unknown client for a certificate without a chain to
verify, so the client signs (nonce, server's key, client's key) inside the channel. Nobody can pass
that signature on: the client pins the server's key before it signs, and signs that key too.

Guards: nothing is sent to a server whose certificate holds another key than the contact; sizes,
connections and waiting times are bounded on both sides.
"""

import asyncio
import contextlib
import datetime
import logging
import secrets
import ssl
import tempfile
from collections import OrderedDict
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from pockethive.core.canonical import digest
from pockethive.core.errors import NetworkError, ProtocolError
from pockethive.dht.blobs import MAX_BLOB, Answer
from pockethive.dht.contact import Contact
from pockethive.dht.identity import PUBLIC_SIZE, SIGNATURE_SIZE, Identity, verify

log = logging.getLogger(__name__)

_MAGIC: Final = b"PHB1"
_FOUND: Final = 0
_REFUSED: Final = 1
_CHUNK: Final = 2**18
_HANDSHAKE: Final = 5.0  # seconds, TLS and ours
_IDLE: Final = 60.0  # seconds that a server keeps a silent connection
_STALL: Final = 20.0  # seconds without progress in a transfer
_MAX_CONNECTIONS: Final = 64  # served at a time
_POOL: Final = 8  # kept by a client
_YEARS: Final = datetime.timedelta(days=36500)

_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class TlsCarrier:
    """Serves and fetches blobs of one device. Belongs to one event loop."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._server: asyncio.Server | None = None
        self._answer: Answer | None = None
        self._serving: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._pool: OrderedDict[Contact, _Connection] = OrderedDict()

    async def listen(self, contact: Contact, answer: Answer) -> None:
        """Serve `answer` at the contact's host and port. Raises OSError when it is taken."""
        self._answer = answer
        self._server = await asyncio.start_server(
            self._connected,
            contact.host,
            contact.port,
            ssl=_server_context(self._identity),
            ssl_handshake_timeout=_HANDSHAKE,
            ssl_shutdown_timeout=1.0,
        )

    async def fetch(self, contact: Contact, name: str) -> bytes:
        """What the contact gives for a blob; the caller checks it against the name.

        Raises:
            NetworkError: not reachable, another key than the contact's, missing, or refused.
            ProtocolError: more than a blob may hold.
        """
        connection = self._pool.get(contact)
        if connection is not None and not connection.closed:
            self._pool.move_to_end(contact)
            with contextlib.suppress(NetworkError):  # it may have been idle too long: dial anew
                return await connection.fetch(name)
            if not connection.closed:
                raise _missing(contact)
        connection = self._pool[contact] = _Connection(self._identity, contact)
        self._pool.move_to_end(contact)
        while len(self._pool) > _POOL:
            _, oldest = self._pool.popitem(last=False)
            oldest.close()
        return await connection.fetch(name)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for connection in self._pool.values():
            connection.close()
        self._pool.clear()
        for task, writer in list(self._serving.items()):
            task.cancel()
            writer.transport.abort()
        await asyncio.gather(*self._serving, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()
        await asyncio.sleep(0)  # aborted transports close their sockets in the loop's next round

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._serving) >= _MAX_CONNECTIONS:
            writer.transport.abort()
            return
        task = asyncio.create_task(self._serve(reader, writer), name="pockethive-blobs")
        self._serving[task] = writer
        task.add_done_callback(lambda done: self._serving.pop(done, None))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_HANDSHAKE):
                peer = await self._greet(reader, writer)
            while True:
                async with asyncio.timeout(_IDLE):
                    name = await reader.readexactly(32)
                await self._send(writer, peer, name.hex())
        except (OSError, EOFError, TimeoutError, ProtocolError) as error:
            log.debug("a blob connection ended: %s", error)
        except Exception:
            log.exception("serving a blob failed")
        finally:
            writer.transport.abort()

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        """The client's key, proved."""
        nonce = secrets.token_bytes(32)
        writer.write(_MAGIC + nonce)
        proof = await reader.readexactly(PUBLIC_SIZE + SIGNATURE_SIZE)
        peer, signature = proof[:PUBLIC_SIZE], proof[PUBLIC_SIZE:]
        if not verify(peer, _challenge(nonce, self._identity.public, peer), signature):
            raise ProtocolError("a client that cannot prove its key")
        return peer

    async def _send(self, writer: asyncio.StreamWriter, peer: bytes, name: str) -> None:
        assert self._answer is not None
        data = await asyncio.to_thread(self._answer, peer, name)
        if data is None:
            writer.write(bytes((_REFUSED,)) + bytes(8))
            return
        writer.write(bytes((_FOUND,)) + len(data).to_bytes(8, "big"))
        for start in range(0, len(data), _CHUNK):
            writer.write(data[start : start + _CHUNK])
            async with asyncio.timeout(_STALL):
                await writer.drain()


class _Connection:
    """One client connection, dialled on first use; fetches wait for one another."""

    def __init__(self, identity: Identity, contact: Contact) -> None:
        self._identity, self._contact = identity, contact
        self._streams: _Streams | None = None
        self._lock = asyncio.Lock()
        self.closed = False

    async def fetch(self, name: str) -> bytes:
        """Raises NetworkError; when the fault is the connection's, it is `closed` then."""
        async with self._lock:
            try:
                if self._streams is None:
                    async with asyncio.timeout(_HANDSHAKE):
                        self._streams = await self._dial()
                data = await self._exchange(self._streams, name)
            except (OSError, EOFError, TimeoutError) as error:
                self.close()
                raise NetworkError(
                    f"the blob connection failed: {error or type(error).__name__}",
                    where=f"{self._contact.host}:{self._contact.port}",
                ) from error
            except BaseException:
                self.close()  # cancelled or broken in the middle: what follows is out of step
                raise
        if data is None:
            raise _missing(self._contact)
        return data

    def close(self) -> None:
        self.closed = True
        if self._streams is not None:
            self._streams[1].transport.abort()

    async def _dial(self) -> _Streams:
        contact = self._contact
        reader, writer = await asyncio.open_connection(
            contact.host, contact.port, ssl=_CLIENT, limit=2**20, ssl_shutdown_timeout=1.0
        )
        self._streams = reader, writer
        if _peer_key(writer) != contact.public:
            raise ConnectionError("another device than the contact's answers there")
        greeting = await reader.readexactly(len(_MAGIC) + 32)
        if not greeting.startswith(_MAGIC):
            raise ConnectionError("not a PocketHive blob server")
        own = self._identity.public
        message = _challenge(greeting[len(_MAGIC) :], contact.public, own)
        writer.write(own + self._identity.sign(message))
        return reader, writer

    async def _exchange(self, streams: _Streams, name: str) -> bytes | None:
        reader, writer = streams
        writer.write(bytes.fromhex(name))
        async with asyncio.timeout(_STALL):
            head = await reader.readexactly(9)
        size = int.from_bytes(head[1:], "big")
        if head[0] != _FOUND:
            return None
        if size > MAX_BLOB:
            raise ProtocolError(f"a blob of {size} bytes, at most {MAX_BLOB} are fetched")
        data = bytearray()
        while len(data) < size:
            async with asyncio.timeout(_STALL):
                piece = await reader.read(min(_CHUNK, size - len(data)))
            if not piece:
                raise EOFError("the connection ended in the middle of a blob")
            data += piece
        return bytes(data)


async def fetch_blob(contact: Contact, name: str, identity: Identity) -> bytes:
    """One blob over a connection of its own, unchecked. See `TlsCarrier.fetch`."""
    carrier = TlsCarrier(identity)
    try:
        return await carrier.fetch(contact, name)
    finally:
        await carrier.close()


def _client_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # The key is pinned by `_peer_key`: no authority and no name could say more than that.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


_CLIENT: Final = _client_context()


def _server_context(identity: Identity) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0  # sessions are not resumed
    with tempfile.TemporaryDirectory() as folder:  # mode 0700; ssl reads keys from files only
        file = Path(folder) / "pair.pem"
        key = identity.tls_key()
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        file.touch(mode=0o600)
        file.write_bytes(pem + _certificate(identity).public_bytes(Encoding.PEM))
        context.load_cert_chain(file)
    return context


def _certificate(identity: Identity) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pockethive")])
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)  # the key counts, not the dates
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(identity.tls_key().public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + _YEARS)
        .sign(identity.tls_key(), None)
    )


def _peer_key(writer: asyncio.StreamWriter) -> bytes | None:
    """The Ed25519 key in the server's certificate; TLS 1.3 has proved that he holds it."""
    certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    key = x509.load_der_x509_certificate(certificate).public_key()
    return key.public_bytes_raw() if isinstance(key, Ed25519PublicKey) else None


def _challenge(nonce: bytes, server: bytes, client: bytes) -> bytes:
    return digest("blob-client", nonce, server, client)


def _missing(contact: Contact) -> NetworkError:
    return NetworkError(
        "that device does not give the blob", where=f"{contact.host}:{contact.port}"
    )
