"""Reading the DHT from outside: what stands under a key, and whether it is genuine.

A node that runs in the home is asked through its control socket (`service.py`); without one, a
passing node with a key of its own joins, asks and leaves.
"""

import contextlib
import re
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pockethive.actors.entries import Entries, hive_key
from pockethive.actors.witnessing import HiveRules
from pockethive.core.canonical import decode_object, to_text
from pockethive.core.errors import BadInput, ProtocolError
from pockethive.core.fold import fold
from pockethive.core.task import TaskId, task_key
from pockethive.dht.contact import Contact
from pockethive.dht.identity import Identity, verify
from pockethive.dht.member_list import KIND as LIST_KIND
from pockethive.dht.node import Node, NodeSettings
from pockethive.dht.notes import newest, note_key, open_note
from pockethive.dht.record import KEY_SIZE, MAX_BODY, Record
from pockethive.dht.rules import NOTE
from pockethive.hive import PrivateHive
from pockethive.hive_store import HiveStore, hive_of
from pockethive.home import NODE

_TASK = re.compile(r"[0-9a-f]{32}/[^/]+/[0-9a-f]{16}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenEntry:
    """One record as read. `genuine` says in words what was verified."""

    kind: str
    author: str
    expires: str
    body: dict[str, Any]
    ok: bool
    genuine: str

    def to_json(self) -> dict[str, Any]:
        """As printed by `pockethive get --json`."""
        return {
            "kind": self.kind,
            "author": self.author,
            "expires": self.expires,
            "body": self.body,
            "genuine": self.ok,
            "verified": self.genuine,
        }

    @classmethod
    def of_json(cls, value: dict[str, Any]) -> "SeenEntry":
        """Behind `to_json`."""
        return cls(
            kind=value["kind"],
            author=value["author"],
            expires=value["expires"],
            body=value["body"],
            ok=value["genuine"],
            genuine=value["verified"],
        )


@contextlib.asynccontextmanager
async def passing_node(
    join: Sequence[str], hive: str, home: Path, identity: Identity | None = None
) -> AsyncIterator[tuple[Node, Entries]]:
    """A node in memory that has joined through `join`; without an `identity` it has a new one.

    Where `hive` is the private hive of `home`, the home's device vouches for this one.

    Raises:
        BadInvitation: an address that does not parse. NetworkError: nobody answered.
        Failure: the private hive does not know this home any more.
    """
    contacts = [Contact.parse(text) for text in join]
    identity = identity or Identity.from_seed(secrets.token_bytes(32))
    store = hive_of(home) if hive == network_of(None, home) else None
    if store is not None:
        async with _passing_member(contacts, home, store, identity) as passing:
            yield passing
        return
    entries = Entries(identity, hive)
    node = Node(NodeSettings(), identity, HiveRules(identity, entries, time.time()))
    async with node:
        await node.join(contacts)
        yield node, entries


@contextlib.asynccontextmanager
async def _passing_member(
    contacts: list[Contact], home: Path, store: HiveStore, identity: Identity
) -> AsyncIterator[tuple[Node, Entries]]:
    try:
        hive = PrivateHive(store, Identity.load_or_create(home / NODE), identity, None)
        entries = Entries(identity, hive.network, hive.keys)
        rules = HiveRules(identity, entries, time.time(), hive.membership)
        async with Node(hive.settings(NodeSettings()), identity, rules) as node:
            hive.serve(node, lambda: None)
            try:
                await hive.introduce(contacts)
                await node.join(contacts)
                yield node, entries
            finally:
                await hive.stop()
    finally:
        store.close()


def network_of(hive: str | None, home: Path) -> str:
    """What the hive that a person means is called on the wire: an open one by its name, else the
    private one of the home, else the open hive `home`. Raises StorageError."""
    if hive is not None:
        return hive
    store = hive_of(home)
    if store is None:
        return "home"
    charter = store.charter
    store.close()
    return "home" if charter is None else charter.network


async def read_entries(
    node: Node, entries: Entries, key: str, *, hive: str, careful: bool = False
) -> tuple[SeenEntry, ...]:
    """What the nodes nearest to `key` hold, `careful` along paths that share no node.

    Raises BadInput: the key is none of the known forms.
    """
    records = await node.get(key_of(key, hive), careful=careful)
    current = {(n.author, n.slot, n.at) for n in newest(records)}
    proven = _proven(entries, records)
    seen = []
    for record in records:
        if record.kind == NOTE and _note_name(record) not in current:
            continue  # an older note of the same author and slot
        seen.append(_seen(entries, record, proven))
    return tuple(seen)


def key_of(text: str, hive: str) -> bytes:
    """The DHT key that a person means: a task id, 40 hex digits, `members`, or a note's key.

    Raises BadInput: no printable text of at most 200 bytes.
    """
    if text == "members":
        return hive_key(hive)
    if _TASK.fullmatch(text):
        return task_key(TaskId(text))
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    return key if len(key) == KEY_SIZE else note_key(text)


def own_key(text: str, hive: str) -> str:
    """`text` if a note may stand under it: one that means something else could not be read back.

    Raises BadInput.
    """
    if key_of(text, hive) != note_key(text):
        raise BadInput(f"{text!r} is the name of something else", cure="choose another key")
    return text


def _note_name(record: Record) -> tuple[bytes, bytes, float] | None:
    try:
        note = open_note(record)
    except ProtocolError:
        return None
    return note.author, note.slot, note.at


def _proven(entries: Entries, records: Sequence[Record]) -> str | None:
    """The hash of the output that a proven commit among the records names."""
    opened = []
    for record in records:
        try:
            opened.append(entries.opened(record))
        except ProtocolError:
            continue
    view = fold(opened, verify)
    return view.output if view is not None and view.commit is not None else None


def _seen(entries: Entries, record: Record, proven: str | None) -> SeenEntry:
    ok, genuine, body = True, "signature good", {}
    try:
        record.verify()
        if record.kind == NOTE:
            body = _note_body(record)
        elif record.kind == LIST_KIND:
            body = decode_object(record.body, MAX_BODY)
        else:
            entries.opened(record)
            body = decode_object(entries.plain(record), MAX_BODY)
    except ProtocolError as error:
        ok, genuine = False, str(error)
    if ok and record.kind == "commit":
        ok = proven is not None and body.get("output") == proven
        genuine = "signature good, acks of a quorum good" if ok else "acks do not make a quorum"
    return SeenEntry(
        kind=record.kind,
        author=to_text(record.author),
        expires=_utc(record.expires),
        body=body,
        ok=ok,
        genuine=genuine,
    )


def _note_body(record: Record) -> dict[str, Any]:
    """A note as people read it: its value as text, or in base64url where it is none."""
    note = open_note(record)
    body: dict[str, Any] = {"at": _utc(note.at)}
    if note.slot:
        body["slot"] = note.slot.decode("utf-8", "replace")
    try:
        body["value"] = note.value.decode()
    except UnicodeDecodeError:
        body["base64url"] = to_text(note.value)
    return body


def _utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
