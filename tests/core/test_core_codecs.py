"""Every wire form is read back as it was written, is bounded, and refuses everything else."""

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.core.canonical import decode_object, encode, to_text
from pockethive.core.cell import Cell, Span, decode_cell, encode_cell
from pockethive.core.entry import (
    Body,
    Claim,
    Close,
    CloseReason,
    Commit,
    Invite,
    Kind,
    Member,
    Output,
    Ruling,
    Sealing,
    SealVote,
    Verdict,
    Waiver,
)
from pockethive.core.entry_codec import (
    MAX_BODY,
    decode_body,
    encode_body,
    inputs_fit,
    kind_of,
    slot,
)
from pockethive.core.errors import BadEncoding, BadSignature, ProtocolError
from pockethive.core.labels import Label
from pockethive.core.lease import (
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
    ack_bytes,
    grant_bytes,
)
from pockethive.core.lease_codec import (
    MAX_MESSAGE,
    decode_answer,
    decode_request,
    encode_answer,
    encode_request,
)
from pockethive.core.message import Ended, LetGo, Made, Message, Offer, Progress, VerifyOffer
from pockethive.core.message_codec import decode_message, encode_message
from pockethive.core.table_plan import TablePlan
from pockethive.core.task import Check, Committee, EdgeKind, Policy, Task, TaskId, Verification
from pockethive.core.task import task_id as make_id
from pockethive.core.testing import Table
from tests.core.core_play import (
    DEVICES,
    OWNER_KEY,
    RUN,
    acks,
    edge,
    entry,
    grants,
    invite,
    make_task,
    output,
    sha,
    sign,
    verdict,
    verify,
)

TASK = make_task()
PLAN = TablePlan(seed="codec", devices=DEVICES, owner_key=OWNER_KEY, skills=(), checkers=())
OPEN = Table(PLAN, sign, verify).open_entry
SIGNATURE = to_text(bytes(64))

BODIES: tuple[Body, ...] = (
    TASK,
    replace(
        TASK,
        place=DEVICES[2],
        label=Label.DEVICE,
        after=(edge("a", "b", kind=EdgeKind.AT_LEAST), edge("c", kind=EdgeKind.ARRIVED_BY)),
        verification=Verification(checks=(Check(Policy.CHOOSE, "fit"),), verdicts=2, adaptive=True),
    ),
    replace(TASK, certificate=SIGNATURE),
    Claim(task=TASK.id, epoch=3, until=1_900_000_015),
    Claim(task=TASK.id, epoch=3, until=1_900_000_015, certificate=SIGNATURE),
    Output(
        task=TASK.id, epoch=1, output=sha("o"), size=9, model=sha("m"), inputs=(("a", sha("a")),)
    ),
    Verdict(
        task=TASK.id,
        epoch=1,
        output=sha("o"),
        worker=DEVICES[1],
        accept=False,
        checks=("quotation", "fit"),
        reason="nicht wörtlich",
    ),
    Waiver(task=TASK.id, epoch=1, output=sha("o"), worker=DEVICES[1]),
    Invite(task=TASK.id, epoch=1, output=sha("o"), verifier=DEVICES[2]),
    Commit(task=TASK.id, generation=1, epoch=1, output=sha("o"), acks=acks(TASK, 1, sha("o"), 3)),
    Sealing(
        task=TASK.id,
        generation=1,
        successor=sha("heir"),
        votes=(
            SealVote(witness=DEVICES[0], epoch=3, accepted=(2, sha("x")), signature=SIGNATURE),
            SealVote(witness=DEVICES[1], epoch=0, accepted=None, signature=SIGNATURE),
        ),
    ),
    Close(task=TASK.id, reason=CloseReason.LOST, detail="gone"),
    Member(
        device=DEVICES[1],
        owner_key=OWNER_KEY,
        certificate=SIGNATURE,
        host="192.0.2.7",
        port=4000,
        skills=("search",),
        checkers=("quotation",),
        model="",
        documents=12,
        works=True,
    ),
    Ruling(task=TASK.id, epoch=1, output=sha("o"), worker=DEVICES[1], accept=False),
)
SIGNED = entry(DEVICES[0], TASK)
MADE = output(TASK.id, DEVICES[1])
SAID, INVITED = verdict(MADE, DEVICES[2]), invite(MADE, DEVICES[2])
REQUESTS: tuple[WitnessRequest, ...] = (
    ReadEpoch(task=TASK.id),
    AskLease(task=TASK.id, epoch=1, seconds=15, entry=SIGNED, attempt=1_234),
    FreeLease(task=TASK.id, epoch=1, attempt=1_234),
    Propose(task=TASK.id, epoch=1, seconds=15, output=MADE),
    AskSlot(task=TASK.id, epoch=1, output=sha("right"), seconds=15, invite=INVITED),
    AskCommit(task=TASK.id, epoch=1, output=sha("right"), evidence=(MADE, SAID)),
    Seal(task=TASK.id, generation=1, successor=sha("heir"), entry=SIGNED),
)
ANSWERS: tuple[WitnessAnswer, ...] = (
    EpochRead(task=TASK.id, epoch=4, accepted=None),
    EpochRead(task=TASK.id, epoch=4, accepted=Accepted(2, sha("x")), wait_seconds=12),
    Grant(
        task=TASK.id,
        generation=1,
        epoch=4,
        holder=DEVICES[3],
        seconds=15,
        accepted=Accepted(2, sha("x")),
        slot=True,
        signature=SIGNATURE,
    ),
    Refusal(task=TASK.id, reason=Refused.BUSY, epoch=4, wait_seconds=3, accepted=None),
    Ack(task=TASK.id, generation=1, epoch=4, output=sha("x"), signature=SIGNATURE),
    Sealed(
        task=TASK.id,
        generation=2,
        successor=sha("heir"),
        epoch=7,
        accepted=Accepted(6, sha("x")),
        wait_seconds=12,
        signature=SIGNATURE,
    ),
)
SOURCES = (("search-1", make_id(RUN, "search-1", sha("1"))),)
MESSAGES: tuple[Message, ...] = (
    Offer(
        task=TASK.id,
        skill="search",
        needs_model=True,
        label=Label.HIVE,
        place=DEVICES[1],
        entry=SIGNED,
        inputs=SOURCES,
    ),
    VerifyOffer(task=TASK.id, entry=SIGNED, output=MADE, invite=INVITED, inputs=SOURCES),
    Made(entry=SAID),
    Made(entry=MADE, grants=grants(TASK, DEVICES[1], 3)),
    Progress(
        task=TASK.id,
        epoch=3,
        state="accepted",
        reason=sha("x"),
        grants=grants(TASK, DEVICES[1], 3, Accepted(2, sha("x"))),
    ),
    Progress(task=TASK.id, epoch=1, state="failed", reason="kein Strom"),
    LetGo(task=TASK.id, epoch=1, reason="rejected"),
    LetGo(task=TASK.id, epoch=1, reason="it took long", soft=True),
    Ended(task=TASK.id, entry=entry(DEVICES[0], BODIES[8])),
)


def biggest() -> tuple[Task, Output, Verdict]:
    """A task, an output and a verdict about as large as they may be."""
    names = tuple(f"a-long-step-name-{number}" for number in range(14))
    task = make_task("n" * 64, witnesses=DEVICES, quorum=5)
    task = replace(task, after=(edge(*names),), place=DEVICES[1])
    inputs = tuple((name, sha(name)) for name in names)
    made = Output(task=task.id, epoch=9, output=sha("o"), size=1, model=sha("m"), inputs=inputs)
    said = Verdict(
        task=task.id,
        epoch=9,
        output=sha("o"),
        worker=DEVICES[1],
        accept=True,
        checks=("a-checker", "another-checker"),
        reason="r" * 200,
    )
    return task, made, said


@pytest.mark.parametrize("body", BODIES, ids=lambda body: type(body).__name__)
def test_a_body_is_read_back_as_it_was_written(body: Body) -> None:
    data = encode_body(body)
    assert decode_body(kind_of(body), data) == body
    assert len(data) <= MAX_BODY[kind_of(body)]
    assert len(slot(body)) <= 64


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: type(request).__name__)
def test_a_request_is_read_back_as_it_was_written(request_: WitnessRequest) -> None:
    assert decode_request(encode_request(request_), OPEN) == request_


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: type(answer).__name__)
def test_an_answer_is_read_back_as_it_was_written(answer: WitnessAnswer) -> None:
    assert decode_answer(encode_answer(answer)) == answer


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_is_read_back_as_it_was_written(message: Message) -> None:
    assert decode_message(encode_message(message), OPEN) == message


def test_a_cell_is_read_back_as_it_was_written() -> None:
    span = Span(holder=DEVICES[1], at=1_900_000_000_123, seconds=15)
    cell = Cell(
        task=TASK,
        epoch=7,
        span=span,
        held=sha("o"),
        slots=(span, span),
        accepted=Accepted(6, sha("o")),
        attempt=1_234,
    )
    assert decode_cell(encode_cell(cell)) == cell
    assert decode_cell(encode_cell(Cell(task=TASK, epoch=0))) == Cell(task=TASK, epoch=0)


@pytest.mark.parametrize("body", BODIES, ids=lambda body: type(body).__name__)
def test_an_unknown_a_missing_and_a_mistyped_field_are_refused(body: Body) -> None:
    kind = kind_of(body)
    value = orjson.loads(encode_body(body))
    with pytest.raises(BadEncoding, match="unknown"):
        decode_body(kind, encode({**value, "z": 1}))
    with pytest.raises(BadEncoding, match="version"):
        decode_body(kind, encode({**value, "v": 3}))
    for name in value:
        rest = {key: item for key, item in value.items() if key != name}
        with pytest.raises(BadEncoding):
            decode_body(kind, encode(rest))
        with pytest.raises(BadEncoding):
            decode_body(kind, encode({**rest, name: {"not": "this"}}))


@given(data=st.binary(max_size=300), kind=st.sampled_from(Kind))
def test_random_bytes_are_refused_in_one_way_only(data: bytes, kind: Kind) -> None:
    with pytest.raises(BadEncoding):
        decode_body(kind, data)
    with pytest.raises(BadEncoding):
        decode_request(data, OPEN)
    with pytest.raises(BadEncoding):
        decode_answer(data)
    with pytest.raises(BadEncoding):
        decode_message(data, OPEN)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 2**40) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


def test_true_is_not_version_one() -> None:
    body = encode_body(make_task())
    with pytest.raises(BadEncoding):
        decode_body(Kind.TASK, body.replace(b'"v":1,', b'"v":true,'))


@given(data=st.data())
def test_a_damaged_field_is_refused_or_reads_as_itself(data: st.DataObject) -> None:
    body = data.draw(st.sampled_from(BODIES))
    value: dict[str, Any] = decode_object(encode_body(body), 4_000)
    name = data.draw(st.sampled_from(sorted(value)))
    try:
        damaged = encode({**value, name: data.draw(JSON)})
    except BadEncoding:
        return
    try:
        read = decode_body(kind_of(body), damaged)
    except BadEncoding:
        return
    assert encode_body(read) == damaged


@given(data=st.data())
def test_a_damaged_message_is_a_protocol_error(data: st.DataObject) -> None:
    wire = data.draw(
        st.sampled_from([encode_message(m) for m in MESSAGES])
        | st.sampled_from([encode_request(r) for r in REQUESTS])
    )
    place = data.draw(st.integers(0, len(wire) - 1))
    damaged = (
        wire[:place] + bytes([wire[place] ^ data.draw(st.integers(1, 255))]) + wire[place + 1 :]
    )
    for read in (decode_message, decode_request):
        try:
            read(damaged, OPEN)
        except ProtocolError:
            continue


def test_an_entry_with_a_forged_signature_is_not_opened() -> None:
    value = decode_object(MADE.wire, 4_000)
    forged = encode({**value, "author": DEVICES[2]})
    with pytest.raises(BadSignature):
        decode_message(encode_message(Made(entry=replace(MADE, wire=forged))), OPEN)


def test_the_largest_entries_still_fit_into_one_message() -> None:
    task, made, said = biggest()
    signed, output_ = entry(task.owner, task), entry(DEVICES[1], made)
    verdicts = [entry(DEVICES[number], replace(said, reason="r" * 200)) for number in range(2, 5)]
    inputs = tuple((name, make_id(RUN, name, sha(name))) for name, _ in made.inputs)
    word = invite(output_, DEVICES[2])
    offer = VerifyOffer(task=task.id, entry=signed, output=output_, invite=word, inputs=inputs)
    commit = AskCommit(task=task.id, epoch=9, output=sha("o"), evidence=(output_, *verdicts))
    assert len(encode_message(offer)) <= MAX_MESSAGE
    assert len(encode_request(commit)) <= MAX_MESSAGE
    assert encode_cell(Cell(task=task, epoch=1))


def test_what_is_too_large_is_refused_when_it_is_written() -> None:
    names = [f"a-long-step-name-{number}" for number in range(30)]
    assert not inputs_fit(names)
    inputs = tuple((name, sha(name)) for name in names)
    with pytest.raises(BadEncoding, match="at most"):
        encode_body(Output(task=TASK.id, epoch=1, output=sha("o"), size=1, model="", inputs=inputs))
    with pytest.raises(BadEncoding, match="at most"):
        encode_message(Made(entry=replace(MADE, wire=bytes(7_000))))


def test_a_task_whose_id_is_not_made_of_its_parts_is_not_written() -> None:
    with pytest.raises(BadEncoding, match="is not made of"):
        encode_body(replace(TASK, id=TaskId("x/y/z")))


def test_a_committee_without_intersecting_quorums_is_refused() -> None:
    value = orjson.loads(encode_body(TASK))
    with pytest.raises(BadEncoding, match="intersect"):
        decode_body(Kind.TASK, encode({**value, "quorum": 2}))


def test_slots_tell_outputs_and_epochs_apart() -> None:
    first, second = output(TASK.id, DEVICES[1], 1).body, output(TASK.id, DEVICES[1], 2).body
    assert slot(first) != slot(second)
    assert slot(first) != slot(output(TASK.id, DEVICES[1], 1, "wrong").body)
    assert slot(TASK) != slot(
        replace(TASK, committee=Committee(witnesses=DEVICES[:3], quorum=2, generation=2))
    )


def test_what_is_signed_differs_in_every_field() -> None:
    assert len({ack_bytes(TASK.id, g, e, o) for g in (1, 2) for e in (1, 2) for o in "ab"}) == 8
    grant = ANSWERS[2]
    assert isinstance(grant, Grant)
    changes: list[dict[str, Any]] = [{"slot": False}, {"epoch": 5}, {"seconds": 16}]
    changes += [{"holder": DEVICES[0]}, {"accepted": None}, {"generation": 2}]
    variants = [grant, *(replace(grant, **change) for change in changes)]
    assert len({grant_bytes(variant) for variant in variants}) == len(variants)
    assert grant_bytes(replace(grant, signature="")) == grant_bytes(grant)
