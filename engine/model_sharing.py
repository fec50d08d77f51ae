"""Models that this device gives to its hive, and getting those that others give.

A bundle's files lie on the shelf as blobs under the label `hive`, and so does its parcel
(`inference/parcel.py`); `hive:` and the parcel's name are its address. That it is there stands in a
note under `models`, which is renewed for as long as the device runs.

Guards: what came is checked by the card before it is seen under its name; no bundle takes the place
of another one; what has been fetched by a crash is found again, because it waits in the blob store.
Everything runs on the device's loop.
"""

import asyncio
import logging
import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pockethive.core.canonical import decode_object, encode, to_text
from pockethive.core.errors import (
    BadEncoding,
    BadInput,
    NetworkError,
    PocketHiveError,
    RefusedModel,
)
from pockethive.core.labels import Label
from pockethive.dht.contact import Contact
from pockethive.home import write_atomically
from pockethive.inference.bundle import (
    CARD,
    MODEL_FILES,
    Bundle,
    Card,
    bundle_folder,
    open_bundle,
    parse_card,
    place_bundle,
    read_card,
)
from pockethive.inference.card_check import check_tokens
from pockethive.inference.licences import check_licence
from pockethive.inference.parcel import (
    MAX_PARCEL,
    ORIGIN,
    Notice,
    Parcel,
    notice_of,
    origin,
    words_beside,
)
from pockethive.inference.space import check_space

if TYPE_CHECKING:
    from pockethive.parts import Parts

_log = logging.getLogger(__name__)

KEY: Final = "models"
"""The key of the notes that say which models there are; `pockethive get models` shows them."""
SCHEME: Final = "hive:"
FILE: Final = "models.json"
LIFE: Final = 24 * 3600  # seconds that a notice holds
MAX_SHARED: Final = 32
MAX_HOLDERS: Final = 64
MAX_NOTICES: Final = 200
_ADDRESS: Final = re.compile(r"hive:([0-9a-f]{64})")

Heard = Callable[[int, int], None]
"""Bytes that are there, and all."""


def parcel_of(address: str) -> str:
    """The blob that `hive:…` names. Raises BadInput."""
    found = _ADDRESS.fullmatch(address.strip())
    if found is None:
        raise BadInput(
            f"{address[:80]!r} is no address of a model",
            cure="it is hive: and 64 hex digits, as `pockethive models share` prints it",
        )
    return found[1]


class Sharing:
    """What one device shares, also after it was started again."""

    def __init__(self, parts: "Callable[[], Parts]", folder: Path) -> None:
        self._parts_of, self._path = parts, folder / FILE
        self._renewing: asyncio.Task[None] | None = None

    @property
    def _parts(self) -> "Parts":
        return self._parts_of()

    def start(self) -> None:
        """Tell the hive what is shared here, now and from time to time."""
        self._renewing = asyncio.create_task(self._renew(), name="shared-models")

    async def stop(self) -> None:
        """Renew nothing any more; the notices run out."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)

    async def share(self, folder: Path) -> str:
        """Give a bundle to whoever is in the hive; its address.

        Raises RefusedModel (damaged, no room on the disk), StorageError (over the quota).
        """
        shared = self._read()
        if len(shared) >= MAX_SHARED:
            raise BadInput(f"{MAX_SHARED} models are shared here already", cure="stop one: --stop")
        bundle = await asyncio.to_thread(open_bundle, folder, full=True)
        check_space(self._path.parent, {"its files": bundle.size}, f"sharing {bundle.card.name}")
        parcel, name = await asyncio.to_thread(self._keep, bundle)
        names = [*parcel.blobs.values(), name]
        await asyncio.to_thread(self._parts.node.blobs.references.hold, _holder(name), names)
        await asyncio.to_thread(self._write, dict.fromkeys([*shared, name]))
        await self._announce(name)
        return SCHEME + name

    async def end(self, card: Card) -> int:
        """Share a bundle no more; how many parcels of it there were."""
        ended = []
        for name in self._read():
            notice = self._notice(name)
            if notice is not None and notice.card == card.sha256:
                await self._tell(name, b"", LIFE + 60)  # it outlives what it replaces
                await asyncio.to_thread(self._let_go, name)
                ended.append(name)
        self._write(dict.fromkeys(name for name in self._read() if name not in ended))
        return len(ended)

    def _keep(self, bundle: Bundle) -> tuple[Parcel, str]:
        shelf, folder = self._parts.shelf, bundle.folder
        parcel = Parcel(
            card=(folder / CARD).read_bytes(),
            blobs={name: shelf.keep_file(folder / name, Label.HIVE) for name in MODEL_FILES},
            words=words_beside(folder),
        )
        return parcel, shelf.keep(parcel.encode(), Label.HIVE)

    def _let_go(self, name: str) -> None:
        references = self._parts.node.blobs.references
        names = references.names(_holder(name))
        references.release(_holder(name))
        for one in names:
            if not references.owners(one):
                self._parts.shelf.drop(one)

    def _notice(self, name: str) -> Notice | None:
        """What is told of a parcel that is here."""
        try:
            raw = self._parts.shelf.get(name)
            if raw is None:
                return None
            card = parse_card(Parcel.decode(raw).card, name)
            return notice_of(Bundle(Path(), card), name)
        except PocketHiveError as error:
            _log.warning("a shared model cannot be told of: %s", error)
            return None

    async def _announce(self, name: str) -> None:
        notice = await asyncio.to_thread(self._notice, name)
        if notice is not None:
            await self._tell(name, notice.encode(), LIFE)

    async def _tell(self, name: str, value: bytes, seconds: float) -> None:
        await self._parts.egress.note(KEY, value, seconds, slot=name[:32])

    async def _renew(self) -> None:
        await self._parts.arrival.wait()
        while True:
            for name in self._read():
                try:
                    await self._announce(name)
                except PocketHiveError as error:
                    _log.warning("a shared model is not told of: %s", error)
            await asyncio.sleep(LIFE / 3)

    def _read(self) -> list[str]:
        try:
            value = decode_object(self._path.read_bytes(), 10_000)
            names = value["shared"] if value["v"] == 1 else []
            return [name for name in names if _ADDRESS.fullmatch(f"{SCHEME}{name}")]
        except FileNotFoundError:
            return []
        except (OSError, BadEncoding, KeyError, TypeError) as error:
            _log.warning("which models are shared cannot be read: %s", error)
            return []

    def _write(self, names: dict[str, None]) -> None:
        write_atomically(self._path, encode({"v": 1, "shared": list(names)}))


async def shared_models(parts: "Parts") -> list[tuple[str, Notice]]:
    """What members say they share: `(device's key, notice)`. Whoever wrote nonsense is left out."""
    await parts.arrival.wait()
    found = []
    for note in (await parts.node.notes(KEY))[:MAX_NOTICES]:
        try:
            found.append((to_text(note.author), Notice.decode(note.value)))
        except BadEncoding as error:
            _log.debug("a note that tells of no model: %s", error)
    return found


class Getting:
    """One bundle that is being got. `device`: who said that it is there, if anybody did."""

    def __init__(self, parts: "Parts", home: Path, parcel: str, accepted: str) -> None:
        self._parts, self._home, self._name, self._accepted = parts, home, parcel, accepted
        self._parcel: Parcel | None = None
        self._size = 0
        self.device = ""

    @property
    def got(self) -> tuple[int, int]:
        """Bytes that are here, and all; both 0 until the card has come. On the loop."""
        if self._parcel is None:
            return 0, 0
        return sum(map(self._parts.node.got, self._parcel.blobs.values())), self._size

    async def run(self) -> Bundle:
        """Fetch, check, and put it in its place.

        Raises:
            NetworkError: nobody gave it. ProtocolError: it is not what it should be.
            RefusedModel: its licence, the disk, or another bundle of its name.
            StorageError: it is over the quota of the blob store.
        """
        node = self._parts.node
        holders = await self._holders()
        raw = await node.fetch_from(holders, self._name)
        if len(raw) > MAX_PARCEL:
            raise BadEncoding(f"a parcel of {len(raw)} bytes")
        parcel = Parcel.decode(raw)
        card = parse_card(parcel.card, SCHEME + self._name[:12])
        target = bundle_folder(self._home, card.name, card.quantization)
        here = await asyncio.to_thread(_same, target, card)
        if here is not None:
            return here
        check_licence(card.licence, self._accepted, card.name)
        self._size = sum(entry.size for entry in card.files.values())
        wanted = {"fetching its files": self._size, "the bundle": self._size}
        check_space(self._home, wanted, f"getting {card.name}")
        self._parcel = parcel
        for name in sorted(MODEL_FILES, key=lambda name: card.files[name].size):
            await node.fetch(parcel.blobs[name], holders)
        return await asyncio.to_thread(self._place, parcel, card, target)

    async def _holders(self) -> Sequence[Contact]:
        """Who says that he has it first, then every other member that is known."""
        parts, contacts = self._parts, []
        for device, notice in await shared_models(parts):
            if notice.parcel == self._name:
                found = parts.roster.contact(device)  # type: ignore[arg-type]
                contacts += [found] if found is not None else []
                self.device = self.device or device
        holders = tuple(dict.fromkeys([*contacts, *parts.roster.contacts()]))[:MAX_HOLDERS]
        if not holders:
            raise NetworkError(
                "no device of the hive is known to this one", cure="name one with --join"
            )
        return holders

    def _place(self, parcel: Parcel, card: Card, target: Path) -> Bundle:
        blobs = self._parts.node.blobs
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".getting-", dir=target.parent) as scratch:
            made = Path(scratch)
            for name, blob in parcel.blobs.items():
                blobs.copy_to(blob, made / name)
            check_tokens(made, card)
            said = {ORIGIN: origin(self.device, parcel.words), **parcel.words}
            bundle = place_bundle(made, {CARD: parcel.card, **said}, target)
        for blob in parcel.blobs.values():
            if not blobs.references.owners(blob):
                blobs.drop(blob)
        return bundle


def _same(target: Path, card: Card) -> Bundle | None:
    """The bundle that is here, if it is sound. Raises RefusedModel: it is another one."""
    if not (target / CARD).exists():
        return None
    if read_card(target).sha256 != card.sha256:
        raise RefusedModel(
            f"another bundle of {card.name} {card.quantization} is here",
            where=str(target),
            cure=f"keep it, or remove it first: pockethive models remove {card.name}",
        )
    try:
        return open_bundle(target, full=True)
    except RefusedModel:
        return None  # its files are damaged; they come anew


def _holder(name: str) -> str:
    return f"model:{name}"
