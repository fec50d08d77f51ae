"""What texts mean is kept from one start to the next, by text, for one encoder."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from pockethive.actors.documents import points
from pockethive.actors.documents.points import Points

FIGURES = some.floats(-1, 1, width=32)


@given(
    rows=some.dictionaries(
        some.text(some.characters(codec=None), max_size=20),
        some.lists(FIGURES, min_size=3, max_size=3),
        max_size=8,
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
def test_what_is_kept_is_found_again_after_a_restart(
    rows: dict[str, list[float]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("points") / "points.sqlite"
    with closing(Points(path, "one")) as kept:
        kept.keep(rows)
    with closing(Points(path, "one")) as again:
        found = again.of([*rows, "a text that nobody kept"])
    assert {text: list(row) for text, row in found.items()} == rows


def test_rows_of_another_encoder_are_dropped(tmp_path: Path) -> None:
    with closing(Points(tmp_path / "p.sqlite", "one")) as kept:
        kept.keep({"a": [1.0]})
    with closing(Points(tmp_path / "p.sqlite", "two")) as other:
        assert other.of(["a"]) == {}


@pytest.mark.parametrize("damage", [b"no database", b""])
def test_a_damaged_file_is_begun_anew(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "p.sqlite"
    path.write_bytes(damage)
    with closing(Points(path, "one")) as kept:
        kept.keep({"a": [1.0]})
        assert list(kept.of(["a"])["a"]) == [1.0]


def test_a_file_of_another_version_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "p.sqlite"
    with closing(Points(path, "one")) as kept:
        kept.keep({"a": [1.0]})
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("PRAGMA user_version = 99")
    with closing(Points(path, "one")) as again:
        assert again.of(["a"]) == {}


def test_the_oldest_rows_go_when_there_are_too_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(points, "MOST", 3)
    with closing(Points(tmp_path / "p.sqlite", "one")) as kept:
        for text in "abcde":
            kept.keep({text: [1.0]})
        kept.keep({"e": [0.5]})
        assert set(kept.of("abcde")) == {"c", "d", "e"}
        assert list(kept.of("e")["e"]) == [1.0]
