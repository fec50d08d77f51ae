"""A device on a real machine: its files, clocks, model and threads, joined to its parts."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pockethive import __version__
from pockethive.actors.base import Ref
from pockethive.actors.interpreter import Interpreter
from pockethive.actors.interpreter_actor import InterpreterActor, Post, PostFrom
from pockethive.actors.label_file import FILE as LABELS
from pockethive.actors.label_file import LabelFile
from pockethive.actors.model_actor import Asked, Describe, ModelActor
from pockethive.actors.model_proxy import ModelProxy
from pockethive.actors.supervisor import ChildSpec, Restart, Supervisor
from pockethive.asking import Asking, may_ask
from pockethive.clocks import lease_clock, wall_clock
from pockethive.core.canonical import to_text
from pockethive.core.errors import ActorFailure, NetworkError, StorageError
from pockethive.core.events import Event
from pockethive.core.ports import ModelClass, ModelFacts
from pockethive.core.spec import Team
from pockethive.credits import FILE as CREDITS
from pockethive.credits import Credits
from pockethive.dht.contact import Contact
from pockethive.dht.identity import Identity, OwnerKey
from pockethive.dht.settings import NodeSettings
from pockethive.founding import Founder
from pockethive.hive import PrivateHive
from pockethive.hive_store import HiveStore, hive_of
from pockethive.home import NODE, own
from pockethive.model_source import model_source, nearness_of
from pockethive.outbox import open_outbox
from pockethive.parts import Ground, Listener, Parts
from pockethive.peers import FILE as PEERS
from pockethive.peers import RUNNING, PeerFile, known_contacts

if TYPE_CHECKING:
    from pockethive.actors.documents.nearness import Nearness
    from pockethive.device import DeviceSettings
    from pockethive.dht.mdns import Announcer
    from pockethive.journal import RunJournal

_log = logging.getLogger(__name__)

INTERPRETER = "interpreter"
MODEL = "model"
MODEL_SECONDS = 120.0  # how long an agent waits for the model, queueing included
STOP_SECONDS = 3.0
MDNS_SECONDS = 1.0
REMEMBER_SECONDS = 30.0
MAX_EVENTS = 20_000


class Assembly(Parts):
    """The parts of one device, its agents on threads. `leave`, `stop_agents`, `close` end it."""

    def __init__(
        self,
        settings: "DeviceSettings",
        team: Team | None,
        listener: Listener,
    ) -> None:
        ownership = own(settings.home, settings.folder)
        identity = Identity.load_or_create(settings.folder)
        self.supervisor = Supervisor(
            f"device-{to_text(identity.public)[:8]}", on_escalate=self._escalated
        )
        self._announcer: Announcer | None = None
        self._remembering: asyncio.Task[None] | None = None
        self._asking: Asking | None = None
        self._store = hive_of(settings.home) if settings.private else None
        self._credits = None if team is None else Credits(settings.home / CREDITS)
        self.journal = None if team is None else journal_of(settings)
        self._interpreter: Ref | None = None
        self._driver: InterpreterActor | None = None
        self._source = (
            model_source(settings.model, settings.home, settings.threads)
            if settings.model is not None
            else None
        )
        self._model = self._start_model()
        ground = Ground(
            identity=identity,
            ownership=ownership,
            node=NodeSettings(
                listen=settings.listen,
                advertise=settings.advertise,
                home=settings.folder,
                blob_bytes=settings.quota_bytes,
                clock=wall_clock,
            ),
            lease_clock=lease_clock,
            index=settings.folder / "documents.sqlite",
            staff=self.supervisor,
            hive=hive_for(settings.home, identity, self._store) if self._store else None,
            credits=self._credits,
            journal=self.journal,
            secret=b"" if team is None else spot_check_secret(settings.home, identity),
            nearness=_nearness(settings),
        )
        super().__init__(settings, team, ground, listener)
        self.shelf.remember(LabelFile(settings.folder / LABELS))
        if team is not None:  # acts are the run's owner's
            self.open_outbox = partial(open_outbox, settings.home)
        self._peers = PeerFile(settings.home / PEERS, self.network)
        for problem in self.documents.skipped if self.documents else ():
            _log.warning("%s", problem)

    @property
    def model_class(self) -> ModelClass | None:
        """The class of this device's model, loaded or not."""
        return self._source.model_class if self._source else None

    @property
    def machines_live(self) -> bool:
        """Whether the machines were started and have not crashed."""
        return self._interpreter is not None

    def post(self, event: Event, to: str | None = None) -> None:
        """Hand an event to the machines; any thread, never blocks."""
        self._tell(Post(event, to), type(event).__name__)

    def post_from(self, fetch: Callable[[], Iterable[Event]], to: str | None) -> bool:
        """Have events fetched when it is their turn; False: they will not be. Any thread."""
        return self._tell(PostFrom(fetch, to), "what was made here")

    def drive(self, fetch: Callable[[], Iterable[Event]], to: str | None) -> bool:
        """See `Parts.drive`."""
        driver = self._driver if self.machines_live else None
        return driver is not None and driver.drive(PostFrom(fetch, to))

    def _tell(self, letter: Post | PostFrom, what: str) -> bool:
        if self._interpreter is None:
            _log.debug("%s came while no machines live", what)
            return False
        try:
            self._interpreter.tell(letter)
        except ActorFailure as error:
            _log.warning("%s was lost: %s", what, error)
            return False
        return True

    async def start(self) -> None:
        """Open the node, start the machines and the agents, meet the hive. See `Parts.start`."""
        await super().start()
        if may_ask(self.team):
            self._asking = Asking(self.questions, self.settings.folder)
            await self._asking.start(self.entries.device, str(self.node.contact))
        if self.settings.remembers:
            contact = self.node.contact
            self._running_file().remember([contact])
            self._remembering = asyncio.create_task(self._remember(), name="peers")

    async def leave(self) -> None:
        """Stop asking and telling others; what the machines still want is not done."""
        if self._asking is not None:
            await self._asking.stop()
        if self._remembering is not None:
            self._remembering.cancel()
            await asyncio.gather(self._remembering, return_exceptions=True)
            self._keep_peers()
            self._running_file().path.unlink(missing_ok=True)
        if self._announcer is not None:
            await self._announcer.stop()
        await super().leave()

    def stop_agents(self) -> None:
        """Stop all actors and close the index; blocks for seconds at most."""
        self.supervisor.stop(STOP_SECONDS)
        self.shelf.close()
        if self.documents is not None:
            self.documents.close()
        if self._ground.nearness is not None:
            self._ground.nearness.close()
        if self._store is not None:
            self._store.close()
        if self._credits is not None:
            self._credits.close()
        if self.journal is not None:
            self.journal.close()

    def _model_in_use(self, agent: str) -> ModelProxy | None:
        return None if self._model is None else self._model.of(agent)

    async def _begin(self, interpreter: Interpreter) -> None:
        self._interpreter = await asyncio.to_thread(self._start_agents, interpreter)

    async def nearby(self) -> list[Contact]:
        """Devices of the hive on the local network; from now on they find this one, too."""
        if not self.settings.mdns:
            return []
        from pockethive.dht.mdns import Announcer, discover

        found: list[Contact] = []
        try:
            found += await discover(self.network, MDNS_SECONDS)
            self._announcer = Announcer(self.node.contact, self.network)
            await self._announcer.start()
        except NetworkError as error:
            _log.warning("devices nearby cannot be found: %s", error)
        return found

    def remembered(self) -> tuple[Contact, ...]:
        """Devices of the same hive: a `pockethive node` of this home first, then its peers."""
        if not (self.settings.remembers or self.hive):
            return ()
        known = known_contacts(self.settings.home, self.network)
        return tuple(c for c in known if c.public != self.identity.public)

    async def _remember(self) -> None:
        while True:
            await asyncio.sleep(REMEMBER_SECONDS)
            self._keep_peers()

    def _keep_peers(self) -> None:
        """Those that will be there tomorrow: not what a run started beside itself."""
        contacts = self.node.contacts()
        if self.hive is not None:
            contacts = tuple(c for c in contacts if self.hive.membership.is_listed(c.public))
        try:
            self._peers.remember(contacts)
        except StorageError as error:
            _log.warning("peers are not remembered: %s", error)

    def _running_file(self) -> PeerFile:
        return PeerFile(self.settings.folder / RUNNING, self.network)

    def _start_agents(self, interpreter: Interpreter) -> Ref:
        self.crew.start(self.workbench, self.shelf)
        if self.settings.eager:
            self._warm_up()
        self._driver = driver = InterpreterActor(interpreter)
        return self.supervisor.start(
            ChildSpec(
                name=INTERPRETER,
                factory=lambda: driver,  # it is never started again
                restart=Restart.TEMPORARY,
                mailbox_limit=MAX_EVENTS,
            )
        )

    def _start_model(self) -> ModelProxy | None:
        source = self._source
        if source is None:
            return None
        spec = ChildSpec(name=MODEL, factory=lambda: ModelActor(source.load, tell=self._use_model))
        ref = self.supervisor.start(spec)
        return ModelProxy(ref, MODEL_SECONDS)

    def _use_model(self, facts: ModelFacts | None) -> None:
        """On the model's thread."""
        self.model_facts = facts

    def _warm_up(self) -> None:
        """Load the model while there is nothing else to do; nobody waits for it."""
        if self._model is not None:
            self.supervisor.ref(MODEL).tell(Asked(Describe(), ""))
        self.crew.warm_up()

    def _escalated(self, name: str, error: BaseException) -> None:
        _log.error("%s crashed and is not started again: %s", name, error)
        if name == INTERPRETER:
            self._interpreter = None
            self._broken(error)
        else:
            self.crew.gone(name, error)


def journal_of(settings: "DeviceSettings") -> "RunJournal":
    """The journal of a device that owns runs. Raises StorageError."""
    from pockethive.journal import FILE as JOURNAL  # a device without a team needs none of it
    from pockethive.journal import RunJournal

    path = settings.folder / JOURNAL
    return RunJournal(path, settings.recipe, settings.revives, __version__)


def _nearness(settings: "DeviceSettings") -> "Nearness | None":
    """What says which of a device's documents mean alike, for one that has any."""
    kept = settings.folder / "points.sqlite"
    return nearness_of(settings.home, settings.threads, kept) if settings.documents else None


def spot_check_secret(home: Path, device: Identity) -> bytes:
    """What spot checks are drawn from: of the owner's key, or of the device's where that key is on
    another machine. Raises StorageError."""
    keeper = OwnerKey.load_or_create(home) if (home / OwnerKey.FILE).exists() else device
    return keeper.secret("spot checks")


def hive_for(home: Path, identity: Identity, store: HiveStore) -> PrivateHive:
    """The private hive of a home for one of its devices. Raises StorageError."""
    sponsor = Identity.load_or_create(home / NODE)
    return PrivateHive(store, sponsor, identity, Founder.of(home, store))
