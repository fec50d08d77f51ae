"""Notices and questions for offers on the wire: read back as written, bounded, strict."""

from contextlib import suppress
from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.core.canonical import encode
from pockethive.core.entry import Kind, Notice
from pockethive.core.entry_codec import MAX_BODY, decode_body, encode_body
from pockethive.core.errors import BadEncoding, ProtocolError
from pockethive.core.labels import Label
from pockethive.core.message import AskOffer
from pockethive.core.message_codec import decode_message, encode_message
from pockethive.core.table_plan import TablePlan
from pockethive.core.testing import Table
from tests.core.core_play import DEVICES, OWNER_KEY, entry, member, sha, sign, verify

NOTICE = Notice(
    key=sha("notice"), skill="search", size=3, model="any", label=Label.HIVE, owner=DEVICES[0]
)
ASK = AskOffer(key=NOTICE.key, entry=entry(DEVICES[1], member(DEVICES[1])))
PLAN = TablePlan(seed="codec", devices=DEVICES, owner_key=OWNER_KEY, skills=(), checkers=())
OPEN = Table(PLAN, sign, verify).open_entry


@given(
    st.text("0123456789abcdef", min_size=64, max_size=64),
    st.integers(0, 7),
    st.sampled_from(("", "any")),
    st.sampled_from(Label),
)
def test_every_notice_is_read_back_as_it_was_written(
    key: str, size: int, model: str, label: Label
) -> None:
    notice = replace(NOTICE, key=key, size=size, model=model, label=label, skill="s" * 64)
    data = encode_body(notice)
    assert len(data) <= MAX_BODY[Kind.NOTICE]
    assert decode_body(Kind.NOTICE, data) == notice


def test_a_question_for_an_offer_is_read_back_as_it_was_written() -> None:
    assert decode_message(encode_message(ASK), OPEN) == ASK


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("v", 2),
        ("text", "what was asked"),
        ("key", "ab"),
        ("key", NOTICE.key.upper()),
        ("skill", ""),
        ("skill", "s" * 65),
        ("size", 8),
        ("size", -1),
        ("model", "a text of somebody"),
        ("label", "everybody"),
        ("owner", "me"),
        ("owner", None),
    ],
)
def test_a_notice_of_another_form_is_refused(field: str, value: object) -> None:
    body = orjson.loads(encode_body(NOTICE))
    with pytest.raises(BadEncoding):
        decode_body(Kind.NOTICE, encode({**body, field: value}))
    body.pop(field, None)
    if field in orjson.loads(encode_body(NOTICE)):
        with pytest.raises(BadEncoding):
            decode_body(Kind.NOTICE, encode(body))


@given(st.data())
def test_damaged_bytes_never_raise_anything_but_protocol_errors(data: st.DataObject) -> None:
    for whole in (encode_body(NOTICE), encode_message(ASK)):
        place = data.draw(st.integers(0, len(whole) - 1))
        damaged = whole[:place] + data.draw(st.binary(max_size=3)) + whole[place + 1 :]
        for read in (lambda b: decode_body(Kind.NOTICE, b), lambda b: decode_message(b, OPEN)):
            with suppress(ProtocolError):
                read(damaged)
