"""The header of a GGUF file: what is read of it, and what is refused before anything is made."""

import io
import struct
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.core.errors import RefusedModel
from pockethive.inference import gguf
from pockethive.inference.gguf import MAX_ITEMS, MAX_NAME, Gguf, parse_gguf, read_gguf
from tests.inference.gguf_files import F32, PLAIN, Q8_0, TENSORS, gguf_bytes

WHOLE = gguf_bytes()


def parsed(data: bytes) -> Gguf:
    return parse_gguf(io.BytesIO(data), len(data))


def parsed_or_refused(data: bytes) -> Gguf | None:
    """Nothing else may come of any bytes."""
    try:
        return parsed(data)
    except RefusedModel:
        return None


@pytest.mark.parametrize("version", [2, 3])
def test_the_header_says_what_the_model_is_and_its_weights_are_counted(version: int) -> None:
    assert parsed(gguf_bytes(version=version)) == Gguf(
        architecture="llama", name="Tiny", licence="apache-2.0", parameters=32 * 3 + 32
    )


def test_a_header_without_name_and_licence_says_nothing_of_them() -> None:
    header = parsed(gguf_bytes({"general.architecture": "qwen2"}))
    assert (header.name, header.licence) == ("", "")


def test_what_is_shown_of_a_strangers_file_is_one_line() -> None:
    name = "a\x1b[31m\n" + "b" * 500
    header = parsed(gguf_bytes({**PLAIN, "general.name": name}))
    assert header.name.startswith("a [31m b")
    assert len(header.name) == MAX_NAME


@pytest.mark.parametrize("cut", range(0, len(WHOLE), 7))
def test_a_file_that_is_cut_short_anywhere_is_refused(cut: int) -> None:
    with pytest.raises(RefusedModel, match="cut short"):
        parsed(WHOLE[:cut])


def test_padding_after_the_last_weight_may_be_missing() -> None:
    data = gguf_bytes(tensors=(("a", (1,), F32),))
    assert parsed(data[:-28]).parameters == 1
    with pytest.raises(RefusedModel, match="cut short"):
        parsed(data[:-29])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"PK\x03\x04" + WHOLE[4:], "not a GGUF file"),
        (gguf_bytes(version=1), "version 1"),
        (WHOLE[:4] + b"\x00\x00\x00\x03" + WHOLE[8:], "another order of bytes"),
        (gguf_bytes({**PLAIN, "general.architecture": "t5"}), "'t5', which cannot be exported"),
        (gguf_bytes({"general.name": "x"}), "of the kind ''"),
        (gguf_bytes({**PLAIN, "general.architecture": 7}), "has a value of the kind 4"),
        (gguf_bytes({**PLAIN, "split.count": 3}), "one part of several"),
        (gguf_bytes({**PLAIN, "general.alignment": 24}), "aligned to 24 bytes"),
        (gguf_bytes(tensors=()), "a header of 0 tensors"),
        (gguf_bytes(tensors=(("a", (33,), Q8_0),)), "rows of 33 weights"),
        (gguf_bytes(tensors=(("a", (1, 1, 1, 1, 1), F32),)), "a tensor of 5 extents"),
    ],
)
def test_a_file_that_nothing_here_could_use_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(RefusedModel, match=said):
        parsed(data)


def test_tensors_of_an_unknown_kind_or_on_top_of_each_other_are_refused() -> None:
    data = gguf_bytes(tensors=(("a", (32,), F32), ("b", (32,), F32)))
    second = data.index(b"b" + struct.pack("<IQ", 1, 32))
    kind, offset = second + 13, second + 17
    with pytest.raises(RefusedModel, match="weights of the kind 200"):
        parsed(data[:kind] + struct.pack("<I", 200) + data[kind + 4 :])
    with pytest.raises(RefusedModel, match="on top of each other"):
        parsed(data[:offset] + struct.pack("<Q", 64) + data[offset + 8 :])


def head(*facts: bytes) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, 1, len(facts)) + b"".join(facts)


def fact(key: bytes, kind: int, value: bytes) -> bytes:
    return struct.pack("<Q", len(key)) + key + struct.pack("<I", kind) + value


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"GGUF" + struct.pack("<IQQ", 3, 2**60, 0), "tensors and 0 facts"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1, 2**60), "1 tensors and"),
        (head(struct.pack("<Q", 2**63)), "a text of"),
        (head(fact(b"a", 8, struct.pack("<Q", 2**62))), "a text of"),
        (head(fact(b"a", 9, struct.pack("<IQ", 0, MAX_ITEMS + 1))), "a list of"),
        (head(fact(b"a", 9, struct.pack("<IQ", 9, 2**20))), "cut short"),
        (head(fact(b"a", 9, struct.pack("<IQIQIQ", 9, 1, 9, 1, 9, 1))), "a value of the kind 9"),
        (head(fact(b"a", 77, b"")), "a value of the kind 77"),
        (head(fact(b"a", 0, b"1"), fact(b"a", 0, b"1")), "stands twice"),
    ],
)
def test_counts_out_of_all_bounds_are_refused_at_once(data: bytes, said: str) -> None:
    before = time.process_time()
    with pytest.raises(RefusedModel, match=said):
        parsed(data)
    assert time.process_time() - before < 1


def test_no_more_of_a_file_is_read_than_a_header_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf, "MAX_HEADER", 100)
    with pytest.raises(RefusedModel, match="its header has more than"):
        parsed(WHOLE)


@given(st.binary(max_size=400))
def test_any_bytes_are_a_model_or_refused(data: bytes) -> None:
    for raw in (data, WHOLE[:8] + data, WHOLE[:24] + data):
        header = parsed_or_refused(raw)
        assert header is None or header.parameters > 0


@given(st.integers(0, len(WHOLE) - 1), st.binary(min_size=1, max_size=9))
def test_a_flipped_byte_never_ends_in_anything_but_a_refusal(place: int, data: bytes) -> None:
    raw = WHOLE[:place] + data + WHOLE[place + len(data) :]
    header = parsed_or_refused(raw)
    assert header is None or header.parameters > 0


def test_the_file_is_named_in_the_refusal(tmp_path: Path) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(WHOLE[:100])
    with pytest.raises(RefusedModel, match=r"broken\.gguf: the file is cut short"):
        read_gguf(path)
    with pytest.raises(RefusedModel, match=r"none\.gguf: cannot be read: No such file"):
        read_gguf(tmp_path / "none.gguf")
    path.write_bytes(WHOLE)
    assert read_gguf(path).parameters == sum(_count(shape) for _, shape, _ in TENSORS)


def _count(shape: tuple[int, ...]) -> int:
    return shape[0] if len(shape) == 1 else shape[0] * shape[1]
