"""Steps, sub-goals and what they wait for, from YAML.

Rule guarded here: every name in `after` leads to a step beside it, nothing waits for itself by any
way round, and no text asks for a place that will not be filled.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pockethive.configs.reader import Reader
from pockethive.configs.yaml_tree import Tree
from pockethive.core.labels import Label
from pockethive.core.spec import BEFORE, Fan, Step, Subgoal, Wait
from pockethive.core.task import EdgeKind

MAX_WAIT_SECONDS = 24 * 3600
_BRACED = re.compile(r"\{(\s*)([A-Za-z][A-Za-z0-9_]*)(\s*)(\}?)")
_CLOSING = re.compile(r"\b([A-Za-z][A-Za-z0-9_]*)\s*\}")
_STEP_KEYS = ("role", "after", "each", "params", "label")
_SUBGOAL_KEYS = ("achieves", "goal", "after")
_WAIT_KEYS = ("steps", "arrived_by", "at_least", "paired")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What the steps of one plan may name: roles, kinds of goals, places in texts, the label.

    `rounds`: also what the round before ended with, as `before`.
    """

    roles: Mapping[str, Tree]
    kinds: Iterable[str]
    places: tuple[str, ...]
    label: Label
    rounds: bool = False


@dataclass(frozen=True, slots=True)
class Work:
    """The steps and sub-goals of a template or a method, in the file's order."""

    steps: tuple[Step, ...]
    subgoals: tuple[Subgoal, ...]


def read_work(reader: Reader, steps: Tree | None, subgoals: Tree | None, scope: Scope) -> Work:
    """Both parts of a plan, checked against each other and against `scope`."""
    step_trees = reader.named(steps, "step") if steps else {}
    subgoal_trees = reader.named(subgoals, "subgoal") if subgoals else {}
    for name in step_trees.keys() & subgoal_trees.keys():
        assert subgoals is not None
        reader.fault(subgoals.keys[name], f"{name!r} is a step already", "rename one of them")
    trees = {**step_trees, **subgoal_trees}
    if steps and "steps" in step_trees:
        reader.fault(
            steps.keys["steps"], "a step cannot be called 'steps'", "`after` uses the word"
        )
    if steps and scope.rounds and BEFORE in step_trees:
        reader.fault(
            steps.keys[BEFORE],
            f"a step in rounds cannot be called {BEFORE!r}",
            "it stands for what the round before ended with",
        )
    fanned = {n for n, t in step_trees.items() if "each" in t.entries}
    names = (*trees, BEFORE) if scope.rounds else tuple(trees)
    waits = _Waits(reader, names, frozenset(fanned))
    work = Work(
        tuple(_step(reader, name, tree, waits, scope) for name, tree in step_trees.items()),
        tuple(_subgoal(reader, name, tree, waits, scope) for name, tree in subgoal_trees.items()),
    )
    _refuse_cycle(reader, work, trees)
    return work


def read_label(reader: Reader, tree: Tree | None, default: Label) -> Label:
    """A label by its name."""
    return Label(reader.one_of(tree, "label", [one.value for one in Label], default.value))


def _step(reader: Reader, name: str, tree: Tree, waits: "_Waits", scope: Scope) -> Step:
    entries = reader.mapping(tree, _STEP_KEYS, f"step {name!r}")
    role = reader.need(tree, entries, "role", f"step {name!r}")
    each = reader.one_of(entries.get("each"), "each", [fan.value for fan in Fan])
    params = entries.get("params")
    return Step(
        name=name,
        role=reader.one_of(role, "role", scope.roles),
        after=waits.read(name, entries.get("after")),
        each=Fan(each) if each else None,
        params=_params(reader, params, scope.places) if params else {},
        label=read_label(reader, entries.get("label"), scope.label),
    )


def _subgoal(reader: Reader, name: str, tree: Tree, waits: "_Waits", scope: Scope) -> Subgoal:
    what = f"subgoal {name!r}"
    entries = reader.mapping(tree, _SUBGOAL_KEYS, what)
    goal = reader.need(tree, entries, "goal", what)
    if goal:
        _check_places(reader, goal, scope.places)
    achieves = reader.need(tree, entries, "achieves", what)
    return Subgoal(
        name=name,
        achieves=reader.one_of(achieves, "kind of goal", scope.kinds),
        goal=reader.text(goal, "goal"),
        after=waits.read(name, entries.get("after")),
    )


def _params(reader: Reader, tree: Tree, places: tuple[str, ...]) -> Mapping[str, object]:
    reader.entries(tree, "params")
    _check_places(reader, tree, places)
    value = reader.value(tree, "params")
    return value if isinstance(value, dict) else {}


def _check_places(reader: Reader, tree: Tree, places: tuple[str, ...]) -> None:
    for inner in (*tree.entries.values(), *tree.items):
        _check_places(reader, inner, places)
    if tree.kind == "text":
        _check_text(reader, tree, places)


def _check_text(reader: Reader, tree: Tree, places: tuple[str, ...]) -> None:
    """Places that are unknown, and such as somebody meant to write: other braces are only text."""
    for found in _BRACED.finditer(tree.text):
        before, name, after, end = found.groups()
        near = difflib.get_close_matches(name.lower(), places, n=1, cutoff=0.75)
        if not end:
            if near:
                what = f"the place {{{name} is not closed"
                reader.fault(tree.where, what, f"write {{{near[0]}}}")
        elif name.lower() in places and found[0] != f"{{{near[0]}}}":
            reader.fault(
                tree.where, f"the place {found[0]} is never filled", f"write {{{near[0]}}}"
            )
        elif name.islower() and not (before or after) and name not in places:
            reader.unknown(tree.where, f"the place {{{name}}} is never filled", name, places)
    for name in _CLOSING.findall(_BRACED.sub("", tree.text)):
        if name in places:
            reader.fault(tree.where, f"the place {name}}} is not opened", f"write {{{name}}}")


class _Waits:
    """Reads `after` of the steps of one plan."""

    def __init__(self, reader: Reader, names: tuple[str, ...], fanned: frozenset[str]) -> None:
        self._reader, self._names, self._fanned = reader, names, fanned

    def read(self, owner: str, tree: Tree | None) -> tuple[Wait, ...]:
        """Every form of `after`: a step, a list, `{step: condition}`, `{steps: […], …}`."""
        if tree is None:
            return ()
        if tree.kind != "a mapping":
            steps = self._steps(tree)
            return (Wait(kind=EdgeKind.ALL, steps=steps),) if steps else ()
        if "steps" in tree.entries:
            return self._full(owner, tree)
        return tuple(
            wait
            for key, value in tree.entries.items()
            for wait in self._short(owner, tree, key, value)
        )

    def _steps(self, tree: Tree) -> tuple[str, ...]:
        named = tuple(
            self._reader.one_of(item, "step", self._names) for item in self._reader.items(tree)
        )
        if not named:
            self._reader.fault(tree.where, "`after` names no step", "leave it out")
        return tuple(dict.fromkeys(name for name in named if name))

    def _short(self, owner: str, tree: Tree, key: str, value: Tree) -> tuple[Wait, ...]:
        where = tree.keys[key]
        if key not in self._names:
            self._reader.unknown(where, f"step {key!r} is not known", key, self._names)
            return ()
        if value.kind == "text":
            self._reader.one_of(value, "condition", ("all",))
            return (Wait(kind=EdgeKind.ALL, steps=(key,)),)
        return (self._conditions(owner, value, (key,)),)

    def _full(self, owner: str, tree: Tree) -> tuple[Wait, ...]:
        steps = self._steps(tree.entries["steps"])
        return (self._conditions(owner, tree, steps),) if steps else ()

    def _conditions(self, owner: str, tree: Tree, steps: tuple[str, ...]) -> Wait:
        read = self._reader
        entries = read.mapping(tree, _WAIT_KEYS, "`after`")
        many = any(name in self._fanned for name in steps)
        most = 10_000 if many else len(steps)
        count = read.whole(entries.get("at_least"), "at_least", (1, most), 1)
        seconds = read.seconds(entries.get("arrived_by"), "arrived_by", (1, MAX_WAIT_SECONDS), 1)
        paired = read.yes_no(entries.get("paired"), "paired", default=False)
        if paired and not {owner, *steps} <= self._fanned:
            read.fault(
                entries["paired"].where,
                "`paired` needs `each` on both steps",
                "give the same `each` to both, or leave `paired` out",
            )
        kind = EdgeKind.AT_LEAST if "at_least" in entries else EdgeKind.ALL
        if "arrived_by" in entries:
            kind = EdgeKind.ARRIVED_BY
        return Wait(
            kind=kind,
            steps=steps,
            count=count,
            seconds=seconds if kind is EdgeKind.ARRIVED_BY else 0,
            paired=paired,
        )


def _refuse_cycle(reader: Reader, work: Work, trees: Mapping[str, Tree]) -> None:
    """Name one cycle, at the `after` of its first step in the file."""
    everything: tuple[Step | Subgoal, ...] = (*work.steps, *work.subgoals)
    named = {one.name for one in everything}
    after = {one.name: [s for w in one.after for s in w.steps if s in named] for one in everything}
    done: set[str] = set()
    for name in after:
        if name not in done and (cycle := _cycle_from(name, after, done)):
            where = trees[cycle[0]].entries["after"].where
            way = " -> ".join((*cycle, cycle[0]))
            reader.fault(where, f"the steps form a cycle: {way}", "remove one of these `after`")
            return


def _cycle_from(start: str, after: Mapping[str, list[str]], done: set[str]) -> list[str]:
    """The steps of a cycle that can be reached from `start`, or nothing. Adds to `done`."""
    path: list[str] = []
    stack = [(start, iter(after[start]))]
    while stack:
        name, following = stack[-1]
        if len(path) < len(stack):
            path.append(name)
        upcoming = next(following, None)
        if upcoming is None:
            done.add(name)
            stack.pop()
            path.pop()
        elif upcoming in path:
            cycle = path[path.index(upcoming) :]
            first = min(cycle, key=list(after).index)
            return cycle[cycle.index(first) :] + cycle[: cycle.index(first)]
        elif upcoming in after and upcoming not in done:
            stack.append((upcoming, iter(after[upcoming])))
    return []
