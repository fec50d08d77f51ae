"""One device in this process: its own skills, crashes of agents, its lock, its settings."""

from pathlib import Path
from threading import Event
from typing import Any

import pytest

from bench.tasks import Nothing, team
from pockethive.actors.skill import Product, Tools, Work
from pockethive.core.errors import DocumentError, Failure, ModelError
from pockethive.core.events import TaskRead
from pockethive.core.report import Happening
from pockethive.core.spec import ModelNeed
from pockethive.core.task import TaskId
from pockethive.device import MAX_RUNS, Device, DeviceSettings


class Crashing(Nothing):
    """A skill with a bug that shows the first time only."""

    def __init__(self) -> None:
        self.runs: list[str] = []

    def run(self, work: Work, tools: Tools) -> Product:
        self.runs.append(work.name)
        if len(self.runs) == 1:
            raise ZeroDivisionError("a bug of this skill")
        return Product(value=len(self.runs))


def settings(tmp_path: Path, **changes: Any) -> DeviceSettings:
    parts: dict[str, Any] = {
        "home": tmp_path,
        "folder": tmp_path / "device",
        "skills": {"nothing": Nothing()},
        "checkers": {},
    }
    return DeviceSettings(**{**parts, **changes})


@pytest.mark.parametrize("shape", ["chain", "fan"])
def test_a_lonely_device_works_through_a_graph(tmp_path: Path, shape: str) -> None:
    device = Device(settings(tmp_path), team(shape, 12))
    device.start()
    try:
        result = device.submit("nothing").result(60)
    finally:
        device.stop()
    assert result.status == "completed"
    assert [task.status for task in result.tasks] == ["committed"] * 12
    assert {task.witnesses for task in result.tasks} == {(1, 1, 0)}


def test_a_crashed_agent_is_restarted_and_its_task_offered_again(tmp_path: Path) -> None:
    skill = Crashing()
    device = Device(settings(tmp_path, skills={"nothing": skill}), team("chain", 3))
    told: list[Happening] = []
    device.start()
    device.subscribe(told.append)
    try:
        result = device.submit("nothing").result(60)
    finally:
        device.stop()
    assert result.status == "completed"
    assert skill.runs == ["t0", "t0", "t1", "t2"]
    assert result.tasks[0].attempts == 2
    assert any("crashed: ZeroDivisionError" in line for line in result.tasks[0].story)


class Waiting(Nothing):
    """A skill that waits until the test is over."""

    def __init__(self) -> None:
        self.begun, self.over = Event(), Event()

    def run(self, work: Work, tools: Tools) -> Product:
        self.begun.set()
        self.over.wait(60)
        return Product(value=0)


def test_more_runs_than_a_device_takes_are_refused_and_change_nothing(tmp_path: Path) -> None:
    skill = Waiting()
    device = Device(settings(tmp_path, skills={"nothing": skill}), team("chain", 1))
    device.start()
    try:
        runs = [device.submit("nothing") for _ in range(MAX_RUNS)]
        with pytest.raises(Failure, match=f"{MAX_RUNS} runs are open"):
            device.submit("nothing")
        skill.over.set()
        assert {run.result(60).status for run in runs} == {"completed"}
        assert device.submit("nothing").result(60).status == "completed"
    finally:
        device.stop()


def test_a_device_whose_machines_crashed_does_not_pass_for_alive(tmp_path: Path) -> None:
    skill = Waiting()
    device = Device(settings(tmp_path, skills={"nothing": skill}), team("chain", 1))
    device.start()
    other = Device(settings(tmp_path, folder=tmp_path / "other", join=(device.contact,)))
    other.start()

    def pinged() -> bool:
        hands = other.parts._hands
        assert hands is not None
        return other.call(hands._answers(device.parts.entries.device)) is not None

    try:
        run = device.submit("nothing")
        assert skill.begun.wait(60)
        assert pinged()
        device.parts.post(TaskRead(task=TaskId("nobody/asked/it"), entries=()))
        with pytest.raises(Failure, match="machines crashed"):
            run.result(60)
        assert not pinged()
    finally:
        skill.over.set()
        other.stop()
        device.stop()


def test_a_stopped_device_can_be_followed_by_another_on_the_same_folder(tmp_path: Path) -> None:
    first = Device(settings(tmp_path), team("chain", 1))
    first.start()
    second = Device(settings(tmp_path), team("chain", 1))
    with pytest.raises(Failure, match="another process runs this device"):
        second.start()
    name = first.id
    first.stop()
    second.start()
    assert second.id == name
    second.stop()


def test_a_device_without_its_model_says_how_to_get_it(tmp_path: Path) -> None:
    device = Device(settings(tmp_path, model=ModelNeed(name="smollm2-135m-instruct")))
    with pytest.raises(ModelError, match="pockethive models get"):
        device.start()


def test_a_device_that_cannot_start_leaves_its_folder_free(tmp_path: Path) -> None:
    broken = Device(settings(tmp_path, documents=(tmp_path / "nowhere",)))
    with pytest.raises(DocumentError, match="nowhere"):
        broken.start()
    whole = Device(settings(tmp_path))
    whole.start()
    whole.stop()


def test_a_device_without_a_team_runs_no_goals(tmp_path: Path) -> None:
    device = Device(settings(tmp_path))
    device.start()
    try:
        with pytest.raises(Failure, match="has no team"):
            device.submit("anything")
    finally:
        device.stop()


def test_a_watcher_that_fails_does_not_disturb_the_run(tmp_path: Path) -> None:
    device = Device(settings(tmp_path), team("chain", 2))
    seen = Event()

    def clumsy(_: Happening) -> None:
        seen.set()
        raise KeyError("the watcher's own fault")

    device.start()
    device.subscribe(clumsy)
    try:
        assert device.submit("nothing").result(60).status == "completed"
    finally:
        device.stop()
    assert seen.is_set()
