"""Notices: what a hive's bulletin says of a task that nobody known takes.

Guards: a notice names no task, run, role or person and carries no text; it says what a device must
be able to do, and whom to ask. The bulletin has 16 shards, and a notice's key says in which it is,
so that whoever looks for work reads as much however many tasks are open.
"""

from collections.abc import Collection
from typing import Final

from pockethive.core.canonical import digest
from pockethive.core.entry import Notice
from pockethive.core.labels import Label
from pockethive.core.notice_codec import MAX_SIZE
from pockethive.core.task import DeviceId, Task, TaskId

SHARDS: Final = 16
LIFE_SECONDS: Final = 300
MAX_OWN: Final = 8  # notices of one author in one shard
MAX_SHARD: Final = 128  # notices in one shard
_OPEN_TO_STRANGERS = frozenset((Label.PUBLIC, Label.HIVE))


def notice_key(task: TaskId) -> str:
    """The opaque key of a task's notice, hex: nobody who does not know the task can tell it."""
    return digest("notice", task.encode()).hex()


def shard_of(key: str) -> int:
    """The shard that a notice stands in, 0 to 15: the first digit of its key."""
    return int(key[0], SHARDS)


def may_post(task: Task) -> bool:
    """Whether a task may be announced to devices that its owner does not know."""
    return task.place is None and task.label in _OPEN_TO_STRANGERS


def notice_of(task: Task) -> Notice:
    """The notice of a task. Its size class is the number of bits of its number of sources."""
    sources = {name for edge in task.after for name in edge.sources}
    return Notice(
        key=notice_key(task.id),
        skill=task.skill,
        size=min(MAX_SIZE, len(sources).bit_length()),
        model="any" if task.needs_model else "",
        label=task.label,
        owner=task.owner,
    )


def fits(notice: Notice, device: DeviceId, skills: Collection[str], *, has_model: bool) -> bool:
    """Whether a device could do what a notice says."""
    return notice.owner != device and notice.skill in skills and (has_model or not notice.model)
