"""Starting devices: keys that look like options, parents that die, people who change their mind."""

import io
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pockethive.children import ChildSpec, _command
from pockethive.cli.command_line import _joined, parser
from pockethive.cli.progress import Progress
from pockethive.core.canonical import to_text
from pockethive.core.report import Happening
from pockethive.core.task import RunId
from pockethive.dht.contact import Contact
from tests.acceptance.village import Village

HYPHEN = Contact(bytes([0xF8, *range(31)]), "127.0.0.1", 9)  # its text begins with a hyphen


def test_a_key_that_begins_with_a_hyphen_is_no_option(tmp_path: Path) -> None:
    assert to_text(HYPHEN.public).startswith("-")
    spec = ChildSpec(
        name="device-1",
        folder=tmp_path / "device-1",
        home=tmp_path,
        join=(HYPHEN,),
        hive="home",
        documents=(Path("-notes.txt"),),
        model="scripted",
        threads=1,
    )
    started = parser().parse_args(_command(spec)[3:])
    assert (started.join, started.documents) == ([str(HYPHEN)], [Path("-notes.txt")])
    typed = ["run", "research", "why?", "--join", str(HYPHEN), "--json"]
    asked = parser().parse_args(_joined(typed))
    assert (asked.join, asked.json) == ([str(HYPHEN)], True)


@pytest.mark.parametrize(("parent_dies", "code"), [(True, 1), (False, 130)])
def test_a_device_that_is_still_joining_can_be_ended(
    village: Village, *, parent_dies: bool, code: int
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        silent.settimeout(20)
        _end_while_joining(village, silent, parent_dies=parent_dies, code=code)


def _end_while_joining(
    village: Village, silent: socket.socket, *, parent_dies: bool, code: int
) -> None:
    """`silent` hears the device that wants to join, and never answers."""
    nobody = str(Contact(HYPHEN.public, *silent.getsockname()))
    options = [f"--join={nobody}", *(["--follow"] if parent_dies else [])]
    process = subprocess.Popen(
        village.command("node", *options),
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    silent.recv(2_048)
    began = time.monotonic()
    if parent_dies:
        assert process.stdin is not None
        process.stdin.close()
    else:
        process.send_signal(signal.SIGINT)
    assert process.wait(20) == code
    assert time.monotonic() - began < 3
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()
    if process.stdin is not None:
        process.stdin.close()


def test_a_reader_that_goes_away_does_not_hang_the_run(village: Village) -> None:
    process = subprocess.Popen(
        village.command("run", str(village.team), "When was it built?", *village.documents),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline()
    process.stdout.close()
    assert process.wait(60) == 0
    assert process.stderr.read() == ""
    process.stderr.close()


@pytest.mark.parametrize("way", ["module", "script"])
def test_an_interrupt_in_the_first_moments_is_no_traceback(way: str, tmp_path: Path) -> None:
    """It comes with the first import that takes its time."""
    (tmp_path / "argparse.py").write_text("raise KeyboardInterrupt\n")
    script = Path(sys.executable).with_name("pockethive")
    done = subprocess.run(
        [sys.executable, "-m", "pockethive"] if way == "module" else [str(script)],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "pockethive: interrupted\n"


def test_a_goal_that_is_no_text_is_refused(village: Village) -> None:
    done = village.run("light\udcffhouse")
    assert (done.returncode, done.stdout) == (2, "")
    assert "not UTF-8 text" in done.stderr


def test_documents_are_looked_at_before_a_model_is_made(village: Village) -> None:
    team = village.team.with_name("needs-a-model.yaml")
    team.write_text(village.team.read_text().replace("scripted", "smollm2-135m-instruct"))
    done = subprocess.run(
        village.command("run", str(team), "why?", "--documents", str(village.home / "nowhere")),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert "making" not in done.stderr
    assert not (village.home / "models").exists()


def test_what_a_peer_says_is_shown_and_not_obeyed_by_the_terminal() -> None:
    out = io.StringIO()
    said = "été \x1b]0;title\x07 \x1b[2J \x9b31m"
    Progress(out).saw(Happening(what="rejected", run=RunId("ab" * 16), task="rank", detail=said))
    assert "été" in out.getvalue()
    assert not {"\x1b", "\x07", "\x9b"} & set(out.getvalue())
