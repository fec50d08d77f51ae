"""The code agrees with the committed test vectors, in both directions."""

import json
from typing import Any

import pytest

from bench.vectors import FILE, vectors
from pockethive.core.canonical import decode
from pockethive.core.errors import BadEncoding
from pockethive.dht import wire
from pockethive.dht.admission import Application, Introduction, read_asked
from pockethive.dht.charter import Charter
from pockethive.dht.contact import Contact
from pockethive.dht.hive_key import open_key
from pockethive.dht.identity import Identity, certified
from pockethive.dht.invitation import read_link, verifier
from pockethive.dht.member_list import newest
from pockethive.dht.membership import News
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
    for example in (*VECTORS["records"], *VECTORS["batch"]):
        record = Record.decode(bytes.fromhex(example["bytes"]))
        record.verify()
        assert record.digest.hex() == example["digest"]
    for example in VECTORS["contacts"]:
        contact = Contact.parse(example["text"])
        assert wire.unpack_contacts(bytes.fromhex(example["bytes"]), 1) == [contact]
    given = {name: bytes.fromhex(value) for name, value in VECTORS["certificate"].items()}
    assert certified(given["owner"], given["device"], given["signature"])


def test_the_code_reads_the_committed_vectors_of_a_private_hive() -> None:
    charter = Charter.decode(bytes.fromhex(VECTORS["charter"]["bytes"]))
    assert charter.network == VECTORS["charter"]["network"]
    parts = VECTORS["member_list"]["records"]
    records = [Record.decode(bytes.fromhex(part["bytes"])) for part in parts]
    listed = newest(charter, records)
    assert listed is not None
    assert (listed.version, len(listed.members)) == (7, 9)
    given = VECTORS["sealed_key"]
    device = Identity.from_seed(bytes.fromhex(given["device_seed"]))
    own = listed.of(device.public)
    assert own is not None
    assert open_key(device, own.sealed, charter.id, given["generation"]).hex() == given["key"]
    invitation = read_link(VECTORS["invitation"]["link"])
    joining = VECTORS["joining"]
    asked = read_asked(bytes.fromhex(joining["ask_admit"]))
    assert isinstance(asked, Application)
    ends = bytes.fromhex(joining["admitter"]), bytes.fromhex(joining["device"])
    assert asked.proves(verifier(invitation.secret), charter.id, *ends)
    introduced = read_asked(bytes.fromhex(joining["ask_introduce"]))
    assert isinstance(introduced, Introduction)
    assert introduced.news == News.decode(bytes.fromhex(joining["news"]))
    assert introduced.news.vouchers[0].holds(charter.id)


def test_the_code_opens_the_committed_datagrams() -> None:
    for example in VECTORS["datagrams"]:
        receiver = Identity.from_seed(bytes.fromhex(example["receiver"]))
        sender = Identity.from_seed(bytes.fromhex(example["sender"]))
        sealer = Sealer(receiver, lambda: 1_800_000_060.0, bytes)
        plain = sealer.open(bytes.fromhex(example["bytes"]))
        assert plain == (sender.public, bytes.fromhex(example["plain"]))
