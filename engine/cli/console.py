"""The console on which runs are shown: what peers and documents say is shown, never obeyed."""

from typing import Any

from rich.console import Console


def plain(text: str) -> str:
    """`text` with control characters replaced: a terminal obeys them, and strangers wrote it."""
    return "".join(
        c if c in "\n\t" or c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text
    )


class PipedConsole(Console):
    """Shows text as plain text, and raises BrokenPipeError when the reader went away.

    Rich would raise SystemExit, on whatever thread printed: it ended the device's loop, and the
    run hung.
    """

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError

    def print(self, *objects: Any, **options: Any) -> None:
        super().print(*(plain(o) if isinstance(o, str) else o for o in objects), **options)
