"""The outbox: acts on the world that wait for the owner, in SQLite in the owner's home.

Rules guarded here: an act is `begun` on the disk before it is begun in the world; one process acts
at a time (a lock that falls with it), so whatever is found begun was left by a process that died,
is unknown, and is asked about; one kind and key is one act, however often it is drafted. Bounded:
`MAX_OPEN` acts that may still happen, the newest `MAX_ENDED` of the others, without their text.
"""

import contextlib
import fcntl
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from pockethive.core.errors import BadInput, Failure, StorageError
from pockethive.core.fields import clip
from pockethive.core.outbox import TABLE, Draft, Move, State, step
from pockethive.dht.shared_database import Form, open_shared, transaction

_log = logging.getLogger(__name__)

MAX_OPEN: Final = 1_000
MAX_ENDED: Final = 10_000
_SCHEMA: Final = """
CREATE TABLE acts (
  id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, key TEXT NOT NULL,
  target TEXT NOT NULL, payload TEXT NOT NULL, digest BLOB NOT NULL, task TEXT NOT NULL,
  output TEXT NOT NULL, state TEXT NOT NULL, detail TEXT NOT NULL, at INTEGER NOT NULL,
  UNIQUE (kind, key)
);
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
_FORM: Final = Form(
    noun="the outbox",
    kind="an outbox",
    schema=_SCHEMA,
    version=1,
    full=True,
    unknown="use the program that wrote it, or move the file away",
)
_COLUMNS: Final = "id, kind, key, target, payload, task, output, state, detail, at"


class Executor(Protocol):
    """Does one kind of act. Called on the thread of `Outbox.work`."""

    kind: str

    def act(self, draft: Draft) -> None:
        """Do it. Raises Failure only if surely nothing happened; after any other error nobody
        knows, and `query` is asked."""

    def query(self, draft: Draft) -> bool | None:
        """Whether the act with this key happened; None: it cannot be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One act. `task` and `output` made it; `detail`: the last word on it; `at`: unix seconds."""

    id: int
    draft: Draft
    task: str
    output: str
    state: State
    detail: str
    at: int

    def to_json(self) -> dict[str, Any]:
        """As printed by `pockethive outbox --json`."""
        return {
            "id": self.id,
            **self.draft.to_json(),
            "task": self.task,
            "output": self.output,
            "state": self.state.value,
            "detail": self.detail,
            "at": self.at,
        }


class Outbox:
    """One home's outbox; None as path keeps it in memory. Any thread; `work` on one at a time.

    Raises (on construction):
        StorageError: unreadable, damaged or of another version.
    """

    def __init__(
        self, path: Path | None, executors: Iterable[Executor], clock: Callable[[], float]
    ) -> None:
        self._path, self._clock = path, clock
        self._executors: Mapping[str, Executor] = {each.kind: each for each in executors}
        self._lock = threading.RLock()
        self._db = open_shared(path, _FORM)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def register(self, executor: Executor) -> None:
        """From now on this one does acts of its kind."""
        self._executors = {**self._executors, executor.kind: executor}

    def acts(self) -> tuple[Act, ...]:
        """All that is known, oldest first."""
        with self._changing():
            rows = self._db.execute(f"SELECT {_COLUMNS} FROM acts ORDER BY id")  # noqa: S608
            return tuple(_act(row) for row in rows)

    def file(self, task: str, output: str, drafts: Iterable[Draft]) -> tuple[Act, ...]:
        """Take the drafts of a committed output; the acts that they are, new or known already.

        A key that names another act already is refused with a line in the log. Raises
        StorageError: too many wait.
        """
        filed = []
        for draft in drafts:
            with self._changing():
                known = self._row("kind = ? AND key = ?", draft.kind, draft.key)
                if known is None:
                    self._insert(task, output, draft)
                    known = self._row("kind = ? AND key = ?", draft.kind, draft.key)
                elif known[-1] != draft.digest:
                    _log.warning("a draft of %s was dropped: its key names another act", task)
                    continue
            assert known is not None
            filed.append(_act(known[:-1]))
        return tuple(filed)

    def approve(self, number: int) -> Act:
        """Let an act happen; `work` does it. Raises BadInput: there is none, or it cannot be."""
        act = self._get(number)
        if act.state is State.APPROVED:
            return act
        return self._move(_movable(act, Move.APPROVE), Move.APPROVE, "")

    def drop(self, number: int) -> Act:
        """Never do it. Raises BadInput: there is none, or it is too late."""
        return self._move(_movable(self._get(number), Move.DROP), Move.DROP, "by its owner")

    def setting(self, name: str) -> str | None:
        """What the owner has set."""
        with self._changing():
            row = self._db.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def set(self, name: str, value: str) -> None:
        """Keep what the owner sets."""
        with self._changing():
            self._db.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, value))

    def settle(self) -> None:
        """Ask about acts whose outcome is unknown; begins none. Nothing while another acts."""
        with self._acting() as alone:
            if alone:
                self._settle()

    def work(self) -> None:
        """Ask about what is unknown, then do what is approved, one after another.

        Nothing while another process does. Raises StorageError: `begun` could not be written.
        """
        with self._acting() as alone:
            if not alone:
                return
            self._settle()
            for act in self._in(State.APPROVED):
                self._do(act)

    def _settle(self) -> None:
        for act in self._in(State.BEGUN):  # we hold the lock: whoever began it is gone
            self._move(act, Move.LOSE, "the process that did it ended before it could say")
        for act in self._in(State.UNKNOWN):
            self._ask(act)

    def _do(self, act: Act) -> None:
        executor = self._executors.get(act.draft.kind)
        if executor is None:
            self._say(act, f"nobody here can do {act.draft.kind!r}")
            return
        begun = self._move(act, Move.BEGIN, "")  # durable: a crash from here on leaves it begun
        try:
            executor.act(act.draft)
        except Failure as error:
            self._move(begun, Move.FAIL, str(error))
        except Exception as error:  # noqa: BLE001 - whatever it was, it may have happened
            _log.exception("act %d ended in an error", act.id)
            self._ask(self._move(begun, Move.LOSE, f"it ended in {type(error).__name__}"))
        else:
            self._move(begun, Move.SUCCEED, "")

    def _ask(self, act: Act) -> None:
        executor = self._executors.get(act.draft.kind)
        if executor is None:
            return
        try:
            happened = executor.query(act.draft)
        except Exception:  # noqa: BLE001 - then it stays unknown
            _log.exception("nothing could be learned about act %d", act.id)
            return
        if happened is not None:
            words = "it was found done" if happened else "it had not happened"
            self._move(act, Move.FIND if happened else Move.MISS, words)

    def _in(self, state: State) -> list[Act]:
        return [act for act in self.acts() if act.state is state]

    def _get(self, number: int) -> Act:
        with self._changing():
            row = self._row("id = ?", number)
        if row is None:
            raise BadInput(f"there is no act {number}", cure="see `pockethive outbox`")
        return _act(row[:-1])

    def _move(self, act: Act, move: Move, detail: str) -> Act:
        """Write a move down, if nobody else has moved it. Raises IllegalMove, StorageError."""
        with self._changing():
            row = self._row("id = ?", act.id)
            now = act.state if row is None else _act(row[:-1]).state
            state = step(f"act {act.id}", now, move)
            self._db.execute(
                "UPDATE acts SET state = ?, detail = ?, at = ?, payload = "
                "CASE WHEN ? THEN '' ELSE payload END WHERE id = ?",
                (state.value, clip(detail), int(self._clock()), state.ended, act.id),
            )
            self._forget()
        return self._get(act.id)

    def _say(self, act: Act, detail: str) -> None:
        with self._changing():
            self._db.execute("UPDATE acts SET detail = ? WHERE id = ?", (clip(detail), act.id))

    def _insert(self, task: str, output: str, draft: Draft) -> None:
        ended = [state.value for state in State if state.ended]
        (waiting,) = self._db.execute(
            "SELECT count(*) FROM acts WHERE state NOT IN (?, ?)", ended
        ).fetchone()
        if waiting >= MAX_OPEN:
            raise StorageError(
                f"{waiting} acts wait in the outbox", cure="approve or drop some: pockethive outbox"
            )
        self._db.execute(
            "INSERT INTO acts (kind, key, target, payload, digest, task, output, state, detail, at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, 'drafted', '', ?)",
            (
                *(draft.kind, draft.key, draft.target, draft.payload, draft.digest),
                *(task, output, int(self._clock())),
            ),
        )

    def _forget(self) -> None:
        self._db.execute(
            "DELETE FROM acts WHERE id IN (SELECT id FROM acts WHERE state IN ('done', 'dropped')"
            " ORDER BY at DESC, id DESC LIMIT -1 OFFSET ?)",
            (MAX_ENDED,),
        )

    def _row(self, where: str, *values: object) -> tuple[Any, ...] | None:
        query = f"SELECT {_COLUMNS}, digest FROM acts WHERE {where}"  # noqa: S608 - our own words
        row: tuple[Any, ...] | None = self._db.execute(query, values).fetchone()
        return row

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        """One transaction, on the disk when it ends."""
        with self._lock:
            try:
                with transaction(self._db):
                    yield
            except sqlite3.Error as error:
                raise StorageError(f"the outbox refuses: {error}", where=str(self._path)) from error

    @contextlib.contextmanager
    def _acting(self) -> Iterator[bool]:
        """Whether this process may act; if so nobody else does until the end."""
        if self._path is None:
            yield True
            return
        try:
            file = self._path.with_suffix(".lock").open("a")
        except OSError as error:
            raise StorageError(f"no lock: {error.strerror}", where=str(self._path)) from error
        with file:  # closing it, like the end of the process, gives the lock back
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True


def _movable(act: Act, move: Move) -> Act:
    if (act.state, move) not in TABLE:
        raise BadInput(f"act {act.id} is {act.state.value}: too late to {move.value} it")
    return act


def _act(row: tuple[Any, ...]) -> Act:
    number, kind, key, target, payload, task, output, state, detail, at = row
    return Act(
        id=number,
        draft=Draft(kind=kind, target=target, payload=payload, key=key),
        task=task,
        output=output,
        state=State(state),
        detail=detail,
        at=at,
    )
