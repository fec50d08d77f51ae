"""Egress: the one door through which anything of a user leaves this device.

Every other module of `actors` and `engine` hands what it wants said or given to this one; a test
walks the calls. What goes on inside the home, such as answers on the control socket, stays local
and needs no door; neither do signed lists and keys of a private hive, which `engine/hive.py` gives
to whom the hive's own rules name.

Rules guarded here: a datum reaches nobody whom its label forbids (`device`: nobody; `people`: the
owner's own devices; `hive`: members; `public`: all), and a stranger to a private hive is told
nothing at all. Each release is counted by label and audience and logged: what, size, hash, to whom,
never text.

Facts about tasks and devices (entries, letters, greetings: names, hashes, short reasons) carry no
text of documents and have the label `facts`: of members in a private hive, where the DHT holds them
encrypted, of all in an open one.
"""

import inspect
import logging
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from threading import Lock
from typing import Final

from pockethive.actors.shelf import Shelf
from pockethive.core.canonical import to_text
from pockethive.core.errors import Failure
from pockethive.core.labels import Label
from pockethive.dht.contact import Contact
from pockethive.dht.node import Node
from pockethive.dht.record import Record

_log = logging.getLogger(__name__)

Handler = Callable[[bytes, bytes], bytes | Awaitable[bytes]]
"""`(peer's key, body) -> answer`, as `Node.serve` takes it."""

Standing = Callable[[bytes], Label | None]
"""What a peer is to this device: the narrowest label it may see. None: a stranger to the hive."""

_REMEMBERED: Final = 2_000  # releases of blobs, which peers fetch in pieces
_EVERYBODY: Final = "everybody"


@dataclass(frozen=True, slots=True)
class Released:
    """How often something went out, and how many bytes of it."""

    times: int
    size: int


class Egress:
    """The door of one device. Coroutines run on the node's loop; `may_fetch` on any thread.

    `private`: the node is in a private hive, whose members alone read what the DHT holds.
    """

    def __init__(self, node: Node, standing: Standing, *, private: bool) -> None:
        self._node, self._standing = node, standing
        self._facts = Label.HIVE if private else Label.PUBLIC
        self._shelf: Shelf | None = None
        self._times: Counter[tuple[str, str]] = Counter()
        self._bytes: Counter[tuple[str, str]] = Counter()
        self._given: OrderedDict[tuple[bytes, str], None] = OrderedDict()
        self._lock = Lock()

    @property
    def counts(self) -> Mapping[tuple[str, str], Released]:
        """What went out since the start, by label and audience; refused: audience `nobody`."""
        with self._lock:
            return {key: Released(self._times[key], self._bytes[key]) for key in self._times}

    def open_shelf(self, shelf: Shelf) -> None:
        """Serve the blobs of a shelf to whom their labels allow."""
        self._shelf = shelf
        self._node.allow_blobs(self.may_fetch)

    def may_fetch(self, peer: bytes, sha: str) -> bool:
        """Whether a peer may have a blob of the shelf."""
        kept = None if self._shelf is None else self._shelf.kept(sha)
        if kept is None or kept.sealed:
            return False
        key = (peer, sha)
        allowed = self._allows(kept.label, self._standing(peer))
        with self._lock:
            again = key in self._given
            if allowed and not again:
                self._given[key] = None
                if len(self._given) > _REMEMBERED:
                    self._given.popitem(last=False)
        if not (allowed and again):
            self._note("a blob", kept.label, peer, (kept.size, sha), allowed=allowed)
        return allowed

    async def publish(self, record: Record) -> int:
        """Put a record into the DHT; how many copies there are. Raises as `Node.put`."""
        data = record.encode()
        self._note(f"a {record.kind} record", self._facts, None, _seen(data))
        return await self._node.put(record)

    async def spread(self, record: Record) -> int:
        """As `publish`, together with what else is due in a small hive. Raises as `Node.put`."""
        data = record.encode()
        self._note(f"a {record.kind} record", self._facts, None, _seen(data))
        return await self._node.spreading.spread(record)

    async def spread_beside(self, record: Record, others: Sequence[Record]) -> int:
        """As `spread`, with others of its key. Raises as `Node.put`."""
        for one in (record, *others):
            self._note(f"a {one.kind} record", self._facts, None, _seen(one.encode()))
        return await self._node.spreading.spread_beside(record, others)

    def spread_soon(self, record: Record) -> bool:
        """The same in a moment, not waiting for it; False, and nothing done: the hive is large."""
        if not self._node.spreading.soon(record):
            return False
        self._note(f"a {record.kind} record", self._facts, None, _seen(record.encode()))
        return True

    async def publish_all(self, records: Sequence[Record]) -> int:
        """Put many records into the DHT; how many of them are kept. Raises as `Node.put_all`."""
        for record in records:
            self._note(f"a {record.kind} record", self._facts, None, _seen(record.encode()))
        return await self._node.put_all(records)

    async def note(self, key: str, value: bytes, seconds: float, slot: str = "") -> int:
        """Publish a note, as somebody asked for in so many words. Raises as `Node.note`."""
        self._note("a note", Label.PUBLIC, None, _seen(value))
        return await self._node.note(key, value, seconds, slot)

    async def tell(
        self,
        peer: Contact | bytes,
        method: str,
        body: bytes,
        *,
        timeout: float = 3.0,  # noqa: ASYNC109 - as `Node.request`
    ) -> bytes:
        """Say facts to a device; its answer. Raises as `Node.request`, and Failure: refused."""
        self._check(peer, method, body)
        return await self._node.request(peer, method, body, timeout=timeout)

    async def decide(self, peer: Contact | bytes, request: bytes) -> bytes:
        """Ask a witness. Raises as `Node.decide`, and Failure: refused."""
        self._check(peer, "witness", request)
        return await self._node.decide(peer, request)

    def answer(self, method: str, handler: Handler) -> None:
        """Answer this method: the answers are facts, too."""

        async def answered(peer: bytes, body: bytes) -> bytes:
            made = handler(peer, body)
            answer = await made if inspect.isawaitable(made) else made
            assert isinstance(answer, bytes)
            self._check(peer, f"an answer to {method}", answer)
            return answer

        self._node.serve(method, answered)

    def _check(self, peer: Contact | bytes, what: str, body: bytes) -> None:
        """Let facts pass to a device. Raises Failure: it is a stranger to the hive."""
        public = peer.public if isinstance(peer, Contact) else peer
        if not body or public == self._node.identity.public:
            return  # nothing is said, or it does not leave
        allowed = self._allows(self._facts, self._standing(public))
        self._note(what, self._facts, public, _seen(body), allowed=allowed)
        if not allowed:
            raise Failure(
                f"{what} may not go to {to_text(public)[:8]}", cure="it is no member of the hive"
            )

    @staticmethod
    def _allows(label: Label, standing: Label | None) -> bool:
        return standing is not None and label.allows(standing)

    def _note(
        self,
        what: str,
        label: Label,
        peer: bytes | None,
        seen: tuple[int, str],
        *,
        allowed: bool = True,
    ) -> None:
        """Count and log. The audience is a peer's standing, or what the DHT's readers are."""
        size, sha = seen
        standing = self._facts if peer is None else self._standing(peer)
        audience = standing.value if allowed and standing is not None else "nobody"
        with self._lock:
            self._times[label.value, audience] += 1
            self._bytes[label.value, audience] += size if allowed else 0
        whom = _EVERYBODY if peer is None else to_text(peer)[:12]
        word = "released" if allowed else "refused"
        _log.debug("%s %s (%s, %d bytes, %s) to %s", word, what, label.value, size, sha[:16], whom)


def _seen(data: bytes) -> tuple[int, str]:
    return len(data), sha256(data).hexdigest()
