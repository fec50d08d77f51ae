"""Nearness in meaning proposes beside words, remembers what it read, and may be missing."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.actors.documents import nearness
from pockethive.actors.documents.nearness import Nearness, fused
from pockethive.actors.documents.points import Points
from pockethive.core.errors import ModelError


class Letters:
    """A row says how often a text has a, b and c."""

    id, width = "letters", 3

    def __init__(self) -> None:
        self.read: list[str] = []

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        self.read += texts
        return [[float(text.count(letter)) for letter in "abc"] for text in texts]


def test_the_nearest_comes_first_and_nothing_is_read_twice() -> None:
    model = Letters()
    near = Nearness(lambda: model)
    assert near.order("a", ["b", "ba", "aaa"]) == [2, 1, 0]
    assert near.order("b", ["b", "ba", "aaa", "b"]) == [0, 1, 3, 2]
    assert model.read == ["a", "b", "ba", "aaa"]
    assert near.order("a", []) == []


def test_no_more_is_remembered_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearness, "_REMEMBERED", 2)
    model = Letters()
    near = Nearness(lambda: model)
    for _ in range(2):
        assert near.order("a", ["b", "c", "a"]) == [2, 0, 1]
    assert model.read == ["a", "b", "c", "a", "b"]


def test_without_a_model_or_with_a_damaged_one_there_is_no_order(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert Nearness(lambda: None).order("a", ["b"]) is None

    def damaged() -> None:
        raise ModelError("a file is missing")

    near = Nearness(damaged)
    assert near.order("a", ["b"]) is None
    assert near.order("a", ["b"]) is None
    assert caplog.text.count("by words alone") == 1


def test_the_nearest_of_many_are_their_keys_and_new_texts_are_read_a_few_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(nearness, "READ_AT_ONCE", 2)
    model = Letters()
    near = Nearness(lambda: model)
    texts = {7: "b", 5: "ba", 9: "aaa", 3: "aa"}
    assert near.nearest("a", texts, 2) == (5, 7)  # the others were not read yet
    assert near.nearest("a", texts, 2) == (9, 3)
    assert sorted(model.read) == ["a", "aa", "aaa", "b", "ba"]
    assert Nearness(lambda: None).nearest("a", texts, 2) == ()


def test_what_was_read_before_a_restart_is_not_read_again(tmp_path: Path) -> None:
    for reads in (["a", "b", "ba"], ["a"]):
        model = Letters()
        near = Nearness(partial(_same, model), tmp_path / "p.sqlite")
        assert near.nearest("a", {1: "b", 2: "ba"}, 1) == (2,)
        near.close()
        assert model.read == reads


def test_where_nothing_can_be_kept_it_is_read_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    near = Nearness(Letters, tmp_path / "file" / "p.sqlite")
    assert near.order("a", ["b", "a"]) == [1, 0]
    assert "is not kept" in caplog.text


def test_a_file_that_fails_later_is_given_up_and_what_it_holds_amiss_is_read_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Points(tmp_path / "p.sqlite", "letters")) as points:
        points.keep({"b": [1.0], "ba": [0.0, 1.0, 0.0]})
    near = Nearness(Letters, tmp_path / "p.sqlite")
    assert near.order("b", ["a", "b", "ba"]) == [1, 2, 0]  # "b" had a row of another width
    monkeypatch.setattr(Points, "of", _failing)
    assert near.order("b", ["aaa", "bb"]) == [1, 0]
    assert caplog.text.count("is not kept") == 1


def _same(model: Letters) -> Letters:
    return model


def _failing(*_: object) -> None:
    raise sqlite3.OperationalError("disk I/O error")


def test_fused_orders_agree_where_both_do_and_ties_fall_as_in_the_first() -> None:
    assert fused([0, 1, 2], [0, 2, 1]) == [0, 1, 2]
    assert fused([0, 1, 2, 3], [3, 2, 1, 0]) == [0, 3, 1, 2]
    assert fused([2, 0, 1]) == [2, 0, 1]


@given(st.permutations(range(6)), st.permutations(range(6)))
def test_who_is_first_in_both_is_first_and_nobody_is_lost(one: list[int], two: list[int]) -> None:
    joined = fused(one, two)
    assert sorted(joined) == list(range(6))
    if one[0] == two[0]:
        assert joined[0] == one[0]
