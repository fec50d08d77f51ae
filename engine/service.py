"""What `pockethive node` runs beside its device: a control socket, metrics, and the card that says
where both are. Everything happens on the device's loop.

Guards: a file left behind by a killed process is replaced, never trusted; metrics stay on loopback
unless asked, and asking is said in the log.
"""

import asyncio
import ipaddress
import json
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pockethive import __version__
from pockethive.actors.alive import PING_METHOD, PING_SECONDS, lends_now
from pockethive.actors.roster import Roster
from pockethive.control import Card, ControlServer
from pockethive.core.canonical import from_text, to_text
from pockethive.core.errors import BadInput, Failure, PocketHiveError
from pockethive.device import Device
from pockethive.dht.contact import Contact
from pockethive.health import illnesses, obstacles
from pockethive.metrics import CONTENT_TYPE, exposition
from pockethive.model_ways import ModelWays
from pockethive.reading import own_key, read_entries
from pockethive.vitals import LagWatch, Vitals, take_vitals
from pockethive.web import Page, WebServer

_log = logging.getLogger(__name__)

MAX_LISTED: Final = 1_000
MAX_ASKED: Final = 64  # members that are asked whether they lend themselves now


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSettings:
    """`metrics`: where to serve them, None: nowhere; port 0 takes any free one."""

    metrics: tuple[str, int] | None = None


class NodeService:
    """Beside one running device. `start` and `stop` on its loop."""

    def __init__(self, device: Device, settings: ServiceSettings) -> None:
        self._device, self._settings = device, settings
        self._began, self._lag = time.monotonic(), LagWatch()
        self._web = WebServer(
            {"/metrics": self._metrics, "/health": self._health, "/ready": self._ready}
        )
        self._models = ModelWays(device)
        self._control = ControlServer(
            {
                **self._models.ways,
                "status": self._status,
                "peers": self._peers,
                "get": self._get,
                "put": self._put,
                "runs": self._runs,
            }
        )

    async def start(self) -> Card:
        """Listen, and say where. Raises NetworkError, Failure."""
        device, metrics = self._device, ""
        self._models.start()
        folder = device.settings.folder
        if self._settings.metrics is not None:
            host, port = await self._web.start(*self._settings.metrics)
            self._lag.start()
            metrics = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            if not _is_loopback(host):
                _log.warning("metrics can be read by whoever reaches %s", metrics)
        card = Card(
            pid=os.getpid(),
            device=device.id,
            contact=str(device.contact),
            socket=str(await self._control.start(folder)),
            metrics=metrics,
        )
        await asyncio.to_thread(card.write, folder)
        return card

    async def stop(self) -> None:
        """Close both, and take the card away."""
        self._lag.stop()
        await self._models.stop()
        await self._web.stop()
        await self._control.stop()
        card = self._device.settings.folder / "node.json"
        card.unlink(missing_ok=True)

    def vitals(self) -> Vitals:
        """The device now."""
        return take_vitals(self._device, self._began, self._lag)

    # pages

    def _metrics(self) -> Page:
        return Page(200, CONTENT_TYPE, exposition(self.vitals()).encode())

    def _health(self) -> Page:
        return _verdict(illnesses(self.vitals()))

    def _ready(self) -> Page:
        return _verdict(obstacles(self.vitals()))

    # requests on the control socket

    async def _status(self, _: Mapping[str, Any]) -> dict[str, Any]:
        vitals, device = self.vitals(), self._device
        return {
            "version": __version__,
            "pid": os.getpid(),
            "device": device.id,
            "contact": str(device.contact),
            "hive": device.parts.hive_name,
            "well": not illnesses(vitals),
            "ready": not obstacles(vitals),
            "reasons": list(obstacles(vitals)),
            "wall": time.time(),
            "released": {
                f"{label} to {audience}": {"count": one.times, "bytes": one.size}
                for (label, audience), one in sorted(device.parts.egress.counts.items())
            },
            **_numbers(vitals),
        }

    async def _peers(self, _: Mapping[str, Any]) -> list[dict[str, Any]]:
        parts = self._device.parts
        await parts.arrival.wait()
        listed = peers_of(parts.roster, parts.node.contacts())
        members = [line for line in listed if line["member"]][:MAX_ASKED]
        lends = await asyncio.gather(*(self._lends(line["contact"]) for line in members))
        for line, lending in zip(members, lends, strict=True):
            line["lends"] = lending
        return listed

    async def _lends(self, contact: str) -> bool | None:
        """Whether a device works for other owners now; None: it does not say."""
        try:
            answer = await self._device.parts.egress.tell(
                Contact.parse(contact), PING_METHOD, b"", timeout=PING_SECONDS
            )
        except PocketHiveError:
            return None
        return lends_now(answer)

    async def _get(self, request: Mapping[str, Any]) -> list[dict[str, Any]]:
        key, careful = _text(request, "key"), request.get("careful", False)
        if not isinstance(careful, bool):
            raise BadInput("careful is true or false")
        parts, hive = self._device.parts, self._device.parts.network
        await parts.arrival.wait()
        seen = await read_entries(parts.node, parts.entries, key, hive=hive, careful=careful)
        return [entry.to_json() for entry in seen]

    async def _runs(self, request: Mapping[str, Any]) -> list[dict[str, Any]]:
        from pockethive.elsewhere import runs_elsewhere  # a node that nobody asks needs none of it

        found = await runs_elsewhere(self._device.parts, _text(request, "name"))
        return [run.to_json() for run in found]

    async def _put(self, request: Mapping[str, Any]) -> dict[str, Any]:
        seconds = request.get("seconds")
        if type(seconds) is not int:
            raise BadInput("a note lives for a whole number of seconds")
        value = from_text(_text(request, "value"))
        parts = self._device.parts
        key = own_key(_text(request, "key"), parts.network)
        await parts.arrival.wait()
        copies = await parts.egress.note(key, value, seconds, _text(request, "slot"))
        return stored(copies)


def stored(copies: int) -> dict[str, Any]:
    """What `put` answers. Raises Failure: no copy was kept."""
    if not copies:
        raise Failure(
            "the note was not kept: earlier ones in this slot live longer",
            cure="give it a longer --life, or another --slot",
        )
    return {"copies": copies}


def peers_of(roster: Roster | None, contacts: Any) -> list[dict[str, Any]]:
    """The peers in the routing table, and what is known of them as devices of the hive."""
    listed = []
    for contact in list(contacts)[:MAX_LISTED]:
        known = to_text(contact.public)
        member = None if roster is None else roster.member(known)  # type: ignore[arg-type]
        line: dict[str, Any] = {"device": known, "contact": str(contact), "member": bool(member)}
        if member is not None:
            line |= {"works": member.works, "documents": member.documents}
        listed.append(line)
    return listed


def _numbers(vitals: Vitals) -> dict[str, Any]:
    node = vitals.node
    return {
        "uptime": round(vitals.uptime, 1),
        "members": vitals.members,
        "peers": node.peers,
        "records": {"count": node.records, "bytes": node.record_bytes},
        "cells": node.cells,
        "blobs": {"count": node.blobs, "bytes": node.blob_bytes, "quota": node.blob_quota},
        "sent": {"datagrams": node.sent_datagrams, "bytes": node.sent_bytes},
        "received": {"datagrams": node.received_datagrams, "bytes": node.received_bytes},
        "drops": dict(node.drops),
        "jobs": dict(vitals.jobs),
        "leases": vitals.leases,
        "lending": {"open": vitals.lending.open, "reason": vitals.lending.reason},
        "memory": vitals.memory,
        "cpu": round(vitals.cpu, 3),
        "disk_free": vitals.disk_free,
    }


def _verdict(reasons: tuple[str, ...]) -> Page:
    body = json.dumps({"ok": not reasons, "reasons": list(reasons)}) + "\n"
    return Page(503 if reasons else 200, "application/json", body.encode())


def _text(request: Mapping[str, Any], name: str) -> str:
    value = request.get(name, "")
    if not isinstance(value, str):
        raise BadInput(f"{name} is text")
    return value


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
