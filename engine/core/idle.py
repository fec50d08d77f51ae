"""The idle gate: whether a device lends itself to others now, by what else is going on there. Pure.

Guards: it closes at once and opens slowly, so that who sits at the device does not notice the hive;
what cannot be read is no reason to close. `now` is a suspend-aware clock in seconds.
"""

from dataclasses import dataclass

ONLY_IDLE = "this device lends itself only while idle"
"""What a device says that gives work back, or takes none, because somebody else needs it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One look at a device; None: not known there.

    Attributes:
        load: of all cores, the share that other processes took since the last look, 0 to 1.
        plugged: on mains power. battery: its charge, 0 to 1. celsius: of the hottest part.
        user_idle: seconds since somebody touched the device.
    """

    load: float | None = None
    plugged: bool | None = None
    battery: float | None = None
    celsius: float | None = None
    user_idle: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSettings:
    """When a device is idle. Seconds, and shares of 1.

    `battery`: unplugged, it lends itself above this charge. `back_off`: after heat or
    unplugging. `gap`: looks that are farther apart prove no quiet between them.
    """

    load: float = 0.3
    battery: float = 0.8
    celsius: float = 85.0
    quiet: float = 60.0
    user: float = 60.0
    back_off: float = 300.0
    gap: float = 30.0


@dataclass(frozen=True, slots=True)
class Lending:
    """Whether a device lends itself to others, and why (not)."""

    open: bool
    reason: str


class Gate:
    """`handle` is the only way in. Closed until the first quiet."""

    def __init__(self, settings: GateSettings) -> None:
        self._settings = settings
        self._quiet_since: float | None = None
        self._seen_at: float | None = None
        self._not_before = 0.0
        self._back_off = ""
        self._plugged: bool | None = None

    def handle(self, reading: Reading, now: float) -> Lending:
        """Take one look at the device."""
        settings = self._settings
        if self._seen_at is not None and now - self._seen_at > settings.gap:
            self._quiet_since = None
        self._seen_at = now
        self._see_strain(reading, now)
        reason = self._busy(reading)
        if reason:
            self._quiet_since = None
            return Lending(open=False, reason=reason)
        if self._quiet_since is None:
            self._quiet_since = now
        if now < self._not_before:
            return Lending(
                open=False,
                reason=f"{self._back_off}; it waits {settings.back_off:.0f} s after that",
            )
        if now - self._quiet_since < settings.quiet:
            return Lending(
                open=False, reason=f"it has not been idle for {settings.quiet:.0f} s yet"
            )
        return Lending(open=True, reason="it is idle")

    def _see_strain(self, reading: Reading, now: float) -> None:
        """Heat and unplugging are waited out, also where they have passed."""
        before, self._plugged = self._plugged, reading.plugged
        if before is True and reading.plugged is False:
            self._back_off, self._not_before = "it was unplugged", now + self._settings.back_off
        if reading.celsius is not None and reading.celsius >= self._settings.celsius:
            self._back_off, self._not_before = "it was hot", now + self._settings.back_off

    def _busy(self, reading: Reading) -> str:
        """Why it is not idle at this moment; empty when it is."""
        settings = self._settings
        if reading.celsius is not None and reading.celsius >= settings.celsius:
            return "it is hot"
        if reading.plugged is False:
            charge = reading.battery
            if charge is None or charge < settings.battery:
                return "it runs on battery"
        if reading.user_idle is not None and reading.user_idle < settings.user:
            return "somebody uses it"
        if reading.load is not None and reading.load > settings.load:
            return "other programs are busy"
        return ""
