"""The command line: parse, run a command, say what went wrong in one sentence."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from pockethive import __version__
from pockethive.core.errors import PocketHiveError

_COMMANDS = (
    *("run", "resume", "runs", "demo", "check", "sim", "node", "status", "peers"),
    *("invite", "join", "members", "owner"),
    *("get", "put", "verify-receipt", "outbox", "questions", "models", "eval", "doctor"),
)


def parser(command: str = "") -> argparse.ArgumentParser:
    """The command line: of `command` alone where it is one, so that no other takes time and memory.

    Commands import what they need when they run.
    """
    top = argparse.ArgumentParser(
        prog="pockethive",
        description="Turn the devices you own into one agent swarm with no server.",
    )
    top.add_argument("--version", action="version", version=f"pockethive {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in (command,) if command in _COMMANDS else _COMMANDS:
        module = importlib.import_module(f"pockethive.cli.{name.replace('-', '_')}")
        module.register(commands)
    return top


def run_command(argv: Sequence[str]) -> int:
    """Run one command. Errors on purpose become one message and an exit code."""
    try:
        args = parser(argv[0] if argv else "").parse_args(_joined(argv))
        code: int = args.run(args)
    except PocketHiveError as error:
        sys.stdout.flush()
        sys.stderr.write(f"pockethive: {error}\n")
        return error.exit_code
    except BrokenPipeError:
        # The reader went away, which is not our error; keep Python from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def _joined(argv: Sequence[str]) -> list[str]:
    """`--join -KEY@HOST:PORT` as one word: keys may begin with a hyphen, options do so too."""
    words: list[str] = []
    for word in argv:
        contact = bool(words) and words[-1] == "--join" and "@" in word
        key = bool(words) and words[-1] == "--revoke"
        if word.startswith("-") and (contact or key):
            words[-1] = f"{words[-1]}={word}"
        else:
            words.append(word)
    return words
