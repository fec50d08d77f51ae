"""Help for the core's tests: devices with a keyed-hash signer, tasks, entries, plans."""

import hmac
from dataclasses import replace
from hashlib import sha256
from typing import Any

from pockethive.core.canonical import digest, encode, from_text, to_text
from pockethive.core.certificate import Certificate, certificate
from pockethive.core.entry import Body, Entry, Invite, Member, Output, Ruling, Verdict
from pockethive.core.entry_codec import encode_body, kind_of
from pockethive.core.graph import TaskGraph
from pockethive.core.labels import Label
from pockethive.core.lease import Accepted, Grant, ack_bytes, grant_bytes
from pockethive.core.task import (
    Check,
    Committee,
    DeviceId,
    Edge,
    EdgeKind,
    PlannedTask,
    Policy,
    RunId,
    Task,
    TaskId,
    Verification,
    task_id,
)

OWNER_KEY = to_text(sha256(b"owner").digest())
RUN = RunId("ab" * 16)
CHECKED = Verification(checks=(Check(Policy.CHECK, "quotation"),))


def device(number: int) -> DeviceId:
    """The device of that number."""
    return DeviceId(to_text(sha256(b"device %d" % number).digest()))


DEVICES = tuple(device(number) for number in range(7))


def sign(author: DeviceId, message: bytes) -> bytes:
    """A keyed hash that stands for a signature: only this process can make or check one."""
    return hmac.digest(b"secret of the tests " + author.encode(), message, "sha512")


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `sign` made it."""
    return hmac.compare_digest(sign(DeviceId(to_text(public)), message), signature)


def certificate_of(who: DeviceId, owner: str = OWNER_KEY) -> str:
    """The owner's signature that a device is his."""
    said = digest("owner-certifies-device", from_text(owner, 32), from_text(who, 32))
    return to_text(sign(DeviceId(owner), said))


def entry(author: DeviceId, body: Body, expires: int = 2_000_000_000) -> Entry:
    """A signed entry; its wire is what `Table.open_entry` opens."""
    value = {
        "author": author,
        "kind": kind_of(body).value,
        "expires": expires,
        "body": to_text(encode_body(body)),
    }
    message = digest("record", encode(value))
    wire = encode({**value, "signature": to_text(sign(author, message))})
    return Entry(
        kind=kind_of(body),
        author=author,
        expires=expires,
        body=body,
        digest=message.hex(),
        wire=wire,
    )


def make_task(
    name: str = "search-1",
    *,
    witnesses: tuple[DeviceId, ...] = DEVICES[:4],
    quorum: int = 3,
    verdicts: int = 1,
    place: DeviceId | None = None,
    label: Label = Label.HIVE,
) -> Task:
    """A task of device 0's run."""
    spec = sha256(name.encode()).hexdigest()
    return Task(
        id=task_id(RUN, name, spec),
        run=RUN,
        name=name,
        role="researcher",
        skill="search",
        spec=spec,
        after=(),
        place=place,
        label=label,
        verification=Verification(checks=CHECKED.checks, verdicts=verdicts),
        needs_model=False,
        committee=Committee(witnesses=witnesses, quorum=quorum),
        owner=DEVICES[0],
        owner_key=OWNER_KEY,
        began=1_900_000_000,
        lease_seconds=15,
        expires=2_000_000_000,
    )


def sha(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def member(who: DeviceId, owner: str = OWNER_KEY, model: str = "") -> Member:
    """A member that works and checks quotations."""
    return Member(
        device=who,
        owner_key=owner,
        certificate=to_text(bytes(64)),
        host="192.0.2.1",
        port=1,
        skills=("search",),
        checkers=("quotation",),
        model=model,
        documents=0,
        works=True,
    )


def output(task: TaskId, author: DeviceId, epoch: int = 1, text: str = "right") -> Entry:
    body = Output(task=task, epoch=epoch, output=sha(text), size=5, model="", inputs=())
    return entry(author, body)


def verdict(made: Entry, author: DeviceId, *, accept: bool = True) -> Entry:
    assert isinstance(made.body, Output)
    body = Verdict(
        task=made.body.task,
        epoch=made.body.epoch,
        output=made.body.output,
        worker=made.author,
        accept=accept,
        checks=("quotation",),
        reason="" if accept else "not in the source",
    )
    return entry(author, body)


def ruling(
    made: Entry, author: DeviceId = DEVICES[0], *, accept: bool = True, **changes: Any
) -> Entry:
    """What the owner himself says of an output."""
    assert isinstance(made.body, Output)
    body = Ruling(
        task=made.body.task,
        epoch=made.body.epoch,
        output=made.body.output,
        worker=made.author,
        accept=accept,
    )
    return entry(author, replace(body, **changes))


def invite(made: Entry, verifier: DeviceId, owner: DeviceId = DEVICES[0]) -> Entry:
    """The owner's word that a device was drawn to judge an output."""
    assert isinstance(made.body, Output)
    body = Invite(
        task=made.body.task, epoch=made.body.epoch, output=made.body.output, verifier=verifier
    )
    return entry(owner, body)


def acks(task: Task, epoch: int, output_sha: str, count: int) -> tuple[tuple[DeviceId, str], ...]:
    said = ack_bytes(task.id, task.committee.generation, epoch, output_sha)
    return tuple((w, to_text(sign(w, said))) for w in task.committee.witnesses[:count])


def grants(
    task: Task, holder: DeviceId, epoch: int = 1, accepted: Accepted | None = None
) -> Certificate:
    """The grants of a quorum of the task's witnesses."""
    granted = Grant(
        task=task.id,
        generation=task.committee.generation,
        epoch=epoch,
        holder=holder,
        seconds=15,
        accepted=accepted,
    )
    said = grant_bytes(granted)
    return certificate(
        (witness, replace(granted, signature=to_text(sign(witness, said))))
        for witness in task.committee.witnesses[: task.committee.quorum]
    )


def planned(name: str, after: tuple[Edge, ...] = (), **changes: Any) -> PlannedTask:
    parts: dict[str, Any] = {
        "name": name,
        "role": "researcher",
        "skill": "search",
        "after": after,
        "verification": CHECKED,
    }
    return PlannedTask(**{**parts, **changes})


def edge(*sources: str, kind: EdgeKind = EdgeKind.ALL, count: int = 1, seconds: int = 0) -> Edge:
    return Edge(kind=kind, sources=sources, count=count, seconds=seconds)


def research(placed: tuple[DeviceId, ...]) -> TaskGraph:
    """The main job's shape: a search on each device, a ranking, an answer."""
    searches = tuple(
        planned(f"search-{number}", place=place) for number, place in enumerate(placed, 1)
    )
    arrived = edge(*(s.name for s in searches), kind=EdgeKind.ARRIVED_BY, seconds=30)
    rank = planned("rank", (arrived,))
    return TaskGraph((*searches, rank, planned("answer", (edge("rank"),))))
