"""Logs of the command line: JSON for machines, lines for people, nothing of the root logger."""

import io
import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.logs import MAX_EVENT, configure

LOGGER = logging.getLogger("pockethive.tests.logs")


def written(form: str, level: str = "info") -> tuple[io.StringIO, list[str]]:
    stream = io.StringIO()
    undo = configure(form, level, stream)
    try:
        LOGGER.debug("unheard")
        LOGGER.info("left", extra={"fields": {"records": 3, "level": "odd"}})
        try:
            raise KeyError("x")
        except KeyError:
            LOGGER.exception("it failed")
    finally:
        undo()
    return stream, stream.getvalue().splitlines()


def test_json_is_one_object_a_line_with_the_fields_of_the_event() -> None:
    _, lines = written("json")
    left, failed = map(json.loads, lines)
    assert (left["level"], left["event"], left["records"]) == ("info", "left", 3)
    assert left["level_"] == "odd"  # a field never takes the place of a fact
    assert left["logger"] == "pockethive.tests.logs"
    assert left["time"].endswith("Z")
    assert "KeyError: 'x'" in failed["error"]


def test_text_is_for_people() -> None:
    _, lines = written("text")
    assert lines[0].endswith("info pockethive.tests.logs: left records=3 level=odd")
    assert lines[-1] == "KeyError: 'x'"


def test_the_root_logger_is_left_alone_and_all_is_undone() -> None:
    root, ours = logging.getLogger(), logging.getLogger("pockethive")
    before = list(root.handlers), root.level, list(ours.handlers), ours.level
    undo = configure("text", "debug", io.StringIO())
    assert (list(root.handlers), root.level) == before[:2]
    undo()
    assert (list(root.handlers), root.level, list(ours.handlers), ours.level) == before


@pytest.mark.parametrize("form", ["text", "json"])
@given(said=st.text(max_size=100))
def test_what_peers_say_is_one_line_that_no_terminal_obeys(form: str, said: str) -> None:
    stream = io.StringIO()
    undo = configure(form, "info", stream)
    try:
        LOGGER.info("a peer said %s", said)
    finally:
        undo()
    text = stream.getvalue()
    assert text.endswith("\n")
    assert text[:-1].isprintable()
    if form == "json":
        assert json.loads(text)["event"] == f"a peer said {said}"


def test_a_line_is_bounded() -> None:
    stream = io.StringIO()
    undo = configure("json", "info", stream)
    try:
        LOGGER.info("x" * 10 * MAX_EVENT)
    finally:
        undo()
    assert len(stream.getvalue()) < MAX_EVENT + 300
