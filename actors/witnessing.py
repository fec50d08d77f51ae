"""Witnessing: the core's witness as rules of the DHT, so that every node can store and witness.

The pure machine decides on one durable cell; this shell opens what came, signs what leaves.
"""

from dataclasses import replace

from pockethive.actors.entries import Entries
from pockethive.core.canonical import from_text, to_text
from pockethive.core.entry import Kind
from pockethive.core.errors import BadEncoding, BadSignature
from pockethive.core.lease import Ack, Grant, WitnessAnswer, ack_bytes, grant_bytes
from pockethive.core.lease_codec import (
    decode_answer,
    decode_request,
    encode_answer,
)
from pockethive.core.task import DeviceId, task_key
from pockethive.core.witness import Witness, WitnessAsked
from pockethive.dht.identity import Identity, verify
from pockethive.dht.record import MAX_BODY, Record
from pockethive.dht.rules import Ask, Decision, KindLimit

_DAY = 86_400
_LIMITS = {
    Kind.TASK: KindLimit(max_body=MAX_BODY, max_ttl=7 * _DAY, max_slots=8),
    Kind.CLAIM: KindLimit(max_body=400, max_ttl=_DAY, max_slots=16),
    Kind.OUTPUT: KindLimit(max_body=MAX_BODY, max_ttl=7 * _DAY, max_slots=32),
    Kind.VERDICT: KindLimit(max_body=MAX_BODY, max_ttl=7 * _DAY, max_slots=64),
    Kind.COMMIT: KindLimit(max_body=MAX_BODY, max_ttl=7 * _DAY, max_slots=8),
    Kind.CLOSE: KindLimit(max_body=MAX_BODY, max_ttl=7 * _DAY, max_slots=4),
    Kind.MEMBER: KindLimit(max_body=MAX_BODY, max_ttl=_DAY, max_slots=512),
}


class HiveRules:
    """What a node of a hive stores, and how it witnesses. Called on the node's threads.

    `booted` is when this process began to witness, unix seconds: leases granted before count anew.
    """

    def __init__(self, identity: Identity, entries: Entries, booted: float) -> None:
        self._identity, self._entries, self._booted = identity, entries, booted
        self._witness = Witness(entries.device)

    def limit(self, kind: str) -> KindLimit:
        """Bounds of a kind. Raises BadEncoding for kinds that no hive knows."""
        try:
            return _LIMITS[Kind(kind)]
        except ValueError as error:
            raise BadEncoding(f"no such kind of entry: {kind!r}") from error

    def check(self, record: Record, now: float) -> None:  # noqa: ARG002 - the store judges expiry
        """Raises ProtocolError for an entry that is not what it says."""
        self._entries.opened(record)

    def cell_key(self, request: bytes) -> bytes:
        """The task's key: one cell a task."""
        return task_key(decode_request(request, self._entries.open).task)

    def decide(self, ask: Ask) -> Decision:
        """One step of the witness's machine, signed."""
        request = decode_request(ask.request, self._entries.open)
        asked = WitnessAsked(
            peer=DeviceId(to_text(ask.peer)), request=request, born=ask.born, booted=self._booted
        )
        cell, answer = self._witness.decide(ask.cell, asked, ask.now)
        return Decision(cell=cell, reply=encode_answer(self._signed(answer)))

    def _signed(self, answer: WitnessAnswer) -> WitnessAnswer:
        if isinstance(answer, Grant):
            return replace(answer, signature=to_text(self._identity.sign(grant_bytes(answer))))
        if isinstance(answer, Ack):
            return replace(answer, signature=to_text(self._identity.sign(_ack_bytes(answer))))
        return answer


def checked_answer(reply: bytes, witness: DeviceId) -> WitnessAnswer:
    """A witness's answer. Raises ProtocolError when it is malformed or wrongly signed."""
    answer = decode_answer(reply)
    if isinstance(answer, Grant):
        message = grant_bytes(answer)
    elif isinstance(answer, Ack):
        message = _ack_bytes(answer)
    else:
        return answer
    if not verify(from_text(witness, 32), message, from_text(answer.signature, 64)):
        raise BadSignature(f"witness {witness[:8]} did not sign its answer")
    return answer


def _ack_bytes(ack: Ack) -> bytes:
    return ack_bytes(ack.task, ack.generation, ack.epoch, ack.output)
