"""A run that asks its owner: answered from another process, through the face, and after a kill."""

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pockethive import Swarm
from pockethive.core.errors import BadInput
from tests.acceptance.village import TEAM, Village

pytestmark = pytest.mark.processes

GOAL = "What does the bakery sell every Tuesday and Friday?"

OWNER = """
import asyncio, os, signal, sys, threading
from pockethive import Swarm

team, home, goal, *documents = sys.argv[1:]
with Swarm.from_yaml(team, documents=documents, home=home, timeout=90) as swarm:
    def answer(question):
        asyncio.run(swarm.questions.accept(question))
    def saw(seen):
        if seen.what == "asked":
            threading.Thread(target=answer, args=(seen.detail,), daemon=True).start()
        if seen.what == "ruled":
            os.kill(os.getpid(), signal.SIGKILL)
    swarm.device.subscribe(saw)
    swarm.run_sync(goal)
"""


@pytest.fixture
def village(village: Village, tmp_path: Path) -> Village:
    """One whose answers its owner himself judges."""
    team = tmp_path / "asked.yaml"
    team.write_text(
        TEAM.replace("synthesize, verify: {check: citations}", "synthesize, verify: human")
    )
    return replace(village, team=team)


class Going:
    """A run in a process of its own, read line by line."""

    def __init__(self, village: Village, *args: str) -> None:
        self.process = subprocess.Popen(
            village.command(*args), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def asked(self) -> str:
        """Wait for a question; its id."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if " asked answer: " in line:
                return line.partition("--accept ")[2].partition(",")[0]
        raise AssertionError(f"nothing was asked: {self.ended()}")

    def ended(self) -> tuple[int, str, str]:
        """How it ended: exit code, what it said since, what it said of faults."""
        said, told = self.process.communicate(timeout=90)
        return self.process.returncode, said, told

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate(timeout=90)


def questions(village: Village, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        village.command("questions", *args), capture_output=True, text=True, timeout=60, check=False
    )


def listed(village: Village, *args: str) -> list[dict[str, Any]]:
    done = questions(village, "--json", *args)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def the_run(village: Village) -> str:
    command = village.command("runs", "--json")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return str(json.loads(done.stdout.splitlines()[0])["run_id"])


def test_an_owner_answers_from_another_process(village: Village, tmp_path: Path) -> None:
    receipt = tmp_path / "receipt"
    going = Going(
        village, "run", str(village.team), GOAL, *village.documents, "--receipts", str(receipt)
    )
    first = going.asked()
    (question,) = listed(village)
    assert (question["id"], question["task"], question["role"]) == (first, "answer", "synthesizer")
    assert question["run"] == the_run(village)
    assert GOAL in question["instruction"]
    assert "rye bread" in question["output"]

    assert "rye bread" in questions(village).stdout
    for args, words in (
        (("--accept", "0000"), "no open question is called 0000"),
        (("--accept", "9"), "'9' names no question"),
        (("--reject", first), "an output is rejected for a reason"),
        (("--reject", first, "--reason", " "), "an output is rejected for a reason"),
        (("--reason", "why"), "a reason goes with --reject"),
        (("--reject", first, "--reason", "x" * 501), "a reason has at most 500 bytes"),
    ):
        refused = questions(village, *args)
        assert (refused.returncode, refused.stdout) == (2, ""), refused
        assert words in refused.stderr
        assert len(refused.stderr.splitlines()) == 1

    rejected = questions(village, "--reject", first[:6], "--reason", "name the street, too")
    assert (rejected.returncode, rejected.stderr) == (0, "")
    assert rejected.stdout.startswith(f"rejected {first}: answer of run ")
    second = going.asked()
    assert second != first
    again = questions(village, "--accept", first)
    assert (again.returncode, again.stdout) == (2, "")
    assert f"question {first} was rejected already" in again.stderr
    assert questions(village, "--accept", second).returncode == 0

    code, said, told = going.ended()
    assert (code, told) == (0, ""), said
    assert "accepted by its owner" in said
    assert questions(village).stdout == "nothing waits for your word\n"
    gone = questions(village, "--accept", second)
    assert gone.returncode == 2
    assert "no run of this home asks anything" in gone.stderr
    command = village.command("verify-receipt", str(receipt))[:-2]
    proof = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert "proven: accepted by the run's owner himself" in proof
    assert "not proven: that any device checked it" in proof


def test_a_question_outlives_its_process(village: Village) -> None:
    going = Going(village, "run", str(village.team), GOAL, *village.documents)
    first = going.asked()
    going.kill()
    assert listed(village) == []
    resumed = Going(village, "resume", the_run(village))
    assert resumed.asked() == first
    assert [question["id"] for question in listed(village)] == [first]
    assert questions(village, "--accept", first).returncode == 0
    code, said, told = resumed.ended()
    assert (code, told) == (0, ""), said


def test_what_was_answered_before_a_kill_is_not_asked_again(village: Village) -> None:
    folders = [str(folder) for folder in village.folders]
    command = [sys.executable, "-c", OWNER, str(village.team), str(village.home), GOAL, *folders]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    code, said, told = Going(village, "resume", the_run(village)).ended()
    assert (code, told) == (0, ""), said
    assert " asked " not in said
    assert "accepted by its owner" in said


async def test_a_service_answers_through_the_face_and_one_device_is_enough(
    village: Village,
) -> None:
    team = village.team.read_text().replace("verify: {check: quotation}", "verify: human")
    village.team.write_text(team.replace("verify: {rescore: ranking}", "verify: human"))
    swarm = Swarm.from_yaml(
        village.team, documents=village.folders[:1], devices=0, home=village.home, timeout=90
    )
    names = []
    async with swarm:
        with pytest.raises(BadInput, match="no open question is called abcd"):
            await swarm.questions.accept("abcd")
        async for seen in swarm.stream(GOAL):
            if getattr(seen, "what", "") != "asked":
                continue
            (question,) = swarm.questions.open()
            names.append(question.task)
            if names == ["research-1"]:
                await swarm.questions.reject(question.id, "look again")
            else:
                await swarm.questions.accept(question.id)
            with pytest.raises(BadInput, match="already"):
                await swarm.questions.accept(question.id)
        result = seen
    assert getattr(result, "status", "") == "completed"
    assert names == ["research-1", "research-1", "rank", "answer"]
    taken = {task.taken for task in getattr(result, "tasks", ())}
    assert taken == {"accepted by its owner"}
