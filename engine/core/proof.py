"""What a task's signed entries prove to somebody who was not there, and what they do not.

Rules guarded here: nothing is claimed that a signature does not carry; a fault is named with its
task. The owner of the run is believed in what he signs and in nothing that others must sign: he
chose the witnesses, they acked, devices of others judged. Pure, as `fold`, on which it stands.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pockethive.core.ballot import RECOMPUTE, votes
from pockethive.core.entry import Close, Commit, Entry, Output, Sealing, Verdict
from pockethive.core.errors import ProtocolError
from pockethive.core.fold import TaskView, ackers, fold, generations
from pockethive.core.lease import Accepted, Sealed, seal_bytes
from pockethive.core.ports import VerifySignature
from pockethive.core.rescore import read_again
from pockethive.core.ruling import accepted
from pockethive.core.sealing import candidates
from pockethive.core.signed import signed_by
from pockethive.core.task import Committee, DeviceId, Edge, EdgeKind, Task, TaskId
from pockethive.core.verification import accepting, needed, satisfied


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What holds of one task. Without `task` there is no signed entry, and nothing is proven.

    `committee` decided: that of the committed generation, else the last. `acks`: its witnesses who
    acked. `verifiers` ran all of `checks` and accepted; none where the output is only attested.
    """

    id: TaskId
    task: Task | None = None
    committee: Committee | None = None
    acks: frozenset[DeviceId] = frozenset()
    epoch: int = 0
    output: str | None = None
    size: int = 0
    worker: DeviceId | None = None
    inputs: tuple[tuple[str, str], ...] = ()
    verifiers: tuple[DeviceId, ...] = ()
    checks: tuple[str, ...] = ()
    rescored: str = ""  # the class of the model that wrote it and read it again, hex
    voted: bool = False  # the verifiers did it again and pledged the same, unseen
    on_credit: bool = False  # the owner did without verdicts
    ruled_by: DeviceId | None = None  # the owner's device that signed his own word for it
    closed: str = ""  # why its owner ended it, where nothing was committed
    evidence: tuple[DeviceId, ...] = ()  # devices that signed two things in one place

    @property
    def name(self) -> str:
        """The task's name."""
        return self.id.split("/")[1]

    @property
    def committed(self) -> bool:
        """Whether an output was accepted, once and for all."""
        return self.output is not None


Owners = Mapping[DeviceId, str]
"""The key of the owner who certified a device; devices without a certificate are not in it."""


def prove_task(task: TaskId, entries: Iterable[Entry], verify: VerifySignature) -> Proof:
    """What these entries prove of `task`. Signatures of the entries were checked before.

    Raises ProtocolError, naming the task: they contradict one another, or fall short.
    """
    known = tuple(entries)
    name = task.split("/")[1]
    if any(_about(entry) != task for entry in known):
        raise _fault(name, "an entry belongs to another task")
    if not known:
        return Proof(id=task)
    chain = generations(known, task, verify)
    view = fold(known, verify, task)
    if view is None or not chain:
        raise _fault(name, "the signed task is missing")
    _check_chain(name, known, chain, verify)
    made = next((e for e in view.outputs if _is_made(e, view, known)), None)
    evidence = tuple(sorted({entry.author for entry in view.evidence}))
    if view.commit is None or made is None:
        _check_uncommitted(name, known)
        return _uncommitted(view, evidence)
    return _committed(view, made, chain, evidence, verify)


def check_inputs(proofs: Sequence[Proof]) -> None:
    """See that every committed output was made of committed outputs, and of all it had to wait for.

    Raises ProtocolError, naming the task.
    """
    outputs = {proof.name: proof.output for proof in proofs}
    for proof in proofs:
        if proof.task is None or not proof.committed:
            continue
        for name, sha in proof.inputs:
            if outputs.get(name) != sha:
                raise _fault(proof.name, f"it names an input that is not {name}'s committed output")
        read = {name for name, _ in proof.inputs}
        sources = {name for edge in proof.task.after for name in edge.sources}
        if read - sources:
            raise _fault(proof.name, "it read the output of a task that its plan does not name")
        if not all(_enough(edge, read) for edge in proof.task.after):
            raise _fault(proof.name, "it left out an input that its plan asks for")


def check_company(proof: Proof, owners: Owners) -> None:
    """See that nobody judged his own output, nor a stranger's device its owner's.

    Raises ProtocolError, naming the task: also when the run's device lacks its owner's certificate.
    """
    if proof.task is None:
        return
    certified = proof.task.certificate or owners.get(proof.task.owner) == proof.task.owner_key
    if not certified:
        raise _fault(proof.name, "the owner did not certify the device that signed it")
    worker = None if proof.worker is None else owners.get(proof.worker)
    if proof.voted:
        keys = [owners.get(each, each) for each in proof.verifiers]
        strangers = [key for key in keys if key != proof.task.owner_key]
        if len(set(strangers)) < len(strangers):
            raise _fault(proof.name, "two devices of one stranger voted on its output")
    for verifier in proof.verifiers:
        friend = worker is not None and owners.get(verifier) == worker
        if verifier == proof.worker or (friend and worker != proof.task.owner_key):
            raise _fault(proof.name, "its output was judged by a device of its own maker")


def sinks(proofs: Sequence[Proof]) -> tuple[Proof, ...]:
    """The tasks that no other one reads: their outputs are what the run was for."""
    tasks = [proof.task for proof in proofs if proof.task is not None]
    read = {name for task in tasks for edge in task.after for name in edge.sources}
    return tuple(proof for proof in proofs if proof.task is not None and proof.name not in read)


def shown(proof: Proof) -> tuple[str, ...]:
    """What is proven, in plain words."""
    if proof.task is None or proof.committee is None:
        return ()
    if not proof.committed:
        return (f"its owner closed it: {proof.closed}",) if proof.closed else ()
    of = proof.committee
    lines = [
        f"committed once: {len(proof.acks)} of {len(of.witnesses)} witnesses acked output "
        f"{(proof.output or '')[:16]} at epoch {proof.epoch} (quorum {of.quorum}, "
        f"tolerates {of.liars} liars)"
    ]
    if proof.voted:
        others = len(proof.verifiers)
        devices = "1 other device" if others == 1 else f"{others} other devices"
        lines.append(f"{devices} made the same, pledged before any answer was shown")
    elif proof.verifiers:
        count, checks = len(proof.verifiers), ", ".join(proof.checks)
        devices = "1 device" if count == 1 else f"{count} devices"
        lines.append(f"verified by {devices} other than its maker, with these checks: {checks}")
    if proof.rescored:
        lines.append(
            f"read again by models of class {proof.rescored[:12]}, which wrote it: token by token"
            " what that model writes of this task and these inputs"
        )
    if proof.ruled_by is not None:
        lines.append(
            f"accepted by the run's owner himself: signed by his device {proof.ruled_by[:8]}"
        )
    if proof.inputs:
        names = ", ".join(name for name, _ in proof.inputs)
        lines.append(f"made of the committed outputs of {names}")
    return tuple(lines)


def not_shown(proof: Proof, owners: Owners) -> tuple[str, ...]:
    """What is not proven, in plain words."""
    if proof.task is None:
        return ("anything: nothing was signed of it",)
    lines = []
    if not proof.committed:
        lines.append("an output: none was committed")
    elif proof.on_credit:
        lines.append("that anybody checked it: the owner took it on credit, by a signed waiver")
    elif proof.ruled_by is not None:
        lines.append("that any device checked it, or how well he looked: it is a person's word")
    elif not proof.verifiers:
        lines.append("that anybody checked it: attested only, by the device that made it")
    if proof.rescored:
        lines.append("that what it says is true, or good: a model wrote it, and others saw that")
    if proof.voted:
        lines.append("that the pledges are older than the first answer shown: its owner says so")
    witnesses = () if proof.committee is None else proof.committee.witnesses
    keys = {owners[witness] for witness in witnesses if witness in owners}
    unknown = sum(witness not in owners for witness in witnesses)
    if proof.committed and keys == {proof.task.owner_key} and not unknown:
        lines.append("that anybody but the run's owner witnessed it: all witnesses are the owner's")
    if proof.committed and unknown:
        lines.append(f"who owns {unknown} of the {len(witnesses)} witnesses: no certificate")
    unowned = (device for device in proof.verifiers if device not in owners)
    lines.extend(f"who owns the verifier {device[:8]}: no certificate" for device in unowned)
    return (
        *lines,
        *(
            f"that {each[:8]} is honest: it signed two things in one place"
            for each in proof.evidence
        ),
    )


def _about(entry: Entry) -> TaskId | None:
    body = entry.body
    return body.id if isinstance(body, Task) else getattr(body, "task", None)


def _is_made(entry: Entry, view: TaskView, said: tuple[Entry, ...]) -> bool:
    body = entry.body
    return (
        view.commit is not None
        and isinstance(body, Output)
        and body.output == view.output
        and body.epoch <= view.epoch
        and satisfied(view.judged, entry, said)
    )


def _check_chain(
    name: str, known: tuple[Entry, ...], chain: list[Entry], verify: VerifySignature
) -> None:
    """Every signed task and seal stands in one line from the first generation on."""
    tasks = [entry.body for entry in chain if isinstance(entry.body, Task)]
    if tasks[0].committee.generation != 1:
        raise _fault(name, "the first generation of its witnesses is missing")
    if {e.digest for e in known if isinstance(e.body, Task)} - {e.digest for e in chain}:
        raise _fault(name, "a generation of witnesses that no quorum of seals leads to")
    for old, new in pairwise(tasks):
        bodies = [e.body for e in known if isinstance(e.body, Sealing)]
        said = [b for b in bodies if b.generation == old.committee.generation]
        values = candidates(old.committee, [s for b in said for s in _seals(b, old, verify)])
        if values and new.committee.bound not in values:
            raise _fault(name, "a value that may have been committed was not carried over")


def _seals(sealing: Sealing, task: Task, verify: VerifySignature) -> list[Sealed]:
    """The good votes of a sealing, as the witnesses said them."""
    found = []
    for vote in sealing.votes:
        said = Sealed(
            task=sealing.task,
            generation=sealing.generation,
            successor=sealing.successor,
            epoch=vote.epoch,
            accepted=None if vote.accepted is None else Accepted(*vote.accepted),
            wait_seconds=0,
        )
        if vote.witness in task.committee.witnesses and signed_by(
            vote.witness, seal_bytes(said), vote.signature, verify
        ):
            found.append(said)
    return found


def _check_uncommitted(name: str, known: tuple[Entry, ...]) -> None:
    commits = [entry.body for entry in known if isinstance(entry.body, Commit)]
    if not commits:
        return
    outputs = {e.body.output for e in known if isinstance(e.body, Output)}
    if not any(commit.output in outputs for commit in commits):
        raise _fault(name, "the output that its commit names is missing")
    raise _fault(name, "its commit lacks acks of a quorum, or verdicts that satisfy its policy")


def _uncommitted(view: TaskView, evidence: tuple[DeviceId, ...]) -> Proof:
    close = None if view.close is None else view.close.body
    closed = f"{close.reason.value}: {close.detail}" if isinstance(close, Close) else ""
    return Proof(
        id=view.task.id,
        task=view.task,
        committee=view.task.committee,
        closed=closed,
        evidence=evidence,
    )


def _committed(
    view: TaskView,
    made: Entry,
    chain: list[Entry],
    evidence: tuple[DeviceId, ...],
    verify: VerifySignature,
) -> Proof:
    assert view.commit is not None
    commit, output = view.commit.body, made.body
    assert isinstance(commit, Commit)
    assert isinstance(output, Output)
    tasks = [entry.body for entry in chain if isinstance(entry.body, Task)]
    task = next(each for each in tasks if each.committee.generation == commit.generation)
    if task.committee.bound not in {"", commit.output}:
        raise _fault(task.name, "its witnesses were bound to another output")
    on_credit = view.waiver is not None
    ruling = accepted(task, made, view.verdicts)
    unjudged = on_credit or not needed(task)
    judges = () if unjudged else accepting(task, made, view.verdicts)
    voted = bool(judges) and votes(task)
    ran = [set(e.body.checks) for e in judges if isinstance(e.body, Verdict)]
    return Proof(
        id=task.id,
        task=task,
        committee=task.committee,
        acks=ackers(view.commit, task, verify),
        epoch=commit.epoch,
        output=commit.output,
        size=output.size,
        worker=made.author,
        inputs=output.inputs,
        verifiers=tuple(entry.author for entry in judges),
        checks=(RECOMPUTE,) if voted else tuple(sorted(set.intersection(*ran))) if ran else (),
        rescored=output.model if judges and read_again(task.verification) else "",
        voted=voted,
        on_credit=on_credit,
        ruled_by=None if ruling is None else ruling.author,
        evidence=evidence,
    )


def _enough(edge: Edge, read: set[str]) -> bool:
    got = sum(name in read for name in edge.sources)
    return got >= (len(edge.sources) if edge.kind is EdgeKind.ALL else edge.count)


def _fault(name: str, what: str) -> ProtocolError:
    return ProtocolError(what, where=f"task {name}")
