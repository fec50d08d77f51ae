"""What claims and commits promise: contested tasks in bad company."""

import sys

from bench.proofs.running import run


def histories() -> None:
    """200 histories of contested tasks: no overlap, no double commit; seven mutants caught."""
    print(run(sys.executable, "-m", "bench.histories"))


def cheats() -> None:
    """Five processes vote on 300 tasks, one lies about 30 %: nothing wrong is committed."""
    print(run(sys.executable, "-m", "bench.cheats"))


def credit() -> None:
    """Voting, spot checks, adaptive replication, group credibility: theory in every interval."""
    print(run(sys.executable, "-m", "bench.validation"))
