"""Joining the rooms: what a device is made of, in the order it comes to life and ends."""

import asyncio
import logging
import threading
from typing import TYPE_CHECKING, Protocol

from pockethive.actors.base import Ref
from pockethive.actors.crew import AgentCrew, CrewPlan
from pockethive.actors.documents.index import DocumentIndex, Signer
from pockethive.actors.entries import Entries
from pockethive.actors.hands import MESSAGE_METHOD, PING_METHOD, NodeHands, Surroundings
from pockethive.actors.interpreter import Interpreter, Machine
from pockethive.actors.interpreter_actor import InterpreterActor, Post
from pockethive.actors.model_actor import Describe, ModelActor
from pockethive.actors.model_proxy import ModelProxy
from pockethive.actors.roster import Roster
from pockethive.actors.shelf import Shelf
from pockethive.actors.skill import Tools
from pockethive.actors.supervisor import ChildSpec, Restart, Supervisor
from pockethive.actors.witnessing import HiveRules
from pockethive.actors.workbench import Workbench
from pockethive.clocks import lease_clock, wall_clock
from pockethive.core.coordinator import Coordinator
from pockethive.core.entry import Member
from pockethive.core.errors import ActorFailure, NetworkError
from pockethive.core.events import Event, MembersChanged
from pockethive.core.ledger import Ledger, LedgerSettings
from pockethive.core.ports import ModelClass
from pockethive.core.report import Happening, Outcome
from pockethive.core.scout import Scout, ScoutSettings
from pockethive.core.spec import Team
from pockethive.core.task import RunId
from pockethive.core.verifier import Verifier, VerifierSettings
from pockethive.dht.identity import Identity, verify
from pockethive.dht.node import Node, NodeSettings
from pockethive.home import own
from pockethive.model_source import model_source
from pockethive.planners.context import Plan

if TYPE_CHECKING:
    from pockethive.device import DeviceSettings
    from pockethive.dht.mdns import Announcer

_log = logging.getLogger(__name__)

INTERPRETER = "interpreter"
MODEL = "model"
MODEL_SECONDS = 120.0  # how long an agent waits for the model, queueing included
STOP_SECONDS = 3.0
MDNS_SECONDS = 1.0
MAX_EVENTS = 20_000
WORK_AT_ONCE = 2


class Listener(Protocol):
    """Who is told what becomes of runs. Called on any thread; must not block."""

    def happened(self, happening: Happening) -> None:
        """Something users may watch."""

    def finished(self, outcome: Outcome) -> None:
        """A run has ended."""

    def broken(self, error: BaseException) -> None:
        """The machines crashed: no run of this device will end by itself."""


class Assembly:
    """The parts of one device. Built on any thread; `start` and `stop` run on its loop."""

    def __init__(
        self,
        settings: "DeviceSettings",
        team: Team | None,
        listener: "Listener",
    ) -> None:
        self.settings, self.team = settings, team
        self.ownership = own(settings.home, settings.folder)
        self.identity = Identity.load_or_create(settings.folder)
        self.entries = Entries(self.identity, settings.hive)
        self.node = Node(
            NodeSettings(
                listen=settings.listen,
                advertise=settings.advertise,
                home=settings.folder,
                blob_bytes=settings.quota_bytes,
            ),
            self.identity,
            HiveRules(self.identity, self.entries, wall_clock()),
        )
        self.met = threading.Event()  # set whenever the roster changed
        self.roster = Roster(
            self.node, self.entries, settings.hive, wall_clock, self._members_changed
        )
        self.shelf = Shelf(lambda: self.node.blobs, self.roster.member)
        self.workbench = Workbench(
            self.entries.device, self.shelf, self.roster, self.node.fetch_from
        )
        self.supervisor = Supervisor(
            f"device-{self.entries.device[:8]}", on_escalate=self._escalated
        )
        self._source = (
            model_source(settings.model, settings.home, settings.threads)
            if settings.model is not None
            else None
        )
        self._model = self._start_model()
        self.documents = self._index()
        self._happened, self._finished = listener.happened, listener.finished
        self._broken = listener.broken
        self._hands: NodeHands | None = None
        self._announcer: Announcer | None = None
        self._interpreter: Ref | None = None
        self.crew = AgentCrew(
            CrewPlan(
                skills=settings.skills if settings.works else {},
                checkers=settings.checkers if settings.verifies else {},
                team=team,
                tools=self._tools,
            ),
            self.supervisor,
            self.post,
            lambda: self.roster.members,
        )
        self.planned_tokens: dict[RunId, int] = {}

    @property
    def model_class(self) -> ModelClass | None:
        """The class of this device's model, loaded or not."""
        return self._source.model_class if self._source else None

    def post(self, event: Event, to: str | None = None) -> None:
        """Hand an event to the machines; any thread, never blocks."""
        if self._interpreter is None:
            _log.debug("%s came before the machines were started", type(event).__name__)
            return
        try:
            self._interpreter.tell(Post(event, to))
        except ActorFailure as error:
            _log.warning("%s was lost: %s", type(event).__name__, error)

    async def start(self) -> None:
        """Open the node, start the machines and the agents, meet the hive.

        Raises:
            NetworkError: the port is taken, or none of the devices to join answered.
            ActorFailure: an agent could not start.
        """
        loop = asyncio.get_running_loop()
        await self.node.start()
        self.node.allow_blobs(self.shelf.may_fetch)
        self._hands = NodeHands(self._surroundings(), loop)
        self.node.serve(MESSAGE_METHOD, self._hands.message_arrived)
        self.node.serve(PING_METHOD, lambda _peer, _body: b"")
        interpreter = Interpreter(self._machines(), self._hands, lease_clock)
        self._interpreter = await asyncio.to_thread(self._start_agents, interpreter)
        await self._meet()
        await self.roster.start(self._member())

    async def _meet(self) -> None:
        contacts = list(self.settings.join)
        if self.settings.mdns:
            from pockethive.dht.mdns import Announcer, discover

            try:
                contacts += await discover(self.settings.hive, MDNS_SECONDS)
                self._announcer = Announcer(self.node.contact, self.settings.hive)
                await self._announcer.start()
            except NetworkError as error:
                _log.warning("devices nearby cannot be found: %s", error)
        if contacts:
            await self.node.join(contacts)
            await self.roster.read()

    async def leave(self) -> None:
        """Stop asking and telling others; what the machines still want is not done."""
        if self._announcer is not None:
            await self._announcer.stop()
        await self.roster.stop()
        if self._hands is not None:
            await self._hands.close()

    async def close(self) -> None:
        """Close the node, after `leave` and `stop_agents`."""
        await self.node.stop()

    def stop_agents(self) -> None:
        """Stop all actors and close the index; blocks for seconds at most."""
        self.supervisor.stop(STOP_SECONDS)
        if self.documents is not None:
            self.documents.close()

    def _surroundings(self) -> Surroundings:
        return Surroundings(
            node=self.node,
            entries=self.entries,
            roster=self.roster,
            shelf=self.shelf,
            workbench=self.workbench,
            crew=self.crew,
            post=self.post,
            planned=self._planned,
            finished=self._finished,
            told=self._happened,
            clock=lease_clock,
        )

    def _start_agents(self, interpreter: Interpreter) -> Ref:
        self.crew.start(self.workbench)
        if self.settings.eager:
            self._warm_up()
        return self.supervisor.start(
            ChildSpec(
                name=INTERPRETER,
                factory=lambda: InterpreterActor(interpreter),
                restart=Restart.TEMPORARY,
                mailbox_limit=MAX_EVENTS,
            )
        )

    def _start_model(self) -> ModelProxy | None:
        source = self._source
        if source is None:
            return None
        ref = self.supervisor.start(ChildSpec(name=MODEL, factory=lambda: ModelActor(source.load)))
        return ModelProxy(ref, MODEL_SECONDS)

    def _warm_up(self) -> None:
        """Load the model while there is nothing else to do; nobody waits for it."""
        if self._model is not None:
            self.supervisor.ref(MODEL).tell(Describe())
        self.crew.warm_up()

    def _machines(self) -> dict[str, Machine]:
        device, settings = self.entries.device, self.settings
        machines: dict[str, Machine] = {}
        if self.team is not None:
            limits = self.team.limits
            machines["coordinator"] = Coordinator(device, limits)
            machines["ledger"] = Ledger(
                LedgerSettings(device=device, owner_key=self.ownership.owner_key, limits=limits),
                verify,
            )
        if settings.works:
            machines["scout"] = Scout(
                ScoutSettings(
                    device=device,
                    owner_key=None if settings.lends else self.ownership.owner_key,
                    skills=frozenset(settings.skills),
                    has_model=self._model is not None,
                    concurrency=WORK_AT_ONCE,
                ),
                verify,
            )
        if settings.verifies:
            machines["verifier"] = Verifier(
                VerifierSettings(
                    device=device,
                    owner_key=self.ownership.owner_key,
                    lends=settings.lends,
                    checkers=frozenset(settings.checkers),
                    has_model=self._model is not None,
                ),
                verify,
            )
        return machines

    def _member(self) -> Member:
        contact, settings = self.node.contact, self.settings
        return Member(
            device=self.entries.device,
            owner_key=self.ownership.owner_key,
            certificate=self.ownership.certificate,
            host=contact.host,
            port=contact.port,
            skills=tuple(sorted(settings.skills)) if settings.works else (),
            checkers=tuple(sorted(settings.checkers)) if settings.verifies else (),
            model=self.model_class.sha256 if self.model_class else "",
            documents=self.documents.documents if self.documents else 0,
            works=settings.works,
        )

    def _index(self) -> DocumentIndex | None:
        if not self.settings.documents:
            return None
        signer = Signer(device=self.entries.device, sign=self.identity.sign)
        database = self.settings.folder / "documents.sqlite"
        index = DocumentIndex.build(self.settings.documents, database, signer)
        for problem in index.skipped:
            _log.warning("%s", problem)
        return index

    def _tools(self) -> Tools:
        return Tools(
            model=self._model,
            documents=self.documents,
            sign=self.identity.sign,
            verify=verify,
        )

    def _members_changed(self, members: tuple[Member, ...]) -> None:
        self.met.set()
        self.post(MembersChanged(members=members))

    def _planned(self, run: RunId, plan: Plan) -> None:
        self.planned_tokens[run] = plan.prompt_tokens
        for choice in plan.trace:
            if len(choice.options) > 1:
                detail = f"{choice.chosen} for “{choice.goal}”"
                self._happened(Happening(what="chose", run=run, detail=detail))

    def _escalated(self, name: str, error: BaseException) -> None:
        _log.error("%s crashed and is not started again: %s", name, error)
        if name == INTERPRETER:
            self._broken(error)
        else:
            self.crew.gone(name, error)
