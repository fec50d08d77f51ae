"""Votes among whole devices in virtual time: sealed blobs, real store rules, the real book."""

from typing import Any

from pockethive.actors.skill import Product, Tools, Work
from pockethive.actors.skills import SKILLS
from pockethive.configs.loader import load_team_text
from pockethive.configs.team import SkillInfo, Vocabulary
from pockethive.core.spec import Team
from pockethive.dht.simulation import Link
from pockethive.reading import read_entries
from pockethive.receipt import verify_receipt
from pockethive.simulation import Seat, SimulatedHive

TEAM = """
team: sums
roles: {adder: {skill: sum, verify: recompute}, teller: {skill: tell, verify: recompute}}
planner:
  steps:
    one: {role: adder, params: {number: 1}}
    two: {role: adder, params: {number: 2}}
    both: {role: teller, after: [one, two]}
"""


class Sum:
    """Twice a number; answers that differ in their words only are the same."""

    name = "sum"
    needs_model = False

    def __init__(self, error: int = 0) -> None:
        self.error, self.asked = error, 0

    def run(self, work: Work, tools: Tools) -> Product:
        self.asked += 1
        answer = 2 * work.params["number"] + self.error
        return Product(value={"sum": answer, "by": work.device}, prompt_tokens=self.asked)

    def canonical(self, value: Any) -> Any:
        return {"sum": value["sum"]}


class Tell:
    """The sums it read, in a line."""

    name = "tell"
    needs_model = False

    def run(self, work: Work, tools: Tools) -> Product:
        return Product(value={"answer": " ".join(str(i["sum"]) for i in work.inputs.values())})


def sums() -> Team:
    skills = {name: SkillInfo(needs_model=False) for name in ("sum", "tell")}
    return load_team_text(TEAM, "sums.yaml", Vocabulary(skills=skills, checkers=frozenset()))


def seats(*errors: int) -> tuple[list[Seat], list[Sum]]:
    made = [Sum(error) for error in errors]
    people = "us", "them", "others", "somebody", "anybody"
    return [
        Seat(
            team=sums() if number == 0 else None,
            owner=people[number],
            skills={**SKILLS, "sum": skill, "tell": Tell()},
        )
        for number, skill in enumerate(made)
    ], made


def test_whole_devices_vote_and_who_lies_is_known_for_it() -> None:
    with SimulatedHive(seed=3, link=Link(loss=0.02)) as hive:
        places, skills = seats(0, 0, 0, 5)
        owner, *others = hive.start(places)
        result = hive.run(owner, "add")
        assert result.status == "completed", result.reason
        assert result.answer == "2 4"
        assert all(len(task.verdicts) >= 1 for task in result.tasks)
        assert max(skill.asked for skill in skills) <= 2  # what won was never made twice
        assert owner.credits is not None
        seen = {credit.device: credit for credit in owner.credits.all()}
        liar = others[2].id
        assert all(not c.standing.invalid for device, c in seen.items() if device != liar)
        assert seen[liar].standing.invalid
        assert "agreed on another answer" in seen[liar].fell
        proven = verify_receipt(result.receipts.encode())
        assert all(proof.voted and proof.verifiers for proof in proven.proofs)
        for task in result.tasks:
            found = hive.play(
                read_entries(others[0].node, others[0].entries, task.id, hive=others[0].network)
            )
            kinds = {entry.kind for entry in found if entry.ok}
            assert {"pledge", "ballot", "output", "commit"} <= kinds
            assert "verdict" not in kinds


def test_the_same_seed_votes_the_same() -> None:
    traces = []
    for _ in range(2):
        with SimulatedHive(seed=5) as hive:
            owner, *_ = hive.start(seats(0, 0, 1)[0])
            hive.run(owner, "add")
            traces.append(hive.trace)
    assert traces[0] == traces[1]
