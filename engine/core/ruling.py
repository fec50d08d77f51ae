"""Tasks that ask a person: whether the owner of the run has accepted an output.

Guards: the word of a person counts for one output of one worker, and only signed by the device that
keeps the run, as the task names it: not by another of the owner's devices, which may have made it.
Who has said both yes and no has said nothing; no device's verdict stands in its place. Pure, the
same at ledger, witnesses and readers.
"""

from collections.abc import Iterable
from typing import Final

from pockethive.core.entry import Entry, Output, Ruling
from pockethive.core.task import Policy, Task, Verification

HUMAN: Final = "human"  # what the check of a task that asks its owner is called


def by_person(verification: Verification) -> bool:
    """Whether outputs are judged by the owner himself."""
    return any(check.policy is Policy.HUMAN for check in verification.checks)


def asks(task: Task) -> bool:
    """Whether the owner of the run is asked what he thinks of an output of `task`."""
    return by_person(task.verification)


def ruled(task: Task, output: Entry, said: Iterable[Entry]) -> Entry | None:
    """The owner's ruling on `output`; None: there is none, or it contradicts itself."""
    made = output.body
    if not asks(task) or not isinstance(made, Output) or made.task != task.id:
        return None
    about = (made.task, made.epoch, made.output, output.author)
    voices: dict[bool, Entry] = {}
    for entry in sorted(said, key=lambda entry: entry.digest):
        body = entry.body
        if not isinstance(body, Ruling) or entry.author != task.owner:
            continue
        if (body.task, body.epoch, body.output, body.worker) == about:
            voices.setdefault(body.accept, entry)
    return next(iter(voices.values())) if len(voices) == 1 else None


def accepted(task: Task, output: Entry, said: Iterable[Entry]) -> Entry | None:
    """The ruling by which the owner accepted `output`; None while he has not."""
    ruling = ruled(task, output, said)
    yes = ruling is not None and isinstance(ruling.body, Ruling) and ruling.body.accept
    return ruling if yes else None
