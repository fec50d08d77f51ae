"""Witnessing: the core's witness as rules of the DHT, so that every node can store and witness.

The pure machine decides on one durable cell; this shell opens what came, signs what leaves.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from pockethive.actors.entries import Entries
from pockethive.core.canonical import from_text, to_text
from pockethive.core.entry import Commit, Kind, Member
from pockethive.core.entry_codec import MAX_BODY as MAX_BODIES
from pockethive.core.errors import BadEncoding, BadSignature, ProtocolError
from pockethive.core.fold import proven
from pockethive.core.lease import (
    EpochRead,
    Refusal,
    WitnessAnswer,
    WitnessRequest,
    ack_bytes,
    signed_part,
)
from pockethive.core.lease_codec import (
    Spell,
    decode_answer,
    decode_request,
    encode_answer,
    encode_request,
    whole,
)
from pockethive.core.notice import LIFE_SECONDS, MAX_OWN, MAX_SHARD
from pockethive.core.signed import signed_by
from pockethive.core.task import DeviceId, Task, task_key
from pockethive.core.witness import Witness, WitnessAsked
from pockethive.dht import member_list
from pockethive.dht.hive_key import BODY_OVERHEAD
from pockethive.dht.identity import Identity, verify
from pockethive.dht.membership import Membership
from pockethive.dht.memory import Memory
from pockethive.dht.notes import NOTE_LIMIT, open_note
from pockethive.dht.providers import PROVIDER, check_provider
from pockethive.dht.record import MAX_BODY, Record
from pockethive.dht.rules import NOTE, PROVIDERS, Ask, Decision, Held, KindLimit

_DAY = 86_400
_REMEMBERED = 256  # requests and answers of a device to itself, at most 8 kB each


def _limit(
    max_slots: int, max_own: int, max_ttl: int = 7 * _DAY, body: int = MAX_BODY
) -> KindLimit:
    return KindLimit(
        max_body=body, max_ttl=max_ttl, max_slots=max_slots, max_own=max_own, removable=False
    )


# What an agent said stays said: but for notices nothing here can be taken back, it expires.
_LIMITS = {
    Kind.TASK: _limit(8, 4),
    Kind.CLAIM: _limit(16, 8, body=MAX_BODIES[Kind.CLAIM]),
    Kind.OUTPUT: _limit(32, 8),
    Kind.VERDICT: _limit(64, 8),
    Kind.WAIVER: _limit(16, 8, body=480),
    Kind.RULING: _limit(32, 16, body=MAX_BODIES[Kind.RULING]),
    Kind.PLEDGE: _limit(32, 8, body=MAX_BODIES[Kind.PLEDGE]),
    Kind.BALLOT: _limit(8, 1, body=MAX_BODIES[Kind.BALLOT]),
    Kind.COMMIT: _limit(8, 1),
    Kind.SEAL: _limit(16, 8),
    Kind.CLOSE: _limit(4, 1),
    Kind.MEMBER: _limit(512, 1, _DAY),
    Kind.NOTICE: KindLimit(
        max_body=MAX_BODIES[Kind.NOTICE],
        max_ttl=2 * LIFE_SECONDS,  # clocks differ
        max_slots=MAX_SHARD,
        max_own=MAX_OWN,
    ),
}
_OWNERS = tuple(kind.value for kind in (Kind.WAIVER, Kind.RULING, Kind.BALLOT))
"""What nobody but a task's owner says."""
_LIST_LIMIT = _limit(member_list.MAX_SLOTS, member_list.MAX_SLOTS, member_list.LIFE + _DAY)


class Asks:
    """Requests to witnesses and their answers, as bytes. Safe on any thread.

    A request is read for its key, and a moment later for its decision; what a device asks itself
    and answers itself is not read at all.
    """

    def __init__(self, entries: Entries) -> None:
        self._entries = entries
        self._requests: Memory[WitnessRequest] = Memory(_REMEMBERED)
        self._answers: Memory[WitnessAnswer] = Memory(_REMEMBERED)

    def sent(self, request: WitnessRequest, witness: DeviceId, spell: Spell = whole) -> bytes:
        """The bytes of a request."""
        data = encode_request(request, spell)
        if witness == self._entries.device:
            self._requests.put(data, request)
        return data

    def received(self, data: bytes) -> WitnessRequest:
        """The request in `data`. Raises ProtocolError."""
        request = self._requests.get(data)
        if request is None:
            request = decode_request(data, self._entries.open)
            self._requests.put(data, request)
        return request

    def answered(self, answer: WitnessAnswer, peer: DeviceId) -> bytes:
        """The bytes of an answer of this device."""
        reply = encode_answer(answer)
        if peer == self._entries.device:
            self._answers.put(reply, answer)
        return reply

    def checked(self, reply: bytes, witness: DeviceId) -> WitnessAnswer:
        """A witness's answer. Raises ProtocolError when it is malformed or wrongly signed."""
        own = self._answers.get(reply) if witness == self._entries.device else None
        if own is not None:
            return own
        answer = decode_answer(reply)
        message = signed_part(answer)
        if message is None or isinstance(answer, EpochRead | Refusal):
            return answer
        if not verify(from_text(witness, 32), message, from_text(answer.signature, 64)):
            raise BadSignature(f"witness {witness[:8]} did not sign its answer")
        return answer


class HiveRules:
    """What a node of a hive stores, and how it witnesses. Called on the node's threads.

    `booted` is when this process began to witness, unix seconds: leases granted before count anew.
    In a private hive `membership` says who may advertise himself; the member list is stored, too.
    """

    def __init__(
        self,
        identity: Identity,
        entries: Entries,
        booted: float,
        membership: Membership | None = None,
    ) -> None:
        self._identity, self._entries, self._booted = identity, entries, booted
        self._membership = membership
        self._limits = {kind.value: limit for kind, limit in _LIMITS.items()}
        if membership is not None:  # bodies are encrypted
            self._limits = {kind: _wider(limit) for kind, limit in self._limits.items()}
        self._witness = Witness(entries.device, verify)
        self.asks = Asks(entries)
        self.answers: Counter[str] = Counter()
        """What the witness said, by the answer's name, since the start."""

    def limit(self, kind: str) -> KindLimit:
        """Bounds of a kind. Raises BadEncoding for kinds that no hive knows."""
        if kind == PROVIDER:
            return PROVIDERS
        if kind == NOTE:  # a person's, not an entry about a task
            return NOTE_LIMIT
        if self._membership is not None and kind == member_list.KIND:
            return _LIST_LIMIT
        limit = self._limits.get(kind)
        if limit is None:
            raise BadEncoding(f"no such kind of entry is stored: {kind!r}")
        return limit

    def check(self, record: Record, now: float) -> None:  # noqa: ARG002 - the store judges expiry
        """Raises ProtocolError for an entry that is not what it says."""
        membership = self._membership
        if membership is not None and record.kind == member_list.KIND:
            member_list.check_record(membership.charter, record)
            return
        if record.kind == PROVIDER:
            check_provider(record)
            return
        if record.kind == NOTE:  # a person's, not an entry about a task
            if not record.tombstone:
                open_note(record)
            return
        if record.tombstone:  # of a notice: all other kinds stay
            return
        body = self._entries.opened(record).body
        if isinstance(body, Commit) and not _acks_hold(body):
            raise BadSignature("a commit with acks that nobody signed")
        if membership is None or not isinstance(body, Member):
            return
        if not membership.is_member(record.author):
            raise ProtocolError("an advertisement by no member", where="stranger")

    def fits(self, record: Record, held: Held) -> None:
        """Of a task that is here: a commit needs a quorum of its witnesses, a waiver, ruling or
        ballot its owner."""
        if record.kind not in (Kind.COMMIT.value, *_OWNERS):
            return
        entry, tasks = self._entries.opened(record), self._tasks(held)
        if record.kind in _OWNERS:
            if tasks and all(entry.author != task.owner for task in tasks):
                raise BadSignature(f"a {record.kind} by somebody who does not own the task")
            return
        assert isinstance(entry.body, Commit)
        known = [task for task in tasks if task.committee.generation == entry.body.generation]
        if known and not any(proven(entry, task, verify) for task in known):
            raise BadSignature("a commit without a quorum of its task's witnesses")

    def ranking(self, kind: str, held: Held) -> Callable[[bytes], int]:  # noqa: ARG002 - alike for all
        """Owners and witnesses of the tasks held under the key go before everybody else."""
        concerned = {
            device
            for task in self._tasks(held)
            for device in (task.owner, *task.committee.witnesses)
        }
        return lambda author: int(to_text(author) not in concerned)

    def _tasks(self, held: Held) -> list[Task]:
        bodies = (self._entries.opened(record).body for record in held(Kind.TASK.value))
        return [body for body in bodies if isinstance(body, Task)]

    def cell_key(self, request: bytes) -> bytes:
        """The task's key: one cell a task."""
        return task_key(self.asks.received(request).task)

    def decide(self, ask: Ask) -> Decision:
        """One step of the witness's machine, signed."""
        peer, request = DeviceId(to_text(ask.peer)), self.asks.received(ask.request)
        asked = WitnessAsked(peer=peer, request=request, born=ask.born, booted=self._booted)
        cell, answer = self._witness.decide(ask.cell, asked, ask.now)
        self.answers[type(answer).__name__.lower()] += 1
        return Decision(cell=cell, reply=self.asks.answered(self._signed(answer), peer))

    def _signed(self, answer: WitnessAnswer) -> WitnessAnswer:
        message = signed_part(answer)
        if message is None or isinstance(answer, EpochRead | Refusal):
            return answer
        return replace(answer, signature=to_text(self._identity.sign(message)))


def _wider(limit: KindLimit) -> KindLimit:
    """With room for what encryption adds to a body."""
    return replace(limit, max_body=min(MAX_BODY, limit.max_body + BODY_OVERHEAD))


def _acks_hold(commit: Commit) -> bool:
    """Whether distinct devices signed all acks of a commit; without any, its author is one."""
    said = ack_bytes(commit.task, commit.generation, commit.epoch, commit.output)
    devices = {device for device, _ in commit.acks}
    return len(devices) == len(commit.acks) and all(
        signed_by(device, said, signature, verify) for device, signature in commit.acks
    )
