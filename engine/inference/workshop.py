"""The environment that Optimum lives in, made on demand.

PyTorch, transformers and Optimum with their pins are kept away from whoever embeds PocketHive: they
get a virtual environment under `<home>/tools`, named by the hash of what is asked for.

Rules guarded here: a step that is finished is not done again, and an unfinished one is never taken
for finished; a command ends with whoever waits for it, and so does all that it started or left
lying about.

Needs the network (through pip, as it is configured here) unless the environment exists.
"""

import contextlib
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import IO

from pockethive.core.errors import ModelError

_LAST_LINES = 12
_FETCHED = re.compile(r"^(Collecting|Downloading|Using cached|Installing collected)")


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a long job is. `fraction` runs from 0 to 1 within the whole job."""

    stage: str
    fraction: float


Tell = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Workshop:
    """A virtual environment with Optimum. `torch_index` is the package index for PyTorch."""

    home: Path
    torch_index: str | None = None

    @property
    def folder(self) -> Path:
        """Named by the requirements and the Python version, so that new pins make a new one."""
        asked = f"{_requirements()}\n{sys.version_info[:2]}\n{self.torch_index or ''}"
        return self.home / "tools" / f"quantizer-{hashlib.sha256(asked.encode()).hexdigest()[:12]}"

    @property
    def python(self) -> Path:
        """The interpreter in it."""
        return self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    @property
    def scratch(self) -> Path:
        """What commands write for a time, gone when they end: a killed pip leaves gigabytes."""
        return self.home / "tools" / "temporary"

    @property
    def log(self) -> Path:
        """What pip and the exporter had to say."""
        return self.folder / "log.txt"

    @property
    def ready(self) -> bool:
        """Whether nothing is left to do for `prepare`."""
        steps = range(len(self._steps()))
        return all((self.folder / f"step-{number}.done").exists() for number in steps)

    def prepare(self, tell: Tell) -> None:
        """Make or complete the environment; raises ModelError naming the log."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for number, (stage, action) in enumerate(self._steps()):
            done = self.folder / f"step-{number}.done"
            if not done.exists():
                tell(Progress(stage, number / 4))
                action(lambda part, s=stage, n=number: tell(Progress(s, (n + part) / 4)))  # type: ignore[misc]  # mypy cannot see lambda defaults
                done.touch()

    def run(self, command: Sequence[str], hear: Callable[[str], None], doing: str) -> None:
        """Run a command with its stdout lines to `hear` and the log, its stderr to the log.

        Raises ModelError with the last lines of the log when it fails. The command ends with us:
        when we are interrupted it is killed, with every process that it started.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("a", encoding="utf-8") as log:
            log.write(f"\n== {doing}: {' '.join(command)}\n")
            log.flush()
            with _running(command, log, self.scratch) as process:
                assert process.stdout is not None
                for line in process.stdout:
                    log.write(line)
                    log.flush()
                    hear(line.rstrip("\n"))
            code = process.returncode
        if code:
            raise ModelError(
                f"{doing} failed with status {code}:\n{self._last_lines()}",
                where=str(self.log),
                cure="is the network there? Run the same command again: finished steps are kept",
            )

    def _steps(self) -> list[tuple[str, Callable[[Callable[[float], None]], None]]]:
        index = ["--index-url", self.torch_index] if self.torch_index else []
        torch, optimum, rest = split_requirements(_requirements())
        return [
            ("making the tool environment", lambda _: self._make()),
            ("installing PyTorch", lambda part: self._install([*index, torch], part)),
            ("installing Optimum", lambda part: self._install(["--no-deps", optimum], part)),
            ("installing transformers", lambda part: self._install(rest, part)),
        ]

    def _make(self) -> None:
        command = [sys.executable, "-m", "venv", str(self.folder)]
        try:
            self.run(command, lambda _: None, "making the tool environment")
        except ModelError as error:
            raise ModelError(
                error.what,
                where=error.where,
                cure="it needs Python's venv and ensurepip, and about 2 GB of disk",
            ) from error

    def _install(self, what: Sequence[str], part: Callable[[float], None]) -> None:
        seen = 0

        def hear(line: str) -> None:
            nonlocal seen
            seen += bool(_FETCHED.match(line))
            part(seen / (seen + 20))

        pip = [str(self.python), "-m", "pip", "install", "--no-input", "--progress-bar", "off"]
        self.run([*pip, *what], hear, "pip install")

    def _last_lines(self) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(f"  {line[:300]}" for line in lines[-_LAST_LINES:])


def split_requirements(text: str) -> tuple[str, str, list[str]]:
    """`(torch, optimum-intel, the rest)` of the requirements file."""
    lines = [line.strip() for line in text.splitlines()]
    wanted = [line for line in lines if line and not line.startswith("#")]
    torch = next(line for line in wanted if line.startswith("torch=="))
    optimum = next(line for line in wanted if line.startswith("optimum-intel=="))
    return torch, optimum, [line for line in wanted if line not in (torch, optimum)]


def _requirements() -> str:
    return (files(__package__) / "export" / "requirements.txt").read_text(encoding="utf-8")


@contextmanager
def _running(
    command: Sequence[str], log: IO[str], scratch: Path
) -> Iterator[subprocess.Popen[str]]:
    """A child process that does not outlive this block, nor do its children and its scratch.

    It has a process group of its own, so that all of it can be killed, and so that Ctrl-C reaches
    only whoever waits, which then kills it.
    """
    shutil.rmtree(scratch, ignore_errors=True)  # of a process that could not clean up
    scratch.mkdir(parents=True)
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONUNBUFFERED": "1"}
    environment |= {"TMPDIR": str(scratch)}
    environment.pop("PYTHONPATH", None)
    try:
        process = subprocess.Popen(  # noqa: S603  # our own interpreter and arguments, no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=environment,
            cwd=scratch,
            process_group=0,
        )
        try:
            yield process
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        finally:
            _end(process)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _end(process: subprocess.Popen[str]) -> None:
    """Kill it and all of its group. It must not have been waited for: until then its id, which is
    its group's too, can be nobody else's."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()
