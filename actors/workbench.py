"""The workbench: gathers what a task needs (spec, inputs, output) and keeps what was made of it.

Output blobs are canonical bytes `{"v": 1, "value": …, "tokens": {"prompt": n, "generated": n}}`.
Runs on the node's event loop; the work itself happens on the agents' threads.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pockethive.actors.roster import Roster
from pockethive.actors.shelf import Shelf
from pockethive.actors.skill import Product, Work
from pockethive.core.canonical import decode_object, encode
from pockethive.core.effects import WorkHere
from pockethive.core.entry import Entry, Output
from pockethive.core.errors import BadEncoding, NetworkError, PocketHiveError, StorageError
from pockethive.core.labels import Label
from pockethive.core.question import read_remarks
from pockethive.core.task import DeviceId, Task
from pockethive.dht.contact import Contact

_log = logging.getLogger(__name__)

MAX_SPEC = 64 * 1024
MAX_OUTPUT = 4 * 1024 * 1024

Source = tuple[str, str, tuple[DeviceId, ...]]
"""(name of the source task, hash of its committed output, devices that hold it)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """An output on this device's shelf."""

    sha256: str
    size: int
    tokens: int = 0  # read and written by a model


class Workbench:
    """Turns tasks into `Work` and products into blobs."""

    def __init__(
        self,
        device: DeviceId,
        shelf: Shelf,
        roster: Roster,
        fetch: Callable[[Sequence[Contact], str], Awaitable[bytes]],
    ) -> None:
        self._device, self._shelf, self._roster, self._fetch = device, shelf, roster, fetch

    async def work(
        self, task: Task, worker: DeviceId, inputs: Sequence[Source], remarks: str = ""
    ) -> Work:
        """What a skill or a checker is told of `task`; `remarks`: hash of what its owner said.

        Raises:
            NetworkError: nobody who should hold the spec, the remarks or an input answered.
            BadEncoding: a blob that is not what its hash stands for in this protocol.
        """
        spec = decode_object(await self.blob(task.spec, (task.owner,), task.label), MAX_SPEC)
        if spec.get("skill") != task.skill or not isinstance(spec.get("params"), dict):
            raise BadEncoding(f"the spec of {task.id} is not the one its task was signed for")
        values = {
            name: (await self.output(sha, holders, task.label))["value"]
            for name, sha, holders in inputs
        }
        return Work(
            task=task.id,
            name=task.name,
            skill=task.skill,
            params=spec["params"],
            inputs=values,
            device=worker,
            remarks=await self._remarks(task, remarks) if remarks else (),
        )

    async def _remarks(self, task: Task, sha: str) -> tuple[str, ...]:
        return read_remarks(await self.blob(sha, (task.owner,), task.label))

    def here(self, order: WorkHere) -> Work:
        """The same of a task that concerns this device alone. Any thread.

        Raises:
            StorageError, BadEncoding: an input is damaged, or not here.
        """
        planned = order.planned
        spec = decode_object(planned.spec(), MAX_SPEC) if planned.params else {"params": {}}
        values = {}
        for name, sha in order.inputs:
            data = self._shelf.get(sha)
            if data is None:
                raise StorageError(f"the output of {name} is not here any more", where=sha[:12])
            values[name] = _value(sha, data)["value"]
        return Work(
            task=order.task,
            name=planned.name,
            skill=planned.skill,
            params=spec["params"],
            inputs=values,
            device=self._device,
        )

    def at_hand(self, sha: str) -> dict[str, Any] | None:
        """An output blob, decoded, if it is here and whole. Any thread."""
        try:
            data = self._shelf.get(sha)
            return None if data is None else _value(sha, data)
        except PocketHiveError as error:
            _log.warning("blob %s: %s", sha[:12], error)
            return None

    async def output(self, sha: str, holders: Sequence[DeviceId], label: Label) -> dict[str, Any]:
        """An output blob, decoded; kept on the shelf under `label` on the way."""
        return _value(sha, await self.blob(sha, holders, label))

    async def produced(self, output: Entry, label: Label) -> dict[str, Any]:
        """The output blob that a signed output entry names, from its maker."""
        if not isinstance(output.body, Output):
            raise BadEncoding(f"expected an output entry, found {output.kind.value}")
        return await self.output(output.body.output, (output.author,), label)

    def keep(self, product: Product, label: Label) -> Made:
        """Put a product on the shelf as an output blob."""
        return self.put(packed(product), tokens_of(product), label)

    def put(self, data: bytes, tokens: int, label: Label) -> Made:
        """Put an output blob on the shelf. Any thread."""
        return Made(sha256=self._shelf.keep(data, label), size=len(data), tokens=tokens)

    def seal(self, value: object, label: Label) -> Made:
        """Keep an answer that is voted on, for nobody yet. What it cost is left out: it differs."""
        data = encode({"v": 1, "value": value, "tokens": {"prompt": 0, "generated": 0}})
        if len(data) > MAX_OUTPUT:
            raise BadEncoding(f"an output of {len(data)} bytes, at most {MAX_OUTPUT} are allowed")
        return Made(sha256=self._shelf.seal(data, label), size=len(data))

    async def blob(self, sha: str, holders: Sequence[DeviceId], label: Label) -> bytes:
        """A blob from the shelf, or from the first of `holders` that gives it."""
        here = self._shelf.get(sha)
        if here is not None:
            return here
        known = (self._roster.contact(holder) for holder in holders if holder != self._device)
        contacts = [contact for contact in known if contact is not None]
        if not contacts:
            raise NetworkError(f"no known device holds blob {sha[:12]}")
        data = await self._fetch(contacts, sha)
        self._shelf.keep(data, label)
        return data


def packed(product: Product) -> bytes:
    """The output blob of a product. Raises BadEncoding."""
    tokens = {"prompt": product.prompt_tokens, "generated": product.generated_tokens}
    data = encode({"v": 1, "value": product.value, "tokens": tokens})
    if len(data) > MAX_OUTPUT:
        raise BadEncoding(f"an output of {len(data)} bytes, at most {MAX_OUTPUT} are allowed")
    return data


def tokens_of(product: Product) -> int:
    """Read and written by a model."""
    return product.prompt_tokens + product.generated_tokens


def _value(sha: str, data: bytes) -> dict[str, Any]:
    """An output blob, decoded. Raises BadEncoding."""
    value = decode_object(data, MAX_OUTPUT)
    if value.get("v") != 1 or "value" not in value:
        raise BadEncoding(f"blob {sha[:12]} is not an output of version 1")
    return value
