"""Device processes that vote on their work, one of which lies whenever it is asked."""

from pathlib import Path

import pytest

from bench.cheats import holds, play

pytestmark = pytest.mark.processes


def test_a_build_that_lies_is_outvoted_and_known_for_it(tmp_path: Path) -> None:
    # keys are drawn anew, and each task asks two of four devices: of four tasks it was left out of
    # all once in sixteen plays, of twelve it is once in four thousand
    figures = play(tmp_path, tasks=12, share=1.0, nodes=3, seed="always")
    assert holds(figures), figures
    assert figures["cheat_valid"] == 0
    assert "2 devices agreed on another answer" in figures["why"][0]
    assert figures["why"][0] in figures["peers"]
