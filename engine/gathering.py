"""Gathering a finished run: the outputs of its sinks, what they cost, and with which model."""

import asyncio
import logging
from concurrent.futures import Future
from typing import Any

from pockethive.core.canonical import encode
from pockethive.core.errors import PocketHiveError
from pockethive.core.report import Outcome, TaskReport
from pockethive.parts import Parts
from pockethive.receipt import Certificate, Receipt, make_receipt
from pockethive.result import Gathered, ModelUsed, Result, make_result

_log = logging.getLogger(__name__)


async def gather_result(ended: "Future[Outcome]", parts: Parts) -> Result:
    """Wait for a run's end and read what it made. Runs on the device's loop."""
    outcome = await asyncio.wrap_future(ended)
    committed = [report for report in outcome.tasks if report.output is not None]
    blobs = await asyncio.gather(*(_output(parts, report) for report in committed))
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
        receipts=_receipt(outcome, parts),
        outputs=tuple(encode(by_name[name]) for name in outcome.sinks if name in by_name),
    )
    return make_result(outcome, gathered)


async def _output(parts: Parts, report: TaskReport) -> dict[str, Any] | None:
    assert report.output is not None
    try:
        return await parts.workbench.output(report.output, report.holders, report.task.label)
    except PocketHiveError as error:
        _log.warning("the output of %s could not be read: %s", report.name, error)
        return None


def _receipt(outcome: Outcome, parts: Parts) -> Receipt:
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
    opening = parts.entries.opening
    return make_receipt(outcome, parts.identity, owner.owner_key, known.values(), opening)


def _tokens(blob: dict[str, Any], kind: str) -> int:
    count = blob.get("tokens", {}).get(kind, 0)
    return count if isinstance(count, int) else 0


def _model(parts: Parts) -> ModelUsed:
    used = parts.model_class
    if used is None:
        return ModelUsed()
    return ModelUsed(name=used.name, quantization=used.quantization, sha256=used.sha256)
