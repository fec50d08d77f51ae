"""A hive in which the owner does not know who could work: the bulletin brings them together."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from pockethive.actors.entries import shard_key
from pockethive.actors.skills import SKILLS
from pockethive.core.effects import Effect, PostNotice
from pockethive.core.entry import Notice
from pockethive.core.entry_codec import encode_body
from pockethive.core.events import Event
from pockethive.core.notice import shard_of
from pockethive.inference.testing import ScriptedModel
from pockethive.simulation import Seat, SimulatedDevice, SimulatedHive
from tests.acceptance.village import TEXTS
from tests.simulation.virtual_village import GOAL, assert_answered, village_seats

ONLY_SEARCH = {"search": SKILLS["search"]}
STRANGERS = 4


def people(hive: SimulatedHive, folder: Path) -> tuple[SimulatedDevice, ...]:
    """An owner who can know four devices, knows four, and none of them can rank or answer."""
    owner, *rest = village_seats(folder)
    seats = [replace(owner, acquaintances=len(TEXTS) + 1)]
    seats += [replace(seat, skills=ONLY_SEARCH) for seat in rest]
    known = hive.start(seats)
    strangers = hive.start([Seat(model=ScriptedModel(), owner=f"{n}") for n in range(STRANGERS)])
    met = {member.device for member in known[0].roster.members}
    assert met == {device.id for device in known}
    return strangers


@pytest.mark.parametrize("seed", range(3))
def test_devices_that_the_owner_never_heard_of_find_its_tasks_and_do_them(
    seed: int, tmp_path: Path
) -> None:
    with SimulatedHive(seed) as hive:
        strangers = {device.id for device in people(hive, tmp_path)}
        result = hive.run(hive.devices[0], GOAL)
        assert_answered(result)
        for task in result.tasks:
            assert (task.device in strangers) == (task.role != "researcher"), task
        assert any("asked for it" in line for task in result.tasks for line in task.story)


class Watched(SimulatedHive):
    """A hive that keeps what was posted."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.posted: list[Notice] = []

    def count(self, machine: str, event: Event, now: float, effects: tuple[Effect, ...]) -> None:
        super().count(machine, event, now, effects)
        self.posted.extend(each.notice for each in effects if isinstance(each, PostNotice))


def test_what_stands_on_the_bulletin_is_taken_back_and_was_never_text(tmp_path: Path) -> None:
    with Watched(seed=1) as hive:
        reader, *_ = people(hive, tmp_path)
        owner = hive.devices[0]
        assert_answered(hive.run(owner, GOAL))
        hive.play(asyncio.sleep(5))
        assert len(hive.posted) == hive.effects["RemoveNotice"] == 1
        for notice in hive.posted:
            key = shard_key(owner.network, shard_of(notice.key))
            assert hive.play(reader.node.get(key)) == ()
            for text in (*GOAL.split(), "harbour", "reasoner", owner.ownership.owner_key):
                assert text.encode() not in encode_body(notice)
