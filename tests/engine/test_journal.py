"""The journal's file: when rows are written, when they go, and what a fault of the disk costs."""

import logging
import sqlite3
from pathlib import Path

import pytest

from pockethive import journal as journal_module
from pockethive.actors.interpreter import Interpreter, Machine
from pockethive.core.coordinator import Coordinator
from pockethive.core.effects import Effect
from pockethive.core.errors import BadInput, Failure, StorageError
from pockethive.core.events import (
    CancelRequested,
    Event,
    GoalSubmitted,
    MembersChanged,
    PingAnswered,
    PlanningFailed,
)
from pockethive.core.ledger import Ledger, LedgerSettings
from pockethive.core.spec import Limits
from pockethive.core.task import RunId
from pockethive.home import FolderLock
from pockethive.journal import FILE, OPEN, RunJournal
from pockethive.known_runs import find_run, known_runs
from tests.core.core_play import DEVICES, OWNER_KEY, RUN, member, verify
from tests.core.test_core_journal_codec import opened

OTHER = RunId("cd" * 16)
MEMBERS = tuple(map(member, DEVICES[:3]))


class Hands:
    """Hands that look, before they do anything, at what is written."""

    def __init__(self, path: Path) -> None:
        self.path, self.written = path, 0
        self.done: list[Effect] = []

    def perform(self, effects: "list[tuple[str, Effect]]") -> None:
        self.written = rows(self.path)
        self.done += [effect for _, effect in effects]


def rows(path: Path) -> int:
    with sqlite3.connect(path) as db:
        return int(db.execute("SELECT count(*) FROM steps").fetchone()[0])


class Play:
    """Machines with a journal on disk."""

    def __init__(self, path: Path, revives: RunId | None = None, program: str = "1") -> None:
        own = LedgerSettings(device=DEVICES[0], owner_key=OWNER_KEY, limits=Limits())
        self.ledger = Ledger(own, verify)
        self.coordinator = Coordinator(DEVICES[0], Limits())
        machines: dict[str, Machine] = {"coordinator": self.coordinator, "ledger": self.ledger}
        self.path, self.now = path, 5.0
        self.journal = RunJournal(path, b"how", revives, program)
        self.hands = Hands(path)
        self.interpreter = Interpreter(
            machines,
            self.hands,  # type: ignore[arg-type]
            lambda: self.now,
            DEVICES[0],
            self.journal,
        )
        self.begun = self.journal.begin(machines, opened)

    def feed(self, *events: Event) -> None:
        for event in events:
            self.now += 1.0
            self.interpreter.feed(event)

    def submit(self, run: RunId = RUN, goal: str = "why?") -> None:
        self.feed(GoalSubmitted(run=run, goal=goal, wall=1_900_000_000.0))


def test_nothing_is_written_but_for_open_runs_and_then_before_anything_is_done(
    tmp_path: Path,
) -> None:
    play = Play(tmp_path / FILE)
    play.feed(MembersChanged(members=MEMBERS), PingAnswered(device=DEVICES[1], alive=True))
    assert rows(play.path) == 0
    play.submit()
    assert play.hands.done  # a plan was asked for
    assert play.hands.written == rows(play.path) == 4  # credit, members, the goal to each of two
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


def test_with_the_last_run_of_a_life_its_rows_go_and_the_runs_stay_listed(tmp_path: Path) -> None:
    play = Play(tmp_path / FILE)
    play.submit()
    play.submit(OTHER, "and then?")
    play.journal.delivered(RUN, "completed", "")
    assert rows(play.path) == 6
    play.journal.delivered(OTHER, "failed", "nobody was there")
    assert rows(play.path) == 0
    play.feed(PingAnswered(device=DEVICES[1], alive=True))
    assert rows(play.path) == 0
    notes = {note.run: (note.status, note.reason, note.resumable) for note in play.journal.runs()}
    assert notes == {RUN: ("completed", "", False), OTHER: ("failed", "nobody was there", False)}


def test_a_run_that_begins_while_the_last_one_is_delivered_keeps_its_rows(tmp_path: Path) -> None:
    play = Play(tmp_path / FILE)
    play.submit()
    play.now += 1.0
    play.interpreter.take(GoalSubmitted(run=OTHER, goal="x", wall=1.0))
    play.journal.delivered(RUN, "completed", "")
    play.interpreter.flush()
    play.journal.close()
    again = Play(tmp_path / FILE, OTHER)
    assert again.journal.revived_runs == {OTHER}


def test_a_new_process_knows_what_was_before_the_run_and_leaves_others_lives_alone(
    tmp_path: Path,
) -> None:
    play = Play(tmp_path / FILE)
    lost = [PingAnswered(device=DEVICES[2], alive=False)] * 3
    play.feed(MembersChanged(members=MEMBERS), *lost)
    play.submit()
    ground = play.ledger.ground
    play.journal.close()  # as after a crash: nothing was delivered

    beside = Play(tmp_path / FILE)
    beside.submit(OTHER)
    beside.journal.delivered(OTHER, "completed", "")
    beside.journal.close()

    again = Play(tmp_path / FILE, RUN)
    assert again.begun == play.now
    assert again.ledger.ground == ground
    assert again.journal.open == {RUN}
    again.now = again.begun
    again.feed(PlanningFailed(run=RUN, reason="no method fits"))
    again.journal.close()
    last = Play(tmp_path / FILE, RUN)
    assert last.journal.revived.outcomes[RUN].reason == "no plan: no method fits"


def test_another_program_or_a_damaged_row_is_refused_in_words(tmp_path: Path) -> None:
    Play(tmp_path / FILE).submit()
    with pytest.raises(Failure, match="begun by PocketHive 1, this is 2"):
        Play(tmp_path / FILE, RUN, "2")
    with pytest.raises(BadInput, match="cannot be gone on with here"):
        Play(tmp_path / FILE, OTHER)
    with sqlite3.connect(tmp_path / FILE) as db:
        db.execute("UPDATE steps SET event = x'5b5d' WHERE seq = 3")
    with pytest.raises(Failure, match="does not tell how the run went"):
        Play(tmp_path / FILE, RUN)
    with sqlite3.connect(tmp_path / FILE) as db:
        db.execute("PRAGMA user_version = 9")
    with pytest.raises(StorageError, match="version 9"):
        RunJournal(tmp_path / FILE)


def test_a_disk_that_refuses_costs_the_way_back_and_not_the_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    play = Play(tmp_path / FILE)
    play.submit()
    with sqlite3.connect(tmp_path / FILE) as db:
        full = "BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
        db.execute(f"CREATE TRIGGER full BEFORE INSERT ON steps {full}")
    play.feed(PlanningFailed(run=RUN, reason="x"))
    assert "not journalled any more" in caplog.text
    assert type(play.hands.done[-1]).__name__ == "FinishRun"


def test_a_life_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(journal_module, "MAX_LIFE", 2_000)
    monkeypatch.setattr(journal_module, "MAX_RUNS", 3)
    caplog.set_level(logging.ERROR)
    play = Play(tmp_path / FILE)
    play.submit()
    for _ in range(60):
        play.feed(PingAnswered(device=DEVICES[1], alive=True))
    assert "not journalled any more" in caplog.text
    assert rows(play.path) == 0
    (note,) = play.journal.runs()
    assert (note.status, note.resumable) == (OPEN, False)
    for number in range(6):
        run = RunId(f"{number:032x}")
        play.submit(run)
        assert rows(play.path) > 0  # the next one is kept again
        play.feed(CancelRequested(run=run, reason="enough"))
        play.journal.delivered(run, "cancelled", "enough")
    assert len(play.journal.runs()) <= 4


def test_runs_are_found_by_how_they_begin_and_not_taken_from_who_keeps_them(tmp_path: Path) -> None:
    folder = tmp_path / "swarm-2"
    (folder / "owner").mkdir(parents=True)
    play = Play(folder / "owner" / FILE)
    play.submit()
    found = find_run(tmp_path, RUN[:6].upper())
    assert (found.note.run, found.folder, found.state) == (RUN, folder, "unfinished")
    lock = FolderLock(folder)
    assert lock.take()
    with pytest.raises(BadInput, match="is running"):
        find_run(tmp_path, RUN)
    lock.release()
    for wrong in ("ab", "ffff"):
        with pytest.raises(BadInput):
            find_run(tmp_path, wrong)
    play.submit(RunId("ab" * 15 + "00"))
    with pytest.raises(BadInput, match="several runs"):
        find_run(tmp_path, "abab")
    play.journal.delivered(RUN, "completed", "")
    assert {run.state for run in known_runs(tmp_path)} == {"completed", "unfinished"}


def test_a_journal_of_the_first_version_is_read_on(tmp_path: Path) -> None:
    play = Play(tmp_path / FILE)
    play.submit()
    play.journal.close()
    with sqlite3.connect(tmp_path / FILE) as db:
        db.execute("ALTER TABLE lives DROP COLUMN keeper")
        db.execute("PRAGMA user_version = 1")
    assert Play(tmp_path / FILE, RUN).journal.open == {RUN}
