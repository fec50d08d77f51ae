"""The face for Python services: a team, its devices, and goals put to them.

    async with Swarm.from_yaml("research", documents=["papers/"]) as swarm:
        result = await swarm.run("What does the contract say about notice?")

A swarm is one device in this process (the owner's, which plans and keeps the ledger) and the
device processes it starts or joins. It touches no signal, no root logger, no event-loop policy and
no foreign actor; several swarms live in one process. All methods may be called from any thread.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from pockethive.actors.questions import Questions
from pockethive.children import Child, ChildSpec, start_all, stop_all
from pockethive.configs.home import default_home
from pockethive.configs.loader import load_team
from pockethive.core.errors import BadEncoding, BadInput, DocumentError, Failure, Problem
from pockethive.core.report import Happening
from pockethive.core.ruling import by_person
from pockethive.core.spec import Fan, Team
from pockethive.core.task import RunId
from pockethive.dealing import deal
from pockethive.device import Device, DeviceSettings
from pockethive.dht.charter import check_hive_name
from pockethive.dht.contact import Contact
from pockethive.elsewhere import Elsewhere, find_elsewhere
from pockethive.hive_store import FILE as HIVE_FILE
from pockethive.home import FolderLock, free_swarm_folder, lock_swarm_folder, own
from pockethive.inference import usable_cores
from pockethive.known_runs import KnownRun, find_run, is_here
from pockethive.planners.context import PlanContext
from pockethive.recipe import TAKEN_OVER, Recipe, planned_team, team_again
from pockethive.result import Result
from pockethive.unread import Unread
from pockethive.vocabulary import vocabulary

MAX_DEVICES = 64
OPEN_HIVE = "home"


@dataclass(frozen=True, slots=True, kw_only=True)
class SwarmOptions:
    """Where a swarm lives and what it may use.

    `devices` processes are started beside this one and the documents are dealt out to them; with
    none, this process does the work itself and `join`ed devices verify it. Without `hive`, the name
    of an open one, the swarm is part of the private hive that the home belongs to, if it does.
    """

    home: Path
    documents: tuple[Path, ...] = ()
    devices: int = 3
    join: tuple[Contact, ...] = ()
    hive: str | None = None
    resumes: KnownRun | None = None  # a run that was left, in whose folder this swarm lives
    adopts: Elsewhere | None = None  # a run that another device of the owner kept
    threads: int = 0  # of each device's model; 0: the cores are shared out among the devices
    mdns: bool = False

    @property
    def meets_others(self) -> bool:
        """Whether there may be devices that this swarm does not start itself."""
        in_hive = self.hive is None and (self.home / HIVE_FILE).exists()
        return bool(self.join) or self.mdns or in_hive


class Swarm:
    """A team at work. Start it with `with`, `async with` or `start`."""

    def __init__(self, team: Team, options: SwarmOptions) -> None:
        if not 0 <= options.devices <= MAX_DEVICES:
            raise BadInput(f"{options.devices} devices", cure=f"take 0 to {MAX_DEVICES}")
        if options.threads < 0:
            raise BadInput(f"{options.threads} threads", cure="give some, or 0 for all cores")
        if options.hive is not None:
            _check_hive(options.hive)
        self.team, self.options, self._source = team, options, ""
        self._device: Device | None = None
        self._children: list[Child] = []
        self._lock: FolderLock | None = None
        self._dealt: tuple[tuple[Path, ...], ...] | None = None  # by `check`, for the next `start`
        self.skipped: tuple[Problem, ...] = ()
        """Documents that cannot be used, known after `start`."""

    @classmethod
    def from_yaml(  # noqa: PLR0913 - what people set most, by name
        cls,
        team: str | Path,
        *,
        documents: str | Path | Iterable[str | Path] = (),
        devices: int | None = None,
        join: Iterable[str] = (),
        home: str | Path | None = None,
        timeout: int | None = None,
    ) -> Self:
        """A swarm of the team in a YAML file, or of a shipped one by name (`research`).

        Raises:
            ConfigError: faults in the file, all at once, at file:line:col.
            BadInvitation: an address in `join` that does not parse.
        """
        home = Path(home).absolute() if home is not None else default_home()
        loaded = load_team(team, vocabulary(home))
        contacts = tuple(Contact.parse(text) for text in join)
        if devices is None:
            devices = 0 if contacts else 3
        options = SwarmOptions(
            home=home,
            documents=tuple(Path(path) for path in _several(documents)),
            devices=devices,
            join=contacts,
        )
        swarm = cls(loaded, options)
        swarm._source = str(Path(team).absolute() if Path(team).exists() else team)
        if timeout is not None:
            swarm.limit(timeout)
        return swarm

    @classmethod
    def from_run(
        cls, run: str, *, home: str | Path | None = None, join: Iterable[str] = ()
    ) -> Self:
        """A swarm like the one that was pursuing a run when it ended, to `resume` that run.

        One that the owner began on another device is looked for through the node of this home, or
        the devices in `join`, and gone on with by this device and those it meets.

        Raises:
            BadInput: no run of this home or owner is called so, or it is going or has ended.
            ConfigError: as `from_yaml`.
        """
        place = Path(home).absolute() if home is not None else default_home()
        if not is_here(place, run):
            contacts = tuple(Contact.parse(text) for text in join)
            return cls._from_elsewhere(place, find_elsewhere(place, run, contacts))
        found = find_run(place, run)
        how = Recipe.decode(found.note.settings)
        options = SwarmOptions(
            home=place,
            documents=how.documents,
            devices=how.devices,
            join=tuple(Contact.parse(text) for text in how.join),
            hive=how.hive,
            threads=how.threads,
            mdns=how.mdns,
            resumes=found,
        )
        swarm = cls(team_again(how, options.home), options)
        swarm._source = how.team
        return swarm

    @classmethod
    def _from_elsewhere(cls, home: Path, found: Elsewhere) -> Self:
        assert found.record is not None
        options = SwarmOptions(
            home=home,
            devices=0,
            join=tuple(map(Contact.parse, found.join)),
            hive=found.hive,
            adopts=found,
        )
        swarm = cls(planned_team(found.record.limits), options)
        swarm._source = TAKEN_OVER
        return swarm

    @property
    def device(self) -> Device:
        """The owner's device in this process. Raises Failure before `start`."""
        if self._device is None:
            raise Failure("the swarm is not started", cure="use `async with swarm:` or `start()`")
        return self._device

    @property
    def questions(self) -> Questions:
        """Outputs of roles with `verify: human` that wait for the owner's word. `stream` and the
        device's watchers see an `asked` whenever one is added. Raises as `device`."""
        return self.device.parts.questions

    @property
    def processes(self) -> tuple[int, ...]:
        """Process ids of the devices this swarm started."""
        return tuple(child.pid for child in self._children)

    def process_of(self, device: str) -> int:
        """The process id of a device this swarm started. Raises KeyError for others."""
        return {child.device: child.pid for child in self._children}[device]

    def check(self, goal: str) -> None:
        """Raise what `start` and `submit` would say of the documents and the goal.

        Nothing is started or made. Raises BadInput.
        """
        PlanContext(goal=goal)
        self._dealt = self._deal()
        options = self.options
        judged = [role.verification for role in self.team.roles]
        verified = any(how.checks and not by_person(how) for how in judged)
        if verified and not (options.devices or options.meets_others):
            raise BadInput(
                "one device alone has nobody to verify its outputs",
                cure="start more with --devices, or --join others",
            )

    def limit(self, seconds: int) -> None:
        """Give runs so many seconds from now on, instead of what the team says. Before `start`."""
        limits = replace(self.team.limits, timeout_seconds=seconds)
        self.team = replace(self.team, limits=limits)

    def start(self) -> None:
        """Start this process's device and the others. Raises PocketHiveError; leaves nothing."""
        if self._device is not None:
            return
        options = self.options
        dealt, self._dealt = self._dealt or self._deal(), None
        resumes = options.resumes
        if resumes is None:
            self._lock = free_swarm_folder(options.home)
        else:
            self._lock = lock_swarm_folder(resumes.folder)
        folder = self._lock.folder
        try:
            self._device = Device(
                DeviceSettings(
                    home=options.home,
                    folder=folder / "owner",
                    hive=options.hive or OPEN_HIVE,
                    private=options.hive is None,
                    join=options.join,
                    documents=() if options.devices else options.documents,
                    works=options.devices == 0,
                    verifies=options.devices < 2,
                    eager=self.team.model is not None,
                    shares_runs=options.meets_others,
                    model=self.team.model,
                    threads=options.threads,
                    mdns=options.mdns,
                    recipe=self._recipe().encode(),
                    revives=None if resumes is None else resumes.note.run,
                ),
                self.team,
            )
            self._device.start()
            specs = [self._child_spec(folder, n, share) for n, share in enumerate(dealt, 1)]
            self._children = self._device.call(start_all(specs))
            self._device.expect([child.device for child in self._children])
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the devices this swarm started, then this process's own. Safe to call again."""
        device, self._device = self._device, None
        children, self._children = self._children, []
        try:
            if device is not None:
                if children:
                    device.call(stop_all(children))
                device.stop()
        finally:
            if self._lock is not None:
                self._lock.release()
                self._lock = None

    def submit(self, goal: str) -> "Future[Result]":
        """Begin a run; cancelling the future cancels it. Raises BadInput: see `PlanContext`."""
        PlanContext(goal=goal)
        return self.device.submit(goal.strip())

    def run_sync(self, goal: str) -> Result:
        """Run a goal to its end, blocking this thread."""
        return self.submit(goal).result()

    async def run(self, goal: str) -> Result:
        """Run a goal to its end. Cancelling the awaiting task cancels the run."""
        return await asyncio.wrap_future(self.submit(goal))

    async def resume(self, run: str | None = None) -> Result:
        """Go on with a run that an earlier process left; see `from_run`. Raises BadInput.

        Without an id it is the run that the swarm was made from, else one of the same process.
        """
        return await asyncio.wrap_future(self.submit_resumed(run))

    def submit_resumed(self, run: str | None = None) -> "Future[Result]":
        """As `resume`; cancelling the future cancels the run."""
        left = self.options.resumes
        if run is None and self.options.adopts is not None:
            return self.device.adopt(self.options.adopts)
        if run is None and left is not None:
            run = left.note.run
        return self.device.resume(RunId(run or ""))

    async def stream(self, goal: str) -> AsyncIterator[Happening | Result]:
        """What happens while a goal is run, and its result last.

        A reader that lags by more than 1,000 happenings misses the oldest ones; the next that it
        reads says how many (`missed`).
        """
        unread = Unread(asyncio.get_running_loop())
        unsubscribe = self.device.subscribe(unread.put)
        run = asyncio.ensure_future(self.run(goal))
        try:
            while not run.done() or unread:
                reading = asyncio.ensure_future(unread.wait())
                await asyncio.wait({run, reading}, return_when=asyncio.FIRST_COMPLETED)
                reading.cancel()
                for happening in unread.take():
                    yield happening
            yield await run
        finally:
            unsubscribe()
            run.cancel()
            await asyncio.gather(run, return_exceptions=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.start)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self.stop)

    def _deal(self) -> tuple[tuple[Path, ...], ...]:
        options, steps = self.options, self.team.planner.every_step
        if any(step.each is Fan.DEVICES for step in steps) and not (
            options.documents or options.meets_others
        ):
            raise DocumentError(
                "this team works on documents and got none", cure="--documents PATH"
            )
        dealt = deal(options.documents, max(1, options.devices))
        self.skipped = dealt.skipped
        return dealt.shares if options.devices else ()

    def _recipe(self) -> Recipe:
        options = self.options
        return Recipe(
            team=self._source,
            documents=tuple(path.absolute() for path in options.documents),
            devices=options.devices,
            join=tuple(map(str, options.join)),
            hive=options.hive,
            threads=options.threads,
            mdns=options.mdns,
            limits=self.team.limits,
        )

    def _child_spec(self, folder: Path, number: int, share: tuple[Path, ...]) -> ChildSpec:
        name = f"device-{number}"
        own(self.options.home, folder / name)
        model = self.team.model
        return ChildSpec(
            name=name,
            folder=folder / name,
            home=self.options.home,
            join=(self.device.contact,),
            hive=self.options.hive,
            documents=share,
            model=f"{model.name}:{model.quantization}:{model.arithmetic}"
            if model is not None
            else "",
            threads=self.options.threads or max(1, usable_cores() // self.options.devices),
        )


def _check_hive(name: str) -> None:
    try:
        check_hive_name(name)
    except BadEncoding as error:
        raise BadInput(error.what, cure=error.cure) from error


def _several(paths: str | Path | Iterable[str | Path]) -> Iterable[str | Path]:
    """One path is a list of one: a text is not to be read as its letters, each a path."""
    return (paths,) if isinstance(paths, str | Path) else paths
