"""Reason codes: every drop counts exactly one, and nothing else can be counted."""

import ast
import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pockethive.core.errors import BadEncoding, BadSignature, ProtocolError
from pockethive.dht import reasons, wire
from pockethive.dht.contact import Contact
from pockethive.dht.limits import Limits
from pockethive.dht.reasons import REASONS, Counts, code_of
from pockethive.dht.seal import WINDOW, Sealer
from pockethive.dht.settings import NodeSettings
from pockethive.dht.testing import NOW, Receiver, hive, key, note, somebody

DHT = Path(__file__).parent.parent.parent / "dht"
RECEIVING = ("seal", "transport", "wire", "protocol", "calls", "methods", "limits", "reach")


def test_every_code_has_one_line_and_every_constant_is_a_code() -> None:
    constants = {v for k, v in vars(reasons).items() if k.isupper() and isinstance(v, str)}
    assert constants == REASONS.keys()
    assert all("\n" not in line and 10 < len(line) < 90 for line in REASONS.values())


def test_an_unknown_reason_cannot_be_counted() -> None:
    counts = Counts()
    with pytest.raises(KeyError, match="no reason code"):
        counts["a new one"] += 1
    counts[reasons.SEAL] += 1
    assert dict(counts) == {"seal": 1}


def test_errors_of_the_rules_count_by_their_class() -> None:
    assert code_of(ProtocolError("x", where="seal")) == "seal"
    assert code_of(ProtocolError("x", where="10.0.0.1:5")) == "refused"
    assert code_of(BadSignature("x")) == "signature"
    assert code_of(BadEncoding("x")) == "encoding"


@pytest.mark.parametrize("name", RECEIVING)
def test_what_the_receive_path_raises_names_its_reason(name: str) -> None:
    """Found by reading: `raise ProtocolError(…, where=reasons.CODE)`."""
    bare = []
    for node in ast.walk(ast.parse((DHT / f"{name}.py").read_text())):
        if not (isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)):
            continue
        call = node.exc
        if getattr(call.func, "id", "") not in {"ProtocolError", "BadEncoding", "BadSignature"}:
            continue
        words = {word.arg: word.value for word in call.keywords}
        if not isinstance(words.get("where"), ast.Attribute):
            bare.append(node.lineno)
    sending = {"seal": 1, "wire": 1}  # what is too long to be sent is the caller's own fault
    assert len(bare) == sending.get(name, 0), bare


def damaged(ear: Receiver) -> bytes:
    data = bytearray(ear.ask("ping"))
    data[-1] ^= 1
    return bytes(data)


def replayed(ear: Receiver) -> bytes:
    data = ear.say(wire.REPLY, b"")
    ear.hear(data)
    ear.protocol.counters.clear()
    return data


def stale(ear: Receiver) -> bytes:
    data = ear.ask("ping")
    ear.now += WINDOW + 1
    return data


def torn(ear: Receiver) -> bytes:
    ear.hear(ear.say(wire.REQUEST, b"x", (0, 3)))
    ear.sent -= 1
    return ear.say(wire.REQUEST, b"x", (1, 4))


def unsigned(ear: Receiver) -> bytes:
    record = bytearray(note(somebody("anna")).encode())
    at = record.index(b'"signature":"') + 13
    record[at : at + 8] = b"AAAAAAAA"
    return ear.ask("store", bytes(record))


OWN = Sealer(somebody("receiver"), lambda: NOW, bytes)
DROPS: dict[str, Callable[[Receiver], bytes]] = {
    "size": lambda ear: b"x" * 30,
    "version": lambda ear: b"\x09" + bytes(100),
    "key": lambda ear: OWN.seal(ear.sender.public, b"to ourselves"),
    "seal": damaged,
    "clock": stale,
    "replay": replayed,
    "head": lambda ear: ear.say(9, b""),
    "bundle": lambda ear: ear.sealer.seal(ear.public, b"\x04\x00"),
    "fragment": torn,
    "msgpack": lambda ear: ear.say(wire.REQUEST, b"\xc1" * 16),
    "shape": lambda ear: ear.ask("find_node", b"short"),
    "method": lambda ear: ear.ask("no such"),
    "short": lambda ear: ear.say(wire.REQUEST, b"\x91\xa1x"),
    "proof": lambda ear: ear.say(wire.PROOF, bytes(8)),
    "unproven": lambda ear: ear.ask("dial", 0),
    "late": lambda ear: ear.say(wire.REPLY, wire.pack_reply(0)),
    "expired": lambda ear: ear.ask("store", note(somebody("anna"), expires=NOW - 5).encode()),
    "signature": unsigned,
    "encoding": lambda ear: ear.ask("store", b"no record"),
}


@pytest.mark.parametrize("code", DROPS)
async def test_each_drop_counts_once_under_one_code(code: str) -> None:
    ear = Receiver()
    ear.hear(DROPS[code](ear))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert dict(ear.protocol.counters) == {code: 1}
    assert ear.protocol.stop() == []
    assert ear.line.is_closing()


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("stranger", {"admit": lambda public: False}),
        ("puzzle", {"puzzle_bits": 30}),
        ("flood", {"limits": Limits(subnet=0.0, loopback=True)}),
        ("peer-flood", {"limits": Limits(key=0.0, loopback=True)}),
        ("client", {"client": True}),
    ],
)
async def test_each_drop_by_the_settings_counts_once(code: str, changes: dict[str, Any]) -> None:
    ear = Receiver(NodeSettings(**changes))
    ear.hear(ear.ask("find_node", key("x")))
    assert dict(ear.protocol.counters) == {code: 1}


async def test_an_answer_from_another_key_than_asked_counts_as_an_impostors() -> None:
    ear = Receiver()
    asked = Contact(somebody("asked").public, "127.0.0.1", 9)
    call = asyncio.create_task(ear.protocol.call(asked, "ping"))
    await asyncio.sleep(0)
    (ident,) = ear.protocol._calls._waiting
    head = wire.HEAD.pack(wire.REPLY, ident, 0, 1)
    ear.hear(ear.sealer.seal(ear.public, head + wire.pack_reply(0)))
    assert dict(ear.protocol.counters) == {"impostor": 1}
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)


async def test_what_goes_wrong_with_a_peers_answer_is_counted_too() -> None:
    async with hive(None, None) as (one, two):
        with pytest.raises(ProtocolError):
            await one._protocol.call(two.contact, "no such")
        assert (one.counters["refused"], two.counters["method"]) == (1, 1)
        with pytest.raises(ProtocolError):
            one._protocol.contacts(b"x", two.contact)
        assert one.counters["contacts"] == 1
