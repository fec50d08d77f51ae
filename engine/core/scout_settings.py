"""What a scout is told of its device, once.

Guards: whom a device works for is settled before the first offer comes.
"""

from dataclasses import dataclass

from pockethive.core.task import DeviceId, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoutSettings:
    """What this device can do. `concurrency`: tasks worked on at once.

    `owner_key`: work for this owner's runs alone; None lends the device to everybody. `seeks`: look
    for work of owners that do not know this device. `gated`: begin by working for `own_key` alone;
    LendingChanged says when others may have this device.
    """

    device: DeviceId
    skills: frozenset[str]
    has_model: bool
    concurrency: int
    owner_key: str | None = None
    seeks: bool = False
    own_key: str = ""
    gated: bool = False

    def can(self, task: Task) -> bool:
        """Whether this device has what a task needs, and it is not another's."""
        return (
            task.skill in self.skills
            and (self.has_model or not task.needs_model)
            and task.place in (None, self.device)
        )
