"""Questions to witnesses and their answers as canonical bytes, at most 8,000 each.

Entries inside travel as base64url of their signed bytes; whoever decodes hands in how to open them,
so that no entry is seen here whose signature was not verified.
"""

from collections.abc import Callable
from typing import Any

from pockethive.core.canonical import encode, from_text, to_text
from pockethive.core.entry import Entry
from pockethive.core.errors import BadEncoding
from pockethive.core.fields import NAME, VERSION, Fields, key
from pockethive.core.lease import (
    MAX_ATTEMPT,
    MAX_LEASE_SECONDS,
    Accepted,
    Ack,
    AskCommit,
    AskLease,
    AskSlot,
    EpochRead,
    FreeLease,
    Grant,
    Propose,
    ReadEpoch,
    Refusal,
    Refused,
    Seal,
    Sealed,
    WitnessAnswer,
    WitnessRequest,
)

MAX_MESSAGE = 8_000
DIGEST_SIZE = 32
MAX_WIRE = 6_000  # bytes of one entry inside, as base64url
_MAX_EVIDENCE = 8

MARK = b"#"
"""Before a digest that stands for an entry which its reader has seen."""

OpenEntry = Callable[[bytes], Entry]
"""Signed bytes, or `MARK` and a digest, to the entry behind them. Raises ProtocolError."""

Spell = Callable[[Entry], str]
"""An entry as text inside a message: `whole`, or `by_name` for who has seen it."""


def whole(entry: Entry) -> str:
    """An entry's signed bytes as text."""
    return to_text(entry.wire)


def by_name(entry: Entry) -> str:
    """An entry's digest as text: 44 letters in place of up to 6,000."""
    return MARK.decode() + to_text(bytes.fromhex(entry.digest))


def encode_request(request: WitnessRequest, spell: Spell = whole) -> bytes:
    """Canonical bytes of a request. Raises BadEncoding when they exceed `MAX_MESSAGE`."""
    return bounded({"v": VERSION, **_request(request, spell)})


def decode_request(data: bytes, open_entry: OpenEntry) -> WitnessRequest:
    """The request behind `encode_request`. Raises BadEncoding, and what `open_entry` raises."""
    fields = Fields.read(data, MAX_MESSAGE, "witness request")
    ask, task = fields.text("ask", NAME), fields.task("task")
    request: WitnessRequest
    match ask:
        case "read":
            request = ReadEpoch(task=task)
        case "lease":
            request = AskLease(
                task=task,
                epoch=fields.whole("epoch"),
                seconds=_seconds(fields),
                entry=take_entry(fields, "entry", open_entry),
                renews=fields.flag("renews"),
                attempt=fields.whole("attempt", 0, MAX_ATTEMPT),
                certificate=_take_certificate(fields),
            )
        case "free":
            request = FreeLease(
                task=task,
                epoch=fields.whole("epoch"),
                attempt=fields.whole("attempt", 0, MAX_ATTEMPT),
            )
        case "propose":
            request = Propose(
                task=task,
                epoch=fields.whole("epoch"),
                seconds=_seconds(fields),
                output=take_entry(fields, "output", open_entry),
            )
        case "slot":
            request = AskSlot(
                task=task,
                epoch=fields.whole("epoch"),
                output=fields.sha("output"),
                seconds=_seconds(fields),
                invite=take_entry(fields, "invite", open_entry),
            )
        case "commit":
            wires = fields.texts("evidence", _MAX_EVIDENCE, MAX_WIRE)
            request = AskCommit(
                task=task,
                epoch=fields.whole("epoch"),
                output=fields.sha("output"),
                evidence=tuple(_opened(wire, open_entry) for wire in wires),
            )
        case "seal":
            request = Seal(
                task=task,
                generation=fields.whole("generation", 1),
                successor=fields.sha("successor"),
                entry=take_entry(fields, "entry", open_entry),
                certificate=_take_certificate(fields),
            )
        case _:
            raise BadEncoding(f"witness request: nobody knows {ask!r}")
    fields.done()
    return request


def encode_answer(answer: WitnessAnswer) -> bytes:
    """Canonical bytes of an answer."""
    return bounded(answer_object(answer))


def answer_object(answer: WitnessAnswer) -> dict[str, Any]:
    """What `encode_answer` writes, before it is bytes and bounded."""
    return {"v": VERSION, **_answer(answer)}


def decode_answer(data: bytes) -> WitnessAnswer:
    """The answer behind `encode_answer`. Raises BadEncoding. Signatures are not verified here."""
    fields = Fields.read(data, MAX_MESSAGE, "witness answer")
    kind, task, epoch = fields.text("answer", NAME), fields.task("task"), fields.whole("epoch")
    answer: WitnessAnswer
    match kind:
        case "epoch":
            answer = EpochRead(
                task=task,
                epoch=epoch,
                accepted=_take_accepted(fields),
                wait_seconds=fields.whole("wait", 0, MAX_LEASE_SECONDS),
            )
        case "grant":
            answer = Grant(
                task=task,
                generation=fields.whole("generation", 1),
                epoch=epoch,
                holder=fields.device("holder"),
                seconds=_seconds(fields),
                accepted=_take_accepted(fields),
                slot=fields.flag("slot"),
                signature=_signature(fields),
            )
        case "refusal":
            answer = Refusal(
                task=task,
                reason=fields.one_of("reason", Refused),
                epoch=epoch,
                wait_seconds=fields.whole("wait", 0, MAX_LEASE_SECONDS),
                accepted=_take_accepted(fields),
            )
        case "ack":
            answer = Ack(
                task=task,
                generation=fields.whole("generation", 1),
                epoch=epoch,
                output=fields.sha("output"),
                signature=_signature(fields),
            )
        case "sealed":
            answer = Sealed(
                task=task,
                generation=fields.whole("generation", 1),
                successor=fields.sha("successor"),
                epoch=epoch,
                accepted=_take_accepted(fields),
                wait_seconds=fields.whole("wait", 0, MAX_LEASE_SECONDS),
                signature=_signature(fields),
            )
        case _:
            raise BadEncoding(f"witness answer: nobody knows {kind!r}")
    fields.done()
    return answer


def bounded(value: dict[str, Any]) -> bytes:
    """Canonical bytes of at most `MAX_MESSAGE`. Raises BadEncoding."""
    data = encode(value)
    if len(data) > MAX_MESSAGE:
        raise BadEncoding(f"a message of {len(data)} bytes, at most {MAX_MESSAGE} are sent")
    return data


def take_entry(fields: Fields, name: str, open_entry: OpenEntry) -> Entry:
    """The entry in a field."""
    return _opened(fields.text(name, MAX_WIRE, 1), open_entry)


def _opened(text: str, open_entry: OpenEntry) -> Entry:
    if text.startswith(MARK.decode()):
        return open_entry(MARK + from_text(text[1:], DIGEST_SIZE))
    return open_entry(from_text(text))


def _request(request: WitnessRequest, spell: Spell) -> dict[str, Any]:
    match request:
        case ReadEpoch(task=task):
            return {"ask": "read", "task": task}
        case AskLease(task=task, epoch=epoch, seconds=seconds, entry=entry, renews=renews):
            parts = {"task": task, "epoch": epoch, "seconds": seconds, "renews": renews}
            lasting = {"entry": spell(entry), "attempt": request.attempt}
            return {"ask": "lease", **parts, **lasting, **_certificate(request)}
        case FreeLease(task=task, epoch=epoch, attempt=attempt):
            return {"ask": "free", "task": task, "epoch": epoch, "attempt": attempt}
        case Propose(task=task, epoch=epoch, seconds=seconds, output=entry):
            wire = spell(entry)
            parts = {"task": task, "epoch": epoch, "seconds": seconds, "output": wire}
            return {"ask": "propose", **parts}
        case AskSlot(task=task, epoch=epoch, output=output, seconds=seconds, invite=entry):
            parts = {"task": task, "epoch": epoch, "seconds": seconds, "output": output}
            return {"ask": "slot", **parts, "invite": spell(entry)}
        case AskCommit(task=task, epoch=epoch, output=output, evidence=evidence):
            wires = [spell(entry) for entry in evidence]
            parts = {"task": task, "epoch": epoch, "output": output}
            return {"ask": "commit", **parts, "evidence": wires}
        case Seal(task=task, generation=generation, successor=successor, entry=entry):
            parts = {"task": task, "generation": generation, "successor": successor}
            return {"ask": "seal", **parts, "entry": spell(entry), **_certificate(request)}


def _answer(answer: WitnessAnswer) -> dict[str, Any]:
    common = {"task": answer.task, "epoch": answer.epoch}
    match answer:
        case EpochRead(accepted=accepted, wait_seconds=wait):
            return {"answer": "epoch", **common, "accepted": _accepted(accepted), "wait": wait}
        case Grant():
            return {
                "answer": "grant",
                **common,
                "generation": answer.generation,
                "holder": answer.holder,
                "seconds": answer.seconds,
                "accepted": _accepted(answer.accepted),
                "slot": answer.slot,
                "signature": answer.signature,
            }
        case Refusal(reason=reason, wait_seconds=wait, accepted=accepted):
            parts = {"reason": reason.value, "wait": wait, "accepted": _accepted(accepted)}
            return {"answer": "refusal", **common, **parts}
        case Ack():
            parts = {"generation": answer.generation, "output": answer.output}
            return {"answer": "ack", **common, **parts, "signature": answer.signature}
        case Sealed():
            return {
                "answer": "sealed",
                **common,
                "generation": answer.generation,
                "successor": answer.successor,
                "accepted": _accepted(answer.accepted),
                "wait": answer.wait_seconds,
                "signature": answer.signature,
            }


def _accepted(accepted: Accepted | None) -> list[object] | None:
    return None if accepted is None else [accepted.epoch, accepted.output]


def _take_accepted(fields: Fields) -> Accepted | None:
    value = fields.take("accepted")
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2:
        raise BadEncoding("witness answer: an accepted value that is no pair")
    inner = Fields({"epoch": value[0], "output": value[1]}, "accepted value")
    return Accepted(inner.whole("epoch"), inner.sha("output"))


def _certificate(request: AskLease | Seal) -> dict[str, Any]:
    """Left out where there is none: then the request is as it always was."""
    return {"certificate": request.certificate} if request.certificate else {}


def _take_certificate(fields: Fields) -> str:
    return fields.key("certificate", 64) if "certificate" in fields else ""


def _seconds(fields: Fields) -> int:
    return fields.whole("seconds", 1, MAX_LEASE_SECONDS)


def _signature(fields: Fields) -> str:
    text = fields.text("signature", 200)
    return text if not text else key(text, 64)
