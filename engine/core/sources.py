"""The committed outputs a task reads, found and proven by whoever works on it.

Rule guarded here: an input is what the acks of its task's own witnesses prove, whoever names it.
"""

from pockethive.core.effects import ReadTask
from pockethive.core.events import TaskRead
from pockethive.core.fold import TaskView, fold
from pockethive.core.people import same_owner
from pockethive.core.ports import VerifySignature
from pockethive.core.task import DeviceId, Task, TaskId

Resolved = tuple[tuple[str, str, tuple[DeviceId, ...]], ...]
"""(source's name, hash of its committed output, devices that hold it) each."""

READ_ATTEMPTS = 6
READ_AGAIN_SECONDS = 0.5


class Sources:
    """The reading of one task's sources. `resolved` is complete when `ready`."""

    def __init__(
        self, inputs: tuple[tuple[str, TaskId], ...], reader: Task, verify: VerifySignature
    ) -> None:
        self._names = {task: name for name, task in inputs}
        self._reader, self._verify = reader, verify
        self._found: dict[TaskId, TaskView] = {}
        self._attempts = 0

    @property
    def ready(self) -> bool:
        """Every source is there."""
        return len(self._found) == len(self._names)

    @property
    def hopeless(self) -> bool:
        """It was tried often enough."""
        return not self.ready and self._attempts >= READ_ATTEMPTS

    @property
    def resolved(self) -> Resolved:
        """What was found, in the order of the inputs."""
        found = []
        for task, name in self._names.items():
            view = self._found.get(task)
            if view is not None and view.output is not None:
                found.append((name, view.output, view.holders))
        return tuple(found)

    def read(self) -> tuple[ReadTask, ...]:
        """Read what is not there yet; call it again after `READ_AGAIN_SECONDS` until `ready`.

        Acks prove a commit wherever it is held: the first time, this device's own store will do.
        """
        self._attempts += 1
        near = self._attempts == 1
        missing = (task for task in self._names if task not in self._found)
        return tuple(ReadTask(task=task, here=near) for task in missing)

    def take(self, event: TaskRead) -> None:
        """Note what was read, when it proves a commit of the same owner's task with its maker."""
        if event.task not in self._names:
            return
        theirs = [
            entry
            for entry in event.entries
            if not isinstance(entry.body, Task) or same_owner(entry.body, self._reader)
        ]
        view = fold(theirs, self._verify, event.task)
        if view is None:
            return
        if view.commit is not None and view.worker is not None:
            self._found[event.task] = view
