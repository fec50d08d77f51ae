"""What devices of a private hive are called: no two of them the same.

Guards: a name that somebody chose is taken as it is or refused; one that nobody chose is numbered
until it is free; a device that is on the list keeps the name it has. Pure.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from pockethive.dht.member_list import MAX_NAME, MAX_NAME_BYTES

_NUMBERED: Final = 8  # then the beginning of the device's key, which is free


def is_taken(name: str, names: Iterable[str]) -> bool:
    """Whether people would take `name` for one of `names`: capitals make no other name."""
    return name.casefold() in {one.casefold() for one in names}


def wishes(chosen: str | None, known: str | None, machine: str, device: bytes) -> Iterator[str]:
    """The names to ask for, one after another until one is free.

    `chosen` is what the user says, `known` what the device (its key) is called on the list now,
    `machine` what stands for a name otherwise.
    """
    if chosen is not None:
        yield chosen
        return
    name = known if known is not None else machine
    yield name
    for number in range(2, _NUMBERED + 1):
        yield _with(name, f"-{number}")
    yield _with(name, f"-{device.hex()[:8]}")


def _with(name: str, end: str) -> str:
    """The name with an end, cut so that both fit."""
    kept = name[: MAX_NAME - len(end)]
    while len((kept + end).encode()) > MAX_NAME_BYTES:
        kept = kept[:-1]
    return kept.rstrip() + end
