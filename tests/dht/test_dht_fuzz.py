"""A short run of the fuzzer; `python -m bench.fuzz` is the long one."""

import pytest

from bench.fuzz import fuzz


@pytest.mark.parametrize("seed", [1, 2])
async def test_hostile_bytes_raise_nothing_but_what_readers_declare(
    seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    faults = await fuzz(5_000, seed)
    assert faults == 0, f"seed {seed}: {capsys.readouterr().out}"
    said = capsys.readouterr().out
    for read in ("record", "invitation", "charter", "list", "sealed key", "request to join"):
        assert f"'{read} re" in said
    for met in ("requests answered", "answers taken", "answers refused: ProtocolError"):
        assert met in said
