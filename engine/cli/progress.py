"""A run as it goes: a live task tree on a terminal, plain lines elsewhere."""

import time
from dataclasses import dataclass, field
from threading import Lock
from types import TracebackType
from typing import Self, TextIO

from rich.live import Live
from rich.text import Text
from rich.tree import Tree

from pockethive.cli.console import PipedConsole, plain
from pockethive.core.report import Happening

_STYLE = {
    "planned": "dim",
    "opened": "dim",
    "offered": "yellow",
    "claimed": "cyan",
    "made": "blue",
    "asked": "bold yellow",
    "ruled": "green",
    "verified": "green",
    "rejected": "red",
    "credited": "green",
    "reopened": "red",
    "committed": "bold green",
    "closed": "red",
    "lost": "red",
}


_TOLD = frozenset(("asked", "ruled", "rejected", "closed", "lost", "reopened"))


def _detail(happening: Happening) -> str:
    """What is said of it; of a question, how it is answered."""
    if happening.what != "asked":
        return happening.detail
    return f"pockethive questions --accept {happening.detail}, or --reject it"


@dataclass(slots=True)
class _Line:
    state: str = ""
    device: str = ""
    detail: str = ""
    on_credit: bool = False
    verifiers: list[str] = field(default_factory=list)


class Progress:
    """Shows happenings until it is left. `saw` may be called from any thread."""

    def __init__(self, out: TextIO) -> None:
        self._console = PipedConsole(file=out, highlight=False)
        self._gone = False  # nobody reads on
        self._began = time.monotonic()
        self._lines: dict[str, _Line] = {}
        self._lock = Lock()
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = Live(self._tree(), console=self._console, refresh_per_second=8)
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.update(self._tree())
            self._live.stop()

    def saw(self, happening: Happening) -> None:
        """Take one happening in."""
        with self._lock:
            self._note(happening)
            if self._live is not None:
                self._live.update(self._tree())
            elif not self._gone:
                try:
                    self._print(happening)
                except BrokenPipeError:
                    self._gone = True

    def _note(self, happening: Happening) -> None:
        if not happening.task:
            return
        line = self._lines.setdefault(happening.task, _Line())
        line.state, line.detail = happening.what, plain(_detail(happening))
        if happening.what in {"credited", "reopened"}:
            line.on_credit = happening.what == "credited"
        if happening.what == "verified" and happening.device:
            line.verifiers.append(happening.device[:8])
        elif happening.device and happening.what in {"claimed", "made"}:
            line.device = happening.device[:8]

    def _print(self, happening: Happening) -> None:
        seconds = time.monotonic() - self._began
        by = f" by {happening.device[:8]}" if happening.device else ""
        about = f": {_detail(happening)}" if happening.detail else ""
        task = f" {happening.task}" if happening.task else ""
        self._console.print(
            f"{seconds:6.2f}s {happening.what}{task}{by}{about}", soft_wrap=True, markup=False
        )
        if not self._console.is_terminal:
            self._console.file.flush()

    def _tree(self) -> Tree:
        tree = Tree(Text(f"run, {time.monotonic() - self._began:.1f} s", style="bold"))
        for name, line in self._lines.items():
            text = Text(f"{name:<14}")
            text.append(f"{line.state:<10}", style=_STYLE.get(line.state, ""))
            if line.device:
                text.append(f" made by {line.device}")
            if line.on_credit:
                text.append(", on credit")
            elif line.verifiers:
                text.append(f", verified by {', '.join(dict.fromkeys(line.verifiers))}")
            if line.state in _TOLD and line.detail:
                text.append(f" ({line.detail})", style="dim")
            tree.add(text)
        return tree
