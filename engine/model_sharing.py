"""Models that this device gives to its hive; getting them is in `model_getting.py`.

A bundle's files lie on the shelf as blobs under the label `hive`, and so does its parcel
(`inference/parcel.py`); `hive:` and the parcel's name are its address. That it is there stands in a
note under `models`, which is renewed for as long as the device runs.

Guards: only members of the hive are given the files; what is shared stays in the blob store for as
long as it is. Everything runs on the device's loop.
"""

import asyncio
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pockethive.core.canonical import decode_object, encode, to_text
from pockethive.core.errors import (
    BadEncoding,
    BadInput,
    PocketHiveError,
)
from pockethive.core.labels import Label
from pockethive.home import write_atomically
from pockethive.inference.bundle import (
    CARD,
    Bundle,
    Card,
    open_bundle,
    parse_card,
)
from pockethive.inference.parcel import (
    Notice,
    Parcel,
    notice_of,
    words_beside,
)
from pockethive.inference.space import check_space

if TYPE_CHECKING:
    from pockethive.parts import Parts

_log = logging.getLogger(__name__)

KEY: Final = "models"
"""The key of the notes that say which models there are; `pockethive get models` shows them."""
SCHEME: Final = "hive:"
LIFE: Final = 24 * 3600  # seconds that a notice holds
MAX_SHARED: Final = 32
MAX_NOTICES: Final = 200
_ADDRESS: Final = re.compile(r"hive:([0-9a-f]{64})")


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

    def __init__(self, parts: "Parts", path: Path) -> None:
        self._parts, self._path = parts, path
        self._renewing: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Tell the hive what is shared here, now and from time to time."""
        if self._renewing is None:
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
        await asyncio.to_thread(self._parts.node.blobs.references.hold, holder(name), names)
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
            blobs={name: shelf.keep_file(folder / name, Label.HIVE) for name in bundle.card.files},
            words=words_beside(folder),
        )
        return parcel, shelf.keep(parcel.encode(), Label.HIVE)

    def _let_go(self, name: str) -> None:
        references = self._parts.node.blobs.references
        names = references.names(holder(name))
        references.release(holder(name))
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


def holder(name: str) -> str:
    """Who needs the blobs of a parcel, as the store's references call it."""
    return f"model:{name}"
