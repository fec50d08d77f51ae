"""What devices tell each other of bundles: round trips, bounds, and any bytes at all."""

from dataclasses import asdict
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.core.canonical import decode_object, encode, to_text
from pockethive.core.errors import BadEncoding, RefusedModel
from pockethive.inference.bundle import (
    CARD,
    MODEL_FILES,
    MOST_CARD_BYTES,
    ONNX_FILES,
    Bundle,
    parse_card,
    place_bundle,
)
from pockethive.inference.parcel import (
    MAX_NOTICE,
    MAX_PARCEL,
    MAX_WORD,
    ORIGIN,
    WORDS,
    Notice,
    Parcel,
    notice_of,
    origin,
    told_by,
    words_beside,
)

HASHES = st.text("0123456789abcdef", min_size=64, max_size=64)
LINES = st.text(max_size=80).filter(str.isprintable)
SIZES = st.integers(0, 2**50)
PARCELS = st.builds(
    Parcel,
    card=st.binary(max_size=300),
    blobs=st.sampled_from((MODEL_FILES, ONNX_FILES)).flatmap(
        lambda names: st.fixed_dictionaries(dict.fromkeys(names, HASHES))
    ),
    words=st.dictionaries(st.sampled_from(WORDS), st.binary(max_size=300)),
)
NOTICES = st.builds(
    Notice,
    name=LINES,
    quantization=LINES,
    licence=LINES,
    size=SIZES,
    parameters=SIZES,
    card=HASHES,
    parcel=HASHES,
)


@given(PARCELS)
def test_a_parcel_comes_back_as_it_was_sent(parcel: Parcel) -> None:
    assert Parcel.decode(parcel.encode()) == parcel


@given(NOTICES)
def test_a_notice_comes_back_as_it_was_written(notice: Notice) -> None:
    data = notice.encode()
    if len(data) <= MAX_NOTICE:
        assert Notice.decode(data) == notice
    else:
        with pytest.raises(BadEncoding):
            Notice.decode(data)


@given(st.binary(max_size=300), PARCELS, st.integers(0, 2_000), st.binary(min_size=1, max_size=4))
def test_any_bytes_are_one_of_them_or_refused(
    data: bytes, parcel: Parcel, place: int, harm: bytes
) -> None:
    whole = parcel.encode()
    for raw in (data, whole[:place], whole[:place] + harm + whole[place + len(harm) :]):
        for kind in (Parcel, Notice):
            try:
                read = kind.decode(raw)
            except BadEncoding:
                continue
            assert read.encode() == raw


def changed(value: dict[str, object], **fields: object) -> bytes:
    return encode({**value, **fields})


@given(PARCELS)
def test_a_parcel_of_another_version_or_with_other_files_is_refused(parcel: Parcel) -> None:
    value = decode_object(parcel.encode(), MAX_PARCEL)
    strange = {
        "v": (2, True, "1"),
        "card": (None, to_text(bytes(MOST_CARD_BYTES + 1))),
        "blobs": ({}, {**parcel.blobs, "../escape": "0" * 64}, dict.fromkeys(MODEL_FILES, "x")),
        "words": ({"other.json": ""}, {"quality.json": 7}),
        "more": (1,),
    }
    for name, values in strange.items():
        for one in values:
            with pytest.raises(BadEncoding):
                Parcel.decode(changed(value, **{name: one}))


def test_a_notice_that_would_confuse_a_terminal_or_a_reader_is_refused(
    small_bundle: Bundle,
) -> None:
    notice = notice_of(small_bundle, "0" * 64)
    assert Notice.decode(notice.encode()) == notice
    value = {"v": 1, **asdict(notice)}
    for name, one in (("name", "a\x1b[2J"), ("licence", "x" * 81), ("size", -1), ("card", "0")):
        with pytest.raises(BadEncoding):
            Notice.decode(changed(value, **{name: one}))


def test_figures_are_the_sharers_word_until_somebody_measures_here(small_bundle: Bundle) -> None:
    folder = small_bundle.folder
    assert words_beside(folder) == {}
    (folder / "quality.json").write_bytes(b"{}")
    (folder / "accuracy.json").write_bytes(bytes(MAX_WORD + 1))
    words = words_beside(folder)
    assert words == {"quality.json": b"{}"}
    assert told_by(folder, "quality.json") is None
    (folder / ORIGIN).write_bytes(origin("device-key", words))
    assert told_by(folder, "quality.json") == "device-key"
    assert told_by(folder, "accuracy.json") is None
    (folder / "quality.json").write_bytes(b'{"measured": "here"}')
    assert told_by(folder, "quality.json") is None
    for damaged in (b"", b"[]", b"\xff", b'{"words": 1, "device": ""}'):
        (folder / ORIGIN).write_bytes(damaged)
        assert told_by(folder, "quality.json") is None


def test_files_that_are_not_those_of_the_card_are_never_seen_in_place(
    small_bundle: Bundle, tmp_path: Path
) -> None:
    made, target = tmp_path / "came", tmp_path / "models" / "other-int8"
    made.mkdir()
    for name in MODEL_FILES:
        (made / name).write_bytes((small_bundle.folder / name).read_bytes())
    (made / "openvino_model.bin").write_bytes(b"something else")
    body = (small_bundle.folder / CARD).read_bytes()
    with pytest.raises(RefusedModel, match=r"openvino_model\.bin is not the file"):
        place_bundle(made, {CARD: body}, target)
    assert [path.name for path in target.parent.iterdir()] == ["tiny-int8"]


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "a\nb"},
        {"name": 7},
        {"quantization": "int8/../../../escape"},
        {"chat": ["{user}"]},
        {"context": 0},
        {"parameters": 1.5},
        {"stop_ids": [-1]},
        {"stop_ids": ["2"]},
        {"stop_ids": list(range(100))},
        {"plans": "yes"},
        {"judge_accuracy": 7},
        {"licence": "x" * 300},
        {"files": {}},
        {"other": 1},
    ],
)
def test_a_card_with_a_field_that_means_nothing_is_refused(
    small_bundle: Bundle, fields: dict[str, object]
) -> None:
    raw = orjson.loads((small_bundle.folder / CARD).read_bytes())
    with pytest.raises(RefusedModel, match="the card cannot be read"):
        parse_card(orjson.dumps(raw | fields), "hive:0")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_card_or_refused(data: bytes) -> None:
    with pytest.raises(RefusedModel):
        parse_card(data, "hive:0")
