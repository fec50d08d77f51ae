"""Credibility: what an owner has seen of a device himself, and how often he still checks it.

BOINC's adaptive replication (wiki, AdaptiveReplication v10), by (device, model class): a device
with ten verified outputs in a row is believed, but for a share 1/in_a_row of its outputs, drawn by
a secret. Guards: nobody's word counts but the owner's own; one wrong output costs all trust; no
device can tell beforehand which of its outputs will be looked at.
"""

from dataclasses import dataclass
from enum import Enum

from pockethive.core.canonical import digest
from pockethive.core.task import DeviceId, TaskId

LEAST_IN_A_ROW = 10  # below, everything is verified
_BITS = 53  # of a hash, so that the quotient is exact and stays below 1


@dataclass(frozen=True, slots=True)
class Standing:
    """What was seen of one device with one class of models. Only verified outputs count."""

    in_a_row: int = 0
    valid: int = 0
    invalid: int = 0


class Seen(Enum):
    """What became of an output that was to be verified."""

    VALID = "valid"
    INVALID = "invalid"
    WITHDRAWN = "withdrawn"  # its maker took it back, or was gone, before it was judged


@dataclass(frozen=True, slots=True, kw_only=True)
class Credit:
    """The standing of a device with a model class (its SHA-256; empty without a model).

    `fell` says why it last fell, `fell_at` when (unix seconds); empty and 0 if it never did.
    """

    device: DeviceId
    model: str
    standing: Standing
    fell: str = ""
    fell_at: int = 0


def after(standing: Standing, valid: bool) -> Standing:
    """The standing after one more verified output; a wrong one ends the row."""
    if valid:
        return Standing(standing.in_a_row + 1, standing.valid + 1, standing.invalid)
    return Standing(0, standing.valid, standing.invalid + 1)


def seen(standing: Standing, what: Seen) -> Standing:
    """As `after`; one that was withdrawn ends the row, but proves nothing."""
    if what is Seen.WITHDRAWN:
        return Standing(0, standing.valid, standing.invalid)
    return after(standing, what is Seen.VALID)


def trust(standing: Standing) -> float:
    """The share of its outputs that goes unchecked: 0 below ten in a row, then 1 - 1/in_a_row."""
    return 0.0 if standing.in_a_row < LEAST_IN_A_ROW else 1 - 1 / standing.in_a_row


def drawn(secret: bytes, task: TaskId, epoch: int) -> float:
    """A number in [0, 1) that only who knows the secret can tell. Below the trust: no check."""
    number = int.from_bytes(digest("spot check", secret, task.encode(), b"%d" % epoch)[:8], "big")
    return (number >> (64 - _BITS)) / float(2**_BITS)
