"""What else goes on at a device: load by others, power, heat, its user. Read from /proc and /sys.

Guards: what a system does not tell is unknown, never guessed; on macOS and Windows all of it is.
As monitors in containers do, HOST_PROC and HOST_SYS name the host's folders. psutil would tell load
and power on more systems, for a compiled dependency; but not whose load it is, nor of the user.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

from pockethive.core.idle import Reading

_MAX_TREE = 4_096
_BUSY = (0, 1, 2, 5, 6, 7)  # user, nice, system, irq, softirq, steal; guest is in user
_WAITING = (3, 4)  # idle, iowait


@dataclass(slots=True)
class Activity:
    """`read` compares with the look before; the first one knows no load. One thread at a time."""

    proc: Path = field(default_factory=lambda: Path(os.environ.get("HOST_PROC", "/proc")))
    sys: Path = field(default_factory=lambda: Path(os.environ.get("HOST_SYS", "/sys")))
    own: Path = Path("/proc")  # where this process finds itself
    _before: tuple[int, int, int] | None = None

    def read(self) -> Reading:
        """One look. Never raises OSError."""
        plugged, battery = self._power()
        return Reading(
            load=self._load(),
            plugged=plugged,
            battery=battery,
            celsius=self._heat(),
            user_idle=self._user_idle(),
        )

    def _load(self) -> float | None:
        """Of all cores, what neither this process nor its children took since the last look."""
        line = _text(self.proc / "stat").partition("\n")[0].split()
        if len(line) < 9 or line[0] != "cpu":
            return None
        ticks = [int(part) if part.isdecimal() else 0 for part in line[1:]]
        busy = sum(ticks[place] for place in _BUSY)
        now = busy, busy + sum(ticks[place] for place in _WAITING), self._own_ticks()
        before, self._before = self._before, now
        if before is None or now[1] <= before[1]:
            return None
        others = (now[0] - before[0]) - (now[2] - before[2])
        return min(1.0, max(0.0, others / (now[1] - before[1])))

    def _own_ticks(self) -> int:
        """Of this process, its children, theirs, and of those that have ended."""
        total, waiting, seen = 0, [os.getpid()], set[int]()
        while waiting and len(seen) < _MAX_TREE:
            pid = waiting.pop()
            if pid in seen:
                continue
            seen.add(pid)
            parts = _text(self.own / str(pid) / "stat").rpartition(")")[2].split()
            total += sum(map(int, parts[11:15]))  # utime, stime and those of ended children
            waiting.extend(self._children(pid))
        return total

    def _children(self, pid: int) -> list[int]:
        """Of all its threads; none of a process that ended meanwhile."""
        try:
            files = list((self.own / str(pid) / "task").glob("*/children"))
        except OSError:
            return []
        return [int(child) for file in files for child in _text(file).split()]

    def _power(self) -> tuple[bool | None, float | None]:
        """On mains power, and the charge; (None, None) without any battery."""
        mains, levels, charging = list[bool](), list[float](), False
        for supply in sorted((self.sys / "class" / "power_supply").glob("*")):
            kind = _text(supply / "type")
            if kind in ("Mains", "USB") and (online := _text(supply / "online")):
                mains.append(online != "0")
            elif kind == "Battery" and _text(supply / "scope") != "Device":  # not a mouse's
                level = _text(supply / "capacity")
                levels += [int(level) / 100] if level.isdecimal() else []
                charging = charging or _text(supply / "status") in ("Charging", "Full")
        if not levels:
            return None, None
        return charging or any(mains), min(levels)

    def _heat(self) -> float | None:
        texts = [_text(p) for p in (self.sys / "class" / "thermal").glob("thermal_zone*/temp")]
        return max((int(text) / 1_000 for text in texts if text.isdecimal()), default=None)

    def _user_idle(self) -> float | None:
        """Unknown: logind tells it on D-Bus and X by its own protocol; we speak neither."""
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
