"""The parts of a device that are the same on a real network and in simulation, and their wiring.

Rule guarded here: two worlds, one code. What differs between them is handed in (`Ground`) or left
to the two subclasses: which model there is, and who drives the interpreter.
"""

import asyncio
import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pockethive.actors.alive import PING_METHOD, PROCESS_BYTES, alive_answer
from pockethive.actors.crew import AgentCrew, CrewPlan, Staff
from pockethive.actors.documents.index import DocumentIndex, Signer
from pockethive.actors.documents.nearness import Nearness
from pockethive.actors.egress import Egress
from pockethive.actors.entries import Entries
from pockethive.actors.hands import MESSAGE_METHOD, NodeHands, Surroundings
from pockethive.actors.interpreter import Interpreter, Journal, Machine
from pockethive.actors.outbox import Outbox
from pockethive.actors.questions import Questions
from pockethive.actors.roster import Roster
from pockethive.actors.run_list import RunList
from pockethive.actors.shelf import Shelf
from pockethive.actors.skill import Tools
from pockethive.actors.witnessing import HiveRules
from pockethive.actors.workbench import Workbench
from pockethive.arrival import Arrival
from pockethive.clocks import OngoingClock
from pockethive.core.canonical import to_text
from pockethive.core.effects import KeepStanding
from pockethive.core.entry import Member
from pockethive.core.events import CreditsRead, Event, MembersChanged
from pockethive.core.idle import Lending
from pockethive.core.labels import Label
from pockethive.core.ports import Model, ModelClass, ModelFacts
from pockethive.core.replica import Replica
from pockethive.core.report import Happening, Outcome
from pockethive.core.scout import Scout
from pockethive.core.spec import Team
from pockethive.core.task import DeviceId, RunId
from pockethive.core.verifier import Verifier
from pockethive.dht.contact import Contact
from pockethive.dht.identity import Identity, verify
from pockethive.dht.node import Node, NodeSettings
from pockethive.hive import PrivateHive
from pockethive.home import Ownership
from pockethive.lending import IdleWatch
from pockethive.machines import Duties, machines
from pockethive.planners.context import Plan
from pockethive.release import Release

if TYPE_CHECKING:
    from pockethive.credits import Credits
    from pockethive.device import DeviceSettings

_log = logging.getLogger(__name__)


class Listener(Protocol):
    """Who is told what becomes of runs. Called on any thread; must not block."""

    def happened(self, happening: Happening) -> None:
        """Something users may watch."""

    def finished(self, outcome: Outcome) -> None:
        """A run has ended."""

    def broken(self, error: BaseException) -> None:
        """The machines crashed: no run of this device will end by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What a device stands on. Wall time and random bytes are the node's.

    Attributes:
        lease_clock: seconds that never jump. index: where the index of its documents is kept.
        staff: who starts its agents and brings them their letters.
        journal: keeps what the machines were told. hive: the private one it belongs to, if any.
        credits: what the owner has seen of devices; None: neither read nor kept.
        secret: the owner's, for drawing spot checks; empty: nothing is taken on credit.
        nearness: what its documents mean, where a model for that is.
    """

    identity: Identity
    ownership: Ownership
    node: NodeSettings
    lease_clock: Callable[[], float]
    index: Path | str
    staff: Staff
    journal: Journal | None = None
    hive: PrivateHive | None = None
    credits: "Credits | None" = None
    secret: bytes = field(default=b"", repr=False)
    nearness: Nearness | None = None


class Parts(ABC):
    """The parts of one device. Built on any thread; `start` and `leave` run on its loop."""

    model_facts: ModelFacts | None = None
    """How its model is used; None while none is loaded."""

    def __init__(
        self,
        settings: "DeviceSettings",
        team: Team | None,
        ground: Ground,
        listener: Listener,
    ) -> None:
        self.settings, self.team, self._ground = settings, team, ground
        self.identity, self.ownership = ground.identity, ground.ownership
        wall_clock, self.clock = ground.node.clock, OngoingClock(ground.lease_clock)
        self.hive = hive = ground.hive
        self.network = hive.network if hive else settings.hive
        self.entries = Entries(self.identity, self.network, hive.keys if hive else None)
        membership = hive.membership if hive else None
        rules = HiveRules(self.identity, self.entries, wall_clock(), membership)
        self._asks = rules.asks
        self.node = Node(hive.settings(ground.node) if hive else ground.node, self.identity, rules)
        self._process = ground.node.randbytes(PROCESS_BYTES)
        self.met = threading.Event()  # set whenever the roster changed or a device spoke
        self._belongs = membership.is_member if membership else None
        self.egress = Egress(self.node, self.standing, private=membership is not None)
        self.release = Release(self.entries, self.egress)
        self.runs = RunList(self.entries, self.egress, wall_clock)
        self.roster = Roster(
            self.node, self.egress, self.entries, wall_clock, self._members_changed
        )
        self.roster.belongs = self._belongs
        self.roster.spoke = self.met.set
        self.shelf = Shelf(lambda: self.node.blobs)
        self.workbench = Workbench(
            self.entries.device, self.shelf, self.roster, self.node.fetch_from
        )
        self.questions = Questions(self.workbench, self.post)
        self.documents = self._index()
        self._happened, self._finished = listener.happened, listener.finished
        self._broken = listener.broken
        self._hands: NodeHands | None = None
        self.rules = rules
        self.machines: dict[str, Machine] = {}
        self.draining = False
        gate = settings.gate if settings.lends else None
        self.idle_watch = IdleWatch(gate, self.post, ground.lease_clock) if gate else None
        self.arrival = Arrival(self)
        self.crew = AgentCrew(
            CrewPlan(
                skills=settings.skills if settings.works else {},
                checkers=settings.checkers if settings.verifies else {},
                team=team,
                tools=self._tools,
                randbytes=ground.node.randbytes,
            ),
            ground.staff,
            self,
            lambda: self.roster.members,
        )
        self.planned_tokens: dict[RunId, int] = {}
        self.open_outbox: Callable[[], Outbox] | None = None
        """Where drafts of committed outputs go; without it they are left where they are."""

    @property
    def hive_name(self) -> str:
        """What people call the hive that this device is in."""
        return self.settings.hive if self.hive is None else self.hive.charter.name

    @property
    @abstractmethod
    def model_class(self) -> ModelClass | None:
        """The class of this device's model, loaded or not."""

    @property
    @abstractmethod
    def machines_live(self) -> bool:
        """Whether the machines were started and have not crashed."""

    def post(self, event: Event, to: str | None = None) -> None:
        """Hand an event to the machines; any thread, never blocks."""
        self.post_from(lambda: (event,), to)

    @abstractmethod
    def post_from(self, fetch: Callable[[], Iterable[Event]], to: str | None) -> bool:
        """Have events fetched when it is their turn; False: they will not be. Any thread."""

    def drive(self, _fetch: Callable[[], Iterable[Event]], _to: str | None) -> bool:
        """Feed what is fetched on this thread, which has nothing else to do, if nobody else drives
        the machines; False: nothing was fetched."""
        return False

    @abstractmethod
    def _model_in_use(self, agent: str) -> Model | None:
        """What skills and checkers ask."""

    @abstractmethod
    async def _begin(self, interpreter: Interpreter) -> None:
        """Start the agents, and whoever drives the interpreter. Raises ActorFailure."""

    async def start(self) -> None:
        """Open the node, start the machines and the agents, meet the hive.

        A device that is not patient returns once it serves, or once one of the devices to join has
        answered; `arrival` says when it has met the others.

        Raises:
            NetworkError: the port is taken, or none of the devices to join answered.
            ActorFailure: an agent could not start.
        """
        await self.node.start()
        self.egress.open_shelf(self.shelf)
        self._hands = NodeHands(self._surroundings(), asyncio.get_running_loop())
        self.entries.shown = self.node.spreading.keep
        self.egress.answer(MESSAGE_METHOD, self._hands.message_arrived)
        self.egress.answer(PING_METHOD, self._ping_answer)
        ground = self._ground
        self.machines = self._machines()
        if ground.journal is not None:
            self.clock.go_on_from(ground.journal.begin(self.machines, self.entries.open))
        hands, device = self._hands, self.entries.device
        await self._begin(Interpreter(self.machines, hands, self.clock, device, ground.journal))
        if ground.credits is not None:
            self.post(CreditsRead(credits=ground.credits.all()))
        if self.hive is not None:
            self.hive.serve(self.node, self.roster.look_again, self.roster.contacts)
        if self.idle_watch is not None:
            self.idle_watch.start()
        self.arrival.begin()
        if self.settings.patient:
            await self.arrival.settled()
        elif self.settings.join:
            await self.arrival.met()

    def standing(self, peer: bytes) -> Label | None:
        """What a peer is to this device: the narrowest label that it may see. Any thread.

        None for strangers to the private hive that this device is in.
        """
        if self._belongs is not None and not self._belongs(peer):
            return None
        member = self.roster.member(DeviceId(to_text(peer)))
        if member is not None and member.owner_key == self.ownership.owner_key:
            return Label.PEOPLE
        return Label.PUBLIC if member is None and self._belongs is None else Label.HIVE

    @property
    def open_jobs(self) -> dict[str, int]:
        """What scout and verifier pursue now, by machine. Any thread."""
        return {
            name: machine.open
            for name, machine in self.machines.items()
            if isinstance(machine, Scout | Verifier | Replica)
        }

    @property
    def under_way(self) -> int:
        """Effects that are being carried out now."""
        return 0 if self._hands is None else self._hands.under_way

    @property
    def lending(self) -> Lending:
        """Whether this device works for other owners' runs now, and why (not)."""
        settings = self.settings
        if self.draining:
            return Lending(open=False, reason="it is leaving")
        if not settings.works and not settings.verifies:
            return Lending(open=False, reason="it takes no tasks")
        if not settings.lends:
            return Lending(open=False, reason="it works for its owner alone")
        if self.idle_watch is None:
            return Lending(open=True, reason="always")
        return self.idle_watch.lending

    async def leave(self) -> None:
        """Stop asking and telling others; what the machines still want is not done."""
        await self.release.settled()
        await self.runs.settled()
        await self.arrival.stop()
        if self.idle_watch is not None:
            await self.idle_watch.stop()
        if self.hive is not None:
            await self.hive.stop()
        await self.roster.stop()
        if self._hands is not None:
            await self._hands.close()

    async def close(self) -> None:
        """Close the node, after `leave` and once no agent works."""
        await self.node.stop()

    async def nearby(self) -> list[Contact]:
        """Devices of the hive on the local network, where they are looked for."""
        return []

    def _ping_answer(self, _peer: bytes, _body: bytes) -> bytes:
        lends = self.lending.open
        return alive_answer(self._process, lends=lends) if self.machines_live else b""

    def remembered(self) -> tuple[Contact, ...]:
        """Devices that answered on earlier days."""
        return ()

    def _surroundings(self) -> Surroundings:
        return Surroundings(
            node=self.node,
            egress=self.egress,
            entries=self.entries,
            asks=self._asks,
            roster=self.roster,
            shelf=self.shelf,
            workbench=self.workbench,
            crew=self.crew,
            questions=self.questions,
            runs=self.runs,
            post=self.post,
            planned=self._planned,
            finished=self._finished,
            told=self._happened,
            stood=self._stood,
            clock=self.clock,
        )

    def _machines(self) -> dict[str, Machine]:
        return machines(
            Duties(
                device=self.entries.device,
                owner_key=self.ownership.owner_key,
                settings=self.settings,
                model=self._class_id,
                limits=None if self.team is None else self.team.limits,
                secret=self._ground.secret,
                certificate=self.ownership.certificate if self.settings.shares_runs else "",
            )
        )

    @property
    def _class_id(self) -> str:
        return self.model_class.id if self.model_class else ""

    def own_member(self) -> Member:
        """What this device tells others that it is."""
        contact, settings = self.node.contact, self.settings
        return Member(
            device=self.entries.device,
            owner_key=self.ownership.owner_key,
            certificate=self.ownership.certificate,
            host=contact.host,
            port=contact.port,
            skills=tuple(sorted(settings.skills)) if settings.works else (),
            checkers=tuple(sorted(settings.checkers)) if settings.verifies else (),
            model=self._class_id,
            documents=self.documents.documents if self.documents else 0,
            works=settings.works,
        )

    def _index(self) -> DocumentIndex | None:
        if not self.settings.documents:
            return None
        signer = Signer(
            device=self.entries.device,
            sign=self.identity.sign,
            randbytes=self._ground.node.randbytes,
        )
        return DocumentIndex.build(self.settings.documents, self._ground.index, signer)

    def _tools(self, agent: str) -> Tools:
        model, sign = self._model_in_use(agent), self.identity.sign
        documents, near = self.documents, self._ground.nearness
        return Tools(model=model, documents=documents, sign=sign, verify=verify, nearness=near)

    def _members_changed(self, members: tuple[Member, ...]) -> None:
        self.met.set()
        self.post(MembersChanged(members=members))

    def _stood(self, effect: KeepStanding) -> None:
        """Keep what was seen of a device. Raises StorageError."""
        if self._ground.credits is not None:
            key, now = (effect.device, effect.model), self._ground.node.clock()
            self._ground.credits.keep(key, effect.seen, effect.reason, now)

    def _planned(self, run: RunId, plan: Plan) -> None:
        self.planned_tokens[run] = plan.prompt_tokens
        for choice in plan.trace:
            if len(choice.options) > 1:
                detail = f"{choice.chosen} for “{choice.goal}”"
                self._happened(Happening(what="chose", run=run, detail=detail))
