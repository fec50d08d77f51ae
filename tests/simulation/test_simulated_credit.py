"""Credit among whole devices: waivers through the real store rules, standings in the real book."""

from dataclasses import replace
from pathlib import Path

from pockethive.core.credibility import Standing
from pockethive.core.events import CreditsRead
from pockethive.core.spec import Team
from pockethive.reading import read_entries
from pockethive.simulation import SimulatedHive
from tests.simulation.virtual_village import GOAL, assert_answered, team, village_seats


def adaptive() -> Team:
    plain = team()
    return replace(
        plain,
        roles=tuple(
            replace(role, verification=replace(role.verification, adaptive=True))
            for role in plain.roles
        ),
    )


def test_a_device_with_credit_is_believed_and_one_without_earns_it(tmp_path: Path) -> None:
    with SimulatedHive(seed=11) as hive:
        seats = village_seats(tmp_path)
        owner, *others = hive.start([replace(seats[0], team=adaptive()), *seats[1:]])
        assert owner.credits is not None
        before = hive.run(owner, GOAL)
        assert_answered(before)  # every output verified by another device
        assert {task.taken for task in before.tasks} == {"verified"}
        earned = owner.credits.all()
        assert sum(credit.standing.valid for credit in earned) == len(before.tasks)
        assert all(credit.standing.invalid == 0 and not credit.fell for credit in earned)

        trusted = [replace(credit, standing=Standing(10**6, 10**6, 0)) for credit in earned]
        owner.post(CreditsRead(credits=tuple(trusted)))
        result = hive.run(owner, GOAL)
        assert result.status == "completed", result.reason
        assert "Maria Lindqvist" in result.answer
        known = {credit.device for credit in trusted}
        on_credit = [task for task in result.tasks if task.taken == "on credit"]
        assert len(on_credit) >= 3
        for task in result.tasks:
            assert task.taken == "on credit" or task.device not in known or task.verdicts
        for task in on_credit:
            assert not task.verdicts
            seen = hive.play(
                read_entries(others[0].node, others[0].entries, task.id, hive=others[0].network)
            )
            kinds = {entry.kind: entry for entry in seen}
            assert kinds["waiver"].ok
            assert kinds["waiver"].author == owner.id
            assert kinds["commit"].ok
