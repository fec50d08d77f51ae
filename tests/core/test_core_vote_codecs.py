"""What a vote sends and signs: read back as written, bounded, and nothing else is read."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.core.canonical import decode_object, encode, to_text
from pockethive.core.entry import Ballot, Body, Output, Pledge
from pockethive.core.entry_codec import (
    MAX_BODY,
    MAX_VOTES,
    decode_body,
    encode_body,
    kind_of,
    slot,
)
from pockethive.core.errors import BadEncoding, ProtocolError
from pockethive.core.lease import AskCommit
from pockethive.core.lease_codec import MAX_MESSAGE, decode_request, encode_request
from pockethive.core.message import AskOpening, Counted, Made, Message, Opened, Replicate
from pockethive.core.message_codec import decode_message, encode_message
from pockethive.core.table_plan import TablePlan
from pockethive.core.task import TaskId, task_id
from pockethive.core.testing import Table
from tests.core.core_play import (
    DEVICES,
    OWNER_KEY,
    RUN,
    entry,
    make_task,
    output,
    sha,
    sign,
    verify,
)

LONG = TaskId(f"{RUN}/{'n' * 64}/{sha('spec')[:16]}")
TASK = make_task()
NONCE = to_text(bytes(range(32)))
PLAN = TablePlan(seed="codec", devices=DEVICES, owner_key=OWNER_KEY, skills=(), checkers=())
OPEN = Table(PLAN, sign, verify).open_entry
PLEDGE = Pledge(task=LONG, epoch=2**31, pledge=sha("p"))
BALLOT = Ballot(
    task=LONG, output=sha("o"), votes=tuple((device, NONCE) for device in DEVICES[:MAX_VOTES])
)
SIGNED = entry(TASK.owner, TASK)
MESSAGES: tuple[Message, ...] = (
    Replicate(task=TASK.id, epoch=2, entry=SIGNED, inputs=(("a", task_id(RUN, "a", sha("a"))),)),
    AskOpening(task=TASK.id, pledge=sha("p")),
    Opened(task=TASK.id, nonce=NONCE, output=sha("o")),
    Counted(task=TASK.id, entry=entry(DEVICES[0], replace(BALLOT, task=TASK.id))),
    Made(entry=entry(DEVICES[1], PLEDGE)),
)


@pytest.mark.parametrize("body", [PLEDGE, BALLOT], ids=lambda body: type(body).__name__)
def test_the_largest_pledge_and_ballot_are_read_back_and_within_their_bounds(body: Body) -> None:
    data = encode_body(body)
    assert decode_body(kind_of(body), data) == body
    assert len(data) <= MAX_BODY[kind_of(body)]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_messages_of_a_vote_are_read_back_as_written(message: Message) -> None:
    assert decode_message(encode_message(message), OPEN) == message


def test_a_device_has_one_pledge_an_epoch_and_an_owner_one_ballot_a_task() -> None:
    assert slot(PLEDGE) == slot(replace(PLEDGE, pledge=sha("another")))
    assert slot(PLEDGE) != slot(replace(PLEDGE, epoch=1))
    assert slot(BALLOT) == slot(replace(BALLOT, output=sha("another")))


@pytest.mark.parametrize(
    "change",
    [
        {"votes": [[DEVICES[0], NONCE], [DEVICES[0], NONCE]]},
        {"votes": [[DEVICES[0], NONCE[:-2]]]},
        {"votes": [["nobody", NONCE]]},
        {"votes": [[device, NONCE] for device in DEVICES[: MAX_VOTES + 1]]},
        {"output": "0" * 63},
        {"more": 1},
    ],
)
def test_a_ballot_of_another_form_is_refused(change: dict[str, Any]) -> None:
    value = {**decode_object(encode_body(BALLOT), 1_000), **change}
    with pytest.raises(BadEncoding):
        decode_body(kind_of(BALLOT), encode(value))


@given(st.data())
def test_spoilt_bytes_give_a_protocol_error_and_nothing_else(data: st.DataObject) -> None:
    whole = bytearray(encode_message(data.draw(st.sampled_from(MESSAGES))))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        message = decode_message(bytes(whole), OPEN)
    except ProtocolError:
        return
    assert encode_message(message) == bytes(whole)


def test_a_ballot_with_all_its_pledges_and_a_large_output_fits_into_one_request() -> None:
    made = output(TASK.id, DEVICES[1]).body
    assert isinstance(made, Output)
    pledges = [entry(device, PLEDGE) for device in DEVICES[:MAX_VOTES]]
    inputs = tuple((f"source-{number}", sha(str(number))) for number in range(19))
    large = entry(DEVICES[1], replace(made, inputs=inputs))
    ask = AskCommit(
        task=TASK.id,
        epoch=9,
        output=sha("right"),
        evidence=(large, entry(TASK.owner, BALLOT), *pledges),
    )
    data = encode_request(ask)
    assert len(data) <= MAX_MESSAGE
    assert decode_request(data, OPEN) == ask
