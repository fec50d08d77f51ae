"""Making a model, as whoever waits for it sees it: it ends with them, and with their time limit.

An environment with Optimum is played by a shell script; all that runs it is real.
"""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from pockethive.cli import model_ready
from pockethive.core.errors import ModelError
from pockethive.core.spec import ModelNeed
from pockethive.inference.workshop import Workshop
from tests.acceptance.village import Village, processes_naming

pytestmark = pytest.mark.processes

MODEL = "owner/tiny"
EXPORTER = """#!/bin/sh
# What pip and Optimum do: start processes, leave files in the folder for temporary ones, take long.
# The last one started says so itself: until it runs, its command line names nothing.
mktemp
sh -c 'trap "" INT TERM HUP; echo "began $TMPDIR" > "$1"; sleep 600' {home}/quantizer {home}/said &
wait
"""


def workshop(home: Path) -> Workshop:
    """All steps are done but the one that takes forever. Who opens `said` hears that it began."""
    made = Workshop(home)
    made.python.parent.mkdir(parents=True)
    made.python.write_text(EXPORTER.format(home=home))
    made.python.chmod(0o700)
    for number in range(4):
        (made.folder / f"step-{number}.done").touch()
    os.mkfifo(home / "said")
    return made


def needing(village: Village) -> str:
    """The village's team with a model that is to be made."""
    team = village.team.with_name("needing.yaml")
    team.write_text(village.team.read_text().replace("scripted", MODEL))
    return str(team)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("command", ["models", "run"])
def test_all_that_makes_a_model_ends_with_whoever_waits_for_it(
    village: Village, command: str, number: signal.Signals
) -> None:
    made = workshop(village.home)
    words = {
        "models": ["models", "get", MODEL],
        "run": ["run", needing(village), "why?", *village.documents],
    }
    process = subprocess.Popen(
        village.command(*words[command]),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    scratch = Path((village.home / "said").read_text().split()[1])  # waits until it began
    assert list(scratch.iterdir())
    assert len(processes_naming(str(village.home))) >= 3
    process.send_signal(number)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert errors.endswith("pockethive: interrupted\n")
    assert processes_naming(str(village.home)) == []
    assert scratch == made.scratch
    assert not scratch.exists()


def test_a_time_limit_holds_for_the_model_that_has_to_be_made_first(village: Village) -> None:
    workshop(village.home)
    reader = os.open(village.home / "said", os.O_RDONLY | os.O_NONBLOCK)
    try:
        done = subprocess.run(
            village.command("run", needing(village), "why?", *village.documents, "--timeout=2s"),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert os.read(reader, 5) == b"began"
    finally:
        os.close(reader)
    assert done.returncode == 3
    first, *_, last = done.stderr.splitlines()
    assert first.startswith(f"{MODEL} int8 is not here yet and is made first")
    assert "counts towards --timeout 2s" in first
    assert "the time limit of 2 s passed while the model" in last
    assert f"pockethive models get {MODEL} --quantization int8" in last
    assert processes_naming(str(village.home)) == []


def test_no_model_is_made_where_none_could_be_run(
    village: Village, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(model_ready, "_RUNTIME", "pockethive_has_no_such_package")
    need = ModelNeed(name=MODEL)
    with pytest.raises(ModelError, match="the run time for models is not installed"):
        model_ready.ensure_model(need, village.home, model_ready.Until(None), quiet=False)
    assert capsys.readouterr().err == ""
    assert not village.home.exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["run", "research", "x", "--timeout", "soon"], "20s, 5m"),
        (["run", "research", "x", "--timeout", "0.2s"], "from 1s to 7d"),
        (["run", "research", "x", "--timeout", "8d"], "from 1s to 7d"),
        (["demo", "--timeout", "-1"], "20s, 5m"),
    ],
)
def test_a_time_limit_that_is_none_is_refused(
    village: Village, options: list[str], said: str
) -> None:
    done = subprocess.run(
        village.command(*options), capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
