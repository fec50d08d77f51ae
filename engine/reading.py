"""Reading the DHT from outside: what stands under a key, and whether it is genuine."""

import tempfile
import time
from collections.abc import Sequence
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
from pockethive.dht.node import Node, NodeSettings
from pockethive.dht.record import MAX_BODY, Record


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


async def read_entries(key: str, join: Sequence[str], hive: str) -> tuple[SeenEntry, ...]:
    """Ask the nodes nearest to `key` through `join`, with a passing identity.

    Raises:
        BadInput: the key is none of the known forms.
        NetworkError: nobody answered.
    """
    where = _key(key, hive)
    contacts = [Contact.parse(text) for text in join]
    with tempfile.TemporaryDirectory(prefix="pockethive-get-") as folder:
        identity = Identity.load_or_create(Path(folder))
        entries = Entries(identity, hive)
        node = Node(NodeSettings(), identity, HiveRules(identity, entries, time.time()))
        async with node:
            await node.join(contacts)
            records = await node.get(where)
    proven = _proven(entries, records)
    return tuple(_seen(entries, record, proven) for record in records)


def _key(text: str, hive: str) -> bytes:
    if text == "members":
        return hive_key(hive)
    if text.count("/") == 2:
        return task_key(TaskId(text))
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != 20:
        raise BadInput(
            f"{text!r} is no key",
            cure="give a task id (run/name/hash), 40 hex digits, or the word members",
        )
    return key


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
    ok, genuine = True, "signature good"
    try:
        record.verify()
        entries.opened(record)
    except ProtocolError as error:
        ok, genuine = False, str(error)
    body = decode_object(record.body, MAX_BODY)
    if ok and record.kind == "commit":
        ok = proven is not None and body.get("output") == proven
        genuine = "signature good, acks of a quorum good" if ok else "acks do not make a quorum"
    return SeenEntry(
        kind=record.kind,
        author=to_text(record.author),
        expires=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.expires)),
        body=body,
        ok=ok,
        genuine=genuine,
    )
