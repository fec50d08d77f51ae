"""Protocols with one rule left out: the checker is worth what it catches.

Each breaks what docs/protocol.md says is safe, and nothing else.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from unittest.mock import patch

from bench.histories.contest import Rules
from pockethive.core.cell import Cell, decode_cell, encode_cell
from pockethive.core.lease import Accepted, Ack, AskCommit, Sealed, WitnessAnswer
from pockethive.core.sealing import Succession
from pockethive.core.sealing import succession as _succession
from pockethive.core.task import Committee
from pockethive.core.witness import Witness, WitnessAsked

Mutant = Callable[[], contextlib.AbstractContextManager[Rules]]


class LateAcks(Witness):
    """Accepts whatever is proven, at whatever epoch it was made: no fencing."""

    def decide(
        self, cell: bytes | None, asked: WitnessAsked, now: float
    ) -> tuple[bytes | None, WitnessAnswer]:
        """As the real one, but a commit at an older epoch is judged as if that epoch were now."""
        request = asked.request
        known = None if cell is None else decode_cell(cell)
        if isinstance(request, AskCommit) and known is not None and request.epoch < known.epoch:
            return self._late(known, request)
        return super().decide(cell, asked, now)

    def _late(self, known: Cell, request: AskCommit) -> tuple[bytes, WitnessAnswer]:
        value = known.accepted or Accepted(request.epoch, request.output)
        ack = Ack(
            task=request.task,
            generation=known.task.committee.generation,
            epoch=request.epoch,
            output=value.output,
        )
        return encode_cell(replace(known, accepted=value)), ack


@contextlib.contextmanager
def no_drift_margin() -> Iterator[Rules]:
    """A holder trusts its lease for as long as it was granted, by its own clock."""
    with patch("pockethive.core.acquisition.usable_until", lambda at, seconds: at + seconds):
        yield Rules()


@contextlib.contextmanager
def forgetful_witness() -> Iterator[Rules]:
    """A witness that restarts has lost its cells, and goes on as if nothing had been."""
    yield Rules(forget=True)


@contextlib.contextmanager
def small_quorum() -> Iterator[Rules]:
    """Three of seven decide: two quorums need not meet."""
    with patch.object(Committee, "__post_init__", lambda self: None):
        yield Rules(quorum=3)


@contextlib.contextmanager
def no_epoch_check() -> Iterator[Rules]:
    """A commit is accepted from a holder whose epoch has passed."""
    yield Rules(witness=LateAcks)


@contextlib.contextmanager
def no_seal() -> Iterator[Rules]:
    """The owner names other witnesses without asking the old ones to stop."""
    yield Rules(seals=False)


@contextlib.contextmanager
def no_wait() -> Iterator[Rules]:
    """The next generation begins while leases of the last may run."""
    yield Rules(waits=False)


@contextlib.contextmanager
def nothing_carried() -> Iterator[Rules]:
    """What the old generation may have committed does not bind the next."""
    with patch("bench.histories.owner.succession", _unbound):
        yield Rules()


def _unbound(
    committee: Committee, seals: Iterable[Sealed], lease_seconds: int
) -> Succession | None:
    left = _succession(committee, seals, lease_seconds)
    return None if left is None else replace(left, bound="")


MUTANTS: dict[str, Mutant] = {
    "no drift margin": no_drift_margin,
    "forgetful witness": forgetful_witness,
    "quorum too small": small_quorum,
    "commit without epoch check": no_epoch_check,
    "replacement without seal": no_seal,
    "replacement without waiting": no_wait,
    "nothing carried over": nothing_carried,
}
