"""One device: the composition root that joins the rooms.

    node (dht) · shelf, roster, workbench (actors) · agents under a supervisor · the core's machines
    driven by the interpreter

Everything on the network happens on the device's own loop thread; machines are fed on the
interpreter's actor; skills run on agents' threads. Methods may be called from any thread.
"""

import asyncio
import logging
import secrets
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pockethive import installed
from pockethive.actors.skill import Checker, Skill
from pockethive.assembly import Assembly
from pockethive.core.errors import BadInput, Failure, NetworkError, StorageError
from pockethive.core.events import CancelRequested, GoalSubmitted, RunAdopted
from pockethive.core.idle import GateSettings
from pockethive.core.report import Happening, Outcome, RunStatus
from pockethive.core.spec import ModelNeed, Team
from pockethive.core.task import DeviceId, RunId
from pockethive.dht.contact import Contact
from pockethive.drain import Drained, drain
from pockethive.home import FolderLock
from pockethive.loop_thread import LoopThread

if TYPE_CHECKING:
    from pockethive.elsewhere import Elsewhere
    from pockethive.going_on import GoingOn
    from pockethive.result import Result

_log = logging.getLogger(__name__)

T = TypeVar("T")

MEET_SECONDS = 30.0
MAX_RUNS = 64
CANCELLED = "cancelled by the caller"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSettings:
    """What a device is.

    Attributes:
        home: the person's home folder (owner key, models). folder: this device's own, below it.
        works: take tasks of the hive. verifies: give verdicts. lends: both also for other owners.
        gate: lend itself only while idle, by these bounds; None: always.
        folder_patience: seconds that another process may take to let go of the folder.
        patient: `start` returns when the device has met its hive; else when it serves, or when one
            of the devices to join has answered.
        eager: load the model at once instead of when it is first needed.
        model: what agents and the planner load when they first need one; None: no model at all.
        threads: of the model; 0: one per core. mdns: find and be found on the local network.
        private: use the private hive of the home, where it belongs to one; else, and without one,
            `hive` names an open network. remembers: keep the contacts that answered for the next
            start.
        quota_bytes: of blobs kept for others.
        recipe: what it takes to start the device's swarm like this again, kept with its runs.
        revives: a run of this device's journal, which it is to go on with.
        shares_runs: the owner's other devices may go on with its runs, and it with theirs.
        skills, checkers: what its agents can do, by name; those of this installation
            (`installed.py`) unless a service that embeds this device brings its own.
    """

    home: Path
    folder: Path
    hive: str = "home"
    private: bool = True
    remembers: bool = False
    listen: tuple[str, int] = ("127.0.0.1", 0)
    advertise: str | None = None
    join: tuple[Contact, ...] = ()
    documents: tuple[Path, ...] = ()
    works: bool = True
    verifies: bool = True
    lends: bool = True
    gate: GateSettings | None = None
    patient: bool = True
    folder_patience: float = 0.0
    eager: bool = False
    model: ModelNeed | None = None
    threads: int = 0
    mdns: bool = False
    quota_bytes: int = 1_000_000_000
    recipe: bytes = b"{}"
    revives: RunId | None = None
    shares_runs: bool = False
    skills: Mapping[str, Skill] = field(default_factory=installed.skills)
    checkers: Mapping[str, Checker] = field(default_factory=installed.checkers)


class Device:
    """A device, from `start` to `stop`. Runs goals of `team` when it has one."""

    def __init__(self, settings: DeviceSettings, team: Team | None = None) -> None:
        self.settings, self.team = settings, team
        self._lock = FolderLock(settings.folder)
        self._thread: LoopThread | None = None
        self._parts: Assembly | None = None
        self._runs: dict[RunId, Future[Outcome]] = {}
        self._going_on: GoingOn | None = None
        self.fault: BaseException | None = None
        """What the machines crashed of, if they did."""
        self._watchers: dict[int, Callable[[Happening], None]] = {}
        self._guard = threading.Lock()

    def start(self) -> None:
        """Open everything and join the hive.

        Raises:
            Failure: another process uses this device's folder, the port is taken, nobody answered.
            BadInput: documents or a model that cannot be used.
        """
        if not self._lock.take(self.settings.folder_patience):
            raise Failure(
                "another process runs this device",
                where=str(self.settings.folder),
                cure="stop it, or use another --home",
            )
        self._thread = LoopThread("pockethive-loop")
        self._thread.start()
        try:
            self._parts = Assembly(self.settings, self.team, self)
            self._thread.call(self._parts.start())
        except BaseException:
            self.stop()
            raise

    def drain(self, seconds: float) -> Drained:
        """Before `stop`: take no new work, end what is in hand, hand records over, say goodbye.

        Work gets at most `seconds`; with none, it is given up at once and no record is handed over.
        """
        return self.call(drain(self.parts, seconds))

    def stop(self) -> None:
        """Close everything; runs still open are cancelled. Safe to call again."""
        thread, self._thread = self._thread, None
        parts, self._parts = self._parts, None
        with self._guard:
            runs, self._runs = list(self._runs.values()), {}
        for run in runs:
            run.cancel()
        try:
            if thread is not None and parts is not None:
                thread.call(parts.leave())
                parts.stop_agents()
                thread.call(parts.close())
        finally:
            if thread is not None:
                thread.stop()
            self._lock.release()

    @property
    def loop_thread(self) -> LoopThread:
        """Where this device's network lives. Raises Failure when it does not run."""
        if self._thread is None:
            raise Failure("the device does not run", cure="start it first")
        return self._thread

    @property
    def parts(self) -> Assembly:
        """The joined rooms. Raises Failure when it does not run."""
        if self._parts is None:
            raise Failure("the device does not run", cure="start it first")
        return self._parts

    @property
    def contact(self) -> Contact:
        """How others reach this device; `str(contact)` is what `--join` takes."""
        return self.parts.node.contact

    @property
    def id(self) -> DeviceId:
        """This device's id."""
        return self.parts.entries.device

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the device's loop and wait for it."""
        return self.loop_thread.call(coroutine)

    def expect(self, devices: Sequence[str]) -> None:
        """Wait until these devices have introduced themselves. Raises NetworkError.

        That others tell of them is not enough: a member by hearsay that does not answer at once is
        none any more, and a run would be planned without its documents.
        """
        roster, deadline = self.parts.roster, time.monotonic() + MEET_SECONDS
        while missing := [device for device in devices if not roster.has_spoken(DeviceId(device))]:
            if not self.parts.met.wait(deadline - time.monotonic()):
                names = ", ".join(sorted(device[:8] for device in missing))
                raise NetworkError(f"devices {names} did not introduce themselves in time")
            self.parts.met.clear()

    def arrive(self) -> "Future[None]":
        """Done when this device has met its hive, with the error of one that cannot."""
        return self.loop_thread.submit(self.parts.arrival.settled())

    def submit(self, goal: str) -> "Future[Result]":
        """Begin a run of `goal`. Cancelling the future cancels the run.

        Raises Failure when this device has no team, or as many runs as it takes.
        """
        if self.team is None:
            raise Failure("this device has no team", cure="start it through a Swarm")
        run = RunId(secrets.token_hex(16))
        ended: Future[Outcome] = Future()
        with self._guard:
            if len(self._runs) >= MAX_RUNS:
                raise Failure(
                    f"{MAX_RUNS} runs are open on this device",
                    cure="wait until one has ended, or cancel one",
                )
            self._runs[run] = ended
        self.loop_thread.submit(
            self._begin_with(GoalSubmitted(run=run, goal=goal, wall=time.time()))
        )
        return self._awaited(run, ended)

    def resume(self, run: RunId) -> "Future[Result]":
        """Go on with a run that this device revived from its journal. Raises BadInput."""
        from pockethive.going_on import GoingOn

        ended: Future[Outcome] = Future()
        with self._guard:
            if self._going_on is None:
                self._going_on = GoingOn(self.parts.journal)
            self._going_on.check(run)
            self._runs[run] = ended
        self.loop_thread.submit(self._go_on())
        return self._awaited(run, ended)

    def adopt(self, found: "Elsewhere") -> "Future[Result]":
        """Go on with a run that another device of the owner kept. Raises BadInput, BadEncoding."""
        from pockethive.going_on import adopted

        if self.team is None or not self.settings.shares_runs:
            raise BadInput("this device goes on with no other's runs", cure="use Swarm.from_run")
        event = adopted(found, self.parts.entries.open)
        ended: Future[Outcome] = Future()
        with self._guard:
            if event.run in self._runs:
                raise BadInput(f"run {event.run[:8]} is gone on with here already")
            self._runs[event.run] = ended
        self.loop_thread.submit(self._begin_with(event))
        return self._awaited(event.run, ended)

    def _awaited(self, run: RunId, ended: "Future[Outcome]") -> "Future[Result]":
        """A run's result, once it has ended; whoever cancels the future cancels the run."""
        result = self.loop_thread.submit(self._deliver(run, ended))

        def cancelled(done: "Future[Result]") -> None:
            if done.cancelled():
                self._cancel(run)

        result.add_done_callback(cancelled)
        return result

    def subscribe(self, watcher: Callable[[Happening], None]) -> Callable[[], None]:
        """Call `watcher` on the loop thread for every happening, until the returned function is
        called. It must not block."""
        key = id(watcher)
        with self._guard:
            self._watchers[key] = watcher

        def unsubscribe() -> None:
            with self._guard:
                self._watchers.pop(key, None)

        return unsubscribe

    # told by the assembly, on its threads

    def happened(self, happening: Happening) -> None:
        """Tell everybody who watches."""
        with self._guard:
            watchers = list(self._watchers.values())
        for watcher in watchers:
            try:
                watcher(happening)
            except BaseException:  # noqa: BLE001 - a watcher's fault, even an exit, is its own
                _log.exception("a watcher of happenings failed")

    def finished(self, outcome: Outcome) -> None:
        """A run has ended."""
        with self._guard:
            ended = self._runs.pop(outcome.run, None)
            if ended is None and self._going_on is not None:
                self._going_on.unclaimed(outcome)
        if ended is not None and not ended.done():
            ended.set_result(outcome)

    def broken(self, error: BaseException) -> None:
        """The machines crashed: every open run fails."""
        self.fault = error
        with self._guard:
            runs, self._runs = list(self._runs.values()), {}
        for ended in runs:
            if not ended.done():
                failure = Failure(f"the device's machines crashed: {error!r}")
                failure.__cause__ = error
                ended.set_exception(failure)

    async def _begin_with(self, event: GoalSubmitted | RunAdopted) -> None:
        """The members whom the run will rely on are there; then the run begins."""
        await self.parts.arrival.wait()
        await self.parts.roster.check()
        with self._guard:
            wanted = event.run in self._runs
        if wanted:
            self.parts.post(replace(event, wall=time.time()))

    async def _go_on(self) -> None:
        """As for a run that begins; then the machines are told that they were away."""
        await self.parts.arrival.wait()
        await self.parts.roster.check()
        assert self._going_on is not None
        with self._guard:
            events, outcomes = self._going_on.due(self._runs, time.time())
        for event in events:
            self.parts.post(event)
        for outcome in outcomes:
            self.finished(outcome)

    async def _deliver(self, run: RunId, ended: "Future[Outcome]") -> "Result":
        """What a run made. Its journal is done with, but not before all its entries stand."""
        from pockethive.gathering import gather_result  # a device without a team needs none of it

        result = await gather_result(ended, self.parts)
        await self.parts.release.settled()
        if result.status == RunStatus.MOVED.value:
            self.parts.runs.moved(run)
        await self.parts.runs.ended(run, result.status)
        await asyncio.to_thread(self._done, run, result.status, result.reason)
        return result

    def _done(self, run: RunId, status: str, reason: str) -> None:
        journal = None if self._parts is None else self._parts.journal
        if journal is not None:
            try:
                journal.delivered(run, status, reason)
            except StorageError as error:
                _log.warning("run %s stays in the journal: %s", run, error)

    def _cancel(self, run: RunId) -> None:
        with self._guard:
            known = self._runs.pop(run, None)
        if known is not None and self._parts is not None:
            self._parts.post(CancelRequested(run=run, reason=CANCELLED))
            if self._thread is not None:
                self._thread.submit(self._parts.runs.ended(run, CANCELLED))
            self._done(run, RunStatus.CANCELLED.value, CANCELLED)
