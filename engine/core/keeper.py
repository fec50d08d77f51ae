"""The keeper: holds a copy of an output for a run's owner, so that it outlives its maker.

Guards: a copy is kept for the owner of the task alone, under the task's own label, and said to be
held only when it is.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pockethive.core.effects import Effect, KeepOutput, Send
from pockethive.core.entry import Output
from pockethive.core.events import Event, Leaving, MembersChanged, MessageArrived, OutputKept
from pockethive.core.labels import Label
from pockethive.core.message import Keep, Progress
from pockethive.core.task import DeviceId, Task, TaskId

MAX_FETCHES = 64

Effects = Iterator[Effect]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeeperSettings:
    """Who holds. `lends`: also for other owners' runs."""

    device: DeviceId
    owner_key: str
    lends: bool = True


class Keeper:
    """`handle` is the only way in."""

    def __init__(self, settings: KeeperSettings) -> None:
        self._settings = settings
        self._fetching: dict[tuple[TaskId, str], tuple[DeviceId, int]] = {}
        self._owners: dict[DeviceId, str] = {}
        self._leaving = False

    def handle(self, event: Event, now: float) -> tuple[Effect, ...]:  # noqa: ARG002 - no time here
        """Take one event; return what is to be done."""
        return tuple(self._handle(event))

    def _handle(self, event: Event) -> Effects:
        match event:
            case MembersChanged(members=members):
                self._owners = {member.device: member.owner_key for member in members}
            case Leaving():
                self._leaving = True
            case MessageArrived(sender=sender, message=Keep() as keep):
                yield from self._asked(sender, keep)
            case OutputKept(task=task, output=output, kept=kept):
                owner, epoch = self._fetching.pop((task, output), (None, 0))
                if owner is not None:
                    yield _told(owner, task, epoch, held=kept)

    def _asked(self, sender: DeviceId, keep: Keep) -> Effects:
        task, made = keep.entry.body, keep.output.body
        if not isinstance(task, Task) or not isinstance(made, Output):
            return
        if sender != task.owner or made.task != task.id:
            return
        key = (task.id, made.output)
        if key in self._fetching:
            return
        if self._leaving or len(self._fetching) >= MAX_FETCHES or not self._may(task):
            yield _told(task.owner, task.id, made.epoch, held=False)  # another is asked at once
            return
        self._fetching[key] = (task.owner, made.epoch)
        yield KeepOutput(task=task, output=keep.output)

    def _may(self, task: Task) -> bool:
        own = self._settings.owner_key == task.owner_key == self._owners.get(task.owner)
        if task.label is Label.DEVICE:
            return False
        return own or (self._settings.lends and task.label is not Label.PEOPLE)


def _told(owner: DeviceId, task: TaskId, epoch: int, *, held: bool) -> Send:
    state = "holding" if held else "unheld"
    return Send(to=owner, message=Progress(task=task, epoch=epoch, state=state, reason=""))
