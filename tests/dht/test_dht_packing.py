"""MessagePack without detours writes and reads what the library does."""

import re

import umsgpack
from hypothesis import given
from hypothesis import strategies as st

from pockethive.dht.packing import pack, unpack

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.integers(0, 200)
    | st.text(max_size=40)
    | st.binary(max_size=300)
    | st.floats(allow_nan=False)
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(), inner)
)


def outcome(data: bytes, *, ours: bool) -> str:
    try:
        value = unpack(data) if ours else umsgpack.unpackb(data)
    except Exception as error:  # noqa: BLE001 - which one it is, is what is compared
        return type(error).__name__
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


@given(VALUES)
def test_what_is_packed_is_the_librarys_bytes_and_reads_back(value: object) -> None:
    assert pack(value) == umsgpack.packb(value)
    assert unpack(pack(value)) == value


@given(VALUES, st.integers(0, 400), st.binary(max_size=3))
def test_damaged_bytes_read_as_the_library_reads_them(value: object, at: int, put: bytes) -> None:
    data = umsgpack.packb(value)
    data = data[: at % (len(data) + 1)] + put + data[at % (len(data) + 1) + 1 :]
    assert outcome(data, ours=True) == outcome(data, ours=False)


@given(st.binary(max_size=60))
def test_noise_reads_as_the_library_reads_it(data: bytes) -> None:
    assert outcome(data, ours=True) == outcome(data, ours=False)


def test_large_bytes_and_deep_lists_are_the_librarys() -> None:
    deep: list[object] = []
    for _ in range(20):
        deep = [deep]
    for value in (bytes(70_000), deep, ["x" * 32], list(range(16)), 128, -1):
        assert pack(value) == umsgpack.packb(value)
        assert unpack(pack(value)) == value
