"""The journal of a device that owns runs: what its coordinator and ledger were told, in SQLite.

Rows belong to a *life* of the two machines: it begins with the first run that is open, and ends
when every run of it was delivered; then its rows go. Between lives nothing is written. Guards: what
the machines decided is not carried out before what led to it is written, all rows of one flush in
one transaction; rows are O(1) bytes a step, and bounded in all; a journal that cannot be written
costs nobody a run, only the way back after a crash. WAL with synchronous NORMAL: a process that
dies loses nothing. A machine that loses power may lose the last rows, which costs what was done
since, but never what binds the owner (`replay.binds`): that is synchronized before it is said.
"""

import logging
import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pockethive.core.effects import Effect
from pockethive.core.errors import BadInput, Failure, PocketHiveError, ProtocolError, StorageError
from pockethive.core.events import Event, GoalSubmitted, RunAdopted
from pockethive.core.fields import clip
from pockethive.core.journal_codec import RowReader, RowWriter
from pockethive.core.lease_codec import OpenEntry
from pockethive.core.replay import MACHINES, Handle, Replayed, Step, binds, concerns, replay
from pockethive.core.task import RunId
from pockethive.dht.shared_database import Form, open_shared, transaction

_log = logging.getLogger(__name__)

FILE: Final = "journal.sqlite"
OPEN: Final = "open"
MAX_LIFE: Final = 512 * 2**20
"""Bytes of rows in one life; beyond, its runs go on without a journal."""
MAX_RUNS: Final = 200
"""Ended runs that are remembered."""
MAX_GOAL: Final = 2_000  # bytes of a goal in the list of runs
_FEW: Final = 8
_CACHE_KB: Final = 256  # rows are appended, and read once; the usual 2 MB would only be held
_ROW: Final = "INSERT INTO steps (life, machine, at, event) VALUES (?, ?, ?, ?)"
_NEXT_ROW: Final = ", (?, ?, ?, ?)"
_FROM_1: Final = "ALTER TABLE lives ADD COLUMN keeper INTEGER NOT NULL DEFAULT 0"
_SCHEMA: Final = """
CREATE TABLE lives (
  life INTEGER PRIMARY KEY AUTOINCREMENT, program TEXT NOT NULL, settings BLOB NOT NULL,
  keeper INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE steps (
  seq INTEGER PRIMARY KEY, life INTEGER NOT NULL, machine INTEGER NOT NULL, at REAL NOT NULL,
  event BLOB NOT NULL
);
CREATE TABLE runs (
  run TEXT PRIMARY KEY, life INTEGER, goal TEXT NOT NULL, began REAL NOT NULL,
  status TEXT NOT NULL, reason TEXT NOT NULL
)
"""
_FORM: Final = Form(
    noun="the journal",
    kind="a journal",
    schema=_SCHEMA,
    version=2,
    steps={1: _FROM_1},
    unread="move the file away; runs that were open then are lost",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunNote:
    """One run as a journal knows it. `began`: unix seconds. `status`: `open`, or how it ended.

    `settings` is what its swarm was started with; empty once the run cannot be gone on with.
    `keeper`: the process that keeps its life, or did.
    """

    run: RunId
    goal: str
    began: float
    status: str
    reason: str
    settings: bytes
    keeper: int

    @property
    def resumable(self) -> bool:
        """Whether its outcome was not delivered, and its rows are here."""
        return bool(self.settings) and self.status == OPEN


class RunJournal:
    """One device's. `saw` and `write` on the machines' thread, all else on any.

    `settings`: what it takes to start the device like this again, kept with each life. `revives`:
    the run whose life `begin` goes on with. `program`: who understands the rows.

    Raises (on construction):
        StorageError: unreadable, damaged or of another version.
    """

    def __init__(
        self,
        path: Path | None,
        settings: bytes = b"{}",
        revives: RunId | None = None,
        program: str = "",
    ) -> None:
        self._where = ":memory:" if path is None else str(path)
        self._settings, self._revives, self._program = settings, revives, program
        self._lock = threading.Lock()
        self._life: int | None = None  # None: the next run begins one
        self._size = 0
        self._open: set[RunId] = set()
        self._begun: list[GoalSubmitted | RunAdopted] = []
        self._rows: list[tuple[int, float, bytes]] = []
        self._binding = False  # what is to be written must outlive a loss of power
        self._writer = RowWriter()
        self._machines: Mapping[str, Any] = {}
        self.revived = Replayed()
        """What `begin` brought back, and of which runs."""
        self.revived_runs: frozenset[RunId] = frozenset()
        self._db = open_shared(path, _FORM)
        self._db.execute(f"PRAGMA cache_size = -{_CACHE_KB}")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    # what the interpreter says

    def begin(self, machines: Mapping[str, Any], open_entry: OpenEntry) -> float | None:
        """See `Journal.begin`.

        Raises:
            BadInput: the run to be revived is not here.
            Failure: its rows cannot be read by this program.
        """
        self._machines = machines
        if self._revives is None:
            return None
        life, program = self._life_of(self._revives)
        if program != self._program:
            raise Failure(
                f"the run was begun by PocketHive {program}, this is {self._program}",
                where=self._revives,
                cure="use the program that began it",
            )
        handles: dict[str, Handle] = {name: machines[name].handle for name in MACHINES}
        reader = RowReader(open_entry)
        try:
            self.revived = replay(self._steps(life), handles, reader)
        except ProtocolError as error:
            raise Failure(
                f"the journal does not tell how the run went: {error}",
                where=self._where,
                cure="the run is lost; run the goal again",
            ) from error
        with self._lock:
            self._life, self._writer = life, RowWriter(reader.members)
            self._db.execute("UPDATE lives SET keeper = ? WHERE life = ?", (os.getpid(), life))
            rows = self._db.execute(
                "SELECT run FROM runs WHERE life = ? AND status = ?", (life, OPEN)
            )
            self._open = {RunId(run) for (run,) in rows}
            self.revived_runs = frozenset(self._open)
        return self.revived.at

    def saw(self, machine: str, event: Event, now: float, effects: tuple[Effect, ...]) -> None:
        """Note a step, if it is of an open run."""
        if not self._open and not isinstance(event, GoalSubmitted | RunAdopted):
            return
        if not concerns(machine, event):
            return
        with self._lock:
            try:
                if isinstance(event, GoalSubmitted | RunAdopted) and event.run not in self._open:
                    self._begin_run(event, now)
                self._rows.append((MACHINES.index(machine), now, self._writer.row(event)))
                self._binding = self._binding or binds(effects)
            except (PocketHiveError, TypeError) as error:
                self._give_up(error)

    def write(self) -> None:
        """Make what was noted durable."""
        if not self._rows:
            return
        with self._lock:
            rows, self._rows = self._rows, []
            self._size += sum(len(row[2]) for row in rows)
            try:
                with self._synchronized():
                    self._append(rows)
            except sqlite3.Error as error:
                self._give_up(error)
            else:
                if self._size > MAX_LIFE:
                    self._give_up(f"it has {self._size} bytes of {MAX_LIFE}")

    def _append(self, rows: list[tuple[int, float, bytes]]) -> None:
        """All rows, and the runs that were begun, or nothing; few at once are one statement."""
        if self._begun or self._life is None or len(rows) > _FEW:
            with transaction(self._db):
                life = self._lived()
                self._db.executemany(_ROW, [(life, *row) for row in rows])
        else:
            values = [part for row in rows for part in (self._life, *row)]
            self._db.execute(_ROW + _NEXT_ROW * (len(rows) - 1), values)

    # what becomes of runs

    @property
    def open(self) -> frozenset[RunId]:
        """Runs that are journalled now: none of them was delivered."""
        with self._lock:
            return frozenset(self._open)

    def delivered(self, run: RunId, status: str, reason: str) -> None:
        """A caller has a run's result, or wants none. With the last run of a life its rows go."""
        with self._changing():
            self._open.discard(run)
            query = "UPDATE runs SET status = ?, reason = ? WHERE run = ? RETURNING life"
            found = self._db.execute(query, (status, clip(reason), run)).fetchone()
            life = None if found is None else found[0]
            query = "SELECT count(*) FROM runs WHERE life = ? AND status = ?"
            going = life == self._life and bool(self._open)  # one that is yet to be written
            if life is None or going:
                return
            if self._db.execute(query, (life, OPEN)).fetchone() == (0,):
                self._forget(life)

    def runs(self) -> tuple[RunNote, ...]:
        """The runs that are known, the latest first. Raises StorageError."""
        with self._changing():
            rows = self._db.execute(
                "SELECT run, goal, began, status, reason,"
                " coalesce(settings, x''), coalesce(keeper, 0)"
                " FROM runs LEFT JOIN lives USING (life) ORDER BY began DESC, run"
            ).fetchall()
        return tuple(
            RunNote(
                run=RunId(run),
                goal=goal,
                began=began,
                status=status,
                reason=reason,
                settings=settings,
                keeper=keeper,
            )
            for run, goal, began, status, reason, settings, keeper in rows
        )

    @contextmanager
    def _synchronized(self) -> Iterator[None]:
        """Wait for the disk where what is written binds the owner."""
        if not self._binding:
            yield
            return
        self._binding = False
        self._db.execute("PRAGMA synchronous = FULL")
        try:
            yield
        finally:
            self._db.execute("PRAGMA synchronous = NORMAL")

    def _begin_run(self, event: GoalSubmitted | RunAdopted, now: float) -> None:
        if not self._open:
            self._life, self._size, self._rows = None, 0, []
            self._writer = RowWriter()
            ledger = MACHINES.index("ledger")
            for told in self._machines["ledger"].ground:
                self._rows.append((ledger, now, self._writer.row(told)))
        self._open.add(event.run)
        self._begun.append(event)

    def _lived(self) -> int:
        """The life that rows belong to now, with the runs that were begun. In a transaction."""
        if self._life is None:
            made = self._db.execute(
                "INSERT INTO lives (program, settings, keeper) VALUES (?, ?, ?)",
                (self._program, self._settings, os.getpid()),
            )
            assert made.lastrowid is not None
            self._life = made.lastrowid
        begun, self._begun = self._begun, []
        self._db.executemany(
            "INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?, '')",
            [(e.run, self._life, clip(e.goal, MAX_GOAL), e.wall, OPEN) for e in begun],
        )
        return self._life

    def _forget(self, life: int) -> None:
        """Take a life's rows away; the oldest ended runs, too. In a transaction."""
        if life == self._life:
            self._life, self._rows, self._size = None, [], 0
        self._db.execute("DELETE FROM steps WHERE life = ?", (life,))
        self._db.execute("DELETE FROM lives WHERE life = ?", (life,))
        self._db.execute("UPDATE runs SET life = NULL WHERE life = ?", (life,))
        self._db.execute(
            "DELETE FROM runs WHERE life IS NULL AND run NOT IN"
            " (SELECT run FROM runs WHERE life IS NULL ORDER BY began DESC LIMIT ?)",
            (MAX_RUNS,),
        )

    def _give_up(self, why: object) -> None:
        """The runs that are open now cannot be gone on with; those that come later can."""
        _log.error("%s: the open runs are not journalled any more: %s", self._where, why)
        life, self._life = self._life, None
        self._open.clear()
        self._rows, self._begun = [], []
        if life is None:
            return
        try:
            with transaction(self._db):
                self._forget(life)
        except sqlite3.Error as error:
            _log.error("%s: what was written stays: %s", self._where, error)

    def _life_of(self, run: RunId) -> tuple[int, str]:
        with self._changing():
            found = self._db.execute(
                "SELECT life, program FROM runs JOIN lives USING (life) WHERE run = ?", (run,)
            ).fetchone()
        if found is None:
            raise BadInput(f"run {run} cannot be gone on with here", where=self._where)
        return found[0], found[1]

    def _steps(self, life: int) -> Iterator[Step]:
        rows = self._db.execute(
            "SELECT machine, at, event FROM steps WHERE life = ? ORDER BY seq", (life,)
        )
        for machine, at, event in rows:
            if not 0 <= machine < len(MACHINES) or not isinstance(event, bytes):
                raise ProtocolError("a row of no machine")
            self._size += len(event)
            yield Step(machine, float(at), event)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with self._lock:
            try:
                with transaction(self._db):
                    yield
            except sqlite3.Error as error:
                raise StorageError(f"the journal: {error}", where=self._where) from error
