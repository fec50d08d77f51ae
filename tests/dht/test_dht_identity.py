"""Keys on the disk, certificates of owners, contacts as text."""

from pathlib import Path

import pytest

from pockethive.core.errors import BadInvitation, StorageError
from pockethive.dht.contact import Contact
from pockethive.dht.identity import (
    Identity,
    OwnerKey,
    certified,
    certify,
    node_id,
    verify,
)
from pockethive.dht.testing import somebody


def test_a_device_keeps_its_key(tmp_path: Path) -> None:
    first = Identity.load_or_create(tmp_path / "home")
    again = Identity.load_or_create(tmp_path / "home")
    assert again.public == first.public
    assert (tmp_path / "home" / "device.key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["device.key"]


def test_owner_and_device_are_two_keys_in_one_home(tmp_path: Path) -> None:
    owner, device = OwnerKey.load_or_create(tmp_path), Identity.load_or_create(tmp_path)
    assert owner.public != device.public
    assert OwnerKey.load_or_create(tmp_path).public == owner.public


def test_the_secret_is_not_shown() -> None:
    identity = Identity.from_seed(b"s" * 32)
    assert "s" * 8 not in repr(identity)
    assert repr(identity).startswith("Identity(")


def test_a_key_that_others_can_read_is_refused_with_the_cure(tmp_path: Path) -> None:
    Identity.load_or_create(tmp_path)
    (tmp_path / "device.key").chmod(0o644)
    with pytest.raises(StorageError, match="chmod 600"):
        Identity.load_or_create(tmp_path)


@pytest.mark.parametrize(
    "text", ["", "nonsense", "pockethive-key-1 AAAA", "pockethive-key-2 " + "A" * 43]
)
def test_a_damaged_key_file_is_reported_and_kept(tmp_path: Path, text: str) -> None:
    path = tmp_path / "device.key"
    path.touch(mode=0o600)
    path.write_text(text)
    with pytest.raises(StorageError, match="not a PocketHive key file"):
        Identity.load_or_create(tmp_path)
    assert path.read_text() == text


def test_a_home_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="home folder"):
        Identity.load_or_create(tmp_path / "file" / "home")


def test_signatures_verify_for_their_author_and_message_only() -> None:
    anna, bert = somebody("anna"), somebody("bert")
    signature = anna.sign(b"message")
    for _ in range(2):  # the second time from the cache
        assert verify(anna.public, b"message", signature)
        assert not verify(anna.public, b"another", signature)
        assert not verify(bert.public, b"message", signature)
    assert not verify(b"", b"message", signature)
    assert not verify(anna.public, b"message", b"")
    assert not verify(b"\xff" * 32, b"message", signature)


def test_an_owner_certifies_a_device() -> None:
    owner, device, other = somebody("owner"), somebody("device"), somebody("other")
    certificate = certify(owner, device.public)
    assert certified(owner.public, device.public, certificate)
    assert not certified(owner.public, other.public, certificate)
    assert not certified(other.public, device.public, certificate)


def test_a_node_id_is_a_tagged_hash_of_the_key() -> None:
    public = somebody("anna").public
    assert node_id(public) == somebody("anna").node_id
    assert len(node_id(public)) == 20
    assert node_id(public) not in public


@pytest.mark.parametrize("address", ["127.0.0.1:4400", "[::1]:65535", "pi.local:1"])
def test_a_contact_reads_what_it_writes(address: str) -> None:
    text = str(Contact(somebody("anna").public, "x", 1)).split("@", maxsplit=1)[0] + "@" + address
    contact = Contact.parse(f"  {text}\n")
    assert str(contact) == text
    assert contact.public == somebody("anna").public
    assert contact.host == address.rsplit(":", 1)[0].strip("[]")


def test_an_impossible_contact_cannot_be_made() -> None:
    for public, host, port in [(bytes(31), "h", 1), (bytes(32), "", 1), (bytes(32), "h", 65536)]:
        with pytest.raises(BadInvitation):
            Contact(public, host, port)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "no '@'"),
        ("127.0.0.1:4400", "no '@'"),
        ("KEY@127.0.0.1", "no port"),
        ("KEY@:4400", "no port"),
        ("KEY@::1:4400", "needs brackets"),
        ("KEY@127.0.0.1:0", "not a port"),
        ("KEY@127.0.0.1:65536", "not a port"),
        ("KEY@127.0.0.1:http", "not a port"),
        ("KEY@127.0.0.1:٤٤", "not a port"),
        ("short@127.0.0.1:4400", "key before '@' is damaged"),
        ("=" * 43 + "@127.0.0.1:4400", "key before '@' is damaged"),
    ],
)
def test_a_wrong_contact_says_what_is_wrong(text: str, complaint: str) -> None:
    whole = text.replace("KEY", str(Contact(bytes(32), "x", 1)).split("@", maxsplit=1)[0])
    with pytest.raises(BadInvitation, match=complaint):
        Contact.parse(whole)
