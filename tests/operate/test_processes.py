"""Nodes as people run them: asked while they run, watched, told to end."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from pockethive.cli import doctor
from pockethive.cli.command_line import run_command
from tests.operate.conftest import Processes, wait_for_line

pytestmark = pytest.mark.processes


def test_a_note_goes_from_one_home_to_another_and_outlives_its_node(processes: Processes) -> None:
    first, contact = processes.node("--drain", "2s", "--log", "json", "--log-level", "info")
    processes.node(f"--join={contact}", home="b")
    done = processes.run("put", "greeting", "good morning", "--json")
    assert json.loads(done.stdout) == {"copies": 2}
    (peer,) = json.loads(processes.run("peers", "--json").stdout)
    assert peer["member"]
    assert peer["lends"] is False  # neither has been idle for a minute
    status = json.loads(processes.run("status", "--json").stdout)
    assert (status["ready"], status["members"], status["pid"]) == (True, 2, first.pid)

    first.send_signal(signal.SIGTERM)
    left = json.loads(wait_for_line(first, '"left"'))
    assert left["handed_over"] >= 1
    assert left["given_up"] == 0
    assert first.wait(20) == 0
    status = json.loads(processes.run("status", "--json", home="b").stdout)
    assert status["members"] == 1  # it said goodbye
    done = processes.run("get", "greeting", "--verify", home="b")
    assert done.returncode == 0
    assert "good morning" in done.stdout
    assert (
        sorted(p.name for p in (processes.folder / "a" / "node").iterdir() if p.is_socket()) == []
    )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 0)])
def test_a_lonely_node_ends_in_order_on_either_signal(
    processes: Processes, number: signal.Signals, code: int
) -> None:
    process, _ = processes.node()
    process.send_signal(number)
    assert process.wait(20) == code
    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert not (processes.folder / "a" / "node" / "node.json").exists()


def test_a_second_signal_ends_at_once(processes: Processes) -> None:
    process, _ = processes.node()
    os.kill(process.pid, signal.SIGSTOP)  # both arrive before it can act on the first
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    os.kill(process.pid, signal.SIGCONT)
    assert process.wait(20) in (128 + signal.SIGTERM, 128 + signal.SIGINT)


def test_without_a_node_there_is_one_clear_sentence(processes: Processes) -> None:
    for command in (["status"], ["peers"], ["get", "k"], ["put", "k", "v"]):
        done = processes.run(*command)
        assert done.returncode == 1
        assert "no node runs in this home" in done.stderr
        assert "--join" in done.stderr
    assert not (processes.folder / "a").exists()


def test_a_passing_node_signs_with_the_key_of_its_home(processes: Processes) -> None:
    _, contact = processes.node()
    for value in ("one", "two"):
        done = processes.run("put", "k", value, f"--join={contact}", home="c")
        assert (done.returncode, done.stdout) == (0, "one node holds the note\n"), done.stderr
    done = processes.run("get", "k", "--json", f"--join={contact}", home="elsewhere")
    (seen,) = map(json.loads, done.stdout.splitlines())
    assert seen["body"]["value"] == "two"
    assert not (processes.folder / "elsewhere").exists()
    refused = processes.run("put", "k", "three", f"--join={contact}")
    assert refused.returncode == 2
    assert "leave --join out" in refused.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--metrics", "nowhere"], "HOST:PORT"),
        (["--drain", "soon"], "20s"),
        (["--drain", "2h"], "an hour at most"),
        (["--quota", "lots"], "512M"),
    ],
)
def test_options_that_cannot_be_used_are_named(
    processes: Processes, options: list[str], said: str
) -> None:
    done = processes.run("node", *options)
    assert done.returncode == 2
    assert said in done.stderr


def test_settings_come_from_a_file_and_the_command_line_wins(processes: Processes) -> None:
    settings = processes.folder / "node.yaml"
    settings.write_text("metrics: 127.0.0.1:0\nlog: json\nlog_level: info\ndrain_seconds: 0\n")
    process, _ = processes.node("--config", str(settings), "--quota", "64M")
    card = json.loads((processes.folder / "a" / "node" / "node.json").read_text())
    assert card["metrics"].startswith("127.0.0.1:")
    status = json.loads(processes.run("status", "--json").stdout)
    assert status["blobs"]["quota"] == 64_000_000
    process.send_signal(signal.SIGTERM)
    assert json.loads(wait_for_line(process, '"leaving"'))["drain"] == 0


def findings(processes: Processes, *args: str, home: str = "a") -> dict[str, dict[str, object]]:
    done = processes.run("doctor", "--json", *args, home=home)
    return {one["look"]: one for one in json.loads(done.stdout)}


def test_doctor_knows_a_running_node_and_its_peers(processes: Processes) -> None:
    process, contact = processes.node()
    found = findings(processes)
    for look in ("process", "port", "databases", "peers", "clock", "home"):
        assert found[look]["ok"], found[look]
    assert str(process.pid) in str(found["process"]["said"])
    assert findings(processes, f"--join={contact}", home="b")["peers"]["ok"]


def test_doctor_names_what_is_wrong_and_the_cure(processes: Processes) -> None:
    process, contact = processes.node()
    port = contact.rpartition(":")[2]
    settings = processes.folder / "node.yaml"
    settings.write_text(f"home: b\nlisten: 127.0.0.1:{port}\n")
    node = processes.folder / "b" / "node"
    node.mkdir(parents=True)
    (node / "records.sqlite").write_bytes(b"SQLite format 3\x00" + bytes(5_000))
    db = sqlite3.connect(node / "cells.sqlite")
    db.close()
    (node / "device.key").write_text("x")
    found = findings(processes, "--config", str(settings), home="b")
    assert "cannot be had" in str(found["port"]["said"])
    assert "--listen" in str(found["port"]["cure"])
    assert "records.sqlite" in str(found["databases"]["said"])
    assert str(found["home"]["cure"]).startswith("chmod 600")

    os.kill(process.pid, signal.SIGSTOP)
    process.send_signal(signal.SIGKILL)
    process.wait(20)
    nobody = findings(processes, f"--join={contact}", home="c")["peers"]
    assert not nobody["ok"]
    assert "no known node answered" in str(nobody["said"])


def test_doctor_accepts_a_device_that_goes_without_models(
    processes: Processes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "_FOR_MODELS", ("pockethive_has_no_such_package",))
    home = processes.folder / "a"
    words = ["doctor", "--json", "--home", str(home)]

    def look() -> dict[str, object]:
        run_command(words)
        found = {one["look"]: one for one in json.loads(capsys.readouterr().out)}
        return dict(found["model packages"])

    assert look()["ok"]
    card = home / "models" / "tiny-int8" / "card.json"
    card.parent.mkdir(parents=True)
    card.write_text("{}")  # a model that could not be run here
    assert not look()["ok"]
    assert "pip install 'pockethive[models]'" in str(look()["cure"])


def obedient(command: list[str]) -> list[str]:
    """The command as somebody whom the permissions of files stop, which root is not."""
    if os.geteuid() != 0:
        return command
    if shutil.which("setpriv") is None:
        pytest.skip("root without setpriv: permissions stop nobody here")
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]


@pytest.mark.parametrize(
    ("closed", "wrong"), [(".", {"home", "databases"}), ("node/cells.sqlite", {"databases"})]
)
def test_doctor_says_of_a_read_only_home_that_it_is_read_only(
    processes: Processes, closed: str, wrong: set[str]
) -> None:
    process, _ = processes.node()
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    home = processes.folder / "a"
    paths = [home, *home.rglob("*")] if closed == "." else [home / closed]
    for path in paths:
        path.chmod(path.stat().st_mode & ~0o222)
    try:
        command = [sys.executable, "-m", "pockethive", "doctor", "--json", "--home", str(home)]
        done = subprocess.run(
            obedient(command), capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 1
        found = {one["look"]: one for one in json.loads(done.stdout)}
        assert {name for name in ("home", "process", "databases") if not found[name]["ok"]} == wrong
        for name in wrong:
            assert "is read-only" in found[name]["said"]
            assert found[name]["cure"].startswith("chmod u+rw")
        assert "damaged" not in done.stdout
    finally:
        for path in paths:
            path.chmod(path.stat().st_mode | 0o200)
    assert findings(processes)["databases"]["ok"]


def test_doctor_names_the_process_that_holds_a_home(processes: Processes, tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from pockethive.home import FolderLock;"
        "lock = FolderLock(Path(sys.argv[1])); print(lock.take(), flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "a" / "node")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        found = findings(processes)["process"]
        assert not found["ok"]
        assert str(holder.pid) in str(found["said"])
    finally:
        holder.communicate("", timeout=20)
