"""Whether a device is well, and whether it is ready for work: a judgement on its vitals, in words.

Unhealthy means that a restart or a person is needed; not ready means that it is of no use to others
just now. Pure.
"""

from typing import Final

from pockethive.vitals import Vitals

LEAST_FREE: Final = 50_000_000  # bytes; below, SQLite and blobs will soon fail
MOST_LAG: Final = 5.0  # seconds


def illnesses(vitals: Vitals) -> tuple[str, ...]:
    """Why the device is not well; nothing when it is."""
    found = []
    if vitals.fault:
        found.append(f"its machines crashed: {vitals.fault}")
    if vitals.disk_free < LEAST_FREE:
        found.append(f"only {vitals.disk_free / 1e6:.0f} MB are free on the home's disk")
    if vitals.lag > MOST_LAG:
        found.append(f"its loop was late by {vitals.lag:.1f} s in the last minute")
    return tuple(found)


def obstacles(vitals: Vitals) -> tuple[str, ...]:
    """Why the device is not ready; illnesses among them."""
    found = list(illnesses(vitals))
    if vitals.draining:
        found.append("it is leaving")
    if vitals.joining and not vitals.node.peers:
        found.append("it knows no peer")
    return tuple(found)
