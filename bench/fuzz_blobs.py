"""Hostile frames on both ends of blob connections: real TLS on loopback, real server and client.

A node's server hears noise instead of TLS, of proofs and of requests; a node's client asks a server
that answers with damaged, forged, cut, doubled and boundless answers and manifests.
"""

import asyncio
import contextlib
import random
import ssl
import struct
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Self

from pockethive.core.errors import NetworkError, ProtocolError, StorageError
from pockethive.dht import blob_wire
from pockethive.dht.audience import EVERYONE
from pockethive.dht.carrier import HEAD, Kind, Reply
from pockethive.dht.certificate import certificate_pem
from pockethive.dht.chunks import CHUNK, LEAF_SIZE, MAX_MANIFEST
from pockethive.dht.contact import Contact
from pockethive.dht.node import Node
from pockethive.dht.testing import somebody
from pockethive.dht.tls import TlsCarrier
from pockethive.dht.tls_client import _CLIENT

REQUESTS = 40  # of one connection to the server
ASKS = 16  # of one connection to the forger
WHOLE_FETCHES = 40  # rounds from one fetch with all its repeats to the next
PATIENCE = 10.0  # seconds for one round
QUIET = 0.2  # seconds without a request after which the forger hangs up

EVIL, ASKER = somebody("evil"), somebody("asker")
SMALL = b"a blob of one chunk" * 9
LARGE = bytes(CHUNK) + b"and a little"


class BlobFuzzer:
    """Two nodes, and a server whose key is known and whose answers are not."""

    def __init__(self, rng: random.Random, mutated: Callable[[bytes], bytes]) -> None:
        self.rng, self.mutated = rng, mutated
        self.seen: Counter[str] = Counter()
        self.faults: list[str] = []
        self._rounds = 0
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        self.holder = await self._stack.enter_async_context(Node.open())
        self.reader = await self._stack.enter_async_context(Node.open())
        self.names = [self.holder.blobs.put(data, EVERYONE) for data in (SMALL, LARGE)]
        manifest = self.holder.blobs.manifest(self.names[1])
        assert manifest is not None
        self.manifest = manifest.encode()
        self.carrier = TlsCarrier(ASKER)
        self._stack.push_async_callback(self.carrier.close)
        with tempfile.TemporaryDirectory() as folder:
            pem = Path(folder) / "evil.pem"
            pem.write_bytes(certificate_pem(EVIL))
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(pem)
        forger = await asyncio.start_server(self._forge, "127.0.0.1", 0, ssl=context)
        self._stack.callback(forger.close)
        self.forger = Contact(EVIL.public, "127.0.0.1", forger.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def round(self) -> None:
        """One connection each way; at times a whole fetch."""
        self._rounds += 1
        try:
            async with asyncio.timeout(PATIENCE):
                await self._attack_server()
                await self._ask_forger()
                if self._rounds % WHOLE_FETCHES == 1:
                    await self._fetch()
        except TimeoutError:
            self.faults.append(f"round {self._rounds} of blobs did not end")

    # against the server

    async def _attack_server(self) -> None:
        host, port = self.holder.contact.address
        if self.rng.random() < 0.1:
            _, writer = await asyncio.open_connection(host, port)
            writer.write(self.rng.randbytes(self.rng.randrange(1, 600)))
            self.seen["noise instead of TLS"] += 1
            await _hang_up(writer)
            return
        reader, writer = await asyncio.open_connection(host, port, ssl=_CLIENT)
        try:
            nonce = (await reader.readexactly(blob_wire.GREETING_SIZE))[4:]
            said = blob_wire.challenge(nonce, self.holder.identity.public, ASKER.public)
            proof = ASKER.public + ASKER.sign(said)
            if self.rng.random() < 0.2:
                writer.write(self.mutated(proof))
                self.seen["damaged proof"] += 1
                return
            writer.write(proof)
            for _ in range(REQUESTS):
                await self._request(reader, writer)
            writer.write(self.rng.randbytes(self.rng.randrange(blob_wire.REQUEST.size)))
        except (OSError, EOFError):
            self.seen["the server hung up"] += 1
        finally:
            await _hang_up(writer)

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request of the right size; its answer has to be in bounds, and right if it is any."""
        name = bytes.fromhex(self.rng.choice(self.names))
        index = self.rng.choice([HEAD, HEAD, 0, 1, 2, 2**31, HEAD - 1])
        data = blob_wire.REQUEST.pack(name, index)
        if self.rng.random() < 0.7:
            data = self.mutated(data)[: len(data)].ljust(len(data), b"\0")
        writer.write(data)
        asked, index = blob_wire.unpack_request(data)
        kind, size = blob_wire.unpack_answer(await reader.readexactly(5), index)
        body = await reader.readexactly(size)
        self.seen[f"requests answered: {kind.name.lower()}"] += 1
        if kind is not Kind.REFUSED and (
            asked not in self.names
            or body not in (SMALL, self.manifest, LARGE[:CHUNK], LARGE[CHUNK:])
        ):
            self.faults.append(f"a wrong answer to {data.hex()}")

    # against the client

    async def _ask_forger(self) -> None:
        indexes = [self.rng.choice([HEAD, HEAD, 0, 1]) for _ in range(ASKS)]
        name = self.rng.choice(self.names)
        asks = (self.carrier.ask(self.forger, name, index) for index in indexes)
        for result in await asyncio.gather(*asks, return_exceptions=True):
            self._judge(result)
        self.carrier.hang_up(self.forger)

    async def _fetch(self) -> None:
        for name in self.names:
            try:
                await self.reader.fetch(name, [self.forger])
                self.seen["fetches ended: whole"] += 1
                self.reader.blobs.drop(name)
            except (NetworkError, StorageError) as error:
                self._judge(error)

    def _judge(self, result: Reply | BaseException) -> None:
        match result:
            case Reply(data=data):
                self.seen["answers taken"] += 1
                if len(data) > max(CHUNK, MAX_MANIFEST):
                    self.faults.append(f"an answer of {len(data)} bytes was taken")
            case NetworkError() | ProtocolError() | StorageError():
                self.seen[f"answers refused: {type(result).__name__}"] += 1
            case error:
                self.faults.append(f"the client raised {error!r}")

    async def _forge(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The hostile server, on one connection."""
        with contextlib.suppress(OSError, EOFError, TimeoutError):
            greeting = blob_wire.MAGIC + self.rng.randbytes(32)
            if self.rng.random() < 0.1:
                greeting = self.mutated(greeting)
            writer.write(greeting)
            async with asyncio.timeout(QUIET):  # of a cut greeting the client waits for the rest
                await reader.readexactly(blob_wire.PROOF_SIZE)
            while await self._answer(reader, writer):
                self.seen["answers forged"] += 1
        writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection goes on."""
        rng = self.rng
        async with asyncio.timeout(QUIET):  # the client may wait for more of the last answer
            request = await reader.readexactly(blob_wire.REQUEST.size)
        name, index = blob_wire.unpack_request(request)
        true = self._true(name, index)
        choice = rng.randrange(12)
        match choice:
            case 0:
                data = self.mutated(true[:5]) + true[5:]
            case 1:
                data = true[:5] + self.mutated(true[5:3000]) + true[3000:]
            case 2:
                sizes = (0, 1, 16, CHUNK, CHUNK + 1, MAX_MANIFEST, MAX_MANIFEST + 1, 2**32 - 1)
                data = struct.pack(">BI", rng.randrange(6), rng.choice(sizes)) + rng.randbytes(99)
            case 3:
                data = true * 2
            case 4:
                data = true[: rng.randrange(len(true))]
            case 5:
                forged = struct.pack(">BQ", 1, rng.choice([0, CHUNK, CHUNK + 1, 2**40, 2**63]))
                forged += rng.randbytes(LEAF_SIZE * rng.randrange(4))
                data = struct.pack(">BI", Kind.MANIFEST, len(forged)) + forged
            case _:
                data = true
        writer.write(data)
        await writer.drain()
        return choice != 4

    def _true(self, name: str, index: int) -> bytes:
        if index != HEAD:
            kind, body = Kind.CHUNK, LARGE[index * CHUNK : (index + 1) * CHUNK]
        elif name == self.names[0]:
            kind, body = Kind.WHOLE, SMALL
        else:
            kind, body = Kind.MANIFEST, self.manifest
        return blob_wire.ANSWER.pack(kind, len(body)) + body


async def _hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(2):
            await writer.wait_closed()
