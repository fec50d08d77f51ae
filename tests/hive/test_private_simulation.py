"""A private hive in virtual time: it answers like an open one, and a revoked member is out."""

import asyncio
from pathlib import Path

import pytest

from pockethive.core.canonical import to_text
from pockethive.core.entry import Kind
from pockethive.core.entry_codec import decode_body
from pockethive.core.errors import NetworkError, ProtocolError
from pockethive.core.labels import Label
from pockethive.core.report import Happening
from pockethive.core.task import TaskId, task_key
from pockethive.dht.contact import Contact
from pockethive.dht.record import Record
from pockethive.dht.simulation import Link
from pockethive.dht.testing import somebody
from pockethive.result import Result
from pockethive.simulation import Seat, SimulatedDevice, SimulatedHive
from tests.hive.homes import Homes
from tests.simulation.virtual_village import GOAL, assert_answered, village_seats


def in_the_private_hive(folder: Path, seed: int) -> tuple[str, Result, list[Record]]:
    """One run; the trace, the result, and all that the owner's device stores."""
    with SimulatedHive(seed, Link(loss=0.02)) as hive:
        Homes(hive)
        owner, *_ = hive.start(village_seats(folder))
        result = hive.run(owner, GOAL)
        held = owner.node._running.storage.older_than(0, 10_000)
        return hive.trace, result, held


def test_a_private_hive_answers_and_one_seed_gives_one_play(tmp_path: Path) -> None:
    trace, result, held = in_the_private_hive(tmp_path, 4)
    assert_answered(result)
    assert in_the_private_hive(tmp_path, 4)[0] == trace
    bodies = [record for record in held if record.kind != "hive-list"]
    assert {record.kind for record in bodies} >= {"task", "output", "verdict", "commit", "member"}
    for record in bodies:
        assert record.body[0] == 2  # version
        with pytest.raises(ProtocolError):
            decode_body(Kind(record.kind), record.body)


def bakery(hive: SimulatedHive) -> SimulatedDevice:
    """The device whose documents do not matter to the goal."""
    return next(d for d in hive.devices if "bakery" in str(d.settings.documents))


@pytest.mark.parametrize("seed", [1, 2])
def test_a_member_revoked_in_mid_run_reads_nothing_published_after(
    tmp_path: Path, seed: int
) -> None:
    with SimulatedHive(seed) as hive:
        homes = Homes(hive)
        owner, *others = hive.start([*village_seats(tmp_path), Seat(works=False)])
        gone = bakery(hive)
        witness = next(d for d in others if d is not gone)
        before = hive.play(_says(hive, gone))

        def revoke(_: Happening) -> None:
            homes.revoke(to_text(gone.identity.public)[:12])

        hive.when("claimed", revoke)
        result = hive.run(owner, GOAL)
        assert "Maria Lindqvist" in result.answer
        hive.play(asyncio.sleep(5))

        # everybody who stayed has the new list, and a key that the revoked one has not
        assert {d.hive.keys.newest for d in hive.devices if d.hive and d is not gone} == {2}
        assert gone.hive is not None
        assert gone.hive.keys.newest == 1
        assert gone.id not in {m.device for m in owner.roster.members}
        assert gone.node.contact not in owner.node.contacts()
        after = hive.play(_says(hive, owner))
        for device in (owner, witness):
            assert device.entries.opened(after).author == owner.id
        with pytest.raises(ProtocolError, match="no key of"):
            gone.entries.opened(after)
        assert hive.play(owner.node.put(after)) >= 3
        assert after in hive.play(witness.node.get(after.key))
        read = hive.play(gone.node.get(after.key))  # what it holds itself, and nobody gives it more
        assert after not in read
        assert {int.from_bytes(record.body[1:5], "big") for record in read} == {1}

        # what it said while it belonged still verifies and can be read by those who stayed
        before.verify()
        assert witness.entries.opened(before).author == gone.id
        found = hive.play(witness.node.get(task_key(TaskId(result.tasks[0].id))))
        assert found
        for record in found:
            record.verify()
            witness.entries.opened(record)

        # and nobody listens to it any more
        with pytest.raises(ProtocolError, match="stranger"):
            hive.play(gone.node.request(witness.node.contact, "ping", b""))
        assert witness.node.counters["stranger"] > 0
        with pytest.raises(ProtocolError):
            hive.play(witness.node.put(hive.play(_says(hive, gone))))


def test_the_dead_among_the_devices_to_join_hold_up_nobody() -> None:
    dead = tuple(Contact(somebody(f"dead {n}").public, "10.9.9.9", 1 + n) for n in range(4))
    assert abs(_start_of_a_late_device(dead) - _start_of_a_late_device(())) < 0.6


def _start_of_a_late_device(dead: tuple[Contact, ...]) -> float:
    """Virtual seconds until it has joined through the dead and one that lives."""
    with SimulatedHive(seed=6) as hive:
        Homes(hive)
        first, *_ = hive.start([Seat(works=False)] * 3)
        late = SimulatedDevice(hive, Seat(works=False), (*dead, first.node.contact))
        hive.devices.append(late)
        begun = hive.now
        hive.play(late.start())
        assert first.id in {member.device for member in late.roster.members}
        return hive.now - begun


async def _says(hive: SimulatedHive, device: SimulatedDevice) -> Record:
    """A device's advertisement of itself, made now."""
    return device.entries.sign(Kind.MEMBER, device.own_member(), int(hive.world.clock()) + 400)[0]


def test_a_stranger_gets_no_word_out_of_a_private_hive(tmp_path: Path) -> None:
    with SimulatedHive(seed=3) as hive:
        Homes(hive)
        owner, *_ = hive.start(village_seats(tmp_path))
        secret = owner.shelf.keep(b"for everybody", Label.PUBLIC)
        hive.private = None
        stranger = SimulatedDevice(hive, Seat(works=False), ())
        hive.devices.append(stranger)
        hive.play(stranger.node.start())
        before = len(owner.node.contacts())
        with pytest.raises(NetworkError, match="no known node answered"):
            hive.play(stranger.node.join([owner.node.contact]))
        for method in ("hello", "hive", "hive-page", "witness"):
            with pytest.raises(ProtocolError, match="stranger"):
                hive.play(stranger.node.request(owner.node.contact, method, b"{}"))
        with pytest.raises(NetworkError):
            hive.play(stranger.node.fetch_from([owner.node.contact], secret))
        with pytest.raises(ProtocolError, match="refused"):
            hive.play(stranger.node.request(owner.node.contact, "join", b"noise"))
        assert len(owner.node.contacts()) == before
        assert owner.node.counters["stranger"] >= 5


def test_a_device_that_was_away_learns_the_list_and_never_an_older_one(tmp_path: Path) -> None:
    with SimulatedHive(seed=5) as hive:
        homes = Homes(hive)
        owner, *others = hive.start([Seat(works=False) for _ in range(4)])
        away, gone = others[0], others[1]
        hive.part([away])
        homes.revoke(to_text(gone.identity.public)[:12])
        hive.play(asyncio.sleep(5))
        assert owner.hive is not None
        assert away.hive is not None
        assert away.hive.membership.version < owner.hive.membership.version
        old = away.hive._store.records()
        hive.heal()
        hive.play(asyncio.sleep(60))
        assert away.hive.membership.version == owner.hive.membership.version
        assert not away.hive.membership.is_member(gone.identity.public)
        away.hive._take(old)
        assert not away.hive.membership.is_member(gone.identity.public)
