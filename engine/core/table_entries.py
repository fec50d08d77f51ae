"""Entries at the table: signed by its keyed hash, and opened again from their bytes."""

from pockethive.core.canonical import decode_object, digest, encode, from_text, to_text
from pockethive.core.effects import Publish, SignEntry
from pockethive.core.entry import Entry, Kind
from pockethive.core.entry_codec import decode_body, encode_body
from pockethive.core.errors import BadEncoding, BadSignature
from pockethive.core.people import is_certified
from pockethive.core.ports import VerifySignature
from pockethive.core.table_plan import Sign
from pockethive.core.task import DeviceId, Task, TaskId

_MAX_WIRE = 8_192


def signed_bytes(device: DeviceId, effect: Publish | SignEntry, sign: Sign) -> bytes:
    """What a device publishes, as `opened_entry` reads it."""
    value: dict[str, object] = {
        "author": device,
        "kind": effect.kind.value,
        "expires": effect.expires,
        "body": to_text(encode_body(effect.body)),
    }
    signature = to_text(sign(device, digest("record", encode(value))))
    return encode({**value, "signature": signature})


def opened_entry(wire: bytes, verify: VerifySignature) -> Entry:
    """The entry behind its signed bytes. Raises BadEncoding, BadSignature."""
    value = decode_object(wire, _MAX_WIRE)
    if value.keys() != {"author", "kind", "expires", "body", "signature"}:
        raise BadEncoding("not an entry of the table")
    signature = value.pop("signature")
    author, message = DeviceId(value["author"]), digest("record", encode(value))
    if not verify(from_text(author, 32), message, from_text(signature, 64)):
        raise BadSignature("an entry at the table")
    kind = Kind(value["kind"])
    body = decode_body(kind, from_text(value["body"]))
    if isinstance(body, Task) and not _is_owners(body, verify):
        raise BadSignature("a certificate at the table")
    return Entry(
        kind=kind,
        author=author,
        expires=value["expires"],
        body=body,
        digest=message.hex(),
        wire=wire,
    )


def _is_owners(task: Task, verify: VerifySignature) -> bool:
    shown = task.certificate
    return not shown or is_certified(task.owner_key, task.owner, shown, verify)


def task_of(entry: Entry) -> TaskId:
    """Which task an entry is about."""
    body = entry.body
    task = body.id if isinstance(body, Task) else getattr(body, "task", None)
    assert task is not None
    return TaskId(task)
