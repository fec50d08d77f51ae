"""Whole devices in virtual time: the parts of a real device on the network of `dht.simulation`.

    with SimulatedHive(seed=7, link=Link(loss=0.05)) as hive:
        owner, *others = hive.start([Seat(team=team, works=False), Seat(documents=...), ...])
        hive.when("claimed", lambda seen: hive.kill(others[0]))
        result = hive.run(owner, "Who built the lighthouse?")

Machines, interpreter, hands, roster, shelf, agents and node are the real classes. Time, network,
keys and chance follow from the seed; agents' threads are replaced (`virtual_staff`). Rule guarded
here: one seed, one play: the same `trace` and the same `transcript`. What fails names its seed.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from pockethive.actors.interpreter import Interpreter, Journal
from pockethive.actors.roster import MAX_MEMBERS
from pockethive.actors.skill import Checker, Skill
from pockethive.actors.skills import CHECKERS, SKILLS
from pockethive.core.canonical import digest, to_text
from pockethive.core.effects import Effect
from pockethive.core.errors import Failure
from pockethive.core.events import Event, GoalSubmitted
from pockethive.core.ports import Model, ModelClass
from pockethive.core.report import Happening, Outcome
from pockethive.core.spec import Team
from pockethive.core.task import DeviceId, RunId
from pockethive.credits import Credits
from pockethive.device import DeviceSettings
from pockethive.dht.contact import Contact
from pockethive.dht.identity import Identity, OwnerKey, certify
from pockethive.dht.settings import NodeSettings
from pockethive.dht.simulation import Link, World
from pockethive.dht.transport import Address
from pockethive.gathering import gather_result
from pockethive.hive import PrivateHive
from pockethive.home import Ownership
from pockethive.parts import Ground, Parts
from pockethive.result import Result
from pockethive.virtual_journal import WatchedJournal
from pockethive.virtual_staff import Pace, VirtualStaff

T = TypeVar("T")

PrivateMaker = Callable[[NodeSettings, Identity, OwnerKey], PrivateHive]

NOWHERE = Path("/dev/null/simulated")  # a device without a disk: whoever writes there fails
MEET_SECONDS = 90.0
LAST_LINES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """What a simulated device is.

    Attributes:
        team: of the goals it can be given. model: what its agents ask. pace: how fast they are.
        documents: real files; they are indexed in memory. owner: devices of one name have one
            owner. acquaintances: how many devices it can know, itself included.
        The others are those of `DeviceSettings`.
    """

    team: Team | None = None
    model: Model | None = None
    pace: Pace = field(default_factory=Pace)
    documents: tuple[Path, ...] = ()
    owner: str = "us"
    acquaintances: int = MAX_MEMBERS
    works: bool = True
    verifies: bool = True
    lends: bool = True
    shares_runs: bool = False
    skills: Mapping[str, Skill] = field(default_factory=lambda: SKILLS)
    checkers: Mapping[str, Checker] = field(default_factory=lambda: CHECKERS)


@dataclass(frozen=True, slots=True)
class Line:
    """One happening as it was told: when (virtual seconds) and by which device."""

    at: float
    teller: DeviceId
    seen: Happening

    def __str__(self) -> str:
        seen = self.seen
        who = f" by {seen.device[:8]}" if seen.device else ""
        return (
            f"{self.at:.6f} {self.teller[:8]}: {seen.what} {seen.task}{who} {seen.detail}".strip()
        )


class SimulatedDevice(Parts):
    """One device of a simulated hive. Everything happens on the hive's loop."""

    def __init__(self, hive: "SimulatedHive", seat: Seat, join: tuple[Contact, ...]) -> None:
        self._hive, self._model = hive, seat.model
        self._interpreter: Interpreter | None = None
        self._runs: dict[RunId, Future[Outcome]] = {}
        node, identity = hive.world.newcomer(NodeSettings())
        self.name = to_text(identity.public)[:8]
        self.address: Address = node.listen
        self.alive = True
        self._staff = VirtualStaff(self.name, seat.pace)
        self.credits = Credits(None) if seat.team is not None else None
        owner = OwnerKey.from_seed(
            digest("simulated owner", b"%d" % hive.seed, seat.owner.encode())
        )
        settings = DeviceSettings(
            home=NOWHERE,
            folder=NOWHERE,
            listen=node.listen,
            join=join,
            documents=seat.documents,
            works=seat.works,
            verifies=seat.verifies,
            lends=seat.lends,
            shares_runs=seat.shares_runs,
            skills=seat.skills,
            checkers=seat.checkers,
        )
        ground = Ground(
            identity=identity,
            ownership=Ownership(
                owner_key=to_text(owner.public),
                certificate=to_text(certify(owner, identity.public)),
            ),
            node=node,
            lease_clock=hive.world.loop.time,
            index=":memory:",
            staff=self._staff,
            journal=hive.journal_of(to_text(identity.public)),
            hive=hive.private(node, identity, owner) if hive.private else None,
            credits=self.credits,
            secret=owner.secret("spot checks"),
        )
        super().__init__(settings, seat.team, ground, self)
        self.roster.capacity = seat.acquaintances

    @property
    def id(self) -> DeviceId:
        """This device's id."""
        return self.entries.device

    @property
    def model_class(self) -> ModelClass | None:
        """The class of this device's model."""
        return self._model.model_class if self._model else None

    @property
    def machines_live(self) -> bool:
        """Whether the machines were started and have not crashed."""
        return self._interpreter is not None

    def post_from(self, fetch: Callable[[], Iterable[Event]], to: str | None) -> bool:
        """Have events fetched in the loop's next round."""
        self._hive.world.loop.call_soon(self._feed, fetch, to)
        return True

    async def pursue(self, goal: str) -> Result:
        """Run a goal to its end. Raises Failure when the machines crash."""
        return await gather_result(await self._submit(goal), self)

    async def reach(self, goal: str) -> Outcome:
        """As `pursue`, but no output is fetched."""
        return await asyncio.wrap_future(await self._submit(goal))

    async def _submit(self, goal: str) -> "Future[Outcome]":
        run = self._hive.next_run()
        ended = self._runs[run] = Future()
        await self.roster.check()
        self.post(GoalSubmitted(run=run, goal=goal, wall=self._hive.world.clock()))
        return ended

    async def stop(self) -> None:
        """Close everything. Also how a device dies, once no datagram of it gets through."""
        self._interpreter = None
        self._staff.stop()
        await self.leave()
        await self.close()
        if self.documents is not None:
            self.documents.close()

    # the listener of its own parts

    def happened(self, happening: Happening) -> None:
        """Write it down."""
        self._hive.told(self, happening)

    def finished(self, outcome: Outcome) -> None:
        """A run has ended."""
        if outcome.run in self._runs:
            self._runs.pop(outcome.run).set_result(outcome)

    def broken(self, error: BaseException) -> None:
        """The machines crashed: its runs fail, and so does the simulation."""
        self._interpreter = None
        for run in list(self._runs):
            self._runs.pop(run).set_exception(error)
        raise error

    def _feed(self, fetch: Callable[[], Iterable[Event]], to: str | None) -> None:
        if self._interpreter is None:
            return
        try:
            for event in fetch():
                self._interpreter.feed(event, to)
        except Exception as error:  # noqa: BLE001 - whatever it is, the machines have ended
            self.broken(error)

    def _model_in_use(self, agent: str) -> Model | None:  # noqa: ARG002 - all share one
        return self._model

    async def _begin(self, interpreter: Interpreter) -> None:
        self.crew.start(self.workbench, self.shelf)
        self._interpreter = interpreter


class SimulatedHive:
    """Devices on one virtual network. To look at: `trace`, `transcript`, `effects`, `world.net`."""

    def __init__(self, seed: int, link: Link | None = None) -> None:
        self.seed, self.world = seed, World(seed, link)
        self.devices: list[SimulatedDevice] = []
        self.transcript: list[Line] = []
        self.effects: Counter[str] = Counter()
        """What the machines wanted done, by the effect's name."""
        self.private: PrivateMaker | None = None
        """Makes the private hive that devices started from now on belong to."""
        self._watchers: list[tuple[str, Callable[[Happening], None]]] = []
        self._apart: frozenset[Address] = frozenset()
        self._dead: set[Address] = set()
        self._dying: set[asyncio.Task[None]] = set()
        self._faults: list[dict[str, Any]] = []
        self._runs = 0
        self.world.net.cut = self._cut
        self.world.loop.set_exception_handler(lambda _, context: self._faults.append(context))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            error.add_note(self._story())
        self.close()

    @property
    def now(self) -> float:
        """Virtual seconds since the start."""
        return self.world.loop.time()

    @property
    def trace(self) -> str:
        """Hash of every datagram delivered, with its time."""
        return self.world.trace

    def start(self, seats: Sequence[Seat]) -> tuple[SimulatedDevice, ...]:
        """Start devices, joined through the hive's first; all know all they can then.

        Raises:
            Failure: they did not meet within `MEET_SECONDS`.
            NetworkError: the first device did not answer one of them.
        """
        return self.play(self._start(seats), 2 * MEET_SECONDS)

    def run(self, device: SimulatedDevice, goal: str, seconds: float = 900.0) -> Result:
        """Run a goal on a device with a team. Raises Failure when it has not ended by then."""
        return self.play(device.pursue(goal), seconds)

    def play(self, story: Coroutine[Any, Any, T], seconds: float = 900.0) -> T:
        """Let a coroutine run for at most so many virtual seconds.

        Raises:
            Failure: it took longer, or something failed where nobody waited for it.
        """
        try:
            result = self.world.run(asyncio.wait_for(story, seconds))
        except TimeoutError as error:
            raise Failure(f"no end within {seconds:g} virtual seconds") from error
        if self._faults:
            fault = self._faults[0]
            raise Failure(f"on the loop: {fault['message']}") from fault.get("exception")
        return result

    def at(self, second: float, action: Callable[[], None]) -> None:
        """Do something at a virtual second, such as `kill`, `part` or `heal`."""
        self.world.loop.call_at(second, action)

    def when(self, what: str, action: Callable[[Happening], None]) -> None:
        """Do something once, at the first happening of this name."""
        self._watchers.append((what, action))

    def kill(self, device: SimulatedDevice) -> None:
        """The device is gone at once, in the middle of whatever it does. While playing."""
        if not device.alive:
            return
        device.alive = False
        self._dead.add(device.address)
        task = self.world.loop.create_task(device.stop())
        self._dying.add(task)
        task.add_done_callback(self._dying.discard)

    def part(self, devices: Iterable[SimulatedDevice]) -> None:
        """Cut these devices off from all others, until `heal`."""
        self._apart = frozenset(device.address for device in devices)

    def heal(self) -> None:
        """Join what was parted."""
        self._apart = frozenset()

    def close(self) -> None:
        """Stop every device, and the loop."""
        living = [device for device in self.devices if device.alive]
        try:
            self.world.run(_stop_all(living, self._dying))
        finally:
            self.world.close()

    # told by the devices

    def told(self, teller: SimulatedDevice, happening: Happening) -> None:
        """A happening of one device."""
        self.transcript.append(Line(self.now, teller.id, happening))
        due = [action for what, action in self._watchers if what == happening.what]
        self._watchers = [pair for pair in self._watchers if pair[0] != happening.what]
        for action in due:
            action(happening)

    def stepped(self, _device: str, *step: Any) -> None:
        """One step of a device's machine: its name, the event, the time, the effects."""
        self.count(*step)

    def count(self, _machine: str, _event: Event, _now: float, effects: tuple[Effect, ...]) -> None:
        """The journal of all machines."""
        self.effects.update(type(effect).__name__ for effect in effects)

    def journal_of(self, device: str) -> Journal:
        """What sees the steps of a device's machines."""
        return WatchedJournal(partial(self.stepped, device))

    def next_run(self) -> RunId:
        """Names follow from the seed, too."""
        self._runs += 1
        return RunId(digest("simulated run", b"%d %d" % (self.seed, self._runs)).hex()[:32])

    async def _start(self, seats: Sequence[Seat]) -> tuple[SimulatedDevice, ...]:
        begun = []
        for seat in seats:
            join = (self.devices[0].node.contact,) if self.devices else ()
            device = SimulatedDevice(self, seat, join)
            self.devices.append(device)
            begun.append(device)
            if not join:
                await device.start()
        await asyncio.gather(*(device.start() for device in begun if device.settings.join))
        deadline = self.now + MEET_SECONDS
        living = {device.id for device in self.devices if device.alive}
        while not all(_met(device, living) for device in begun):
            if self.now > deadline:
                raise Failure(f"{len(living)} devices did not all meet in {MEET_SECONDS:g} s")
            await asyncio.sleep(0.5)
        return tuple(begun)

    def _cut(self, source: Address, target: Address) -> bool:
        if source in self._dead or target in self._dead:
            return True
        return (source in self._apart) != (target in self._apart)

    def _story(self) -> str:
        link = self.world.net.link
        last = "\n".join(f"  {line}" for line in self.transcript[-LAST_LINES:])
        return (
            f"simulation: seed {self.seed}, {len(self.devices)} devices, latency {link.latency:g}"
            f" + {link.jitter:g} s, loss {link.loss:g}, stopped at {self.now:.3f} s; the same seed"
            f" plays the same again: SimulatedHive(seed={self.seed}, link=…)\n{last}"
        )


def _met(device: SimulatedDevice, others: set[DeviceId]) -> bool:
    known = {member.device for member in device.roster.members}
    return len(known) >= device.roster.capacity or not others - known


async def _stop_all(devices: Sequence[SimulatedDevice], dying: set["asyncio.Task[None]"]) -> None:
    await asyncio.gather(*dying)
    for device in devices:
        await device.stop()
