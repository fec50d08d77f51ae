"""What a goal on a swarm promises, end to end, with the real model."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.proofs.running import ROOT, run
from pockethive.actors.documents.corpus import write_corpus
from pockethive.configs.home import default_home
from pockethive.core.report import Happening
from pockethive.result import Result
from pockethive.swarm import Swarm

QUESTION = "Which operator has the lowest precedence in an expression?"


def fresh_clone() -> None:
    """A clone on an empty home: `make demo` and `make test`, as a new user would."""
    with tempfile.TemporaryDirectory(prefix="pockethive-prove-") as name:
        folder = Path(name)
        subprocess.run(["git", "clone", "-q", str(ROOT), str(folder / "clone")], check=True)
        env = {**os.environ, "POCKETHIVE_HOME": str(folder / "home")}
        env.pop("VIRTUAL_ENV", None)
        began = time.perf_counter()
        output = run("make", "demo", env=env, cwd=folder / "clone")
        print(f"cold demo: {time.perf_counter() - began:.1f} s in all")
        assert "[1] try.txt" in output, output[-2000:]
        began = time.perf_counter()
        print(run("make", "demo", env=env, cwd=folder / "clone"))
        print(f"warm demo: {time.perf_counter() - began:.1f} s in all")
        print(run("make", "test", env=env, cwd=folder / "clone")[-400:])
        left = subprocess.run(["pgrep", "-f", name], capture_output=True, text=True, check=False)
        assert left.stdout.split() in ([], [str(os.getpid())]), left.stdout


def questions() -> None:
    """30 + 5 questions through the real swarm; every output verified by another device."""
    print(run(sys.executable, "-m", "bench.swarm", "--out", "build/swarm.json"))


def verifiers() -> None:
    """False accepts and rejects on 60 planted quotations; the chain beside BM25 alone."""
    print(run(sys.executable, "-m", "bench.research"))


def plans() -> None:
    """30 goals over 6 graph shapes, planned by methods with the default model."""
    print(run(sys.executable, "-m", "bench.planning"))


def killed_device() -> None:
    """kill -9 of one of three devices in the middle: partial, in time, the missing named."""
    home = default_home()
    folders = write_corpus(home / "demo", 3)
    with Swarm.from_yaml("research", documents=folders, home=home, timeout=120) as swarm:
        victim: list[str] = []

        def saw(happening: Happening) -> None:
            if not victim and happening.what == "claimed" and happening.device:
                victim.append(happening.device)
                os.kill(swarm.process_of(happening.device), signal.SIGKILL)

        swarm.device.subscribe(saw)
        result = swarm.run_sync(QUESTION)
    _show(result)
    assert victim
    assert result.status == "partial", result.status
    assert result.missing, "nobody was missed"
    assert result.answer
    assert all(citation.device != victim[0] for citation in result.citations)


def interrupted() -> None:
    """Ctrl-C in the middle leaves no process, port or lock."""
    home = Path(tempfile.mkdtemp(prefix="pockethive-prove-"))
    (home / "models").symlink_to(default_home() / "models")
    command = [sys.executable, "-m", "pockethive", "demo", "--home", str(home)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if "claimed" in line:
            break
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    print(f"exit {process.returncode}: {errors.strip()}")
    assert process.returncode == 130
    left = subprocess.run(["pgrep", "-f", str(home)], capture_output=True, text=True, check=False)
    assert not left.stdout, left.stdout
    again = run(*command)  # the same home, ports and locks serve again
    assert "completed in" in again
    (home / "models").unlink()
    shutil.rmtree(home)


def layers() -> None:
    """An import against the arrows is found."""
    print(run(sys.executable, "-m", "pytest", "tests/test_layers.py"))


def starting() -> None:
    """Import and help times, medians of nine."""
    for name, code in (
        ("import pockethive", ["-c", "import pockethive"]),
        ("pockethive --help", ["-m", "pockethive", "--help"]),
        ("python alone", ["-c", "pass"]),
    ):
        times = []
        for _ in range(9):
            began = time.perf_counter()
            subprocess.run([sys.executable, *code], stdout=subprocess.DEVNULL, check=True)
            times.append(time.perf_counter() - began)
        print(f"{name}: {sorted(times)[4]:.3f} s wall")


def engine() -> None:
    """CPU of a no-op task on one device with its journal; the model beside the libraries alone."""
    print(run(sys.executable, "-m", "bench.tasks", "--tasks", "200"))
    print(run(sys.executable, "-m", "bench.inference"))


def grammar() -> None:
    """1,000 constrained texts of 40 drawn schemas: every one valid."""
    print(run(sys.executable, "-m", "bench.grammar"))


def _show(result: Result) -> None:
    print(json.dumps(result.to_json(), indent=1, ensure_ascii=False))
