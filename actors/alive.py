"""What a device answers to a ping: that its machines live, which process it is, whether it lends.

Guards: a node that answers though nobody is left who would work says nothing, and counts as none.
"""

from typing import Final

PING_METHOD: Final = "alive"
PING_SECONDS: Final = 1.0
PROCESS_BYTES: Final = 8
_LIVE: Final = b"machines live"


def alive_answer(process: bytes, *, lends: bool) -> bytes:
    """The answer of a device with live machines. `process`: drawn when it was started."""
    return _LIVE + process + b"%d" % lends


def process_of(answer: bytes) -> str | None:
    """Which process answered; None where no machines live."""
    before, live, said = answer.partition(_LIVE)
    return said[:PROCESS_BYTES].hex() if live and not before else None


def lends_now(answer: bytes) -> bool | None:
    """Whether the device works for other owners now; None where it does not say."""
    said = answer.removeprefix(_LIVE)[PROCESS_BYTES:]
    return said == b"1" if said in (b"0", b"1") else None
