"""When an output counts as verified, and by whom. Pure policy, the same at every reader.

Rules guarded here: a verdict never comes from the worker's own device; a device that said both yes
and no has said nothing; an accepting verdict must have run every check of the task's policy. An
output labelled `device` stays on its device: it is attested by its worker, never verified. Only
the owner of an adaptive task may do without verdicts, and only for one output of one worker. What
is recomputed is judged by a ballot with its pledges, and by no verdict (`ballot.py`); what asks a
person by its owner's ruling alone (`ruling.py`).
"""

from collections.abc import Iterable

from pockethive.core import ballot
from pockethive.core.entry import Entry, Kind, Member, Output, Verdict, Waiver
from pockethive.core.entry_codec import MAX_VERDICTS, inputs_fit
from pockethive.core.errors import GraphError
from pockethive.core.graph import TaskGraph
from pockethive.core.labels import Label
from pockethive.core.rescore import fault_of
from pockethive.core.ruling import HUMAN, accepted, asks, by_person
from pockethive.core.task import DeviceId, PlannedTask, Policy, Task
from pockethive.core.task_codec import MAX_CHECKS

_ASK_MODELS = (Policy.CHOOSE, Policy.JUDGE, Policy.RESCORE)


def needed(task: Task) -> int:
    """How many devices must accept; 0 for an output that stays on its device."""
    return 0 if task.label is Label.DEVICE else max(1, task.verification.verdicts)


def satisfied(task: Task, output: Entry, said: Iterable[Entry]) -> bool:
    """Whether enough devices other than the worker's accepted `output` after every check.

    `said` are verdicts and waivers; a waiver of the owner stands in place of all verdicts.
    """
    body = output.body
    if not isinstance(body, Output) or body.task != task.id:
        return False
    if task.place is not None and output.author != task.place:
        return False
    if needed(task) == 0:
        return True
    if not task.verification.checks:
        return False
    return bool(evidence(task, output, said))


def evidence(task: Task, output: Entry, said: Iterable[Entry]) -> tuple[Entry, ...]:
    """What shows that `output` may be committed: as many verdicts as needed, or a ballot with its
    pledges, or its owner's ruling, else a waiver.

    Nothing while there is neither, or where none is needed.
    """
    known = tuple(said)
    if asks(task):
        ruling = accepted(task, output, known)
        return () if ruling is None else (ruling,)
    if ballot.votes(task):
        counted = ballot.proof(task, _made(output), known)
        if counted:
            return counted
    else:
        verdicts = accepting(task, output, known)
        if len(verdicts) >= needed(task):
            return verdicts[: needed(task)]
    waiver = waived(task, output, known)
    return () if waiver is None else (waiver,)


def waived(task: Task, output: Entry, said: Iterable[Entry]) -> Entry | None:
    """The owner's waiver of verdicts on `output`; None: there is none, or the task allows none."""
    made = output.body
    if not task.verification.adaptive or not isinstance(made, Output) or made.task != task.id:
        return None
    body = Waiver(task=task.id, epoch=made.epoch, output=made.output, worker=output.author)
    fitting = (e for e in said if e.body == body and e.author == task.owner)
    return min(fitting, key=lambda entry: entry.digest, default=None)


def rejected(task: Task, output: Entry, verdicts: Iterable[Entry]) -> bool:
    """Whether more devices reject than are wanted to accept: one alone decides nothing.

    A verifier errs, or lies; so a first rejection asks another device.
    """
    against = [entry for entry in judgements(task, output, verdicts) if not _accepts(task, entry)]
    return 0 < needed(task) < len(against)


def accepting(task: Task, output: Entry, verdicts: Iterable[Entry]) -> tuple[Entry, ...]:
    """Verdicts that accept `output`, one per device, in the order of the devices' ids.

    Of a task that is voted on: the pledges of others who made the same, as a ballot shows them.
    """
    if ballot.votes(task):
        counted = ballot.proof(task, _made(output), verdicts)[1:]
        return tuple(entry for entry in counted if entry.author != output.author)
    return tuple(e for e in judgements(task, output, verdicts) if _accepts(task, e))


def judgements(task: Task, output: Entry, verdicts: Iterable[Entry]) -> tuple[Entry, ...]:
    """The verdicts on `output` that count: about it, by others, one each and not contradictory.

    None where its owner is asked: no device stands in for a person.
    """
    if asks(task):
        return ()
    by_device: dict[DeviceId, dict[bool, Entry]] = {}
    for entry in sorted(verdicts, key=lambda entry: entry.digest):
        if _about(task, output, entry):
            assert isinstance(entry.body, Verdict)
            by_device.setdefault(entry.author, {}).setdefault(entry.body.accept, entry)
    one_voiced = (said for _, said in sorted(by_device.items()) if len(said) == 1)
    return tuple(entry for said in one_voiced for entry in said.values())


def able(task: Task, checkers: Iterable[str], *, has_model: bool) -> bool:
    """Whether a device with these checkers can run every check of `task`.

    Choosing, judging and rescoring ask a model; of which class is for `rescore.comparable`. What is
    recomputed is nobody's to check: see `replicates`; nor is what its owner is asked about.
    """
    if asks(task):
        return False
    checks = task.verification.checks
    wanted = {check.checker for check in checks}
    models = any(check.policy in _ASK_MODELS for check in checks)
    return bool(wanted) and wanted <= set(checkers) and (has_model or not models)


def replicates(task: Task, member: Member) -> bool:
    """Whether a device can do `task` again, to vote on it."""
    return task.skill in member.skills and (bool(member.model) or not task.needs_model)


def is_count(entry: Entry) -> bool:
    """Whether an entry belongs to the evidence for a commit, beside the output."""
    return entry.kind in (Kind.VERDICT, Kind.WAIVER, Kind.RULING, Kind.BALLOT, Kind.PLEDGE)


def independent(owner_key: str, worker: Member | None, verifier: Member) -> bool:
    """Whether `verifier` may judge `worker`: another device, and no friend of a stranger.

    Among the run owner's devices each may check the other; a stranger's output is never judged by
    a device of that same stranger. `worker` is None when it is no longer known.
    """
    if worker is None:
        return True
    if verifier.device == worker.device:
        return False
    return worker.owner_key == owner_key or verifier.owner_key != worker.owner_key


def check_plan(graph: TaskGraph) -> None:
    """Refuse plans whose tasks could never be verified.

    Raises:
        GraphError: naming the task and what is wrong with it.
    """
    for task in graph.tasks:
        fault = _fault(task) or fault_of(task)
        if fault:
            raise GraphError(f"task {task.name!r} {fault}")


def _fault(task: PlannedTask) -> str:
    checks, verdicts = task.verification.checks, task.verification.verdicts
    if any(check.policy is Policy.RECOMPUTE for check in checks) and (fault := _vote_fault(task)):
        return fault
    if by_person(task.verification) and (fault := _ask_fault(task)):
        return fault
    if task.label is Label.DEVICE:
        if task.verification.adaptive:
            return "is adaptive, but its label keeps it on its device, where nobody verifies it"
        return ""
    if not checks:
        if task.verification.adaptive:
            return "is adaptive, but has no checks that could earn anybody credit"
        return "has no checks; only outputs labelled `device` may go unverified"
    if len(checks) > MAX_CHECKS:
        return f"has {len(checks)} checks, at most {MAX_CHECKS} are allowed"
    if verdicts > MAX_VERDICTS:
        return f"wants {verdicts} verdicts, at most {MAX_VERDICTS} fit into one commit"
    if not inputs_fit(task.sources):
        return f"reads {len(task.sources)} outputs, which is too many; join them in stages"
    return ""


def _vote_fault(task: PlannedTask) -> str:
    """What is wrong with a task that is to be recomputed."""
    if task.label is Label.DEVICE:
        return "is to be recomputed elsewhere, but its label keeps it on its device"
    if task.place is not None:
        return "is to be recomputed elsewhere, but one device alone may do it"
    if [check.checker for check in task.verification.checks] != [ballot.RECOMPUTE]:
        return "is to be recomputed and checked otherwise, too; `recompute` stands alone"
    return ""


def _ask_fault(task: PlannedTask) -> str:
    """What is wrong with a task that asks its owner."""
    how = task.verification
    if task.label is Label.DEVICE:
        return "is to be judged by its owner, but its label keeps it on its device, unseen"
    if [check.checker for check in how.checks] != [HUMAN] or how.verdicts > 1:
        return "is to be judged by its owner and otherwise, too; `human` stands alone"
    if how.adaptive:
        return "is to be judged by its owner, and adaptive; a person's word is to nobody's credit"
    return ""


def _made(output: Entry) -> str:
    return output.body.output if isinstance(output.body, Output) else ""


def _about(task: Task, output: Entry, entry: Entry) -> bool:
    made, said = output.body, entry.body
    if not isinstance(made, Output) or not isinstance(said, Verdict):
        return False
    return (
        said.task == task.id == made.task
        and (said.epoch, said.output) == (made.epoch, made.output)
        and said.worker == output.author != entry.author
    )


def _accepts(task: Task, entry: Entry) -> bool:
    """A yes without all checks counts as a no."""
    assert isinstance(entry.body, Verdict)
    wanted = {check.checker for check in task.verification.checks}
    return entry.body.accept and wanted <= set(entry.body.checks)
