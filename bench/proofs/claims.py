"""What claims and commits promise: contested tasks in bad company."""

import sys

from bench.proofs.running import run


def histories() -> None:
    """200 histories of contested tasks: no overlap, no double commit; seven mutants caught."""
    print(run(sys.executable, "-m", "bench.histories"))
