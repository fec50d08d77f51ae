"""The code agrees with the committed test vectors, in both directions."""

import json
from typing import Any

import pytest

from bench.vectors import FILE, vectors
from pockethive.core.canonical import decode
from pockethive.core.errors import BadEncoding
from pockethive.dht import wire
from pockethive.dht.contact import Contact
from pockethive.dht.identity import Identity, certified
from pockethive.dht.record import Record
from pockethive.dht.seal import Sealer

VECTORS: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("part", sorted(VECTORS))
def test_the_code_still_makes_the_committed_vectors(part: str) -> None:
    """A difference is a change of the wire: it needs a new version, not a new file."""
    assert vectors()[part] == VECTORS[part]


def test_the_code_reads_the_committed_vectors() -> None:
    for example in VECTORS["canonical"]:
        assert decode(bytes.fromhex(example["bytes"]), 1000) == example["value"]
    for data in VECTORS["refused"]:
        with pytest.raises(BadEncoding):
            decode(bytes.fromhex(data), 1000)
    for example in VECTORS["records"]:
        record = Record.decode(bytes.fromhex(example["bytes"]))
        record.verify()
        assert record.digest.hex() == example["digest"]
    for example in VECTORS["contacts"]:
        contact = Contact.parse(example["text"])
        assert wire.unpack_contacts(bytes.fromhex(example["bytes"]), 1) == [contact]
    given = {name: bytes.fromhex(value) for name, value in VECTORS["certificate"].items()}
    assert certified(given["owner"], given["device"], given["signature"])


def test_the_code_opens_the_committed_datagrams() -> None:
    for example in VECTORS["datagrams"]:
        receiver = Identity.from_seed(bytes.fromhex(example["receiver"]))
        sender = Identity.from_seed(bytes.fromhex(example["sender"]))
        sealer = Sealer(receiver, lambda: 1_800_000_060.0, bytes)
        plain = sealer.open(bytes.fromhex(example["bytes"]))
        assert plain == (sender.public, bytes.fromhex(example["plain"]))
