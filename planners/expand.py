"""Steps become planned tasks: fanned out, placed, named and wired.

Rule guarded here: text from outside is put into parameters in one pass, so a goal that looks like
a place stays text; and a plan never outgrows the team's limit.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any

from pockethive.core.errors import DocumentError, GraphError
from pockethive.core.spec import Step, Team, Wait
from pockethive.core.task import DeviceId, Edge, PlannedTask

_PLACE = re.compile(r"\{([a-z][a-z0-9_]*)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Where steps are expanded: a prefix for names, texts for places, devices for fans."""

    team: Team
    devices: tuple[DeviceId, ...]
    places: Mapping[str, str]
    prefix: str = ""
    entry: tuple[Edge, ...] = ()  # what tasks wait for that name nothing in `after`


@dataclass(slots=True)
class Expansion:
    """Tasks made so far, and which names each step or sub-goal stands for."""

    tasks: list[PlannedTask] = field(default_factory=list)
    ends: dict[str, tuple[str, ...]] = field(default_factory=dict)


def fill(value: Any, places: Mapping[str, str]) -> Any:
    """`value` with every known `{place}` in its texts replaced, at any depth."""
    if isinstance(value, str):
        return _PLACE.sub(lambda found: places.get(found[1], found[0]), value)
    if isinstance(value, Mapping):
        return {key: fill(item, places) for key, item in value.items()} if value else value
    return [fill(item, places) for item in value] if isinstance(value, list | tuple) else value


def expand_step(step: Step, setting: Setting, done: Expansion) -> None:
    """Add the tasks of `step` to `done`; the steps it waits for must be in there.

    Raises:
        DocumentError: a fan over devices when none holds documents.
    """
    name = setting.prefix + step.name
    if step.each is None:
        made = [_task(step, name, None, edges(step.after, done, None) or setting.entry, setting)]
    else:
        if not setting.devices:
            raise DocumentError(
                "no device of this hive holds documents",
                cure="give --documents PATH, or start a node that has some",
            )
        made = [
            _task(
                step,
                f"{name}-{number}",
                device,
                edges(step.after, done, number - 1) or setting.entry,
                setting,
            )
            for number, device in enumerate(setting.devices, 1)
        ]
    done.tasks.extend(made)
    done.ends[step.name] = tuple(task.name for task in made)


def edges(waits: Iterable[Wait], done: Expansion, member: int | None) -> tuple[Edge, ...]:
    """The edges of one task; `member` is its place in a fan, for paired waits."""
    return tuple(
        Edge(
            kind=wait.kind,
            sources=_sources(wait, done, member),
            count=wait.count,
            seconds=wait.seconds,
        )
        for wait in waits
    )


def in_order(waits: Mapping[str, Sequence[Wait]]) -> list[str]:
    """Names in an order where what is waited for comes first, else as given.

    Raises:
        GraphError: a cycle, or a wait for an unknown step.
    """
    missing = {name: {s for wait in after for s in wait.steps} for name, after in waits.items()}
    for name, wanted in missing.items():
        if unknown := sorted(source for source in wanted if source not in missing):
            raise GraphError(f"step {name!r} waits for {unknown[0]!r}, which does not exist")
    dependants: dict[str, list[str]] = {name: [] for name in missing}
    for name, wanted in missing.items():
        for source in wanted:
            dependants[source].append(name)
    names = list(missing)
    places = {name: place for place, name in enumerate(names)}
    ready = [places[name] for name, wanted in missing.items() if not wanted]  # a heap: it ascends
    ordered: list[str] = []
    while ready:
        done = names[heappop(ready)]
        ordered.append(done)
        del missing[done]
        for name in dependants[done]:
            missing[name].discard(done)
            if not missing[name]:
                heappush(ready, places[name])
    if missing:
        raise GraphError(
            f"the steps form a cycle among {', '.join(sorted(missing))}",
            cure="remove one of the `after` entries between them",
        )
    return ordered


def check_size(tasks: Sequence[PlannedTask], team: Team) -> None:
    """Raises GraphError when a plan outgrows `limits.max_tasks`."""
    if len(tasks) > team.limits.max_tasks:
        raise GraphError(
            f"the plan has {len(tasks)} tasks, this team allows {team.limits.max_tasks}",
            cure="raise `max_tasks` under `limits`, or spread documents over fewer devices",
        )


def _sources(wait: Wait, done: Expansion, member: int | None) -> tuple[str, ...]:
    if wait.paired and member is not None:
        return tuple(done.ends[step][member] for step in wait.steps)
    return tuple(name for step in wait.steps for name in done.ends[step])


def _task(
    step: Step, name: str, place: DeviceId | None, after: tuple[Edge, ...], setting: Setting
) -> PlannedTask:
    role = setting.team.role(step.role)
    return PlannedTask(
        name=name,
        role=role.name,
        skill=role.skill,
        params=fill(step.params, setting.places),
        after=after,
        place=place,
        label=step.label,
        verification=role.verification,
        needs_model=role.needs_model,
        deadline=role.deadline,
    )
