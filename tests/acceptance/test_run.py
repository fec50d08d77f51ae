"""One goal on three device processes, as a user runs it."""

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pockethive.credits import credits_of
from tests.acceptance.village import TEXTS, Village, build_village, processes_naming

pytestmark = pytest.mark.processes

Done = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def harbour(tmp_path_factory: pytest.TempPathFactory) -> Village:
    return build_village(tmp_path_factory.mktemp("harbour"))


@pytest.fixture(scope="module")
def proof(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the receipt and the answer of `harbour_run`."""
    return tmp_path_factory.mktemp("proof")


@pytest.fixture(scope="module")
def harbour_run(harbour: Village, proof: Path) -> Done:
    """One run to its end, looked at from several sides."""
    village = harbour
    files = ("--receipts", str(proof / "receipt"), "--answer", str(proof / "answer"))
    done = village.run("Who built the harbour lighthouse in 1874?", "--json", *files)
    assert village.home.is_dir()
    assert processes_naming(str(village.home)) == []
    return done


def test_a_goal_is_answered_from_the_device_that_holds_the_document(harbour_run: Done) -> None:
    result = json.loads(harbour_run.stdout)

    assert result["status"] == "completed"
    assert result["citations"][0]["source"] == "harbour.txt"
    assert "Maria Lindqvist" in result["citations"][0]["quote"]
    assert result["citations"][0]["quote"] in TEXTS["harbour"]
    assert result["missing"] == []


def test_every_output_was_verified_by_another_device_than_its_maker(harbour_run: Done) -> None:
    result = json.loads(harbour_run.stdout)

    assert {task["role"] for task in result["tasks"]} == {"researcher", "reasoner", "synthesizer"}
    for task in result["tasks"]:
        accepting = [v["device"] for v in task["verdicts"] if v["verdict"] == "accept"]
        assert task["status"] == "committed", task
        assert accepting, task
        assert task["device"] not in accepting, task
    assert result["witnesses"] == {"K": 4, "q": 3, "f": 1}


def test_the_owners_home_remembers_whose_outputs_were_right(
    harbour: Village, harbour_run: Done
) -> None:
    tasks = json.loads(harbour_run.stdout)["tasks"]
    seen = credits_of(harbour.home)
    assert {task["taken"] for task in tasks} == {"verified"}
    assert sum(credit.standing.valid for credit in seen) == len(tasks)
    assert {credit.device for credit in seen} == {task["device"] for task in tasks}
    assert not any(credit.fell for credit in seen)


def test_its_receipt_convinces_somebody_with_no_home_no_model_and_no_node(
    harbour_run: Done, proof: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "pockethive", "verify-receipt", "--json"]
    done = subprocess.run(
        [*command, str(proof / "receipt"), "--answer", str(proof / "answer")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "HOME": str(tmp_path), "POCKETHIVE_HOME": str(tmp_path / "home")},
    )
    assert done.returncode == 0, done.stderr
    said, result = json.loads(done.stdout), json.loads(harbour_run.stdout)
    assert said["run"] == result["run_id"]
    assert said["answered_by"] == "answer"
    assert result["answer"] in json.loads((proof / "answer").read_bytes())["value"]["answer"]
    assert [task["worker"] for task in said["tasks"]] == [t["device"] for t in result["tasks"]]
    assert all(task["verifiers"] for task in said["tasks"])
    assert list(tmp_path.iterdir()) == []


def test_people_see_lines_an_answer_and_who_did_what(village: Village) -> None:
    done = village.run("Who built the harbour lighthouse in 1874?")

    assert done.returncode == 0, done.stderr
    assert "[1] harbour.txt" in done.stdout
    assert "committed answer" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert done.stderr == ""


def test_a_question_nobody_can_answer_is_answered_so(village: Village) -> None:
    result = village.ask("Which quasar emits neutrinos?")

    assert result["status"] == "completed"
    assert result["citations"] == []
    assert result["found"] is False
    assert "not found in these documents" in result["answer"].lower()


def test_an_interrupt_ends_in_order_and_leaves_nothing(village: Village) -> None:
    process = subprocess.Popen(
        village.command("run", str(village.team), "Who built the lighthouse?", *village.documents),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "claimed" in line:
            break
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)

    assert process.returncode == 130
    assert errors == "pockethive: interrupted\n"
    assert processes_naming(str(village.home)) == []


def test_devices_end_with_the_process_that_started_them(village: Village) -> None:
    process = subprocess.Popen(
        village.command("run", str(village.team), "Who built the lighthouse?", *village.documents),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline()
    children = [pid for pid in processes_naming(str(village.home)) if pid != process.pid]
    assert len(children) == 3
    process.kill()
    process.communicate(timeout=10)
    for pid in children:
        _wait_for_end(pid)


def test_nodes_in_other_terminals_do_the_work_of_a_run(village: Village) -> None:
    nodes = [_start_node(village, number) for number in (0, 1)]
    try:
        joins = [part for _, contact in nodes for part in ("--join", contact)]
        goal = "When does the village library open on Saturday?"
        done = subprocess.run(
            village.command("run", str(village.team), goal, "--json", *joins),
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout)
        assert result["citations"][0]["source"] == "library.txt"
        task = result["tasks"][0]["id"]
        entries = subprocess.run(
            [sys.executable, "-m", "pockethive", "get", task, "--verify", *joins[:2]],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert entries.returncode == 0, entries.stdout + entries.stderr
        assert "acks of a quorum good" in entries.stdout
    finally:
        for process, _ in nodes:
            process.terminate()
            process.communicate(timeout=20)
    assert [process.returncode for process, _ in nodes] == [0, 0]


def _start_node(village: Village, number: int) -> tuple[subprocess.Popen[str], str]:
    folder = village.home.parent / f"node-{number}"
    process = subprocess.Popen(
        village.command(
            "node",
            "--model",
            "scripted",
            "--documents",
            str(village.folders[number]),
            "--folder",
            str(folder),
        ),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "--join" in line:
            return process, line.split()[-1]
    raise AssertionError("the node did not become ready")


def _wait_for_end(pid: int) -> None:
    """Wait for a process that is not our child."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        assert poll.poll(20_000), f"process {pid} goes on without its parent"
    finally:
        os.close(handle)


def test_json_goes_to_standard_output_alone(harbour_run: Done) -> None:
    assert (harbour_run.returncode, harbour_run.stderr) == (0, "")
    value = json.loads(harbour_run.stdout)
    assert set(value) >= {
        "run_id",
        "status",
        "answer",
        "citations",
        "tasks",
        "devices",
        "model",
        "witnesses",
        "missing",
        "tokens",
        "seconds",
    }
    assert value["model"]["name"] == "scripted"
    assert value["tokens"]["prompt"] >= 0
