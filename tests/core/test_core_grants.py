"""Certificates of leases: what proves one, and how they travel in messages."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.core.canonical import decode_object, encode
from pockethive.core.certificate import Vote, certified
from pockethive.core.errors import BadEncoding, ProtocolError
from pockethive.core.lease import Accepted
from pockethive.core.lease_codec import MAX_MESSAGE
from pockethive.core.message import Made, Progress
from pockethive.core.message_codec import decode_message, encode_message
from tests.core.core_play import DEVICES, entry, grants, make_task, sha, verify
from tests.core.test_core_codecs import JSON, MESSAGES, OPEN, biggest

TASK = make_task()
HOLDER, OTHER = DEVICES[1:3]
SHOWN = grants(TASK, HOLDER, 3, Accepted(2, sha("x")))


def test_a_quorum_of_the_tasks_witnesses_proves_a_lease() -> None:
    assert certified(TASK, HOLDER, 3, SHOWN, verify)
    assert certified(TASK, HOLDER, 3, tuple(reversed(SHOWN)), verify)


@pytest.mark.parametrize(
    ("holder", "epoch", "votes"),
    [
        (HOLDER, 4, SHOWN),
        (OTHER, 3, SHOWN),
        (HOLDER, 3, SHOWN[:2]),
        (HOLDER, 3, ()),
        (HOLDER, 3, (*SHOWN[:2], SHOWN[0])),
        (HOLDER, 3, (*SHOWN[:2], replace(SHOWN[2], seconds=600))),
        (HOLDER, 3, (*SHOWN[:2], replace(SHOWN[2], accepted=None))),
        (HOLDER, 3, (*SHOWN[:2], replace(SHOWN[2], witness=DEVICES[3]))),
        (HOLDER, 3, (*SHOWN[:2], Vote(DEVICES[6], 15, None, SHOWN[2].signature))),
        (HOLDER, 3, (*SHOWN[:2], replace(SHOWN[2], signature="no base64url"))),
    ],
    ids=[
        "another epoch",
        "another holder",
        "too few",
        "none",
        "one twice",
        "another length",
        "another value",
        "another witness",
        "a stranger",
        "no signature",
    ],
)
def test_nothing_less_does(holder: Any, epoch: int, votes: Any) -> None:
    assert not certified(TASK, holder, epoch, votes, verify)


def test_grants_for_another_task_prove_nothing() -> None:
    assert not certified(make_task("other"), HOLDER, 3, SHOWN, verify)


def test_the_largest_output_with_the_grants_of_the_largest_committee_fits() -> None:
    task, made, _ = biggest()
    shown = grants(task, DEVICES[1], 2**31, Accepted(2**31, sha("o")))
    message = Made(entry=entry(DEVICES[1], made), grants=shown)
    data = encode_message(message)
    assert len(data) <= MAX_MESSAGE
    assert decode_message(data, OPEN) == message


@pytest.mark.parametrize(
    "damage",
    [
        lambda votes: [*votes, votes[0]],
        lambda votes: [[*votes[0], 1]],
        lambda votes: [votes[0][:4]],
        lambda votes: [[*votes[0][:4], votes[0][4][:-2]]],
        lambda votes: [[votes[0][0], 0, *votes[0][2:]]],
        lambda votes: [[votes[0][0], 601, *votes[0][2:]]],
        lambda votes: [[*votes[0][:2], 7, "", votes[0][4]]],
        lambda votes: [[*votes[0][:2], 0, sha("x"), votes[0][4]]],
        lambda votes: [["nobody", *votes[0][1:]]],
        lambda votes: {"0": votes[0]},
        lambda votes: [[f"{n}{votes[0][0][1:]}", *votes[0][1:]] for n in "ABCDEFGH"],
    ],
)
def test_grants_of_another_form_are_refused(damage: Callable[[Any], Any]) -> None:
    claim = Progress(
        task=TASK.id, epoch=3, state="claimed", reason="", grants=grants(TASK, DEVICES[1], 3)
    )
    value = orjson.loads(encode_message(claim))
    with pytest.raises(BadEncoding):
        decode_message(encode({**value, "grants": damage(value["grants"])}), OPEN)


@given(data=st.data())
def test_a_damaged_field_of_a_message_is_refused_or_reads_as_itself(data: st.DataObject) -> None:
    message = data.draw(st.sampled_from(MESSAGES))
    value: dict[str, Any] = decode_object(encode_message(message), MAX_MESSAGE)
    name = data.draw(st.sampled_from(sorted(value)))
    try:
        damaged = encode({**value, name: data.draw(JSON | st.lists(st.lists(JSON), max_size=8))})
        read = decode_message(damaged, OPEN)
    except ProtocolError:
        return
    assert encode_message(read) == damaged
