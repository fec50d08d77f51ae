"""Acts on the world happen once, after approval, and never blindly again."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.actors.outbox import MAX_OPEN, Outbox
from pockethive.actors.outbox_file import FileExecutor
from pockethive.cli.command_line import run_command
from pockethive.core.errors import BadEncoding, BadInput, Failure, IllegalMove, StorageError
from pockethive.core.outbox import (
    MAX_DRAFTS,
    TABLE,
    Draft,
    Move,
    State,
    drafts_of,
    step,
)
from pockethive.outbox import allow_folder, open_outbox

NOTE = Draft(kind="file", target="note.txt", payload="said once\n", key="run-1/note")


class Bell:
    """Rings; says what it is told to when asked."""

    kind = "bell"

    def __init__(self, *, fault: Exception | None = None, rang: bool | None = None) -> None:
        self.rung: list[str] = []
        self.asked: list[str] = []
        self.fault, self.rang = fault, rang

    def act(self, draft: Draft) -> None:
        self.rung.append(draft.key)
        if self.fault is not None:
            raise self.fault

    def query(self, draft: Draft) -> bool | None:
        self.asked.append(draft.key)
        return self.rang


RING = Draft(kind="bell", target="door", payload="", key="ring-1")


def opened(folder: Path, *executors: Any) -> Outbox:
    return Outbox(folder / "outbox.sqlite", executors, lambda: 1_000.0)


def states(outbox: Outbox) -> list[str]:
    return [act.state.value for act in outbox.acts()]


def test_nothing_happens_before_approval_and_then_it_happens_once(tmp_path: Path) -> None:
    bell = Bell()
    outbox = opened(tmp_path, bell)
    (act,) = outbox.file("task", "ab", [RING])
    outbox.work()
    assert (bell.rung, states(outbox)) == ([], ["drafted"])
    outbox.approve(act.id)
    outbox.work()
    outbox.work()
    assert (bell.rung, states(outbox)) == (["ring-1"], ["done"])


def test_one_key_is_one_act_however_often_it_is_drafted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bell = Bell()
    outbox = opened(tmp_path, bell)
    first = outbox.file("task", "ab", [RING, RING])
    outbox.approve(first[0].id)
    outbox.work()
    again = outbox.file("another task", "cd", [RING])
    outbox.work()
    assert {act.id for act in (*first, *again)} == {first[0].id}
    assert (bell.rung, states(outbox)) == (["ring-1"], ["done"])
    assert outbox.file("task", "ab", [replace(RING, target="window")]) == ()
    assert "its key names another act" in caplog.text


def test_a_dropped_act_never_happens(tmp_path: Path) -> None:
    bell = Bell()
    outbox = opened(tmp_path, bell)
    (act,) = outbox.file("task", "ab", [RING])
    outbox.drop(act.id)
    outbox.work()
    with pytest.raises(BadInput, match="act 1 is dropped: too late to approve it"):
        outbox.approve(act.id)
    assert bell.rung == []


@pytest.mark.parametrize(
    ("fault", "rang", "state", "rings"),
    [
        (Failure("the bell is locked"), None, "failed", 1),
        (OSError("the line is dead"), None, "unknown", 1),
        (OSError("the line is dead"), True, "done", 1),
        (OSError("the line is dead"), False, "approved", 2),
    ],
)
def test_after_an_error_the_executor_is_asked_and_believed(
    fault: Exception, rang: bool | None, state: str, rings: int, tmp_path: Path
) -> None:
    bell = Bell(fault=fault, rang=rang)
    outbox = opened(tmp_path, bell)
    (act,) = outbox.file("task", "ab", [RING])
    outbox.approve(act.id)
    outbox.work()
    assert states(outbox) == [state]
    assert len(bell.rung) == 1
    outbox.work()
    assert len(bell.rung) == rings


def test_what_nobody_here_can_do_waits_and_says_so(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    (act,) = outbox.file("task", "ab", [RING])
    outbox.approve(act.id)
    outbox.work()
    assert [(a.state, a.detail) for a in outbox.acts()] == [
        (State.APPROVED, "nobody here can do 'bell'")
    ]


def test_while_one_process_acts_another_neither_acts_nor_asks(tmp_path: Path) -> None:
    outer = opened(tmp_path)

    class Slow(Bell):
        def act(self, draft: Draft) -> None:
            super().act(draft)
            other = opened(tmp_path, self)
            other.work()
            assert states(other) == ["begun"]
            other.close()

    slow = Slow(rang=False)
    outer.register(slow)
    (act,) = outer.file("task", "ab", [RING])
    outer.approve(act.id)
    outer.work()
    assert (slow.rung, slow.asked, states(outer)) == (["ring-1"], [], ["done"])


def test_two_threads_that_work_do_each_act_once(tmp_path: Path) -> None:
    bell = Bell()
    boxes = [opened(tmp_path, bell) for _ in range(2)]
    drafts = [replace(RING, key=f"ring-{n}") for n in range(20)]
    for act in (act for draft in drafts for act in boxes[0].file("t", "ab", [draft])):
        boxes[0].approve(act.id)
    threads = [threading.Thread(target=box.work) for box in boxes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(bell.rung) == sorted(draft.key for draft in drafts)


def test_it_is_bounded_and_forgets_the_text_of_what_is_over(tmp_path: Path) -> None:
    outbox = Outbox(None, [Bell()], lambda: 1.0)
    for number in range(MAX_OPEN):
        outbox.file("task", "ab", [replace(RING, key=str(number), payload="secret")])
    with pytest.raises(StorageError, match=r"1000 acts wait in the outbox .*approve or drop"):
        outbox.file("task", "ab", [RING])
    outbox.drop(1)
    outbox.file("task", "ab", [RING])
    assert [act.draft.payload for act in outbox.acts()[:2]] == ["", "secret"]


def test_an_outbox_of_another_version_is_left_alone(tmp_path: Path) -> None:
    opened(tmp_path).close()
    db = sqlite3.connect(tmp_path / "outbox.sqlite")
    db.execute("PRAGMA user_version = 9")
    db.close()
    with pytest.raises(StorageError, match="an outbox of version 9"):
        opened(tmp_path)
    (tmp_path / "outbox.sqlite").write_bytes(b"no database at all, " * 100)
    with pytest.raises(StorageError, match="cannot be read"):
        opened(tmp_path)


@given(st.lists(st.sampled_from(list(Move)), max_size=12))
def test_no_way_through_the_table_begins_twice_without_an_answer_between(
    moves: list[Move],
) -> None:
    state, open_begin = State.DRAFTED, False
    for move in moves:
        try:
            state = step("act", state, move)
        except IllegalMove:
            continue
        if move is Move.BEGIN:
            assert not open_begin
            open_begin = True
        elif move in {Move.FAIL, Move.MISS}:
            open_begin = False
    assert {to for (_, move), to in TABLE.items() if move is Move.BEGIN} == {State.BEGUN}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


@given(JSON)
def test_noise_is_no_draft(noise: Any) -> None:
    try:
        assert drafts_of({"drafts": noise}) == () == tuple(noise)
    except BadEncoding:
        return


def test_drafts_are_read_as_they_were_written_and_bounded() -> None:
    assert drafts_of({"answer": "x", "drafts": [NOTE.to_json()]}) == (NOTE,)
    assert drafts_of({"answer": "x"}) == drafts_of("text") == ()
    for bad in (
        [NOTE.to_json()] * (MAX_DRAFTS + 1),
        [{**NOTE.to_json(), "approve": "yes"}],
        [{**NOTE.to_json(), "key": ""}],
    ):
        with pytest.raises(BadEncoding):
            drafts_of({"drafts": bad})


@pytest.mark.parametrize(
    "name", ["../up", "/etc/passwd", ".hidden", "a/b", "", "a\x00b", "..", "_x", "a" * 101]
)
def test_a_file_is_a_plain_name_in_the_allowed_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(Failure, match="no plain file name"):
        FileExecutor(tmp_path).act(replace(NOTE, target=name))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_is_never_replaced(tmp_path: Path) -> None:
    executor, path = FileExecutor(tmp_path), tmp_path / "note.txt"
    path.write_text("mine")
    with pytest.raises(Failure, match="a file of that name is there"):
        executor.act(NOTE)
    assert (path.read_text(), executor.query(NOTE)) == ("mine", False)
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Failure):
        executor.act(NOTE)
    assert not (tmp_path / "elsewhere").exists()
    path.unlink()
    executor.act(NOTE)
    executor.act(NOTE)  # the same text is the same act
    assert (path.read_text(), executor.query(NOTE)) == (NOTE.payload, True)
    assert list(tmp_path.iterdir()) == [path]


ACTING = """
import sys, time
from pathlib import Path
from pockethive.actors.outbox_file import FileExecutor
from pockethive.outbox import open_outbox

home, folder, when = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]

class Held(FileExecutor):
    def act(self, draft):
        if when == "after":
            super().act(draft)
        print("acting", flush=True)
        sys.stdin.read()

outbox = open_outbox(home)
outbox.register(Held(folder))
outbox.work()
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home, folder = tmp_path / "home", tmp_path / "out"
    folder.mkdir()
    outbox = open_outbox(home)
    allow_folder(outbox, folder)
    (act,) = outbox.file("task", "ab", [NOTE])
    outbox.approve(act.id)
    outbox.close()
    return home


@pytest.mark.processes
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_act_in_which_the_process_was_killed_is_asked_about_and_happens_once(
    when: str, home: Path, tmp_path: Path
) -> None:
    folder, path = tmp_path / "out", tmp_path / "out" / "note.txt"
    process = subprocess.Popen(
        [sys.executable, "-c", ACTING, str(home), str(folder), when],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "acting\n"
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=10)

    blind = Outbox(home / "outbox.sqlite", [], lambda: 1.0)  # nobody here can be asked
    assert states(blind) == ["begun"]  # said on the disk before the act
    blind.work()
    assert states(blind) == ["unknown"]
    blind.work()
    assert states(blind) == ["unknown"]
    blind.close()
    written = path.stat().st_ino if when == "after" else None

    outbox = open_outbox(home)
    outbox.settle()
    assert states(outbox) == (["done"] if when == "after" else ["approved"])
    outbox.work()
    assert states(outbox) == ["done"]
    assert path.read_text() == NOTE.payload
    assert written in {None, path.stat().st_ino}  # not written again
    assert list(folder.iterdir()) == [path]
    outbox.close()


def test_the_command_lists_approves_and_drops(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home, folder = tmp_path / "home", tmp_path / "out"
    at = ["outbox", "--home", str(home)]
    assert run_command(at) == 0
    assert capsys.readouterr().out == "the outbox is empty\n"
    outbox = open_outbox(home)
    outbox.file("task", "ab", [NOTE, replace(NOTE, target="other.txt", key="run-1/other")])
    outbox.close()
    assert run_command([*at, "--approve", "1"]) == 1  # no folder is allowed
    assert "approved: file 'note.txt', 10 bytes (nobody here can do" in capsys.readouterr().out
    assert run_command([*at, "--allow", str(folder)]) == 2
    folder.mkdir()
    assert run_command([*at, "--allow", str(folder), "--approve", "1", "--drop", "2"]) == 0
    assert [path.read_text() for path in folder.iterdir()] == [NOTE.payload]
    capsys.readouterr()
    assert run_command([*at, "--json"]) == 0
    listed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(act["id"], act["state"]) for act in listed] == [(1, "done"), (2, "dropped")]
    assert run_command([*at, "--drop", "9"]) == 2
    assert "there is no act 9" in capsys.readouterr().err


def test_the_page_draws_the_table_as_it_is() -> None:
    page = (Path(__file__).parents[2] / "docs" / "outbox.md").read_text()
    drawn = {line.strip() for line in page.splitlines() if "-->" in line and "[*]" not in line}
    table = {f"{a.value} --> {b.value}: {move.value}" for (a, move), b in TABLE.items()}
    assert drawn == table
