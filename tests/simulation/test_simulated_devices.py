"""Whole devices in virtual time: the very classes of a real device, one seed, one play."""

import os
import subprocess
import sys
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pockethive.actors.skill import Finding, Product, Tools, Work
from pockethive.actors.skills import CHECKERS, SKILLS
from pockethive.core.effects import Effect
from pockethive.core.entry import Commit
from pockethive.core.errors import Failure
from pockethive.core.events import Event, GoalSubmitted
from pockethive.core.outbox import Draft, drafts_of
from pockethive.core.report import Happening
from pockethive.dht.simulation import Link
from pockethive.outbox import allow_folder, open_outbox
from pockethive.receipt import verify_receipt
from pockethive.result import Result
from pockethive.simulation import NOWHERE, Seat, SimulatedHive
from pockethive.virtual_staff import Pace
from tests.simulation.virtual_village import (
    GOAL,
    assert_answered,
    assert_verified_by_others,
    by_id,
    play,
    team,
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


@pytest.mark.parametrize("seed", range(3))
def test_a_partition_that_heals_delays_and_does_not_break(seed: int, tmp_path: Path) -> None:
    with SimulatedHive(seed) as hive:
        owner, *_ = hive.start(village_seats(tmp_path))
        undisturbed = hive.run(owner, GOAL)
    with SimulatedHive(seed) as hive:
        owner, *others = hive.start(village_seats(tmp_path))
        healed: list[float] = []

        def heal() -> None:
            hive.heal()
            healed.append(hive.now)
            # Two of four witnesses are no quorum: nothing was committed meanwhile.
            assert [line for line in hive.transcript if line.seen.what == "committed"] == []

        def part(_: Happening) -> None:
            hive.part(others[:2])
            hive.at(hive.now + 4.0, heal)  # less than it takes to count a device as lost

        hive.when("claimed", part)
        result = hive.run(owner, GOAL)
        assert healed
        assert_answered(result)
        assert result.seconds > undisturbed.seconds + 1


def test_three_of_four_witnesses_are_enough_to_commit(tmp_path: Path) -> None:
    with SimulatedHive(seed=4) as hive:
        # The four devices beside the owner's are the witnesses; one of them does nothing else.
        owner, *_, idle = hive.start([*village_seats(tmp_path), Seat(works=False, verifies=False)])
        hive.when("planned", lambda _: hive.kill(idle))
        result = hive.run(owner, GOAL)
        assert_answered(result)
        assert result.to_json()["witnesses"] == {"K": 4, "q": 3, "f": 1}
        commits = [
            body
            for entry in map(owner.entries.open, result.receipts.records)
            if isinstance(body := entry.body, Commit)
        ]
        assert len(commits) == len(result.tasks) == 5
        for commit in commits:
            assert len(commit.acks) == 3
            assert idle.id not in {witness for witness, _ in commit.acks}


class Moody:
    """The shipped skill, but the first time it is used anywhere it crashes."""

    name = "rank"
    needs_model = True

    def __init__(self) -> None:
        self.crashes = 0

    def run(self, work: Work, tools: Tools) -> Product:
        if not self.crashes:
            self.crashes += 1
            raise RuntimeError("not today")
        return SKILLS["rank"].run(work, tools)


def test_an_agent_that_crashes_is_replaced_and_its_task_done_again(tmp_path: Path) -> None:
    moody = Moody()
    owner_seat, *others = village_seats(tmp_path)
    seats = [replace(seat, skills={**SKILLS, "rank": moody}) for seat in others]
    with SimulatedHive(seed=6) as hive:
        owner, *_ = hive.start([owner_seat, *seats])
        result = hive.run(owner, GOAL)
        assert_answered(result)
        (ranked,) = [task for task in result.tasks if task.name == "rank"]
        assert moody.crashes == 1
        assert ranked.attempts == 2
        assert "crashed: RuntimeError" in "".join(ranked.story)


class Writing:
    """The shipped synthesizer, which also wants its answer written to a file."""

    name = "synthesize"
    needs_model = False

    def run(self, work: Work, tools: Tools) -> Product:
        made = SKILLS["synthesize"].run(work, tools)
        draft = Draft(kind="file", target="answer.txt", payload="found", key=f"{work.task}/answer")
        return replace(made, value={**made.value, "drafts": [draft.to_json()]})


class CitationsAndDrafts:
    """The shipped checker, for answers that may hold drafts of the kind it knows."""

    name = "citations"
    needs_model = False

    def check(self, work: Work, value: Any, tools: Tools) -> Finding:
        if any(draft.kind != "file" for draft in drafts_of(value)):
            return Finding(accept=False, reason="it wants something else done")
        answer = {name: part for name, part in value.items() if name != "drafts"}
        return CHECKERS["citations"].check(work, answer, tools)


def test_a_draft_that_no_checker_knows_is_rejected_with_its_output(tmp_path: Path) -> None:
    owner_seat, *others = village_seats(tmp_path)
    seats = [replace(seat, skills={**SKILLS, "synthesize": Writing()}) for seat in others]
    with SimulatedHive(seed=1) as hive:
        owner, *_ = hive.start([owner_seat, *seats])
        result = hive.run(owner, GOAL)
    assert (result.status, result.drafts) == ("failed", ())
    assert "not an answer" in result.reason


def test_what_a_skill_wants_done_waits_in_the_owner_s_outbox_once_it_is_committed(
    tmp_path: Path,
) -> None:
    owner_seat, *others = village_seats(tmp_path)
    checkers = {**CHECKERS, "citations": CitationsAndDrafts()}
    skills = {**SKILLS, "synthesize": Writing()}
    seats = [replace(seat, skills=skills, checkers=checkers) for seat in others]
    home, folder = tmp_path / "home", tmp_path / "out"
    folder.mkdir()
    with SimulatedHive(seed=1) as hive:
        owner, *_ = hive.start([replace(owner_seat, checkers=checkers), *seats])
        owner.open_outbox = partial(open_outbox, home)
        result = hive.run(owner, GOAL)
        assert_answered(result)
    (draft,) = result.drafts
    assert (draft.kind, draft.target, draft.state) == ("file", "answer.txt", "drafted")
    outbox = open_outbox(home)
    allow_folder(outbox, folder)
    outbox.work()
    assert list(folder.iterdir()) == []
    outbox.approve(draft.act)
    outbox.work()
    assert (folder / "answer.txt").read_text() == "found"
    (act,) = outbox.acts()
    assert act.task in {task.id for task in result.tasks if task.name == "answer"}
    assert act.output == verify_receipt(result.receipts.encode()).sinks[0].output
    outbox.close()


def test_slow_agents_take_virtual_time_and_keep_their_leases(tmp_path: Path) -> None:
    owner_seat, *others = village_seats(tmp_path)
    slow = [replace(seat, pace=Pace(work=25.0)) for seat in others]  # more than a lease
    with SimulatedHive(seed=7) as hive:
        owner, *_ = hive.start([owner_seat, *slow])
        result = hive.run(owner, GOAL)
        assert_answered(result)
        assert 75 < result.seconds < 100  # research, rank, answer
        assert {task.attempts for task in result.tasks} == {1}


@pytest.mark.parametrize("seed", range(2))
def test_what_came_too_late_for_the_worker_is_not_asked_of_its_output(
    seed: int, tmp_path: Path
) -> None:
    owner_seat, *others = village_seats(tmp_path)
    # Beyond `arrived_by`: the ranking begins with the first output. The only finding comes last,
    # while the ranking is made: a verifier that read it, too, would have to reject the ranking.
    late = [replace(seat, pace=Pace(work=50.0 - 5 * number)) for number, seat in enumerate(others)]
    with SimulatedHive(seed) as hive:
        owner, *_ = hive.start([owner_seat, *late])
        result = hive.run(owner, GOAL)
        assert result.status == "completed", result.reason
        seen = [(line.seen.what, line.seen.task) for line in hive.transcript]
        claimed, made = seen.index(("claimed", "rank")), seen.index(("made", "rank"))
        while_ranking = [task for what, task in seen[claimed:made] if what == "committed"]
        assert len(while_ranking) == 2
        assert "rejected" not in dict(seen)
        assert {task.attempts for task in result.tasks} == {1}
        assert_verified_by_others(result)


def test_what_fails_names_its_seed_and_the_last_happenings(tmp_path: Path) -> None:
    def too_short() -> None:
        with SimulatedHive(seed=8, link=Link(loss=0.02)) as hive:
            owner, *_ = hive.start(village_seats(tmp_path))
            hive.run(owner, GOAL, seconds=2.0)

    with pytest.raises(Failure, match="no end within 2 virtual seconds") as told:
        too_short()
    (note,) = told.value.__notes__
    assert "seed 8, 4 devices" in note
    assert "loss 0.02" in note
    assert "SimulatedHive(seed=8" in note
    assert "planned" in note


def test_machines_that_crash_fail_the_play(tmp_path: Path) -> None:
    class Broken:
        def handle(self, event: Event, now: float) -> tuple[Effect, ...]:
            match event:
                case GoalSubmitted():
                    raise ArithmeticError("a fault of ours")
            return ()

    with SimulatedHive(seed=9) as hive:
        (owner,) = hive.start([Seat(team=team())])
        assert owner._interpreter is not None
        owner._interpreter._machines["ledger"] = Broken()
        with pytest.raises(ArithmeticError, match="a fault of ours"):
            hive.run(owner, GOAL)


def test_nothing_is_written_and_no_thread_is_started(tmp_path: Path) -> None:
    seats = village_seats(tmp_path)
    before = sorted(tmp_path.rglob("*")), threading.active_count()
    with SimulatedHive(seed=1) as hive:
        owner, *_ = hive.start(seats)
        hive.run(owner, GOAL)
        assert (sorted(tmp_path.rglob("*")), threading.active_count()) == before
        assert not NOWHERE.exists()


def cut_off(seed: int, after: float, folder: Path, seconds: float = 15.0) -> Result:
    """One run in which two of four are parted from the rest, by default longer than a lease."""
    with SimulatedHive(seed, link=Link(loss=0.02)) as hive:
        owner, *others = hive.start(village_seats(folder))

        def part() -> None:
            hive.part(others[:2])
            hive.at(hive.now + seconds, hive.heal)

        hive.when("offered", lambda _: hive.at(hive.now + after, part))
        result = hive.run(owner, GOAL)
        assert_answered(result)
        return result


def test_a_holder_whose_last_words_were_lost_does_not_hold_up_the_run(tmp_path: Path) -> None:
    """Cut off past its lease, it gives up, and nobody hears of it.

    With half of the witnesses cut off too, for longer than a restart takes, its work becomes
    another task in some plays.
    """
    anew = []
    for seed in range(4):
        result = cut_off(seed, 5.0, tmp_path, seconds=30.0)
        assert result.seconds < 100, f"seed {seed}"
        (ranked,) = [task for task in result.tasks if task.name == "rank"]
        if "planned anew" in " ".join(ranked.story):
            anew.append(seed)
    assert anew


def test_an_older_claim_that_failed_has_overtaken_is_none(tmp_path: Path) -> None:
    """Healed, "failed" comes before the "claimed" of the same lease, which was sent again."""
    overtaken = []
    for seed in range(8):
        result = cut_off(seed, 4.5, tmp_path)
        (ranked,) = [task for task in result.tasks if task.name == "rank"]
        if "the lease could not be kept" in " ".join(ranked.story):
            overtaken.append(seed)
        for turn in "\n".join(ranked.story).split("planned anew"):  # another task, other epochs
            claims = [
                line.partition(": ")[2] for line in turn.splitlines() if ": claimed by" in line
            ]
            assert len(claims) == len(set(claims)), f"seed {seed}"
        assert result.seconds < 60, f"seed {seed}"
    assert overtaken
