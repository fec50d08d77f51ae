"""Devices that answered are asked first after a restart; those that are gone cost little."""

import time
from pathlib import Path

import pytest

from pockethive.core.errors import NetworkError
from pockethive.device import Device, DeviceSettings
from pockethive.dht.contact import Contact
from pockethive.dht.testing import somebody
from pockethive.founding import found_hive
from pockethive.peers import PeerFile, running_contact

NOBODY = Contact(somebody("nobody").public, "127.0.0.1", 9)


def device(home: Path, *join: Contact) -> Device:
    """A `pockethive node` without agents."""
    settings = DeviceSettings(
        home=home, folder=home / "node", join=join, skills={}, checkers={}, remembers=True
    )
    return Device(settings)


def test_a_restarted_device_meets_those_that_answered_before(tmp_path: Path) -> None:
    there = device(tmp_path / "there")
    there.start()
    try:
        here = device(tmp_path / "here", there.contact)
        here.start()
        assert running_contact(tmp_path / "here" / "node", "home") == here.contact
        assert running_contact(tmp_path / "here" / "node", "other") is None
        here.stop()
        assert running_contact(tmp_path / "here" / "node", "home") is None
        assert there.contact in PeerFile(tmp_path / "here" / "peers.json", "home").load()

        for join in ((), (NOBODY,)):  # named devices that are silent do not matter either
            again = device(tmp_path / "here", *join)
            again.start()
            try:
                again.expect([there.id])
            finally:
                again.stop()
    finally:
        there.stop()


def test_peers_that_are_gone_do_not_keep_a_device_from_starting(tmp_path: Path) -> None:
    PeerFile(tmp_path / "peers.json", "home").remember([NOBODY])
    alone = device(tmp_path)
    began = time.monotonic()
    alone.start()
    alone.stop()
    assert time.monotonic() - began < 15


def test_a_home_with_a_private_hive_is_in_it_unless_an_open_one_is_named(tmp_path: Path) -> None:
    found_hive(tmp_path, "village", "desk").close()
    private = device(tmp_path)
    private.start()
    try:
        assert private.parts.hive is not None
        assert private.parts.network == private.parts.hive.charter.network
        contact = private.contact
        with pytest.raises(NetworkError, match="no known node answered"):
            device(tmp_path / "stranger", contact).start()
    finally:
        private.stop()
