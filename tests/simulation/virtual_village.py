"""The main job's shape in virtual time: an owner who plans, and devices with documents."""

from pathlib import Path

from pockethive.configs.loader import load_team_text
from pockethive.core.report import Happening
from pockethive.core.spec import Team
from pockethive.dht.simulation import Link
from pockethive.inference.testing import ScriptedModel
from pockethive.result import Result
from pockethive.simulation import Seat, SimulatedDevice, SimulatedHive
from pockethive.vocabulary import vocabulary
from tests.acceptance.village import TEAM, TEXTS

GOAL = "Who built the harbour lighthouse in 1874?"


def team() -> Team:
    """The team of the acceptance tests: search everywhere, rank, answer."""
    return load_team_text(TEAM, "village.yaml", vocabulary())


def village_seats(folder: Path) -> list[Seat]:
    """An owner's device that plans and verifies, and three with a document each."""
    seats = [Seat(team=team(), works=False)]
    for name, text in TEXTS.items():
        (folder / name).mkdir(exist_ok=True)
        (folder / name / f"{name}.txt").write_text(text)
        seats.append(Seat(model=ScriptedModel(), documents=(folder / name,)))
    return seats


def by_id(hive: SimulatedHive, seen: Happening) -> SimulatedDevice:
    """The device that a happening names."""
    return next(device for device in hive.devices if device.id == seen.device)


def assert_answered(result: Result) -> None:
    """Completed, answered from the right document, every output verified by another device."""
    assert result.status == "completed", result.reason
    assert result.missing == ()
    assert "Maria Lindqvist" in result.answer
    assert result.citations[0].source == "harbour.txt"
    assert_verified_by_others(result)


def assert_verified_by_others(result: Result) -> None:
    """Every committed output has an accepting verdict, and none of its maker's."""
    committed = [task for task in result.tasks if task.status == "committed"]
    assert committed
    for task in committed:
        accepting = [each.device for each in task.verdicts if each.verdict == "accept"]
        assert accepting, task
        assert task.device not in accepting, task


def play(seed: int, loss: float, folder: Path) -> str:
    """One run; the hash of its datagrams and its transcript, line by line."""
    with SimulatedHive(seed, Link(loss=loss)) as hive:
        owner, *_ = hive.start(village_seats(folder))
        assert_answered(hive.run(owner, GOAL))
        return "\n".join((hive.trace, *map(str, hive.transcript)))
