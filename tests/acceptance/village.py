"""Swarms of real processes over loopback, with a scripted model."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TEAM = """
team: village
model: scripted
roles:
  researcher: {skill: search, verify: {check: quotation}}
  reasoner: {skill: rank, verify: {rescore: ranking}}
  synthesizer: {skill: synthesize, verify: {check: citations}}
planner:
  steps:
    research: {role: researcher, each: devices, params: {question: "{goal}"}}
    rank: {role: reasoner, after: {research: {arrived_by: 30s}}, params: {question: "{goal}"}}
    answer: {role: synthesizer, after: rank, params: {question: "{goal}"}}
"""

TEXTS = {
    "harbour": "The harbour lighthouse was built in 1874 by the engineer Maria Lindqvist.\n\n"
    "Fishing boats return to the harbour before the storm season begins in October.\n",
    "library": "The village library opens on Saturday at ten in the morning.\n\n"
    "A library card costs three coins and is valid for a whole year.\n",
    "bakery": "The bakery sells rye bread every Tuesday and Friday.\n\n"
    "Its oven was bought second hand from the monastery across the river.\n",
}


@dataclass(frozen=True)
class Village:
    """A team file, three folders of documents and a home."""

    team: Path
    folders: tuple[Path, ...]
    home: Path

    def command(self, *args: str) -> list[str]:
        """The command line with this home."""
        return [sys.executable, "-m", "pockethive", *args, "--home", str(self.home)]

    def run(self, goal: str, *args: str, timeout: float = 90) -> subprocess.CompletedProcess[str]:
        """`pockethive run` to its end."""
        return subprocess.run(
            self.command("run", str(self.team), goal, *self.documents, *args),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    @property
    def documents(self) -> list[str]:
        """The options that name the folders."""
        return [part for folder in self.folders for part in ("--documents", str(folder))]

    def ask(self, goal: str, *args: str) -> dict[str, Any]:
        """The JSON object of a run that must not fail."""
        done = self.run(goal, "--json", *args)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        value: dict[str, Any] = json.loads(done.stdout)
        return value


def build_village(tmp_path: Path) -> Village:
    """Write the team and the documents."""
    team = tmp_path / "village.yaml"
    team.write_text(TEAM)
    folders = []
    for name, text in TEXTS.items():
        folder = tmp_path / name
        folder.mkdir()
        (folder / f"{name}.txt").write_text(text)
        folders.append(folder)
    return Village(team, tuple(folders), tmp_path / "home")


_EXITING = 0x4  # PF_EXITING of the kernel


def processes_naming(text: str) -> list[int]:
    """Processes whose command line names `text`; this test's own does not.

    One that was killed, and that the kernel has not taken away yet, is gone.
    """
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            named = text.encode() in (folder / "cmdline").read_bytes()
            if named and not _ending(folder):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def _ending(folder: Path) -> bool:
    """Whether a process is on its way out, or SIGKILL on its way to it; proc(5)."""
    lines = (folder / "status").read_text().splitlines()
    pending = (int(line.split()[1], 16) for line in lines if line[:6] in ("SigPnd", "ShdPnd"))
    flags = int((folder / "stat").read_text().rpartition(")")[2].split()[6])
    return bool(flags & _EXITING) or any(mask >> (signal.SIGKILL - 1) & 1 for mask in pending)
