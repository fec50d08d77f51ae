"""Getting a bundle that a member of the hive shares (`model_sharing.py`).

Guards: what came is checked by the card before it is seen under its name; no bundle takes the place
of another one; what was fetched before a crash is found again, because it waits in the blob store.
"""

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pockethive.core.errors import BadEncoding, NetworkError, RefusedModel
from pockethive.core.task import DeviceId
from pockethive.dht.contact import Contact
from pockethive.inference.bundle import (
    CARD,
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
from pockethive.inference.parcel import MAX_PARCEL, ORIGIN, Parcel, origin
from pockethive.inference.space import check_space
from pockethive.model_sharing import SCHEME, shared_models

if TYPE_CHECKING:
    from pockethive.parts import Parts

MAX_HOLDERS: Final = 64


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
        if parcel.blobs.keys() != card.files.keys():
            raise BadEncoding("a parcel whose card names other files")
        target = bundle_folder(self._home, card.name, card.quantization)
        here = await asyncio.to_thread(_same, target, card)
        if here is not None:
            return here
        check_licence(card.licence, self._accepted, card.name)
        self._size = sum(entry.size for entry in card.files.values())
        wanted = {"fetching its files": self._size, "the bundle": self._size}
        check_space(self._home, wanted, f"getting {card.name}")
        self._parcel = parcel
        for name in sorted(card.files, key=lambda name: card.files[name].size):
            await node.fetch(parcel.blobs[name], holders)
        return await asyncio.to_thread(self._place, parcel, card, target)

    async def _holders(self) -> Sequence[Contact]:
        """Who says that he has it first, then every other member that is known."""
        parts, contacts = self._parts, []
        for device, notice in await shared_models(parts):
            if notice.parcel == self._name:
                found = parts.roster.contact(DeviceId(device))
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
