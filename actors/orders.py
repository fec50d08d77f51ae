"""What the hands may ask of a device's agents."""

from typing import Any, Protocol

from pockethive.actors.skill import Work
from pockethive.core.effects import RunChecks, RunReplica, RunSkill, WorkHere
from pockethive.core.events import ReplicaFailed, SkillFailed
from pockethive.core.task import TaskId
from pockethive.planners.context import Plan


def failed(effect: RunSkill | RunReplica | WorkHere, reason: str) -> SkillFailed | ReplicaFailed:
    """What machines are told of an order that ended without an output."""
    if isinstance(effect, RunReplica):
        return ReplicaFailed(task=effect.task.id, reason=reason)
    task = effect.task.id if isinstance(effect, RunSkill) else effect.task
    return SkillFailed(task=task, epoch=effect.epoch, reason=reason)


class Crew(Protocol):
    """The agents of a device. All return at once; agents report by themselves."""

    def do(self, effect: RunSkill | RunReplica, work: Work) -> None:
        """Let an agent with the task's skill work."""

    def work_here(self, effect: WorkHere) -> None:
        """Let an agent work on what concerns this device alone."""

    def check(self, effect: RunChecks, work: Work, output: dict[str, Any]) -> None:
        """Let a verifier judge."""

    def stop(self, task: TaskId, epoch: int) -> None:
        """Drop what is being done for a task."""

    async def plan(self, goal: str) -> Plan:
        """Have a goal planned. Raises PocketHiveError."""
