"""What a device has seen is named to it, and shown whole where it does not know the name."""

import asyncio
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.actors.acquainted import UNSEEN, Acquainted
from pockethive.actors.entries import Entries
from pockethive.core.entry import Entry, Kind, Output
from pockethive.core.errors import BadEncoding, ProtocolError
from pockethive.core.lease import AskCommit
from pockethive.core.lease_codec import (
    MARK,
    by_name,
    decode_request,
    encode_request,
    whole,
)
from pockethive.core.message import Ended, Made
from pockethive.core.message_codec import decode_message, encode_message
from pockethive.core.task import DeviceId, TaskId
from pockethive.dht.identity import Identity

AUTHOR = Entries(Identity.from_seed(b"a" * 32), "home")
THERE = DeviceId("B" * 43)
TASK = TaskId(f"{'0' * 32}/look/{'1' * 16}")


def output(number: int) -> Entry:
    body = Output(task=TASK, epoch=number, output="a" * 64, size=3, model="", inputs=())
    return AUTHOR.sign(Kind.OUTPUT, body, 2_000_000_000)[1]


def device() -> Entries:
    return Entries(Identity.from_seed(b"r" * 32), "home")


class Other:
    """A device that reads what it is told."""

    def __init__(self) -> None:
        self.entries, self.heard = device(), list[bytes]()

    async def tell(self, data: bytes) -> bytes:
        self.heard.append(data)
        try:
            decode_message(data, self.entries.open)
        except ProtocolError as error:  # as a refusal travels
            raise ProtocolError(f"the peer refused: {error}") from error
        return b""


def test_an_entry_is_shown_once_and_named_afterwards() -> None:
    known, other, made = Acquainted(), Other(), output(1)
    letter = partial(encode_message, Ended(task=TASK, entry=made))
    for _ in range(2):
        asyncio.run(known.say(THERE, letter, other.tell))
    shown, named = other.heard
    assert len(named) < len(shown) / 2
    read = decode_message(named, other.entries.open)
    assert isinstance(read, Ended)
    assert read.entry == made


def test_who_has_forgotten_is_shown_the_whole_again() -> None:
    known, other, made = Acquainted(), Other(), output(1)
    letter = partial(encode_message, Ended(task=TASK, entry=made))
    asyncio.run(known.say(THERE, letter, other.tell))
    other.entries = device()  # started again
    asyncio.run(known.say(THERE, letter, other.tell))
    assert [MARK in data for data in other.heard] == [False, True, False]
    asyncio.run(known.say(THERE, letter, other.tell))
    assert MARK in other.heard[-1]


def test_another_refusal_is_no_reason_to_say_it_again() -> None:
    known, made, heard = Acquainted(), output(1), list[bytes]()

    async def refuse(data: bytes) -> bytes:
        heard.append(data)
        raise ProtocolError("the peer refused: busy")

    known.note(THERE, made)
    with pytest.raises(ProtocolError, match="busy"):
        asyncio.run(known.say(THERE, partial(encode_message, Ended(task=TASK, entry=made)), refuse))
    assert len(heard) == 1


def test_who_shows_an_entry_has_seen_it() -> None:
    known, made = Acquainted(), output(1)
    data = encode_message(Made(entry=made))
    decode_message(data, known.hearing(THERE, device().open))
    assert known.has_seen(THERE, made)
    assert not known.has_seen(THERE, output(2))
    assert not known.has_seen(DeviceId("C" * 43), made)


def test_what_is_remembered_of_a_device_is_bounded() -> None:
    known = Acquainted()
    made = [output(number) for number in range(1, 1_003)]
    for entry in made:
        known.note(THERE, entry)
    assert not known.has_seen(THERE, made[0])
    assert known.has_seen(THERE, made[-1])


@given(st.lists(st.booleans(), min_size=2, max_size=2))
def test_a_question_reads_the_same_however_its_entries_are_spelled(names: list[bool]) -> None:
    made = (output(1), output(2))
    ask = AskCommit(task=TASK, epoch=2, output="a" * 64, evidence=made)
    reader = device()
    for entry in made:
        reader.open(entry.wire)
    spelled = dict(zip(made, names, strict=True))
    data = encode_request(ask, lambda entry: (by_name if spelled[entry] else whole)(entry))
    assert decode_request(data, reader.open) == ask


@given(st.text(max_size=60))
def test_no_other_text_behind_the_mark_is_a_name(text: str) -> None:
    letter = encode_message(Ended(task=TASK, entry=output(1)), lambda _: f"#{text}")
    with pytest.raises(BadEncoding):
        decode_message(letter, device().open)


def test_a_name_that_nobody_said_is_refused_in_these_words() -> None:
    with pytest.raises(BadEncoding, match=UNSEEN):
        device().open(MARK + bytes(32))
