"""What a device sees of what else goes on, and a node that lends itself while that is little."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pockethive.activity import Activity
from tests.operate.conftest import Beside, Processes, wait_for_line

BUSY_LOOP = "print('busy', flush=True)\nwhile True: pass"


def told(folder: Path, **files: str) -> Path:
    """A folder of files, their paths written with `__` for `/`."""
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def ticks(busy: int, idle: int) -> str:
    return f"cpu  {busy} 0 0 {idle} 0 0 0 0 0 0\ncpu0 1 2 3\n"


@pytest.fixture
def busy_loop() -> Iterator[None]:
    """Another program, no child of the node."""
    command = [sys.executable, "-c", BUSY_LOOP]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield
        process.kill()


def test_load_is_what_others_took_of_all_cores(tmp_path: Path) -> None:
    activity = Activity(proc=told(tmp_path, stat=ticks(1_000, 1_000)), own=tmp_path / "none")
    assert activity.read().load is None  # nothing to compare with
    told(tmp_path, stat=ticks(1_030, 1_070))
    assert activity.read().load == pytest.approx(0.3)
    told(tmp_path, stat=ticks(1_030, 1_170))
    assert activity.read().load == 0.0


def test_what_this_process_and_its_children_took_is_not_others_load(tmp_path: Path) -> None:
    pid = os.getpid()
    one = f"{pid} (a name) with ) R 1 1 1 0 -1 0 0 0 0 0 100 20 5 5 20 0 1 0 0"
    two = "77 (child) R 1 1 1 0 -1 0 0 0 0 0 10 0 0 0 20 0 1 0 0"
    children = {f"{pid}__task__{pid}__children": "77 ", "77__stat": two}
    told(tmp_path, stat=ticks(1_000, 1_000), **{f"{pid}__stat": one}, **children)
    activity = Activity(proc=tmp_path, own=tmp_path)
    activity.read()
    one, two = one.replace(" 100 20 ", " 130 20 "), two.replace(" 10 0 ", " 30 0 ")
    told(tmp_path, stat=ticks(1_060, 1_040), **{f"{pid}__stat": one, "77__stat": two})
    assert activity.read().load == pytest.approx(0.1)  # 60 of 100, 50 of them our own


@pytest.mark.parametrize(
    ("files", "power"),
    [
        ({}, (None, None)),
        ({"AC__type": "Mains", "AC__online": "1"}, (None, None)),  # a desktop
        ({"BAT0__type": "Battery", "BAT0__capacity": "57", "BAT0__status": "Discharging"},
         (False, 0.57)),
        ({"BAT0__type": "Battery", "BAT0__capacity": "57", "BAT0__status": "Charging"},
         (True, 0.57)),
        ({"AC__type": "Mains", "AC__online": "1", "BAT0__type": "Battery", "BAT0__capacity": "99",
          "BAT0__status": "Not charging"}, (True, 0.99)),
        ({"m__type": "Battery", "m__scope": "Device", "m__capacity": "5"}, (None, None)),
    ],
)  # fmt: skip
def test_power_is_what_the_kernel_says(
    tmp_path: Path, files: dict[str, str], power: tuple[bool | None, float | None]
) -> None:
    told(tmp_path / "class" / "power_supply", **files)
    seen = Activity(sys=tmp_path).read()
    assert (seen.plugged, seen.battery) == power


def test_heat_is_the_hottest_zone(tmp_path: Path) -> None:
    zones = {"thermal_zone0__temp": "45000\n", "thermal_zone1__temp": "91500\n"}
    told(tmp_path / "class" / "thermal", **zones)
    assert Activity(sys=tmp_path).read().celsius == 91.5


def test_where_nothing_is_told_all_is_unknown(tmp_path: Path) -> None:
    seen = Activity(proc=tmp_path, sys=tmp_path).read()
    assert (seen.load, seen.plugged, seen.battery, seen.celsius, seen.user_idle) == (None,) * 5


def test_a_device_that_is_its_owners_own_lends_itself_always(beside: Beside) -> None:
    lending = beside.service.vitals().lending
    assert (lending.open, lending.reason) == (True, "always")


@pytest.mark.processes
@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="the system does not tell its load")
def test_a_node_stops_lending_itself_while_others_keep_the_machine_busy(
    processes: Processes, busy_loop: None
) -> None:
    """It opens before it knows of any load, and closes with the first look that does."""
    settings = processes.folder / "node.yaml"
    settings.write_text("lend: idle\nidle_seconds: 0\nidle_load: 0.02\n")
    node, _ = processes.node("--config", str(settings), "--log", "json", "--log-level", "info")
    seen = [json.loads(wait_for_line(node, "lending changed")) for _ in range(2)]
    assert [line["lending"] for line in seen] == [True, False]
    assert seen[1]["reason"] == "other programs are busy"
    assert "  lending: no (other programs are busy)" in processes.run("status").stdout


@pytest.mark.processes
def test_a_node_lends_itself_again_when_the_others_have_ended(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST_PROC", str(processes.folder / "proc"))
    proc = told(processes.folder / "proc", stat=ticks(0, 0))
    settings = processes.folder / "node.yaml"
    settings.write_text("lend: idle\nidle_seconds: 0\n")
    node, _ = processes.node("--config", str(settings), "--log", "json", "--log-level", "info")
    for stat, lending in ((None, True), (ticks(900_000, 10), False), (ticks(900_000, 10**8), True)):
        if stat is not None:
            (proc / "new").write_text(stat)
            (proc / "new").replace(proc / "stat")
        assert json.loads(wait_for_line(node, "lending changed"))["lending"] is lending
    status = json.loads(processes.run("status", "--json").stdout)
    assert status["lending"] == {"open": True, "reason": "it is idle"}


@pytest.mark.processes
@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("always", "yes (always)"),
        ("never", "no (it works for its owner alone)"),
    ],
)
def test_the_command_line_says_when_a_node_lends_itself(
    processes: Processes, option: str, said: str
) -> None:
    processes.node("--lend", option)
    assert f"  lending: {said}" in processes.run("status").stdout.splitlines()
