"""Who is asked to judge an output: drawn by lot among the devices that the run began with.

Guards: nobody can choose the judges of an output. The lot is a hash under a secret of the run's
owner, so its worker cannot try for friends; who joins when a task is known comes last; and a
witness gives verify slots to those alone whom the owner has invited, so that being fast helps none.
"""

from collections.abc import Callable, Collection, Iterable

from pockethive.core.canonical import digest_after
from pockethive.core.entry import Entry, Invite, Output
from pockethive.core.task import DeviceId, Task, TaskId


def draw(secret: bytes, task: TaskId, epoch: int) -> Callable[[DeviceId], bytes]:
    """Devices' lots for what is made of a task at an epoch, 32 bytes; the smallest is asked first.

    Another epoch is another draw: who judged the last output tells nothing of the next.
    """
    lot = digest_after("lot", secret, task.encode(), b"%d" % epoch)
    return lambda device: lot(device.encode())


def line(
    lots: Iterable[tuple[bytes, DeviceId]], founders: Collection[DeviceId]
) -> tuple[DeviceId, ...]:
    """Devices in the order of their lots; those that joined after the run began at the end."""
    ordered = sorted((device not in founders, drawn, device) for drawn, device in lots)
    return tuple(device for _, _, device in ordered)


def invites(entry: Entry, task: Task, output: Entry, device: DeviceId) -> bool:
    """Whether `entry` is the owner's word that `device` was drawn to judge `output`."""
    made = output.body
    return isinstance(made, Output) and invites_to(entry, task, (made.epoch, made.output), device)


def invites_to(entry: Entry, task: Task, made: tuple[int, str], device: DeviceId) -> bool:
    """As `invites`, for an output known by its epoch and hash."""
    body = Invite(task=task.id, epoch=made[0], output=made[1], verifier=device)
    return entry.author == task.owner and entry.body == body
