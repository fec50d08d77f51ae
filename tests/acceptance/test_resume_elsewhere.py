"""An owner's machine that is gone for good, and another home of the same person: real processes."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pockethive.core.report import RunStatus
from tests.operate.conftest import Processes

pytestmark = pytest.mark.processes

TASKS = 42
WIDTH = 14
SKILL = """
import os
from pockethive.actors.skill import Finding, Product

class Count:
    name, needs_model = "count", False

    def run(self, work, tools):
        with open(os.environ["EXECUTIONS"], "a") as file:
            file.write(work.name + chr(10))
        return Product(value={"answer": work.name + "".join(sorted(map(str, work.inputs)))})

class Recount:
    name, needs_model = "recount", False

    def check(self, work, value, tools):
        right = {"answer": work.name + "".join(sorted(map(str, work.inputs)))}
        return Finding(value == right, "counted again")
"""
POINTS = """
[pockethive.skills]
count = counting:Count
[pockethive.checkers]
recount = counting:Recount
"""
GOAL = "What does the bakery sell?"
OWNER = """
import os, signal, sys
from pockethive import Swarm

team, home, kill_at, how, *join = sys.argv[1:]
with Swarm.from_yaml(team, home=home, join=join, timeout=150) as swarm:
    committed = []
    def saw(seen):
        if seen.what == "committed":
            committed.append(seen.task)
            print(seen.task, seen.device, seen.data["epoch"], flush=True)
            if len(committed) == int(kill_at):
                os.kill(os.getpid(), getattr(signal, how))
    swarm.device.subscribe(saw)
    result = swarm.run_sync("What does the bakery sell?")
    print("ended", result.status, result.reason, flush=True)
"""


def team_of(folder: Path) -> Path:
    """Chains of three cheap tasks, which need neither a model nor documents."""
    lines = [
        "team: chains",
        "roles: {writer: {skill: count, verify: {check: recount}}}",
        "limits: {lease: 5s}",
        "planner:",
        "  steps:",
    ]
    for number in range(TASKS):
        after = f"after: s{number - WIDTH}, " if number >= WIDTH else ""
        lines.append(f'    s{number}: {{role: writer, {after}params: {{question: "{{goal}}"}}}}')
    path = folder / "chains.yaml"
    path.write_text("\n".join(lines))
    return path


def install(folder: Path) -> None:
    """What every process of the test finds on its path: a skill, and a checker that repeats it."""
    known = folder / "counting-1.dist-info"
    known.mkdir(parents=True)
    (folder / "counting.py").write_text(SKILL)
    (known / "METADATA").write_text("Metadata-Version: 2.1\nName: counting\nVersion: 1\n")
    (known / "entry_points.txt").write_text(POINTS)


@pytest.fixture
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Processes]:
    install(tmp_path / "site")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    monkeypatch.setenv("EXECUTIONS", str(tmp_path / "executions.log"))
    processes = Processes(tmp_path)
    yield processes
    processes.end()


def linked(homes: Processes) -> None:
    """Home b becomes another one of the person of home a."""
    assert homes.run("owner", "init", "--name", "Ada", home="a").returncode == 0
    request = homes.run("owner", "link", "--request", home="b").stdout.strip()
    certificate = homes.run("owner", "link", request, home="a").stdout.strip()
    done = homes.run("owner", "link", certificate, home="b")
    assert done.returncode == 0, done.stderr


def owner(homes: Processes, kill_at: int, how: str, join: str) -> subprocess.Popen[str]:
    team = team_of(homes.folder)
    return subprocess.Popen(
        [sys.executable, "-c", OWNER, str(team), str(homes.folder / "a"), str(kill_at), how, join],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def listed(homes: Processes, home: str) -> list[dict[str, Any]]:
    done = homes.run("runs", "--json", home=home)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def resumed(
    homes: Processes, run: str, *args: str, home: str = "b"
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pockethive", "resume", run, "--json", *args]
    command += ["--home", str(homes.folder / home)]
    return subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)


def begun(homes: Processes, how: str) -> tuple[subprocess.Popen[str], str]:
    """A run of home a that stops when a third is committed; its process, and the hive's door."""
    linked(homes)
    _, door = homes.node(home="b")
    for home in ("c", "d", "e"):
        homes.node(f"--join={door}", home=home)
    return owner(homes, TASKS // 3, how, door), door


def executions(homes: Processes) -> list[str]:
    return (homes.folder / "executions.log").read_text().splitlines()


def test_a_run_whose_machine_is_gone_is_ended_from_another_home_of_its_owner(
    homes: Processes,
) -> None:
    gone, _ = begun(homes, "SIGKILL")
    said = [line.split() for line in gone.communicate(timeout=120)[0].splitlines()]
    before = {task: (worker, int(epoch)) for task, worker, epoch in said}
    assert gone.returncode == -signal.SIGKILL
    assert len(before) == TASKS // 3
    done_before = len(executions(homes))
    (homes.folder / "a").rename(homes.folder / "burnt")

    (run,) = listed(homes, "b")
    assert (run["state"], run["goal"]) == ("elsewhere", GOAL)
    receipt = homes.folder / "receipt.json"
    done = resumed(homes, run["run_id"][:8], "--receipts", str(receipt))
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["run_id"], result["status"]) == (run["run_id"], RunStatus.COMPLETED.value)
    assert len(result["tasks"]) == TASKS
    after = {task["name"]: (task["device"], task["epoch"]) for task in result["tasks"]}
    assert {task: after[task] for task in before} == before
    assert not before.keys() & set(executions(homes)[done_before:])
    proven = json.loads(proof_of(receipt))
    assert sum(task["committed"] for task in proven["tasks"]) == TASKS
    (again,) = listed(homes, "b")
    assert again["state"] == "completed"

    (homes.folder / "burnt").rename(homes.folder / "a")
    (left,) = listed(homes, "a")
    assert left["state"] == "unfinished"
    back = resumed(homes, run["run_id"], home="a")
    assert back.returncode == 1, back.stderr
    assert "the run has ended on device" in json.loads(back.stdout)["reason"]
    assert [each["state"] for each in listed(homes, "a")] == ["moved"]


def test_an_owner_that_slept_finds_its_run_kept_elsewhere_and_leaves_it_alone(
    homes: Processes,
) -> None:
    asleep, _ = begun(homes, "SIGSTOP")
    assert asleep.stdout is not None
    before = [asleep.stdout.readline().split()[0] for _ in range(TASKS // 3)]
    (run,) = listed(homes, "b")
    done = resumed(homes, run["run_id"])
    assert done.returncode == 0, done.stderr
    asleep.send_signal(signal.SIGCONT)
    said = asleep.communicate(timeout=60)[0]
    assert "ended moved not here: " in said, said
    result = json.loads(done.stdout)
    assert result["status"] == RunStatus.COMPLETED.value
    assert {task["epoch"] for task in result["tasks"] if task["name"] in before} == {1}
    assert executions(homes).count(before[0]) == 1


def proof_of(receipt: Path) -> str:
    command = [sys.executable, "-m", "pockethive", "verify-receipt", str(receipt), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
