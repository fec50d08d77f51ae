"""Scenarios: played by a seed, watched step by step, reported with what the simulator knows."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest

from bench.crowd import draw as draw_crowd
from bench.crowd import measure
from bench.crowd_table import measure as at_table
from pockethive.cli.command_line import run_command
from pockethive.configs.scenario import Fault, Group, Runs, Scenario, Wire, load_scenario
from pockethive.sim_play import play
from pockethive.sim_plot import draw

ROOT = Path(__file__).parents[2]
HONEST = Group(name="honest", count=6, owners=3)
SMALL = Scenario(name="small", groups=(replace(HONEST, count=8),), runs=Runs(tasks=8))


def test_an_undisturbed_scenario_commits_everything_once() -> None:
    report = play(SMALL, 1)
    assert report.sound
    assert [run.status for run in report.runs] == ["completed"]
    assert (report.committed, report.wrong, report.twice, report.executed) == (8, 0, 0, 8)
    assert report.attempts == 1
    assert 0 < report.latency[0] <= report.latency[1] < 20
    assert report.shares == {"honest": (8, 8)}


@pytest.mark.parametrize("shape", ["chain", "fan"])
def test_graphs_of_other_shapes_are_planned_and_done(shape: str) -> None:
    report = play(replace(SMALL, runs=Runs(tasks=6, shape=shape)), 2)
    assert report.committed == 6


def test_devices_that_die_and_come_cost_work_and_no_task() -> None:
    group = replace(HONEST, count=10, work=4.0)
    faults = (Fault(kind="churn", share=1.0), Fault(kind="kill", at=3, count=1))
    report = play(Scenario(name="churn", groups=(group,), runs=Runs(tasks=10), faults=faults), 3)
    assert report.sound
    assert report.committed == 10
    assert report.tally.died >= 2
    assert report.tally.came >= 1


def test_judges_who_look_let_nothing_wrong_pass_and_lazy_ones_do() -> None:
    cheats = Group(name="cheats", count=3, owners=3, cheats=0.7)
    honest = Scenario(name="judged", groups=(HONEST, cheats), runs=Runs(tasks=6))
    seen = play(honest, 4)
    assert seen.sound
    assert seen.wrong == 0
    assert seen.twice > 0  # a rejected output is made again by another
    lazy = replace(honest, groups=(replace(HONEST, lazy=True), replace(cheats, lazy=True)))
    missed = play(lazy, 4)
    assert missed.sound
    assert missed.wrong > 0


def test_a_crowd_of_one_stranger_is_asked_last_once_one_of_it_was_caught() -> None:
    sybils = Group(name="sybils", count=6, owners=1, cheats=1.0, colludes=True)
    crowd = Scenario(name="crowd", groups=(replace(HONEST, owners=6), sybils), runs=Runs(tasks=12))
    report = play(crowd, 3)
    assert report.sound
    assert (report.committed, report.wrong) == (12, 0)
    with patch("pockethive.core.ledger_work.doubted", lambda _: frozenset()):
        report = play(crowd, 3)
    assert report.committed < 12, "each of them used up an attempt of each task"


def test_a_soft_deadline_takes_work_and_judgements_from_slow_devices_and_makes_a_run_shorter() -> (
    None
):
    slow = replace(HONEST, name="slow", count=3, work=20.0, check=6.0)
    runs = Runs(tasks=9)
    scenario = Scenario(name="slow", groups=(HONEST, slow), runs=runs)
    usual, soft = play(scenario, 1), play(replace(scenario, runs=replace(runs, soft=3)), 1)
    assert usual.sound
    assert soft.sound
    assert usual.committed == soft.committed == 9
    assert soft.runs[0].seconds < usual.runs[0].seconds / 1.5


def test_two_holders_at_once_are_seen_where_witnesses_let_leases_overlap() -> None:
    """The check is worth what it catches: witnesses that do not look whether a lease runs.

    So far away from each other that the next one asks before it hears that the task is taken.
    """
    far = replace(SMALL, link=Wire(latency=0.25), runs=Runs(tasks=3, timeout=20))
    with patch("pockethive.core.witness._Decision._left", lambda *_: 0.0):
        report = play(far, 1)
    assert report.overlaps
    assert not report.sound


def test_the_dead_of_the_first_run_s_witnesses_are_replaced() -> None:
    faults = (Fault(kind="witnesses", at=2, count=3),)
    group = replace(HONEST, count=12, work=2.0)
    report = play(Scenario(name="w", groups=(group,), runs=Runs(tasks=10), faults=faults), 5)
    assert report.sound
    assert report.committed == 10
    assert report.tally.died == 3


def test_one_seed_gives_one_trace_whatever_the_hash_seed() -> None:
    def told(hash_seed: str) -> str:
        command = [sys.executable, "-m", "pockethive", "sim", "loss", "--devices", "5"]
        done = subprocess.run(
            [*command, "--tasks", "4", "--seed", "3", "--json"],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            timeout=110,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return str(json.loads(done.stdout)["trace"])

    scenario = load_scenario("loss").sized(5, 4)
    assert told("0") == told("4242") == play(scenario, 3).trace
    assert play(scenario, 4).trace != play(scenario, 3).trace


def test_nothing_heavy_is_loaded_for_a_simulation() -> None:
    script = (
        "import sys; from pockethive.cli.command_line import run_command;"
        "code = run_command(['sim', 'loss', '--devices', '4', '--tasks', '1', '--json']);"
        "heavy = {'openvino', 'numpy', 'tokenizers', 'llguidance'} & set(sys.modules);"
        "sys.exit(code or ' '.join(heavy) or None)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["no-such"], "no file and no shipped scenario of this name"),
        (["churn", "--devices", "1"], "--devices: 1 devices"),
        (["churn", "--tasks", "0"], "--tasks: 0 tasks"),
        (["churn", "--seed", "-1"], "a seed of -1"),
        (["churn", "--plot", "/nowhere/at/all.svg"], "no folder /nowhere/at"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["sim", *words]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.startswith("pockethive: ")


def test_a_report_is_shown_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "small.svg"
    words = ["sim", "loss", "--devices", "6", "--tasks", "4", "--plot", str(picture)]
    assert run_command(words) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("loss: 6 devices, 2 runs, 4 tasks, seed 1;")
    assert "0 lease overlaps, 0 tasks with two outputs" in shown
    assert picture.read_text().startswith("<svg")
    assert "loss: 6 devices" in draw(play(load_scenario("loss").sized(6, 4), 1))


def test_a_small_crowd_holds_what_the_large_one_promises() -> None:
    figures = measure(devices=12, tasks=24, churn=20.0, seed=1)
    assert figures["holds"], figures
    assert figures["committed"] == 24
    assert draw_crowd([figures, figures]).startswith("<svg")


def test_a_small_crowd_at_the_table_commits_every_task_once() -> None:
    figures = at_table(devices=12, tasks=10, churn=20.0, seed=1)
    assert (figures["completed"], figures["committed"], figures["two_outputs"]) == (1, 10, 0)
    assert 40 < figures["messages_a_task"] < 250


def test_devices_that_sleep_are_out_of_reach_and_come_back() -> None:
    phones = Group(name="phones", count=5, owners=5, work=1.0, sleeps=4.0, every=10.0)
    computers = replace(HONEST, count=4)
    report = play(Scenario(name="s", groups=(computers, phones), runs=Runs(tasks=6)), 6)
    assert report.sound
    assert report.committed == 6
    assert report.packets_lost > 0  # nothing else loses any
