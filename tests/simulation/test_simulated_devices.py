"""Whole devices in virtual time: the very classes of a real device, one seed, one play."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pockethive.actors.skill import Product, Tools, Work
from pockethive.actors.skills import SKILLS
from pockethive.core.errors import Failure
from pockethive.core.report import Happening
from pockethive.dht.simulation import Link
from pockethive.inference.testing import ScriptedModel
from pockethive.simulation import Seat, SimulatedHive
from pockethive.virtual_staff import Pace
from tests.simulation.virtual_village import (
    GOAL,
    assert_answered,
    assert_verified_by_others,
    by_id,
    play,
    village_seats,
)

ROOT = Path(__file__).parents[2]


def test_a_goal_is_answered_in_virtual_time_and_every_output_verified(tmp_path: Path) -> None:
    with SimulatedHive(seed=1) as hive:
        owner, *_ = hive.start(village_seats(tmp_path))
        result = hive.run(owner, GOAL)
        assert_answered(result)
        assert result.to_json()["witnesses"] == {"K": 4, "q": 3, "f": 1}
        assert {task.role for task in result.tasks} == {"researcher", "reasoner", "synthesizer"}
        assert 5 < result.seconds < 30


def test_one_seed_gives_one_play_whatever_the_hash_seed(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from tests.simulation.virtual_village import play;"
        "print(play(5, 0.05, Path(sys.argv[1])))"
    )
    told = []
    for hash_seed in ("0", "4242"):
        done = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path)],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        told.append(done.stdout.strip())
    assert told[0] == told[1] == play(5, 0.05, tmp_path)
    assert told[0] != play(6, 0.05, tmp_path)


@pytest.mark.parametrize("seed", range(10, 15))
def test_one_datagram_in_twenty_lost_delays_and_breaks_nothing(seed: int, tmp_path: Path) -> None:
    with SimulatedHive(seed, Link(loss=0.05)) as hive:
        owner, *_ = hive.start(village_seats(tmp_path))
        assert_answered(hive.run(owner, GOAL))
        assert hive.world.net.lost > 20


@pytest.mark.parametrize("seed", range(3))
def test_a_researcher_killed_at_work_leaves_a_partial_answer_and_is_named(
    seed: int, tmp_path: Path
) -> None:
    with SimulatedHive(seed) as hive:
        owner, *_ = hive.start(village_seats(tmp_path))
        killed: list[Happening] = []

        def kill(seen: Happening) -> None:
            killed.append(seen)
            hive.kill(by_id(hive, seen))

        hive.when("claimed", kill)
        result = hive.run(owner, GOAL)

        (victim,) = killed
        assert result.status == "partial"
        ((task, reason),) = [(each.task, each.reason) for each in result.missing]
        assert task == victim.task
        assert victim.device is not None
        assert victim.device[:8] in reason
        assert_verified_by_others(result)
        assert result.seconds < 60


@pytest.mark.parametrize("seconds", [2.0, 12.0])
def test_a_partition_that_heals_delays_and_does_not_break(seconds: float, tmp_path: Path) -> None:
    with SimulatedHive(seed=3) as hive:
        owner, *_ = hive.start(village_seats(tmp_path))
        alone = hive.run(owner, GOAL)
    with SimulatedHive(seed=3) as hive:
        owner, *others = hive.start(village_seats(tmp_path))

        def part(_: Happening) -> None:
            hive.part(others[:2])
            hive.at(hive.now + seconds, hive.heal)

        hive.when("committed", part)  # the first of the researchers is through
        result = hive.run(owner, GOAL)
        assert_verified_by_others(result)
        assert result.status in ("completed", "partial"), result.reason
        assert "Maria Lindqvist" in result.answer
        assert result.seconds > alone.seconds + seconds / 2
        if seconds < 5:  # shorter than it takes to count a device as lost
            assert_answered(result)


def test_three_of_four_witnesses_are_enough_to_commit(tmp_path: Path) -> None:
    with SimulatedHive(seed=4) as hive:
        witness = Seat(works=False, verifies=False)  # four devices beside the owner's witness
        owner, idle, *_ = hive.start([village_seats(tmp_path)[0], witness, *rest(tmp_path)])
        hive.when("planned", lambda _: hive.kill(idle))
        result = hive.run(owner, GOAL)
        assert_answered(result)
        assert result.to_json()["witnesses"] == {"K": 4, "q": 3, "f": 1}


def rest(folder: Path) -> list[Seat]:
    return village_seats(folder)[1:]
