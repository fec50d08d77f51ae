"""How a running device is, at one moment: the numbers that metrics, health and `status` share."""

import asyncio
import os
import shutil
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pockethive.core.idle import Lending
from pockethive.core.ports import ModelFacts
from pockethive.dht.facts import NodeFacts

if TYPE_CHECKING:
    from pockethive.device import Device

LAG_EVERY: Final = 2.0  # seconds between two looks at the loop
LAG_KEPT: Final = 30  # looks: the last minute


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """One look at a device.

    Attributes:
        uptime: seconds since its start. members: devices of the hive known now, itself included.
        jobs: what scout and verifier pursue now. leases: held now.
        answers: what its witness said since the start, by the answer's name.
        lag: the longest that the loop let something due wait in the last minute, seconds.
        disk_free: bytes on the home's disk. joining: it was told whom to meet.
        fault: what its machines crashed of; empty when they did not.
        lending: whether it works for other owners now. model: None: it has loaded none.
    """

    node: NodeFacts
    uptime: float
    members: int
    jobs: Mapping[str, int]
    leases: int
    answers: Mapping[str, int]
    lag: float
    disk_free: int
    memory: int
    cpu: float
    joining: bool
    draining: bool
    fault: str
    lending: Lending
    model: ModelFacts | None = None


class LagWatch:
    """Looks every two seconds how late the loop is. `start` and `stop` on the loop."""

    def __init__(self) -> None:
        self._seen: deque[float] = deque(maxlen=LAG_KEPT)
        self._timer: asyncio.TimerHandle | None = None

    @property
    def worst(self) -> float:
        """Seconds, of the last minute."""
        return max(self._seen, default=0.0)

    def start(self) -> None:
        """Look from now on."""
        loop = asyncio.get_running_loop()
        due = loop.time() + LAG_EVERY
        self._timer = loop.call_at(due, self._look, loop, due)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        self._seen.append(max(0.0, loop.time() - due))
        self.start()


def take_vitals(device: "Device", began: float, lag: LagWatch) -> Vitals:
    """Look at a running device, on its loop. `began` is `time.monotonic()` at its start."""
    parts = device.parts
    scout = parts.machines.get("scout")
    return Vitals(
        node=parts.node.facts(),
        uptime=time.monotonic() - began,
        members=len(parts.roster.members),
        jobs=parts.open_jobs,
        leases=getattr(scout, "leases", 0),
        answers=dict(parts.rules.answers),
        lag=lag.worst,
        disk_free=shutil.disk_usage(device.settings.folder).free,
        memory=resident_bytes(),
        cpu=time.process_time(),
        joining=bool(device.settings.join),
        draining=parts.draining,
        lending=parts.lending,
        model=parts.model_facts,
        fault="" if device.fault is None else repr(device.fault)[:200],
    )


def resident_bytes() -> int:
    """Resident memory of this process; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
