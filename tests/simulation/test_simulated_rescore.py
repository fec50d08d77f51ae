"""Written texts among whole devices in virtual time: classes, a liar, what receipts say."""

from dataclasses import replace
from typing import Any

from pockethive.actors.skill import Product, Tools, Work
from pockethive.actors.skills import SKILLS
from pockethive.actors.skills.summarize import Summarize
from pockethive.configs.loader import load_team_text
from pockethive.core.ports import ModelClass
from pockethive.core.spec import Team
from pockethive.dht.simulation import Link
from pockethive.inference.testing import ScriptedModel
from pockethive.receipt import verify_receipt
from pockethive.result import Result
from pockethive.simulation import Seat, SimulatedDevice, SimulatedHive
from pockethive.vocabulary import vocabulary

TEAM = """
team: digest
model: scripted
roles: {writer: {skill: summarize, verify: rescore}}
planner:
  steps:
    short: {role: writer, params: {about: "{goal}", text: "The ferry leaves at seven."}}
    shorter: {role: writer, after: short, params: {words: 3}}
"""
WROTE = {"Summarize": "It leaves at seven in the morning, they say."}
CUT = "It leaves at seven in the …"


class Newer(ScriptedModel):
    """The same weights with another run time."""

    @property
    def model_class(self) -> ModelClass:
        return replace(super().model_class, runtime="scripted 2")


class Improving(Summarize):
    """Hands in a text that the model did not write, in the form of one that it did."""

    def run(self, work: Work, tools: Tools) -> Product:
        made = super().run(work, tools)
        text = made.value["text"].replace("seven", "eight")
        return replace(made, value={**made.value, "text": text, "ids": [*map(ord, text)]})


def team() -> Team:
    return load_team_text(TEAM, "digest.yaml", vocabulary())


def seat(model: ScriptedModel | None, **changes: Any) -> Seat:
    return Seat(model=model, **changes)


def play(seed: int, *seats: Seat) -> tuple[Result, list[SimulatedDevice]]:
    with SimulatedHive(seed, Link(loss=0.02)) as hive:
        owner, *others = hive.start([replace(seats[0], team=team()), *seats[1:]])
        return hive.run(owner, "ferry"), [owner, *others]


def test_a_text_is_written_and_read_again_by_devices_of_one_class() -> None:
    same, other = ScriptedModel(WROTE), Newer(WROTE)
    result, devices = play(1, seat(other), seat(same), seat(same), seat(None))
    assert result.status == "completed", result.reason
    assert result.answer == CUT
    within = {device.id for device in devices[1:3]}
    for task in result.tasks:
        judges = {each.device for each in task.verdicts}
        assert {task.device, *judges} == within, "the owner's model is of another class"
        assert "tokens read again" in task.verdicts[0].reason
    proven = verify_receipt(result.receipts.encode())
    assert {proof.rescored for proof in proven.proofs} == {same.model_class.id}
    assert all(task["rescored"] for task in proven.to_json()["tasks"])


def test_a_device_that_improves_its_texts_is_rejected_and_known_for_it() -> None:
    model, caught = ScriptedModel(WROTE), 0
    for seed in range(4):
        lies = {**SKILLS, "summarize": Improving()}
        result, devices = play(seed, seat(model), seat(model), seat(model, skills=lies))
        assert result.status == "completed", result.reason
        assert "eight" not in result.answer
        liar = devices[2].id
        for task in result.tasks:
            assert task.device != liar
            rejected = [each for each in task.verdicts if each.verdict == "reject"]
            caught += bool(rejected)
            assert all("is not what this model writes there" in each.reason for each in rejected)
    assert caught


def test_where_nobody_else_has_the_model_the_reason_says_so() -> None:
    result, _ = play(5, seat(ScriptedModel(WROTE)), seat(Newer(WROTE)), seat(None))
    assert result.status == "failed"
    assert "`rescore` needs another device of model class" in result.missing[0].reason
