"""Runs that other devices of the same owner began: finding them, and what it takes to go on.

Guards: a run is the owner's for the certificate that its claim shows, never for the note that names
it; its record is believed for the hash that one of the owner's devices signed.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pockethive.actors.run_list import ENDED, runs_key
from pockethive.core.canonical import from_text, to_text
from pockethive.core.claim import claim_id, is_claim, keepers_of
from pockethive.core.entry import Close, Entry, Output
from pockethive.core.errors import BadEncoding, BadInput, PocketHiveError, ProtocolError
from pockethive.core.fold import TaskView, fold, of_owner
from pockethive.core.labels import Label
from pockethive.core.run_record import RunRecord
from pockethive.core.task import DeviceId, RunId, task_key
from pockethive.dht.contact import Contact
from pockethive.dht.identity import verify

if TYPE_CHECKING:
    from pockethive.parts import Parts

_log = logging.getLogger(__name__)

MAX_LISTED: Final = 64
_RUN_DIGITS: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """An open run of another device of this owner.

    `keeper`: the device that kept it last, as far as is known. `claim`: signed, as it travels.
    `record`: what the run is; None where nobody present holds it. `join`: through whom it is
    reached; `hive`: the open hive it is in, None for the private one of the home.
    """

    run: RunId
    keeper: DeviceId
    began: float
    claim: bytes
    record: RunRecord | None
    join: tuple[str, ...] = ()
    hive: str | None = None

    @property
    def goal(self) -> str:
        """What it is about; empty where that is not known."""
        return "" if self.record is None else self.record.goal

    def to_json(self) -> dict[str, Any]:
        """As a node tells it on its control socket."""
        return {
            "run": self.run,
            "keeper": self.keeper,
            "began": int(self.began),
            "claim": to_text(self.claim),
            "record": None if self.record is None else to_text(self.record.encode()),
            "join": list(self.join),
            "hive": self.hive,
        }

    @classmethod
    def of_json(cls, value: dict[str, Any]) -> "Elsewhere":
        """Behind `to_json`. Raises BadEncoding, KeyError."""
        record = value["record"]
        return cls(
            run=RunId(value["run"]),
            keeper=DeviceId(value["keeper"]),
            began=float(value["began"]),
            claim=from_text(value["claim"]),
            record=None if record is None else RunRecord.decode(from_text(record)),
            join=tuple(value["join"]),
            hive=value["hive"],
        )


async def runs_elsewhere(parts: "Parts", name: str = "") -> tuple[Elsewhere, ...]:
    """Open runs of the owner's other devices whose ids begin with `name`, the latest first.

    On the device's loop. Raises NetworkError: the DHT cannot be read.
    """
    await parts.arrival.wait()
    notes = await parts.node.notes(runs_key(parts.ownership.owner_key))
    ended = {note.slot for note in notes if note.value == ENDED}
    slots = dict.fromkeys(note.slot for note in notes if note.slot not in ended)
    found = []
    for slot in list(slots)[:MAX_LISTED]:
        run = RunId(slot.decode("ascii", "replace"))
        if len(run) == _RUN_DIGITS and run.startswith(name):
            one = await _run_of(parts, run)
            found += [] if one is None else [one]
    return tuple(sorted(found, key=lambda one: -one.began))


async def _run_of(parts: "Parts", run: RunId) -> Elsewhere | None:
    own = parts.ownership.owner_key
    entries = of_owner(await _entries(parts, run), own)
    view = fold(entries, verify, claim_id(run))
    if view is None or not is_claim(view.task) or not view.task.certificate:
        return None
    keepers = keepers_of(view.task, entries, verify)
    kept = {view.task.owner, *(device for _, device in keepers)}
    closed = any(isinstance(e.body, Close) and e.author in kept for e in entries)
    _, keeper = max(keepers, default=(0, view.task.owner))
    if closed or keeper == parts.entries.device:
        return None
    return Elsewhere(
        run=run,
        keeper=keeper,
        began=view.task.began,
        claim=view.entry.wire,
        record=await _record(parts, view, run),
        join=(str(parts.node.contact),),
        hive=None if parts.hive is not None else parts.settings.hive,
    )


async def _entries(parts: "Parts", run: RunId) -> tuple[Entry, ...]:
    found = []
    for record in await parts.node.get(task_key(claim_id(run))):
        try:
            found.append(parts.entries.opened(record))
        except ProtocolError as error:
            _log.warning("an entry of run %s was dropped: %s", run, error)
    return tuple(found)


async def _record(parts: "Parts", view: TaskView, run: RunId) -> RunRecord | None:
    """What the run is, from whichever of the owner's devices holds it."""
    own = parts.ownership.owner_key
    holders = [m.device for m in parts.roster.members if m.owner_key == own]
    for entry in view.outputs:
        made = entry.body
        if entry.author != view.task.owner or not isinstance(made, Output):
            continue
        try:
            blob = await parts.workbench.output(made.output, holders, Label.PEOPLE)
            record = RunRecord.of(blob["value"])
        except PocketHiveError as error:
            _log.warning("the record of run %s is not to be had: %s", run, error)
            continue
        if record.run == run:
            return record
    return None


def asked_node(home: Path, name: str = "") -> tuple[Elsewhere, ...]:
    """As `runs_elsewhere`, asked of the node that runs in a home. Blocks.

    Raises NotRunning: none does.
    """
    from pockethive.control import ask
    from pockethive.home import NODE

    try:
        return tuple(Elsewhere.of_json(each) for each in ask(home / NODE, "runs", name=name))
    except (BadEncoding, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"the node of this home answers in another form: {error}") from error


def asked_hive(home: Path, join: tuple[Contact, ...], name: str = "") -> tuple[Elsewhere, ...]:
    """As `runs_elsewhere`, asked by a passing device of this home. Blocks.

    Raises PocketHiveError: nobody answered.
    """
    from dataclasses import replace

    from pockethive.device import Device, DeviceSettings
    from pockethive.home import free_swarm_folder

    lock = free_swarm_folder(home)
    folder = lock.folder / "owner"
    settings = DeviceSettings(home=home, folder=folder, join=join, works=False, verifies=False)
    device = Device(settings)
    try:
        device.start()
        found = device.call(runs_elsewhere(device.parts, name))
        contacts = tuple(map(str, device.call(_known(device.parts))))
        return tuple(replace(one, join=contacts) for one in found)
    finally:
        device.stop()
        lock.release()


async def _known(parts: "Parts") -> tuple[Contact, ...]:
    return tuple(parts.node.contacts())[:MAX_LISTED]


def find_elsewhere(home: Path, name: str, join: tuple[Contact, ...] = ()) -> Elsewhere:
    """The open run of another device whose id begins so, with its record.

    Raises BadInput: none, several, or nobody present can say what it is about.
    """
    from pockethive.control import NotRunning

    try:
        found = asked_hive(home, join, name.lower()) if join else asked_node(home, name.lower())
    except NotRunning as error:
        raise BadInput(
            f"no run of this home is called {name}, and no node runs here that knows of others",
            cure="see: pockethive runs; or reach the owner's other devices with --join",
        ) from error
    if len(found) != 1:
        many = "several runs are" if found else "no run of this home or owner is"
        raise BadInput(f"{many} called {name}", cure="see: pockethive runs")
    if found[0].record is None:
        raise BadInput(
            f"what run {found[0].run[:8]} is about is held by no device that is present",
            cure="start one of the owner's devices that were there when it began",
        )
    return found[0]
