"""What this device did alone leaves it: its entries are signed in batches and put into the DHT.

Guards: nothing is signed before it has ended, and what a run's result says stands in this device's
store soon after; leaving waits for it.
"""

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from pockethive.actors.egress import Egress
from pockethive.actors.entries import Entries
from pockethive.core.entry import Body, Entry
from pockethive.core.errors import PocketHiveError
from pockethive.core.report import Outcome
from pockethive.dht.batch import MAX_BATCH

_log = logging.getLogger(__name__)


class Release:
    """Of one device. On its loop."""

    def __init__(self, entries: Entries, egress: Egress) -> None:
        self._entries, self._egress = entries, egress
        self._going: set[asyncio.Task[None]] = set()

    def begin(self, outcome: Outcome) -> None:
        """Publish what of a run was not signed before, beside everything else."""
        said = _unsigned(outcome)
        first = list(islice(said, MAX_BATCH))
        if first:
            task = asyncio.create_task(self._publish(first, said), name="pockethive-release")
            self._going.add(task)
            task.add_done_callback(self._going.discard)

    async def settled(self) -> None:
        """Wait until all that has begun stands."""
        await asyncio.gather(*self._going, return_exceptions=True)

    async def _publish(
        self, batch: list[tuple[Body, int]], more: Iterator[tuple[Body, int]]
    ) -> None:
        while batch:
            records = [record for record, _ in self._entries.sign_all(batch)]
            try:
                kept = await self._egress.publish_all(records)
            except PocketHiveError as error:
                _log.warning("%d entries of a run were not kept: %s", len(records), error)
            else:
                if kept < len(records):
                    _log.warning("%d entries of a run were not kept", len(records) - kept)
            batch = list(islice(more, MAX_BATCH))
            await asyncio.sleep(0)


def signed_outcome(outcome: Outcome, entries: Entries) -> Outcome:
    """The outcome with every entry signed."""
    signed = iter(entries.sign_all(list(_unsigned(outcome))))
    reports = []
    for report in outcome.tasks:
        own: tuple[Entry, ...] = tuple(next(signed)[1] for _ in report.unsigned)
        reports.append(replace(report, receipts=(*report.receipts, *own), unsigned=()))
    return replace(outcome, tasks=tuple(reports))


def _unsigned(outcome: Outcome) -> Iterator[tuple[Body, int]]:
    return ((body, report.task.expires) for report in outcome.tasks for body in report.unsigned)
