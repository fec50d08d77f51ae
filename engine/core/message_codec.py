"""Messages between devices as canonical bytes, at most 8,000 each."""

from typing import Any

from pockethive.core.certificate import Certificate, Vote
from pockethive.core.errors import BadEncoding
from pockethive.core.fields import NAME, REASON, VERSION, Fields, distinct, key, task_text
from pockethive.core.labels import Label
from pockethive.core.lease import MAX_LEASE_SECONDS, Accepted
from pockethive.core.lease_codec import (
    MAX_MESSAGE,
    OpenEntry,
    Spell,
    bounded,
    take_entry,
    whole,
)
from pockethive.core.message import (
    PROGRESS_STATES,
    AskOffer,
    AskOpening,
    Counted,
    Ended,
    Keep,
    LetGo,
    Made,
    Message,
    Offer,
    Opened,
    Progress,
    Replicate,
    VerifyOffer,
)
from pockethive.core.task import DeviceId, TaskId
from pockethive.core.task_codec import MAX_SOURCES, MAX_WITNESSES


def encode_message(message: Message, spell: Spell = whole) -> bytes:
    """Canonical bytes of a message. Raises BadEncoding when they exceed `MAX_MESSAGE`."""
    return bounded(message_object(message, spell))


def message_object(message: Message, spell: Spell = whole) -> dict[str, Any]:
    """What `encode_message` writes, before it is bytes and bounded."""
    return {"v": VERSION, **_message(message, spell)}


def decode_message(data: bytes, open_entry: OpenEntry) -> Message:
    """The message behind `encode_message`. Raises BadEncoding, and what `open_entry` raises."""
    fields = Fields.read(data, MAX_MESSAGE, "message")
    message = _decode(fields.text("say", NAME), fields, open_entry)
    fields.done()
    return message


def _message(message: Message, spell: Spell) -> dict[str, Any]:  # noqa: C901 - one case per message
    match message:
        case Offer():
            told = {"remarks": message.remarks} if message.remarks else {}
            return {
                **told,
                "say": "offer",
                "task": message.task,
                "skill": message.skill,
                "model": message.needs_model,
                "label": message.label.value,
                "place": message.place,
                "entry": spell(message.entry),
                "inputs": _inputs(message.inputs),
            }
        case VerifyOffer():
            return {
                "say": "verify",
                "task": message.task,
                "entry": spell(message.entry),
                "output": spell(message.output),
                "invite": spell(message.invite),
                "inputs": _inputs(message.inputs),
            }
        case Replicate(task=task, epoch=epoch, entry=entry, inputs=inputs):
            parts = {"task": task, "epoch": epoch, "entry": spell(entry)}
            return {"say": "replicate", **parts, "inputs": _inputs(inputs)}
        case AskOpening(task=task, pledge=pledge):
            return {"say": "ask opening", "task": task, "pledge": pledge}
        case Opened(task=task, nonce=nonce, output=output):
            return {"say": "opening", "task": task, "nonce": nonce, "output": output}
        case Counted(task=task, entry=entry):
            return {"say": "counted", "task": task, "entry": spell(entry)}
        case Keep(task=task, entry=entry, output=output):
            wires = {"entry": spell(entry), "output": spell(output)}
            return {"say": "keep", "task": task, **wires}
        case Made(entry=entry, grants=grants):
            return {"say": "made", "entry": spell(entry), "grants": _grants(grants)}
        case Progress(task=task, epoch=epoch, state=state, reason=reason, grants=grants):
            parts = {"task": task, "epoch": epoch, "state": state, "reason": reason}
            return {"say": "progress", **parts, "grants": _grants(grants)}
        case LetGo(task=task, epoch=epoch, reason=reason, soft=soft):
            gently = {"soft": 1} if soft else {}
            return {"say": "let go", "task": task, "epoch": epoch, "reason": reason, **gently}
        case Ended(task=task, entry=entry):
            return {"say": "ended", "task": task, "entry": spell(entry)}
        case AskOffer(key=notice, entry=entry):
            return {"say": "ask offer", "key": notice, "entry": spell(entry)}


def _decode(  # noqa: C901 - one case per message
    say: str, fields: Fields, open_entry: OpenEntry
) -> Message:
    match say:
        case "offer":
            task = fields.task("task")
            return Offer(
                task=task,
                skill=fields.text("skill", NAME),
                needs_model=fields.flag("model"),
                label=fields.one_of("label", Label),
                place=_take_place(fields),
                entry=take_entry(fields, "entry", open_entry),
                inputs=_take_inputs(fields, task),
                remarks=fields.sha("remarks") if "remarks" in fields else "",
            )
        case "verify":
            task = fields.task("task")
            return VerifyOffer(
                task=task,
                entry=take_entry(fields, "entry", open_entry),
                output=take_entry(fields, "output", open_entry),
                invite=take_entry(fields, "invite", open_entry),
                inputs=_take_inputs(fields, task),
            )
        case "replicate":
            task = fields.task("task")
            return Replicate(
                task=task,
                epoch=fields.whole("epoch"),
                entry=take_entry(fields, "entry", open_entry),
                inputs=_take_inputs(fields, task),
            )
        case "ask opening":
            return AskOpening(task=fields.task("task"), pledge=fields.sha("pledge"))
        case "opening":
            return Opened(
                task=fields.task("task"),
                nonce=fields.key("nonce"),
                output=fields.sha("output"),
            )
        case "counted":
            return Counted(task=fields.task("task"), entry=take_entry(fields, "entry", open_entry))
        case "keep":
            return Keep(
                task=fields.task("task"),
                entry=take_entry(fields, "entry", open_entry),
                output=take_entry(fields, "output", open_entry),
            )
        case "made":
            return Made(entry=take_entry(fields, "entry", open_entry), grants=_take_grants(fields))
        case "progress":
            state = fields.text("state", NAME)
            if state not in PROGRESS_STATES:
                raise BadEncoding(f"message: no state {state!r}")
            return Progress(
                task=fields.task("task"),
                epoch=fields.whole("epoch"),
                state=state,
                reason=fields.text("reason", REASON),
                grants=_take_grants(fields),
            )
        case "let go":
            return LetGo(
                task=fields.task("task"),
                epoch=fields.whole("epoch"),
                reason=fields.text("reason", REASON),
                soft=fields.maybe("soft", 1) == 1,
            )
        case "ended":
            return Ended(task=fields.task("task"), entry=take_entry(fields, "entry", open_entry))
        case "ask offer":
            return AskOffer(key=fields.sha("key"), entry=take_entry(fields, "entry", open_entry))
        case _:
            raise BadEncoding(f"message: nobody knows {say!r}")


def _inputs(inputs: tuple[tuple[str, TaskId], ...]) -> list[list[str]]:
    """Sources belong to the run of the task itself, so their name and hash suffice."""
    return [[name, task.rpartition("/")[2]] for name, task in inputs]


def _take_inputs(fields: Fields, task: TaskId) -> tuple[tuple[str, TaskId], ...]:
    run = task.partition("/")[0]
    pairs = fields.pairs("inputs", MAX_SOURCES)
    distinct((name for name, _ in pairs), "message inputs")
    return tuple((name, TaskId(task_text(f"{run}/{name}/{h}", "message"))) for name, h in pairs)


def _grants(votes: Certificate) -> list[list[object]]:
    """About 220 bytes each: [witness, seconds, accepted epoch, accepted output, signature]."""
    return [
        [
            vote.witness,
            vote.seconds,
            *((0, "") if vote.accepted is None else (vote.accepted.epoch, vote.accepted.output)),
            vote.signature,
        ]
        for vote in votes
    ]


def _take_grants(fields: Fields) -> Certificate:
    votes = tuple(_take_vote(item) for item in fields.items("grants", MAX_WITNESSES))
    distinct((vote.witness for vote in votes), "message grants")
    return votes


def _take_vote(item: object) -> Vote:
    names = ("witness", "seconds", "epoch", "output", "signature")
    if not isinstance(item, list) or len(item) != len(names):
        raise BadEncoding("message: a grant of another form")
    fields = Fields(dict(zip(names, item, strict=True)), "grant")
    epoch, output = fields.whole("epoch"), fields.sha("output", empty=True)
    if bool(epoch) != bool(output):
        raise BadEncoding("message: a grant that accepted half a value")
    return Vote(
        witness=fields.device("witness"),
        seconds=fields.whole("seconds", 1, MAX_LEASE_SECONDS),
        accepted=Accepted(epoch, output) if output else None,
        signature=key(fields.text("signature", 200), 64),
    )


def _take_place(fields: Fields) -> DeviceId | None:
    place = fields.take("place")
    return None if place is None else Fields({"place": place}, "offer").device("place")
