"""A device that is its own witness reads nothing twice, and believes nobody else for it."""

from dataclasses import replace

import pytest

from pockethive.actors.entries import Entries
from pockethive.actors.witnessing import Asks
from pockethive.core.canonical import to_text
from pockethive.core.entry import Kind, Output
from pockethive.core.errors import BadEncoding, BadSignature
from pockethive.core.lease import Ack, AskCommit, ReadEpoch, ack_bytes
from pockethive.core.task import DeviceId, TaskId
from pockethive.dht.identity import Identity
from pockethive.dht.memory import Memory

HERE, THERE = Identity.from_seed(b"h" * 32), Identity.from_seed(b"t" * 32)
ENTRIES = Entries(HERE, "home")
TASK = TaskId(f"{'0' * 32}/look/{'1' * 16}")
OUTPUT = Output(task=TASK, epoch=1, output="a" * 64, size=3, model="", inputs=())


def signed(by: Identity) -> Ack:
    ack = Ack(task=TASK, generation=1, epoch=1, output="a" * 64)
    said = ack_bytes(ack.task, ack.generation, ack.epoch, ack.output)
    return replace(ack, signature=to_text(by.sign(said)))


def test_a_request_means_the_same_remembered_and_read() -> None:
    _, made = ENTRIES.sign(Kind.OUTPUT, OUTPUT, 2_000_000_000)
    request = AskCommit(task=TASK, epoch=1, output="a" * 64, evidence=(made,))
    own, others = Asks(ENTRIES), Asks(Entries(THERE, "home"))
    data = own.sent(request, ENTRIES.device)
    assert own.received(data) is request
    assert others.received(data) == request
    assert others.received(data) is others.received(data)


def test_what_cannot_be_read_is_not_remembered() -> None:
    asks = Asks(ENTRIES)
    for _ in range(2):
        with pytest.raises(BadEncoding):
            asks.received(b"{}")


def test_only_a_devices_own_answers_are_believed_without_their_signature() -> None:
    asks, ack = Asks(ENTRIES), signed(HERE)
    reply = asks.answered(ack, ENTRIES.device)
    assert asks.checked(reply, ENTRIES.device) is ack
    with pytest.raises(BadSignature):
        asks.checked(reply, DeviceId(to_text(THERE.public)))
    forged = Asks(ENTRIES).answered(
        replace(ack, signature=signed(THERE).signature), DeviceId("B" * 43)
    )
    with pytest.raises(BadSignature):
        asks.checked(forged, ENTRIES.device)


def test_an_entry_of_ones_own_is_the_one_that_was_signed_and_others_are_verified() -> None:
    record, entry = ENTRIES.sign(Kind.OUTPUT, OUTPUT, 2_000_000_000)
    assert ENTRIES.open(record.encode()) is entry
    elsewhere = Entries(THERE, "home")
    assert elsewhere.open(record.encode()) == entry
    unsigned = replace(record, signature=bytes(64))
    elsewhere.opened(unsigned)  # a look at what it says is not remembered as believed
    with pytest.raises(BadSignature):
        elsewhere.open(unsigned.encode())


def test_the_oldest_is_forgotten_first() -> None:
    memory: Memory[int] = Memory(2)
    for number in range(3):
        memory.put(b"%d" % number, number)
    assert [memory.get(b"%d" % number) for number in range(3)] == [None, 1, 2]


def test_asking_leaves_other_devices_requests_alone() -> None:
    asks = Asks(ENTRIES)
    request = ReadEpoch(task=TASK)
    data = asks.sent(request, DeviceId(to_text(THERE.public)))
    assert asks.received(data) == request
    assert asks.received(data) is not request
