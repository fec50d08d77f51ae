"""A signed task as fields, and back. Its bounds are those of all entries: see `entry_codec`.

A task that shows its owner's certificate is of version 2; one without is as it always was, so that
ids, signatures and receipts of older ones hold. Guards: an id that is not made of the task's run,
name and spec is neither written nor read.
"""

from typing import Any, Final

from pockethive.core.errors import BadEncoding, GraphError
from pockethive.core.fields import MAX_TIME, NAME, Fields
from pockethive.core.labels import Label
from pockethive.core.lease import MAX_LEASE_SECONDS
from pockethive.core.task import (
    Check,
    Committee,
    Edge,
    EdgeKind,
    Policy,
    Task,
    Verification,
    task_id,
)

MAX_SOURCES = 64
MAX_CHECKS = 8
MAX_WITNESSES = 7
CERTIFIED: Final = 2
"""The version of a task that carries a certificate."""


def encode_task(task: Task) -> dict[str, Any]:
    """The fields of a task. Raises BadEncoding: its id is not made of its parts."""
    if task.id != task_id(task.run, task.name, task.spec):
        raise BadEncoding(f"the id {task.id} is not made of its run, name and spec")
    committee = task.committee
    shown = {"v": CERTIFIED, "certificate": task.certificate} if task.certificate else {}
    return {
        **shown,
        "run": task.run,
        "name": task.name,
        "role": task.role,
        "skill": task.skill,
        "spec": task.spec,
        "after": [edge_list(edge) for edge in task.after],
        "place": task.place,
        "label": task.label.value,
        **verification_fields(task.verification),
        "model": task.needs_model,
        "witnesses": list(committee.witnesses),
        "quorum": committee.quorum,
        "generation": committee.generation,
        "base": committee.epoch_base,
        "bound": committee.bound,
        "owner": task.owner,
        "owner_key": task.owner_key,
        "began": task.began,
        "lease": task.lease_seconds,
        "expires": task.expires,
    }


def decode_task(fields: Fields) -> Task:
    """The task behind `encode_task`. Raises BadEncoding."""
    run, name, spec = fields.run("run"), fields.text("name", NAME, 1), fields.sha("spec")
    place = fields.take("place")
    if place is not None and not isinstance(place, str):
        raise BadEncoding("task: place is no device")
    return Task(
        id=task_id(run, name, spec),
        run=run,
        name=name,
        role=fields.text("role", NAME),
        skill=fields.text("skill", NAME),
        spec=spec,
        after=tuple(take_edge(item) for item in fields.items("after", 8)),
        place=None if place is None else Fields({"place": place}, "task").device("place"),
        label=fields.one_of("label", Label),
        verification=take_verification(fields),
        needs_model=fields.flag("model"),
        committee=_decode_committee(fields),
        owner=fields.device("owner"),
        owner_key=fields.key("owner_key"),
        began=fields.whole("began", 0, MAX_TIME),
        lease_seconds=fields.whole("lease", 1, MAX_LEASE_SECONDS),
        expires=fields.whole("expires", 0, MAX_TIME),
        certificate=fields.key("certificate", 64) if fields.version >= CERTIFIED else "",
    )


def edge_list(edge: Edge) -> list[Any]:
    """An edge as its four parts."""
    return [edge.kind.value, list(edge.sources), edge.count, edge.seconds]


def verification_fields(verification: Verification) -> dict[str, Any]:
    """The three fields of a verification policy."""
    return {
        "checks": [[check.policy.value, check.checker] for check in verification.checks],
        "verdicts": verification.verdicts,
        "adaptive": verification.adaptive,
    }


def take_edge(item: object) -> Edge:
    """The edge behind `edge_list`. Raises BadEncoding."""
    if not isinstance(item, list) or len(item) != 4:
        raise BadEncoding("task: an edge that has not four parts")
    fields = Fields(dict(zip(("kind", "sources", "count", "seconds"), item, strict=True)), "edge")
    return Edge(
        kind=fields.one_of("kind", EdgeKind),
        sources=fields.texts("sources", MAX_SOURCES),
        count=fields.whole("count"),
        seconds=fields.whole("seconds"),
    )


def take_verification(fields: Fields) -> Verification:
    """The policy behind `verification_fields`. Raises BadEncoding."""
    policies = {policy.value: policy for policy in Policy}
    checks = []
    for policy, checker in fields.pairs("checks", MAX_CHECKS):
        if policy not in policies:
            raise BadEncoding(f"task: no policy {policy[:40]!r}")
        checks.append(Check(policies[policy], checker))
    return Verification(
        checks=tuple(checks),
        verdicts=fields.whole("verdicts", 0, 7),
        adaptive=fields.flag("adaptive"),
    )


def _decode_committee(fields: Fields) -> Committee:
    try:
        return Committee(
            witnesses=fields.devices("witnesses", MAX_WITNESSES),
            quorum=fields.whole("quorum", 1, MAX_WITNESSES),
            generation=fields.whole("generation", 1),
            epoch_base=fields.whole("base"),
            bound=fields.sha("bound", empty=True),
        )
    except GraphError as error:
        raise BadEncoding(f"task: {error}") from error
