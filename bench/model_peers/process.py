"""A run time at work in a process of its own: the asking end of `line.py`."""

import contextlib
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

ROOT: Final = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Runner:
    """A script of model_peers/ and what it is given; `python` runs it."""

    script: str
    given: dict[str, Any]
    python: Path


class Lacking(Exception):
    """A run time has it not, or failed; the text begins with which."""


class Process:
    """A run time at work. The first line that it says is of its import."""

    def __init__(self, runner: Runner, log: Path) -> None:
        """Start it. Its stderr goes to `log`."""
        self._log = log.open("a", encoding="utf-8")
        self._process = subprocess.Popen(
            [runner.python, "-m", f"bench.model_peers.{runner.script}", json.dumps(runner.given)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            cwd=ROOT,
        )
        try:
            self.imported = self._answer()
        except Lacking:
            self.end()
            raise

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """End it by the end of its stdin."""
        self.end()

    def end(self) -> None:
        """It ends with its stdin; after half a minute it is killed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._log.close()

    def ask(self, what: str, **given: Any) -> dict[str, Any]:
        """Raises Lacking."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": what, "with": given}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise Lacking(f"failed: it ended with status {self._process.wait()}") from None
        answer = self._answer()
        if "lacks" in answer:
            raise Lacking(f"has it not: {answer['lacks']}")
        if "failed" in answer:
            raise Lacking(f"failed: {answer['failed']}")
        return answer

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise Lacking(f"failed: it ended with status {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer
