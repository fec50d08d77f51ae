"""An owner's process that is killed, and a second one that goes on with its run."""

import json
import signal
import subprocess
import sys
from typing import Any

import pytest

from pockethive import Swarm
from pockethive.core.errors import BadInput
from tests.acceptance.village import Village

pytestmark = pytest.mark.processes

GOAL = "What does the bakery sell every Tuesday and Friday?"

OWNER = """
import os, signal, sys
from pockethive import Swarm

team, home, what, goal, *documents = sys.argv[1:]
with Swarm.from_yaml(team, documents=documents, home=home, timeout=90) as swarm:
    def saw(seen):
        print(seen.what, seen.task, flush=True)
        if f"{seen.what} {seen.task}" == what:
            os.kill(os.getpid(), signal.SIGKILL)
    swarm.device.subscribe(saw)
    swarm.run_sync(goal)
"""


def killed_at(village: Village, what: str) -> list[str]:
    """A run whose owner kills itself, and with it its devices, at a happening; what was seen."""
    done = subprocess.run(
        [sys.executable, "-c", OWNER, str(village.team), str(village.home), what, GOAL]
        + [str(folder) for folder in village.folders],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    return done.stdout.splitlines()


def listed(village: Village) -> list[dict[str, Any]]:
    done = subprocess.run(
        village.command("runs", "--json"), capture_output=True, text=True, timeout=60, check=True
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def resume(village: Village, run: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        village.command("resume", run, "--json"),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


async def test_a_killed_run_waits_while_others_run_and_is_gone_on_with(village: Village) -> None:
    before = killed_at(village, "committed rank")
    (run,) = listed(village)
    assert (run["state"], run["goal"]) == ("unfinished", GOAL)

    other = Swarm.from_yaml(village.team, documents=village.folders, home=village.home, timeout=90)
    async with other:  # in the same folder, which nobody uses: the run that was left stays
        assert (await other.run(GOAL)).status == "completed"
        with pytest.raises(BadInput, match="cannot be gone on with"):
            await other.resume(run["run_id"])
        assert resume(village, run["run_id"]).returncode == 1  # that swarm lives there

    done = resume(village, run["run_id"][:8])
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["run_id"], result["status"]) == (run["run_id"], "completed")
    assert "rye bread" in result["answer"]
    stood = {line.partition(" ")[2] for line in before if line.startswith("committed ")}
    assert len(stood) >= 2
    for task in result["tasks"]:
        if task["name"] in stood:
            assert (task["epoch"], task["attempts"]) == (1, 1), task
    assert [each["state"] for each in listed(village)] == ["completed", "completed"]

    again = resume(village, run["run_id"])
    assert again.returncode == 2
    assert "is completed" in again.stderr
    with pytest.raises(BadInput, match="no run of this home is called"):
        Swarm.from_run("0" * 32, home=village.home)
