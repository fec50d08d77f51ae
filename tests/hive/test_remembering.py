"""Devices that answered are asked first after a restart; those that are gone cost little."""

import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pockethive.control import ask
from pockethive.core.errors import NetworkError
from pockethive.device import Device, DeviceSettings
from pockethive.dht.contact import Contact
from pockethive.dht.testing import somebody
from pockethive.founding import found_hive
from pockethive.peers import PeerFile, running_contact
from pockethive.service import NodeService, ServiceSettings

NOBODY = Contact(somebody("nobody").public, "127.0.0.1", 9)


def device(home: Path, *join: Contact, patient: bool = True) -> Device:
    """A `pockethive node` without agents, patient or as the command starts it."""
    settings = DeviceSettings(
        home=home,
        folder=home / "node",
        join=join,
        skills={},
        checkers={},
        remembers=True,
        patient=patient,
    )
    return Device(settings)


@contextmanager
def silence() -> Iterator[tuple[Contact, socket.socket]]:
    """Somebody who hears everything and answers nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        silent.settimeout(20)
        yield Contact(NOBODY.public, *silent.getsockname()), silent


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


def test_a_node_is_ready_while_it_still_waits_for_a_peer_that_is_gone(tmp_path: Path) -> None:
    with silence() as (gone, silent):
        PeerFile(tmp_path / "peers.json", "home").remember([gone])
        alone = device(tmp_path, patient=False)
        alone.start()
        try:
            arrival = alone.arrive()
            assert silent.recv(2_048)  # it is asked
            assert not arrival.done()  # and is waited for, though by nobody else
            assert [member.device for member in alone.parts.roster.members] == [alone.id]
            assert arrival.result(20) is None
        finally:
            alone.stop()
        ended = device(tmp_path, patient=False)
        ended.start()
        unfinished = ended.arrive()
        assert silent.recv(2_048)
        ended.stop()  # in the middle of it
        assert unfinished.cancelled()


def test_whoever_needs_peers_waits_for_a_node_that_is_ready_and_knows_none_yet(
    tmp_path: Path,
) -> None:
    there = device(tmp_path / "there")
    there.start()
    (tmp_path / "here").mkdir()
    with silence() as (gone, _):
        PeerFile(tmp_path / "here" / "peers.json", "home").remember([gone, there.contact])
        here = device(tmp_path / "here", patient=False)
        service = NodeService(here, ServiceSettings())
        here.start()
        try:
            here.call(service.start())
            there.call(there.parts.node.note("board", b"closed on Monday"))
            (peer,) = ask(tmp_path / "here" / "node", "peers")
            assert peer["device"] == there.id
            (note,) = ask(tmp_path / "here" / "node", "get", key="board")
            assert note["body"]["value"] == "closed on Monday"
        finally:
            here.call(service.stop())
            here.stop()
            there.stop()


def test_one_answer_of_those_to_join_is_enough_to_be_ready(tmp_path: Path) -> None:
    there = device(tmp_path / "there")
    there.start()
    try:
        with silence() as (gone, _):
            here = device(tmp_path / "here", gone, there.contact, patient=False)
            here.start()
            try:
                assert there.contact in here.parts.node.contacts()
                here.expect([there.id])
            finally:
                here.stop()
            with pytest.raises(NetworkError, match="no known node answered"):
                device(tmp_path / "lost", gone, patient=False).start()
    finally:
        there.stop()


def test_a_copied_home_is_found_out_though_its_node_was_ready_already(tmp_path: Path) -> None:
    there = device(tmp_path / "there")
    there.start()
    try:
        first = device(tmp_path / "here", there.contact)
        first.start()
        first.stop()
        shutil.copytree(tmp_path / "here", tmp_path / "copy")
        first = device(tmp_path / "here")
        first.start()
        copy = device(tmp_path / "copy", patient=False)
        copy.start()
        try:
            with pytest.raises(NetworkError, match="key is in use"):
                copy.arrive().result(20)
        finally:
            copy.stop()
            first.stop()
    finally:
        there.stop()


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
