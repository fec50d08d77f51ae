"""Test vectors of docs/wire.md, for whoever writes a second implementation.

    python -m bench.vectors     writes tests/dht/vectors.json anew: do so only when the wire changes

Everything follows from fixed seeds; bytes are hex.
"""

import json
from pathlib import Path
from typing import Any

from bench.vectors_hive import hive_vectors
from pockethive.core.canonical import digest, encode
from pockethive.dht import wire
from pockethive.dht.contact import Contact
from pockethive.dht.eviction import kept_places
from pockethive.dht.identity import Identity, certify, node_id
from pockethive.dht.merge import merge
from pockethive.dht.reasons import Counts
from pockethive.dht.record import (
    MAX_BODY,
    Draft,
    Record,
    sign_batch,
    sign_record,
    sign_tombstone,
)
from pockethive.dht.rules import NOTE
from pockethive.dht.seal import Sealer, montgomery
from pockethive.dht.testing import Line
from pockethive.dht.transport import Message, SealedTransport

FILE = Path(__file__).parent.parent / "tests" / "dht" / "vectors.json"
NOW = 1_800_000_000
ANNA, BERT = (Identity.from_seed(bytes((n,)) * 32) for n in (1, 2))
SALT = bytes(range(16))
KEY = digest("test-key", b"vectors")[:20]

_VALUES: list[Any] = [
    None,
    [True, False, 0, -1, 2**53, -(2**53)],
    {"b": 1, "a": {"Z": [], "_": {}}, "B": ""},
    'quote " backslash \\ slash / bell \x07 tab \t line \n delete \x7f',
    "Grüße, 蜂, 🐝",
]
_REFUSED = [
    '{"b":1,"a":2}',
    '{"a": 1}',
    "1.0",
    "1e3",
    '"\\u0041"',
    '{"a":1,"a":1}',
    "[1,]",
    '"\\/"',
]


def vectors() -> dict[str, Any]:
    """All of them, as they stand in the file."""
    return {
        "v": 1,
        "canonical": [{"value": value, "bytes": encode(value).hex()} for value in _VALUES],
        "refused": [text.encode().hex() for text in _REFUSED],
        "digests": [
            _digest(*parts) for parts in ([], [b""], [b"", b""], [b"ab", b"c"], [b"a", b"bc"])
        ],
        "keys": [_key(identity, n) for n, identity in ((1, ANNA), (2, BERT))],
        "certificate": {
            "owner": ANNA.public.hex(),
            "device": BERT.public.hex(),
            "signature": certify(ANNA, BERT.public).hex(),
        },
        "contacts": [_contact(host) for host in ("192.0.2.7", "2001:db8::7")],
        "records": [_record(record) for record in _records()],
        "batch": [{**_record(record), "path": record.path.hex()} for record in _batch()],
        "joins": [
            _join(names) for names in ([0, 1], [0, 1, 2], [2, 3, 0], [4, 0, 5], [4, 6], [7, 8])
        ],
        "places": [_places(own, total) for own, total in ((1, 2), (2, 3), (3, 4))],
        "datagrams": _datagrams(),
        "messages": [_message(*example) for example in _examples()],
        "bundle": _bundle(),
        "blob_client": {
            "nonce": SALT.hex() * 2,
            "server": ANNA.public.hex(),
            "client": BERT.public.hex(),
            "signature": BERT.sign(digest("blob-client", SALT * 2, ANNA.public, BERT.public)).hex(),
        },
        **hive_vectors(),
    }


def _digest(*parts: bytes) -> dict[str, Any]:
    return {
        "domain": "test",
        "parts": [part.hex() for part in parts],
        "digest": digest("test", *parts).hex(),
    }


def _key(identity: Identity, number: int) -> dict[str, Any]:
    return {
        "seed": (bytes((number,)) * 32).hex(),
        "public": identity.public.hex(),
        "node_id": node_id(identity.public).hex(),
        "agreement_secret": identity.agreement_secret.hex(),
        "agreement_public": montgomery(identity.public).hex(),
    }


def _contact(host: str) -> dict[str, Any]:
    contact = Contact(ANNA.public, host, 4400)
    return {
        "public": ANNA.public.hex(),
        "host": host,
        "port": 4400,
        "text": str(contact),
        "bytes": wire.pack_contacts([contact]).hex(),
    }


def _note(body: bytes, life: int, author: Identity = ANNA, slot: bytes = b"") -> Record:
    return sign_record(author, NOTE, KEY, slot, NOW + life, body)


def _records() -> list[Record]:
    first = _note(b"first", 600)
    return [
        first,
        _note(b"second", 300),
        _note(b"third", 900),
        _note(b"first", 700),
        sign_tombstone(ANNA, first),
        _note(b"last", 86_400),
        sign_tombstone(ANNA, first, NOW + 800),
        _note(b"other", 600, BERT),
        _note(b"", 10, ANNA, b"\x00slot\xff"),
        sign_record(BERT, "k" * 32, bytes(20), bytes(64), 2**40 - 1, b"\xff" * MAX_BODY),
    ]


def _batch() -> list[Record]:
    """Five, so that one leaf goes up two levels as it is."""
    drafts = [Draft(NOTE, KEY, b"%d" % n, NOW + 600, b"together %d" % n) for n in range(5)]
    return sign_batch(ANNA, drafts)


def _record(record: Record) -> dict[str, Any]:
    return {
        "kind": record.kind,
        "key": record.key.hex(),
        "author": record.author.hex(),
        "slot": record.slot.hex(),
        "expires": record.expires,
        "body": record.body.hex(),
        "digest": record.digest.hex(),
        "signature": record.signature.hex(),
        "bytes": record.encode().hex(),
    }


def _join(names: list[int]) -> dict[str, Any]:
    """Numbers of records that arrive, all alive, and of those that stay, best first."""
    records = _records()
    kept = merge(records[name] for name in names)
    return {"arrive": names, "stay": [records.index(record) for record in kept]}


def _places(own: int, total: int) -> dict[str, Any]:
    places = [(author, bytes((n,))) for author in (ANNA.public, BERT.public) for n in range(4)]
    kept = kept_places(KEY, places, (own, total), lambda author: 0)
    return {
        "key": KEY.hex(),
        "of_an_author": own,
        "in_all": total,
        "places": [[author.hex(), slot.hex()] for author, slot in places],
        "stay": sorted([author.hex(), slot.hex()] for author, slot in kept),
    }


def _datagrams() -> list[dict[str, Any]]:
    """Anna starts with the boot salt and sends three to Bert, then one to herself is refused."""
    sealer = Sealer(ANNA, lambda: NOW + 0.25, lambda size: SALT)
    plains = [b"", b"hello", bytes(1151)]
    return [
        {
            "sender": (bytes((1,)) * 32).hex(),
            "receiver": (bytes((2,)) * 32).hex(),
            "salt": SALT.hex(),
            "counter": counter,
            "time": NOW * 1000 + 250,
            "plain": plain.hex(),
            "bytes": sealer.seal(BERT.public, plain).hex(),
        }
        for counter, plain in enumerate(plains)
    ]


def _examples() -> list[tuple[int, list[Any]]]:
    big = _records()[-1].encode()
    contact = wire.pack_contacts([Contact(BERT.public, "192.0.2.7", 4400)])
    name = _records()[0].digest[:16]
    return [
        (wire.REQUEST, ["ping"]),
        (wire.REPLY, [0, 0]),
        (wire.REQUEST, ["find_node", KEY]),
        (wire.REPLY, [0, contact]),
        (wire.REQUEST, ["find_value", KEY]),
        (wire.REPLY, [0, [contact, name, [_records()[0].encode()]]]),
        (wire.REQUEST, ["fetch", KEY, name]),
        (wire.REQUEST, ["store", big]),
        (wire.REPLY, [0, 1]),
        (wire.REQUEST, ["deposit", _records()[0].encode(), KEY, KEY[:16]]),
        (wire.REPLY, [0, [1, contact]]),
        (wire.REQUEST, ["hold", [record.encode() for record in _records()[:2]]]),
        (wire.REPLY, [0, b"\x01\x00"]),
        (wire.REQUEST, ["lacks", KEY + name]),
        (wire.REPLY, [0, b"\x01"]),
        (wire.REQUEST, ["ask", "witness", b"\x00\xff"]),
        (wire.REPLY, [1, "busy"]),
    ]


def _message(kind: int, value: list[Any]) -> dict[str, Any]:
    payload = (
        wire.pack_request(value[0], value[1:])
        if kind == wire.REQUEST
        else wire.pack_refusal(value[1])
        if value[0]
        else wire.pack_reply(value[1])
    )
    return {
        "kind": kind,
        "id": 2**64 - 2,
        "value": _plain(value),
        "payload": payload.hex(),
        "fragments": [fragment.hex() for fragment in _fragments(kind, payload)],
    }


def _fragments(kind: int, payload: bytes) -> list[bytes]:
    """What `SealedTransport` cuts a payload into, opened again."""
    catcher = Line()
    ours = Sealer(ANNA, lambda: NOW, lambda size: SALT)
    transport = SealedTransport(catcher, ours, Counts())
    transport.send(Message(BERT.public, ("192.0.2.7", 1), kind, 2**64 - 2, payload))
    theirs = Sealer(BERT, lambda: NOW, lambda size: SALT)
    return [theirs.open(datagram)[1] for datagram in catcher.sent]


def _bundle() -> dict[str, Any]:
    """Two requests in one datagram, the second a client's."""
    ping, find = wire.pack_request("ping", ()), wire.pack_request("find_node", (KEY,))
    messages = [
        wire.HEAD.pack(wire.REQUEST, 1, 0, 1) + ping,
        wire.HEAD.pack(wire.REQUEST | wire.CLIENT, 2, 0, 1) + find,
    ]
    (plain,) = wire.bundle(messages)
    return {"messages": [message.hex() for message in messages], "plain": plain.hex()}


def _plain(value: Any) -> Any:
    """Bytes as `{"bytes": hex}`, so that JSON tells them from text."""
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def main() -> None:
    FILE.write_text(json.dumps(vectors(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"wrote {FILE}")


if __name__ == "__main__":
    main()
