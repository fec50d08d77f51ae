"""Notes: small signed values of one node, found by whoever knows the text of their key."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.actors.entries import Entries
from pockethive.actors.witnessing import HiveRules
from pockethive.core.errors import BadEncoding, BadInput, ProtocolError
from pockethive.dht.node import Node
from pockethive.dht.notes import MAX_SECONDS, NOTE_LIMIT, newest, note_key, open_note, sign_note
from pockethive.dht.record import Record, sign_record
from pockethive.dht.rules import NOTE
from pockethive.dht.store import RecordStore
from pockethive.dht.testing import NOW, somebody

ROOT = Path(__file__).parents[2]


@given(st.binary(max_size=1_000), st.text(max_size=16), st.integers(1, MAX_SECONDS))
def test_a_note_comes_back_as_it_was_signed(value: bytes, slot: str, seconds: int) -> None:
    record = sign_note(somebody("a"), "shopping list", value, (NOW, seconds), slot)
    again = Record.decode(record.encode())
    again.verify()
    note = open_note(again)
    assert (note.value, note.at, note.expires) == (value, NOW, NOW + seconds)
    assert note.slot == slot.encode("utf-8", "surrogateescape")
    assert record.key == note_key("shopping list")


@given(st.binary(max_size=1_100))
def test_any_bytes_are_a_note_of_version_one_or_refused(body: bytes) -> None:
    record = sign_record(somebody("a"), NOTE, bytes(20), b"", int(NOW), body)
    try:
        note = open_note(record)
    except BadEncoding:
        assert body[:1] != b"\x01" or len(body) < 9 or len(body) > 1_009 or body[1] >= 4
    else:
        assert body[9:] == note.value


@pytest.mark.parametrize(
    ("text", "value", "seconds"),
    [
        ("", b"x", 60),
        ("a\nb", b"x", 60),
        ("k" * 201, b"x", 60),
        ("\udcff", b"x", 60),
        ("k", b"x" * 1001, 60),
        ("k", b"x", 0),
        ("k", b"x", MAX_SECONDS + 1),
    ],
)
def test_what_is_over_a_bound_is_refused(text: str, value: bytes, seconds: float) -> None:
    with pytest.raises(BadInput):
        sign_note(somebody("a"), text, value, (NOW, seconds))


def test_a_hive_keeps_notes_beside_its_entries_and_nothing_else_under_their_name() -> None:
    identity = somebody("a")
    store = RecordStore(HiveRules(identity, Entries(identity, "home"), NOW), clock=lambda: NOW)
    assert store.add(sign_note(identity, "k", b"x" * 1_000, (NOW, MAX_SECONDS)))
    with pytest.raises(BadEncoding, match="not a note"):
        store.add(sign_record(identity, NOTE, note_key("k"), b"2", int(NOW) + 60, b"raw"))
    body = b"\x01" + bytes(NOTE_LIMIT.max_body)
    long = sign_record(identity, NOTE, note_key("k"), b"3", int(NOW) + 60, body)
    with pytest.raises(ProtocolError, match="bytes at most"):
        store.add(long)
    assert store.count == 1


def test_the_newest_of_each_author_and_slot_counts_whatever_lives_longer() -> None:
    a, b = somebody("a"), somebody("b")
    records = [
        sign_note(a, "k", b"old", (NOW, 9_000)),
        sign_note(a, "k", b"new", (NOW + 1, 60)),
        sign_note(a, "k", b"elsewhere", (NOW, 60), "slot"),
        sign_note(b, "k", b"another's", (NOW - 5, 60)),
        sign_record(a, NOTE, note_key("k"), b"odd", int(NOW) + 60, b"no note"),
    ]
    told = [note.value for note in newest(records)]
    assert told[0] == b"new"
    assert set(told) == {b"new", b"elsewhere", b"another's"}


async def test_a_node_that_stands_alone_is_used_in_three_lines(tmp_path: Path) -> None:
    async with Node.open(tmp_path / "a") as here, Node.open() as there:
        await there.join([here.contact])
        assert await here.note("greeting", b"hello") == 2
        assert await here.note("greeting", b"good day", seconds=60) == 2
        (note,) = await there.notes("greeting")
        assert (note.value, note.author) == (b"good day", here.identity.public)
        assert there.facts().operations["get"].count == 1
        assert there.facts().received_bytes > 0
        name = here.identity.public
    async with Node.open(tmp_path / "a") as again:
        assert again.identity.public == name  # the key stayed in its home
        assert [note.value for note in await again.notes("greeting")] == [b"good day"]


async def test_a_leaving_node_hands_its_records_to_those_who_stay() -> None:
    async with Node.open() as here, Node.open() as leaving:
        await leaving.note("only here", b"1")  # before it knew anybody
        await leaving.join([here.contact])
        assert await leaving.hand_over(5.0) == 1
        await leaving.stop()
        assert [note.value for note in await here.notes("only here")] == [b"1"]


async def test_handing_over_ends_in_time_whoever_does_not_answer() -> None:
    async with Node.open() as here, Node.open() as leaving:
        await leaving.join([here.contact])
        for number in range(50):
            await leaving.note(f"note {number}", b"1")
        await here.stop()
        began = asyncio.get_running_loop().time()
        assert await leaving.hand_over(0.2) == 0
        assert asyncio.get_running_loop().time() - began < 2


def test_the_example_runs_as_a_program() -> None:
    path = ROOT / "examples" / "node_alone.py"
    done = subprocess.run(
        [sys.executable, str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("sunny in 2 copies")
    assert len(path.read_text().splitlines()) <= 20
