"""`pockethive`: the way in. Whatever takes time to import is imported where Ctrl-C is understood.

Exit codes: 0 completed or partial · 1 failed · 2 bad input · 3 time limit · 130 interrupted
"""

import sys

INTERRUPTED = 130


def main() -> int:
    """Run the command of this process; the exit code."""
    try:
        from pockethive.cli.command_line import run_command

        return run_command(sys.argv[1:])
    except KeyboardInterrupt:
        sys.stderr.write("pockethive: interrupted\n")
        return INTERRUPTED
