"""Gathering a finished run: the outputs of its sinks, what they cost, and with which model."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from pockethive.actors.outbox import Outbox
from pockethive.core.canonical import encode
from pockethive.core.errors import PocketHiveError, ProtocolError
from pockethive.core.outbox import Draft, drafts_of
from pockethive.core.report import Outcome, TaskReport
from pockethive.parts import Parts
from pockethive.receipt import Certificate, Receipt, make_receipt
from pockethive.release import signed_outcome
from pockethive.result import DraftSeen, Gathered, ModelUsed, Result, make_result

_log = logging.getLogger(__name__)

_AT_ONCE = 100


async def gather_result(ended: "Future[Outcome]", parts: Parts) -> Result:
    """Wait for a run's end and read what it made. Runs on the device's loop."""
    outcome = await asyncio.wrap_future(ended)
    committed = [report for report in outcome.tasks if report.output is not None]
    blobs = await _outputs(parts, committed)
    by_name = {
        report.name: blob for report, blob in zip(committed, blobs, strict=True) if blob is not None
    }
    planned = parts.planned_tokens.pop(outcome.run, 0)
    gathered = Gathered(
        sinks=tuple(
            by_name[name]["value"]
            for name in outcome.sinks
            if name in by_name and isinstance(by_name[name]["value"], dict)
        ),
        tokens=(
            planned + sum(_tokens(blob, "prompt") for blob in by_name.values()),
            sum(_tokens(blob, "generated") for blob in by_name.values()),
        ),
        devices=tuple(sorted({member.device for member in parts.roster.members})),
        model=_model(parts),
        proof=_receipt(outcome, parts),
        drafts=await _file_drafts(parts, committed, by_name),
        outputs=tuple(encode(by_name[name]) for name in outcome.sinks if name in by_name),
    )
    parts.release.begin(outcome)
    return make_result(outcome, gathered)


async def _outputs(parts: Parts, reports: list[TaskReport]) -> list[dict[str, Any] | None]:
    """The outputs of committed tasks: those that are here at once, all others side by side."""
    found: list[dict[str, Any] | None] = []
    away: list[tuple[int, TaskReport]] = []
    for place, report in enumerate(reports):
        assert report.output is not None
        here = parts.workbench.at_hand(report.output)
        found.append(here)
        if here is None:
            away.append((place, report))
        if place % _AT_ONCE == _AT_ONCE - 1:
            await asyncio.sleep(0)  # others use the loop, too
    fetched = await asyncio.gather(*(_output(parts, report) for _, report in away))
    for (place, _), value in zip(away, fetched, strict=True):
        found[place] = value
    return found


async def _output(parts: Parts, report: TaskReport) -> dict[str, Any] | None:
    assert report.output is not None
    try:
        return await parts.workbench.output(report.output, report.holders, report.task.label)
    except PocketHiveError as error:
        _log.warning("the output of %s could not be read: %s", report.name, error)
        return None


async def _file_drafts(
    parts: Parts, committed: list[TaskReport], blobs: dict[str, dict[str, Any]]
) -> tuple[DraftSeen, ...]:
    """Put what committed outputs want done into the outbox. A fault costs those of one task."""
    found: list[tuple[TaskReport, tuple[Draft, ...]]] = []
    for report in committed:
        try:
            drafts = drafts_of(blobs.get(report.name, {}).get("value"))
        except ProtocolError as error:
            _log.warning("the drafts of %s were dropped: %s", report.name, error)
            continue
        if drafts:
            found.append((report, drafts))
    if not found or parts.open_outbox is None:
        return ()
    try:
        return await asyncio.to_thread(_file, parts.open_outbox, found)
    except PocketHiveError as error:
        _log.error("drafts of this run are in no outbox: %s", error)
        return ()


def _file(
    open_outbox: Callable[[], Outbox], found: list[tuple[TaskReport, tuple[Draft, ...]]]
) -> tuple[DraftSeen, ...]:
    outbox = open_outbox()
    try:
        acts = [act for r, drafts in found for act in outbox.file(r.id, r.output or "", drafts)]
    finally:
        outbox.close()
    return tuple(
        DraftSeen(act=act.id, kind=act.draft.kind, target=act.draft.target, state=act.state.value)
        for act in acts
    )


def _receipt(outcome: Outcome, parts: Parts) -> Callable[[], Receipt]:
    """Makes the receipt of what is known now; entries that were not signed before are, then."""
    owner = parts.ownership
    own = Certificate(
        device=parts.entries.device, owner_key=owner.owner_key, certificate=owner.certificate
    )
    known = {own.device: own} | {
        member.device: Certificate(
            device=member.device, owner_key=member.owner_key, certificate=member.certificate
        )
        for member in parts.roster.members
    }
    for report in outcome.tasks:  # whose device began a run that was taken over may be gone
        task = report.task
        if task.certificate:
            shown = Certificate(
                device=task.owner, owner_key=task.owner_key, certificate=task.certificate
            )
            known.setdefault(task.owner, shown)
    entries, identity = parts.entries, parts.identity

    def make() -> Receipt:
        signed = signed_outcome(outcome, entries)
        return make_receipt(signed, identity, owner.owner_key, known.values(), entries.opening)

    return make


def _tokens(blob: dict[str, Any], kind: str) -> int:
    count = blob.get("tokens", {}).get(kind, 0)
    return count if isinstance(count, int) else 0


def _model(parts: Parts) -> ModelUsed:
    used = parts.model_class
    if used is None:
        return ModelUsed()
    return ModelUsed(name=used.name, quantization=used.quantization, sha256=used.sha256)
