"""The console of all commands that show something while they work."""

from rich.console import Console


class PipedConsole(Console):
    """Raises BrokenPipeError when the reader went away.

    Rich would raise SystemExit, on whatever thread printed: it ended the device's loop, and the
    run hung.
    """

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError
