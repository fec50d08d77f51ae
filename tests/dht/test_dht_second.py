"""docs/wire.md suffices: the second implementation makes every test vector, and talks to a node."""

import asyncio
import ipaddress
import json
import re
import struct
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from pockethive.dht.node import Node
from pockethive.dht.record import Record
from pockethive.dht.testing import hive
from tests.dht.second import (
    Device,
    batch_signed,
    bundle,
    canonical,
    digest,
    fragments,
    moved,
    pack,
    record,
    request,
    seal,
    text,
    unbundle,
    unseal,
)

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parent / "vectors.json").read_text(encoding="utf-8")
)


def unhex(value: Any) -> Any:
    if isinstance(value, dict):
        return bytes.fromhex(value["bytes"])
    return [unhex(item) for item in value] if isinstance(value, list) else value


def verify(public: str, signature: str, message: bytes) -> None:
    Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)).verify(
        bytes.fromhex(signature), message
    )


# the vectors


def test_this_implementation_is_another_one() -> None:
    lines = (Path(__file__).parent / "second.py").read_text().splitlines()
    assert not [
        line for line in lines if re.match(r"\s*(from|import)\s+(pockethive|bench|tests)", line)
    ]


def test_canonical_bytes() -> None:
    for example in VECTORS["canonical"]:
        assert canonical(example["value"]).encode().hex() == example["bytes"]
    for data in VECTORS["refused"]:
        letters = bytes.fromhex(data).decode()
        try:
            again = canonical(json.loads(letters))
        except (AssertionError, ValueError):
            continue
        assert again != letters


def test_digests() -> None:
    for example in VECTORS["digests"]:
        parts = map(bytes.fromhex, example["parts"])
        assert digest(example["domain"], *parts).hex() == example["digest"]


def test_keys_and_ids() -> None:
    for example in VECTORS["keys"]:
        device = Device(bytes.fromhex(example["seed"]))
        assert device.public.hex() == example["public"]
        assert digest("node-id", device.public)[:20].hex() == example["node_id"]
        assert device.secret.hex() == example["agreement_secret"]
        assert moved(device.public).hex() == example["agreement_public"]
    given = VECTORS["certificate"]
    message = digest(
        "owner-certifies-device", bytes.fromhex(given["owner"]), bytes.fromhex(given["device"])
    )
    verify(given["owner"], given["signature"], message)


def test_contacts() -> None:
    for example in VECTORS["contacts"]:
        public, address = bytes.fromhex(example["public"]), ipaddress.ip_address(example["host"])
        host = f"[{address}]" if address.version == 6 else str(address)
        assert f"{text(public)}@{host}:{example['port']}" == example["text"]
        packed = public + bytes((address.version,)) + address.packed
        assert (packed + struct.pack(">H", example["port"])).hex() == example["bytes"]


def test_records() -> None:
    for example in VECTORS["records"]:
        fields: dict[str, Any] = {"v": 1, "kind": example["kind"], "expires": example["expires"]}
        for name in ("key", "author", "slot", "body"):
            fields[name] = text(bytes.fromhex(example[name]))
        fields["signature"] = text(bytes.fromhex(example["signature"]))
        signed, encoded = record(fields)
        assert signed.hex() == example["digest"]
        verify(example["author"], example["signature"], signed)
        assert encoded.hex() == example["bytes"]
        assert len(encoded) <= 6144


def test_records_of_a_batch() -> None:
    assert len({example["signature"] for example in VECTORS["batch"]}) == 1
    for example in VECTORS["batch"]:
        fields: dict[str, Any] = {"v": 2, "kind": example["kind"], "expires": example["expires"]}
        for name in ("key", "author", "slot", "body", "path", "signature"):
            fields[name] = text(bytes.fromhex(example[name]))
        digested, encoded = record(fields)
        assert (digested.hex(), encoded.hex()) == (example["digest"], example["bytes"])
        signed = batch_signed(digested, bytes.fromhex(example["path"]))
        verify(example["author"], example["signature"], signed)


def test_the_join() -> None:
    records = VECTORS["records"]

    def rank(number: int) -> tuple[bool, int, str]:
        one = records[number]
        return one["body"] == "", one["expires"], one["digest"]

    for example in VECTORS["joins"]:
        places: dict[tuple[str, str, str], list[int]] = {}
        for number in example["arrive"]:
            one = records[number]
            places.setdefault((one["kind"], one["author"], one["slot"]), []).append(number)
        stay: list[int] = []
        for rivals in places.values():
            ranked = sorted(rivals, key=rank, reverse=True)
            if rank(ranked[0])[0]:
                stay.append(ranked[0])
                continue
            bodies = {records[number]["body"]: number for number in reversed(ranked)}
            stay += sorted(bodies.values(), key=rank, reverse=True)[:2]
        assert sorted(stay, key=rank, reverse=True) == example["stay"]


def test_places_under_a_key() -> None:
    for example in VECTORS["places"]:
        key, authors = bytes.fromhex(example["key"]), dict[str, list[tuple[bytes, str]]]()
        for author, slot in example["places"]:
            name = digest("place", key, bytes.fromhex(author), bytes.fromhex(slot))
            authors.setdefault(author, []).append((name, slot))
        order = [
            (turn, name, author, slot)
            for author, named in authors.items()
            for turn, (name, slot) in enumerate(sorted(named)[: example["of_an_author"]])
        ]
        stay = [[author, slot] for _, _, author, slot in sorted(order)[: example["in_all"]]]
        assert sorted(stay) == example["stay"]


@pytest.mark.parametrize("example", VECTORS["datagrams"], ids=lambda example: example["counter"])
def test_datagrams(example: dict[str, Any]) -> None:
    sender, receiver = (Device(bytes.fromhex(example[n])) for n in ("sender", "receiver"))
    inside = struct.pack(">Q", example["time"]) + bytes.fromhex(example["plain"])
    salt = bytes.fromhex(example["salt"])
    whole = seal(sender, receiver.public, salt, example["counter"], inside)
    assert whole.hex() == example["bytes"]
    assert len(whole) <= 1232
    assert unseal(receiver, whole) == inside


def test_messages() -> None:
    for example in VECTORS["messages"]:
        value = unhex(example["value"])
        payload = pack(value) if example["kind"] else request(*value)
        assert payload.hex() == example["payload"]
        pieces = fragments(example["kind"], example["id"], payload)
        assert [piece.hex() for piece in pieces] == example["fragments"]


def test_bundles() -> None:
    given = VECTORS["bundle"]
    messages = [bytes.fromhex(each) for each in given["messages"]]
    assert bundle(messages).hex() == given["plain"]
    assert unbundle(bytes.fromhex(given["plain"])) == messages
    assert messages[1][0] == 0x80, "a client's request"


def test_the_blob_clients_proof() -> None:
    given = VECTORS["blob_client"]
    parts = (bytes.fromhex(given[name]) for name in ("nonce", "server", "client"))
    verify(given["client"], given["signature"], digest("blob-client", *parts))


class Stranger(asyncio.DatagramProtocol):
    """A device that runs the second implementation: asks one node, returns its challenges."""

    def __init__(self, node: Node) -> None:
        self.device, self.peer = Device(bytes((9,)) * 32), node.contact
        self.salt, self.counter, self.ident = b"boot salt of 16.", 0, 100
        self.kinds: list[int] = []
        self.waiting: dict[int, tuple[dict[int, bytes], asyncio.Future[bytes]]] = {}

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def send(self, kind: int, ident: int, payload: bytes) -> None:
        for fragment in fragments(kind, ident, payload):
            inside = struct.pack(">Q", int(time.time() * 1000)) + fragment
            sealed = seal(self.device, self.peer.public, self.salt, self.counter, inside)
            self.counter += 1
            self.transport.sendto(sealed, self.peer.address)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        for plain in unbundle(unseal(self.device, data)[8:]):
            self.message_received(plain)

    def message_received(self, plain: bytes) -> None:
        kind, ident, index, count = struct.unpack_from(">BQBB", plain)
        self.kinds.append(kind)
        if kind == 2:
            self.send(3, ident, plain[11:])
        else:
            parts, answer = self.waiting[ident]
            parts[index] = plain[11:]
            if len(parts) == count and not answer.done():
                answer.set_result(b"".join(parts[number] for number in range(count)))

    async def ask(self, *items: Any) -> bytes:
        self.ident += 1
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.waiting[self.ident] = {}, answer
        self.send(0, self.ident, request(*items))
        async with asyncio.timeout(5):
            return await answer


async def test_a_device_with_the_second_implementation_stores_and_reads_at_a_real_node() -> None:
    async with hive(None, None) as (node, other):
        _, stranger = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: Stranger(node), local_addr=("127.0.0.1", 0)
        )
        key, wires = bytes(range(20)), []
        fields: dict[str, Any] = {"v": 1, "kind": "note", "key": text(key)}
        for number in range(4):
            fields |= {"slot": text(b"%d" % number), "body": text(bytes((65,)) * 1200)}
            fields |= {"author": text(stranger.device.public), "expires": int(time.time()) + 60}
            signed, _ = record(fields)
            whole = record({**fields, "signature": text(stranger.device.key.sign(signed))})[1]
            wires.append((signed, whole))
            assert await stranger.ask("store", whole) == pack([0, 1])
        answer = await stranger.ask("find_value", key)
        names = [signed[:16] for signed, _ in wires]
        assert all(name in answer for name in names)
        found = await stranger.ask("fetch", key, b"".join(names))
        assert sum(whole in found for _, whole in wires) == 3, "as many as fit into 6,000 bytes"
        assert set(await other.get(key)) == {Record.decode(whole) for _, whole in wires}
        assert stranger.kinds[:2] == [2, 1], "first it had to show that it is where it seems to be"
        assert stranger.kinds.count(2) == 1
        stranger.transport.close()


async def test_an_unproven_device_gets_a_challenge_before_any_answer() -> None:
    async with hive(None, None) as (node, _):
        _, stranger = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: Stranger(node), local_addr=("127.0.0.1", 0)
        )
        found = await stranger.ask("find_node", stranger.device.public[:20])
        assert len(found) > 34
        assert 2 in stranger.kinds
        stranger.transport.close()
