"""A run's receipt: a file that proves it to somebody who has nothing but public keys.

    {"v": 1, "what": "pockethive receipt", "run", "device", "owner", "certificates":
     [[device, owner key, certificate]], "tasks": [{"id", "witnesses": [K, q, f], "records":
     [[signed record, key of its body]]}], "signature"}

Canonical bytes. Records are as they travel; the key opens the body of one that is encrypted, and is
empty for the others. `signature` is the owner's device's over everything, so that nothing can be
left out of a receipt. Guards: what is read is bounded and strict; what is claimed is proven from
the records (`core/proof.py`), and a fault is named with its task.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from pockethive.actors.entries import Opening, body_context, entry_of
from pockethive.core.canonical import digest, encode, from_text, to_text
from pockethive.core.entry import Entry
from pockethive.core.errors import BadEncoding, BadInput, BadSignature, Failure, ProtocolError
from pockethive.core.fields import Fields
from pockethive.core.proof import (
    Owners,
    Proof,
    check_company,
    check_inputs,
    not_shown,
    prove_task,
    shown,
    sinks,
)
from pockethive.core.report import Outcome
from pockethive.core.task import DeviceId, RunId, TaskId
from pockethive.dht.hive_key import open_body
from pockethive.dht.identity import Identity, certified, verify
from pockethive.dht.record import MAX_RECORD, Record

MAX_RECEIPT: Final = 64 * 2**20  # bytes
MAX_TASKS: Final = 10_000
MAX_RECORDS: Final = 256  # of one task
MAX_DEVICES: Final = 1_024
_WHAT: Final = "pockethive receipt"


@dataclass(frozen=True, slots=True)
class TaskRecords:
    """One task's signed records, each with the key of its body where that is encrypted."""

    id: TaskId
    witnesses: tuple[int, int, int]  # K, q, f
    records: tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """The owner's signature that a device is his; all base64url."""

    device: DeviceId
    owner_key: str
    certificate: str


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """Everything that the file says. `signature`: base64url, of `device`."""

    run: RunId
    device: DeviceId
    owner: str
    certificates: tuple[Certificate, ...]
    tasks: tuple[TaskRecords, ...]
    signature: str = ""

    @property
    def records(self) -> tuple[bytes, ...]:
        """All signed records as they travel."""
        return tuple(wire for task in self.tasks for wire, _ in task.records)

    def encode(self) -> bytes:
        """The file. Raises BadEncoding: over `MAX_RECEIPT`, which no reader takes."""
        data = encode(self.to_json())
        if len(data) > MAX_RECEIPT:
            raise BadEncoding(f"a receipt of {len(data)} bytes, at most {MAX_RECEIPT} are read")
        return data

    def to_json(self) -> dict[str, Any]:
        """The file's one object."""
        tasks = [
            {
                "id": task.id,
                "witnesses": list(task.witnesses),
                "records": [[to_text(wire), to_text(key)] for wire, key in task.records],
            }
            for task in self.tasks
        ]
        return {**self._head(), "tasks": tasks, "signature": self.signature}

    @classmethod
    def decode(cls, data: bytes) -> "Receipt":
        """The receipt behind `encode`; nothing is verified yet. Raises BadEncoding."""
        fields = Fields.read(data, MAX_RECEIPT, "receipt")
        if fields.take("what") != _WHAT:
            raise BadEncoding("not a receipt")
        receipt = cls(
            run=fields.run("run"),
            device=fields.device("device"),
            owner=fields.key("owner"),
            certificates=tuple(
                _take_certificate(item) for item in fields.items("certificates", MAX_DEVICES)
            ),
            tasks=tuple(_take_task(item) for item in fields.items("tasks", MAX_TASKS)),
            signature=fields.key("signature", 64),
        )
        fields.done()
        return receipt

    def signed(self, identity: Identity) -> "Receipt":
        """The same, signed by the owner's device."""
        return replace(self, signature=to_text(identity.sign(self._said())))

    def check_signature(self) -> None:
        """Raises BadSignature unless `device` signed exactly this."""
        device, signature = from_text(self.device, 32), from_text(self.signature, 64)
        if not verify(device, self._said(), signature):
            raise BadSignature("the receipt as a whole is not what its device signed")

    def _head(self) -> dict[str, Any]:
        return {
            "v": 1,
            "what": _WHAT,
            "run": self.run,
            "device": self.device,
            "owner": self.owner,
            "certificates": [[c.device, c.owner_key, c.certificate] for c in self.certificates],
        }

    def _said(self) -> bytes:
        """What the signature covers: the head, and of each task its id, its numbers, its bytes."""
        parts = [encode(self._head())]
        for task in self.tasks:
            parts.append(encode([task.id, list(task.witnesses), len(task.records)]))
            parts.extend(part for pair in task.records for part in pair)
        return digest("receipt", *parts)


@dataclass(frozen=True, kw_only=True)
class Verified:
    """A receipt that holds, and what it proves."""

    receipt: Receipt
    proofs: tuple[Proof, ...]
    owners: Owners = field(repr=False)

    @cached_property
    def sinks(self) -> tuple[Proof, ...]:
        """The tasks whose outputs the run was for."""
        return sinks(self.proofs)

    def to_json(self) -> dict[str, Any]:
        """As printed by `pockethive verify-receipt --json`."""
        return {
            "run": self.receipt.run,
            "device": self.receipt.device,
            "owner": self.receipt.owner,
            "tasks": [self._task(proof) for proof in self.proofs],
            "answer": [
                {"task": proof.name, "output": proof.output, "size": proof.size}
                for proof in self.sinks
                if proof.committed
            ],
        }

    def answered_by(self, blob: bytes) -> Proof:
        """The task whose committed output `blob` is, among those the run was for.

        Raises Failure: it is none of them.
        """
        sha = sha256(blob).hexdigest()
        for proof in self.sinks:
            if proof.output == sha and proof.size == len(blob):
                return proof
        raise Failure(f"the answer is not this run's: no task committed {sha[:16]} as its result")

    def _task(self, proof: Proof) -> dict[str, Any]:
        committee = proof.committee
        k, q, f = (0, 0, 0) if committee is None else _numbers(committee)
        return {
            "id": proof.id,
            "name": proof.name,
            "committed": proof.committed,
            "output": proof.output,
            "worker": proof.worker,
            "epoch": proof.epoch,
            "witnesses": {"K": k, "q": q, "f": f, "acks": len(proof.acks)},
            "verifiers": list(proof.verifiers),
            "checks": list(proof.checks),
            "attested": proof.committed
            and not (proof.verifiers or proof.on_credit or proof.ruled_by),
            "on_credit": proof.on_credit,
            "by_owner": proof.ruled_by is not None,
            "rescored": proof.rescored,
            "proven": list(shown(proof)),
            "not_proven": list(not_shown(proof, self.owners)),
        }


def make_receipt(
    outcome: Outcome,
    identity: Identity,
    owner: str,
    certificates: Iterable[Certificate],
    opening: Opening,
) -> Receipt:
    """The receipt of a run that ended, signed by its owner's device.

    `opening` gives the key of an encrypted body. Certificates of strangers to the run are left out.
    """
    tasks = tuple(
        TaskRecords(
            report.id,
            _numbers(report.task.committee),
            tuple((entry.wire, opening(entry.wire)) for entry in report.receipts),
        )
        for report in outcome.tasks
    )
    known = {entry.author for report in outcome.tasks for entry in report.receipts}
    known |= {w for report in outcome.tasks for w in report.task.committee.witnesses}
    device = DeviceId(to_text(identity.public))
    return Receipt(
        run=outcome.run,
        device=device,
        owner=owner,
        certificates=tuple(
            sorted(
                (each for each in certificates if each.device in {*known, device}),
                key=lambda each: each.device,
            )
        ),
        tasks=tasks,
    ).signed(identity)


def verify_receipt(data: bytes) -> Verified:
    """Examine a receipt's bytes. Needs no network, no home, no model.

    Raises:
        BadInput: no receipt, or of another version.
        ProtocolError: it is one, and something in it does not hold; names the task.
    """
    try:
        receipt = Receipt.decode(data)
    except ProtocolError as error:
        raise BadInput(f"not a receipt that can be read: {error}") from error
    owners = _owners(receipt)
    names = [task.id.split("/")[1] for task in receipt.tasks]
    if len(set(names)) != len(names):
        raise BadEncoding("two tasks of one name", where="receipt")
    proofs = tuple(_prove(receipt, task, owners) for task in receipt.tasks)
    check_inputs(proofs)
    receipt.check_signature()
    return Verified(receipt=receipt, proofs=proofs, owners=owners)


def read_receipt(path: Path) -> bytes:
    """A receipt file's bytes. Raises BadInput."""
    try:
        if path.stat().st_size > MAX_RECEIPT:
            raise BadInput(f"over {MAX_RECEIPT} bytes: not a receipt", where=str(path))
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", where=str(path)) from error


def _owners(receipt: Receipt) -> Owners:
    owners: dict[DeviceId, str] = {}
    for one in receipt.certificates:
        owner, device = from_text(one.owner_key, 32), from_text(one.device, 32)
        if not certified(owner, device, from_text(one.certificate, 64)) or one.device in owners:
            raise BadSignature(
                f"the certificate of device {one.device[:8]} is not its owner's", where="receipt"
            )
        owners[one.device] = one.owner_key
    if owners.get(receipt.device) != receipt.owner:
        raise BadSignature("the owner did not certify the device that signed it", where="receipt")
    return owners


def _prove(receipt: Receipt, task: TaskRecords, owners: Owners) -> Proof:
    name = task.id.split("/")[1]
    if not task.id.startswith(f"{receipt.run}/"):
        raise BadEncoding("it belongs to another run", where=f"task {name}")
    entries = [_open(name, wire, key) for wire, key in task.records]
    proof = prove_task(task.id, entries, verify)
    if proof.task is not None:
        if proof.task.owner_key != receipt.owner:
            raise BadSignature("it was signed for another owner", where=f"task {name}")
        if proof.committee is None or _numbers(proof.committee) != task.witnesses:
            raise BadEncoding("K, q and f are not those that were signed", where=f"task {name}")
    check_company(proof, owners)
    return proof


def _open(name: str, wire: bytes, key: bytes) -> Entry:
    kind = "signed"
    try:
        record = Record.decode(wire)
        kind = record.kind
        record.verify()
        return entry_of(record, _body(record, key))
    except ProtocolError as error:
        where = f"task {name}"
        raise type(error)(f"a {kind} entry does not hold: {error}", where=where) from error


def _body(record: Record, key: bytes) -> bytes:
    """The body in clear. Raises BadEncoding, BadSignature."""
    return open_body(key, body_context(record), record.body) if key else record.body


def _numbers(committee: Any) -> tuple[int, int, int]:
    return len(committee.witnesses), committee.quorum, committee.liars


def _take_certificate(item: object) -> Certificate:
    names = ("device", "owner_key", "certificate")
    if not isinstance(item, list) or len(item) != len(names):
        raise BadEncoding("receipt: a certificate that has not three parts")
    fields = Fields(dict(zip(names, item, strict=True)), "certificate")
    return Certificate(
        device=fields.device("device"),
        owner_key=fields.key("owner_key"),
        certificate=fields.key("certificate", 64),
    )


def _take_task(item: object) -> TaskRecords:
    fields = Fields(item, "task")
    numbers = fields.items("witnesses", 3)
    if len(numbers) != 3 or not all(type(number) is int for number in numbers):
        raise BadEncoding("task: witnesses are three numbers: K, q, f")
    records = fields.items("records", MAX_RECORDS)
    task = TaskRecords(
        fields.task("id"), (numbers[0], numbers[1], numbers[2]), tuple(map(_take_record, records))
    )
    fields.done()
    return task


def _take_record(item: object) -> tuple[bytes, bytes]:
    if not isinstance(item, list) or len(item) != 2 or not all(isinstance(t, str) for t in item):
        raise BadEncoding("task: a record is its bytes and a key")
    wire, key = map(from_text, item)
    if len(wire) > MAX_RECORD:
        raise BadEncoding(f"task: a record of {len(wire)} bytes")
    return wire, key
