"""Watching devices that owe something: a few pings without answer and a device counts as lost.

Lost for longer, it is `gone`: who only restarts keeps what others would have to be named for.
"""

from collections.abc import Iterable

from pockethive.core.effects import Ping
from pockethive.core.task import DeviceId

PING_SECONDS = 1.5
LOST_SHARE = 0.25  # of the time that a device is lost, between two pings of it
MAX_DOUBTED = 64
GONE_SECONDS = 10.0  # a lost device that is not back by then may be replaced: restarts are shorter
UNSTEADY_SECONDS = 60.0  # one that was lost is named as a witness after the others for so long
MISSES = 3  # with a ping's own time limit of a second, a death is noticed within six


class Watch:
    """Who is alive, as far as this device knows. A lost device that answers is back."""

    def __init__(self, device: DeviceId) -> None:
        self._device = device
        self._misses: dict[DeviceId, int] = {}
        self._pinged: dict[DeviceId, float] = {}
        self._alive: dict[DeviceId, float] = {}
        self._doubted: set[DeviceId] = set()
        self._process: dict[DeviceId, str] = {}
        self._fell: dict[DeviceId, float] = {}  # when it was lost last
        self.lost: set[DeviceId] = set()
        self.gone: set[DeviceId] = set()

    def pings(self, devices: Iterable[DeviceId], now: float) -> tuple[Ping, ...]:
        """Pings that are due, for the devices that owe something now.

        One that is lost and owes nothing is asked ever more rarely: it may be gone for good.
        """
        due, soon = [], {*devices, *self._doubted}
        for device in sorted(soon | self.lost):
            gone = 0.0 if device in soon else LOST_SHARE * (now - self._fell[device])
            pause = max(PING_SECONDS, gone)
            if device == self._device or now < self._pinged.get(device, 0.0) + pause:
                continue
            self._pinged[device] = now
            due.append(Ping(device=device))
        return tuple(due)

    def answered(self, device: DeviceId, *, alive: bool, now: float) -> bool:
        """Note a ping's end; True when the device counts as lost from now on."""
        if alive:
            self.lost.discard(device)
            self.gone.discard(device)
            self._doubted.discard(device)
            self._misses.pop(device, None)
            self._alive[device] = now
            return False
        self._misses[device] = self._misses.get(device, 0) + 1
        if self._misses[device] < MISSES or device in self.lost:
            return False
        self.lost.add(device)
        self._fell[device] = now
        self._doubted.discard(device)
        return True

    def restarted(self, device: DeviceId, process: str, now: float) -> bool:
        """Note which process answers; True when it is another than before, which has forgotten."""
        before = self._process.get(device, process)
        self._process[device] = process
        if before == process:
            return False
        self._fell[device] = now
        return True

    def settle(self, now: float) -> bool:
        """Count as gone who has been lost for long; True when there is one more."""
        gone = {device for device in self.lost if now >= self._fell[device] + GONE_SECONDS}
        more = gone > self.gone
        self.gone |= gone
        return more

    def unsteady(self, now: float) -> frozenset[DeviceId]:
        """Devices that are lost, or were not long ago."""
        return frozenset(d for d, at in self._fell.items() if now < at + UNSTEADY_SECONDS)

    def doubt(self, device: DeviceId) -> None:
        """A message did not reach it: ping it soon, whether it owes something or not."""
        if device != self._device and len(self._doubted) < MAX_DOUBTED:
            self._doubted.add(device)
            self._pinged.pop(device, None)

    def heard(self, device: DeviceId, now: float) -> None:
        """A message is as good as an answer."""
        self.answered(device, alive=True, now=now)

    def last_alive(self, device: DeviceId) -> float | None:
        """When it was heard of last, if ever."""
        return self._alive.get(device)

    def forget(self, known: Iterable[DeviceId]) -> None:
        """Keep notes only of devices that are still members."""
        members = set(known)
        for notes in (self._misses, self._pinged, self._alive, self._process, self._fell):
            for device in [device for device in notes if device not in members]:
                del notes[device]
        self.lost &= members
        self.gone &= members
        self._doubted &= members
