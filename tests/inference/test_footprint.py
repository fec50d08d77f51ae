"""A model that does not fit is refused before it is loaded, with the sum."""

from pathlib import Path

import pytest

from pockethive.core.errors import RefusedModel
from pockethive.inference.bundle import Bundle
from pockethive.inference.footprint import (
    check_memory,
    check_room_for_encoder,
    free_memory,
    group_memory,
    has_room,
)
from pockethive.inference.session import Session

MB = 1 << 20


def test_what_fits_is_let_through_and_what_does_not_is_told_with_the_sum() -> None:
    parts = {"weights": 135 * MB, "the program": 150 * MB}
    check_memory(parts, 285 * MB, "here")
    check_memory(parts, None, "a system that does not tell")
    with pytest.raises(RefusedModel) as caught:
        check_memory(parts, 284 * MB, "here")
    told = "135 MB for weights + 150 MB for the program = 285 MB, and 284 MB are free"
    assert told in str(caught.value)


def test_an_encoder_leaves_the_model_its_room_whether_it_is_loaded_or_not() -> None:
    check_room_for_encoder(500 * MB, 60 * MB)
    check_room_for_encoder(200 * MB, 360 * MB)
    check_room_for_encoder(None, 60 * MB)
    with pytest.raises(RefusedModel, match="390 MB are free"):
        check_room_for_encoder(390 * MB, 60 * MB)  # a phone's ceiling, before the model is loaded
    with pytest.raises(RefusedModel, match="80 MB are free"):
        check_room_for_encoder(80 * MB, 600 * MB)


def test_a_group_of_processes_may_take_what_its_limit_leaves(tmp_path: Path) -> None:
    assert group_memory(tmp_path) is None, "no group"
    (tmp_path / "memory.current").write_text(f"{300 * MB}\n")
    (tmp_path / "memory.stat").write_text(f"active_file {20 * MB}\ninactive_file {30 * MB}\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert group_memory(tmp_path) is None, "no limit"
    (tmp_path / "memory.max").write_text(f"{400 * MB}\n")
    assert group_memory(tmp_path) == 150 * MB


def test_the_system_tells_a_sensible_number_or_none() -> None:
    free = free_memory()
    assert free is None or MB < free < 1 << 50


def test_a_session_is_refused_before_it_reads_a_file(
    small_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pockethive.inference.session.free_memory", lambda: 100 * MB)
    (small_bundle.folder / "tokenizer.json").unlink()
    with pytest.raises(RefusedModel, match=r"too little memory: .* and 100 MB are free"):
        Session(small_bundle)


def test_speed_is_bought_with_memory_only_where_that_is_plenty() -> None:
    assert has_room(139 * MB, 2_000 * MB)
    assert not has_room(139 * MB, 1_500 * MB)
    assert not has_room(139 * MB, None), "nobody can tell"
