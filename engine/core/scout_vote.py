"""A scout's part in a vote: it pledges what it made, opens it to the owner, signs what won.

Guards: before the vote is counted nothing but the pledge leaves this device, and the opening goes
to the owner's device alone.
"""

from collections.abc import Iterator

from pockethive.core.ballot import pledge_of
from pockethive.core.effects import Effect, OpenBlob, Publish, Send
from pockethive.core.entry import Ballot, Entry, Kind, Output, Pledge, Waiver
from pockethive.core.events import SkillDone
from pockethive.core.message import AskOpening, Opened
from pockethive.core.scout_job import Job, Stage
from pockethive.core.task import DeviceId

Effects = Iterator[Effect]

OUTVOTED = "its answer was outvoted"


def pledge(job: Job, done: SkillDone, device: DeviceId) -> Effects:
    """Keep an answer, and publish what binds this device to it."""
    job.answer, job.stage = done, Stage.SIGNING
    body = Pledge(
        task=job.task.id,
        epoch=job.lease.epoch,
        pledge=pledge_of(job.task.id, device, done.nonce, done.output),
    )
    job.made = Publish(kind=Kind.PLEDGE, body=body, expires=job.task.expires)
    yield job.made


def sign(job: Job, done: SkillDone) -> Effects:
    """Publish an output."""
    body = Output(
        task=done.task,
        epoch=done.epoch,
        output=done.output,
        size=done.size,
        model=done.model,
        inputs=done.inputs,
        tokens=done.tokens,
    )
    job.stage = Stage.SIGNING
    job.made = Publish(kind=Kind.OUTPUT, body=body, expires=job.task.expires)
    yield job.made


def opened(job: Job, ask: AskOpening) -> Effects:
    """Open the pledge, if it is the one that is meant. Two machines of a device may have one."""
    entry, answer = job.pledge, job.answer
    if answer is None or entry is None or not isinstance(entry.body, Pledge):
        return
    if entry.body.pledge == ask.pledge:
        message = Opened(task=job.task.id, nonce=answer.nonce, output=answer.output)
        yield Send(to=job.task.owner, message=message)


def is_count(entry: Entry, task_owner: DeviceId) -> bool:
    """Whether the owner says with it how a vote ended."""
    return entry.author == task_owner and isinstance(entry.body, Ballot | Waiver)


def has_won(job: Job) -> bool | None:
    """Whether the answer here is the one that counts; None as long as there is no telling."""
    counted = None if job.counted is None else job.counted.body
    if job.answer is None or not isinstance(counted, Ballot | Waiver):
        return None
    return counted.output == job.answer.output


def reveal(job: Job) -> Effects:
    """Sign the answer that won, and let others fetch it."""
    assert job.answer is not None
    yield OpenBlob(output=job.answer.output)
    yield from sign(job, job.answer)
