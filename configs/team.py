"""A team file, compiled to `core.spec.Team`.

Rule guarded here: a `Team` that comes out of here is whole. Every role, skill, checker, step, kind
of goal and place it names exists.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pockethive.configs.model_wish import Choosing, read_model
from pockethive.configs.policies import read_checks
from pockethive.configs.reader import Reader
from pockethive.configs.rescored import check_rescored
from pockethive.configs.steps import Scope, read_label, read_work
from pockethive.configs.yaml_tree import Tree
from pockethive.core.errors import RefusedModel
from pockethive.core.labels import Label
from pockethive.core.ruling import by_person
from pockethive.core.spec import (
    Example,
    Limits,
    Method,
    MethodForm,
    ModelNeed,
    ModelWish,
    PlannerKind,
    PlannerSpec,
    Role,
    Slot,
    Team,
)
from pockethive.core.task import Deadline, Verification

LEAST_JUDGE = 0.8  # of held-out items, as the lower bound of what was measured
_TEAM_KEYS = ("team", "description", "model", "label", "roles", "planner", "limits")
_ROLE_KEYS = ("skill", "description", "verify", "verdicts", "adaptive", "concurrency", "deadline")
_PLANNER_KEYS = ("steps", "rounds", "free", "root", "fallback", "lead", "forms", "methods")
MOST_ROUNDS = 2_000  # of a template's steps
_METHOD_KEYS = ("achieves", "summary", "examples", "slots", "slots_are", "steps", "subgoals")
_QUESTIONS = "questions"
_FORM_KEYS = ("name", "header", "line")
_LIMIT_KEYS = ("timeout", "lease", "attempts", "claims", "max_tasks", "tokens", "replication")


@dataclass(frozen=True, slots=True)
class SkillInfo:
    """What the loader must know of a skill."""

    needs_model: bool
    asks: bool = False  # it says what it asks the model, so that its text can be read again


def _nothing_here(_: ModelWish) -> ModelNeed:
    raise RefusedModel("no model is chosen here", cure="name one: model: smollm2-135m-instruct")


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """Names that a team may use, given by whoever knows them."""

    skills: Mapping[str, SkillInfo]
    checkers: frozenset[str]
    judging: Callable[[ModelNeed], float | None] = lambda _: None
    """A lower bound of a model's held-out accuracy as a judge, if its card shows one."""
    choosing: Choosing = _nothing_here
    """Which of the models that are here fulfils a wish."""


class TeamCompiler:
    """One reading of one file; `reader.problems` says what was wrong with it."""

    def __init__(self, reader: Reader, vocabulary: Vocabulary) -> None:
        self.reader, self.vocabulary = reader, vocabulary

    def compile(self, tree: Tree, name: str) -> Team:
        """The team, with stand-ins where there were faults."""
        read = self.reader
        entries = read.mapping(tree, _TEAM_KEYS, "a team")
        label = read_label(read, entries.get("label"), Label.HIVE)
        roles = read.need(tree, entries, "roles", "a team")
        role_trees = read.named(roles, "role") if roles else {}
        if roles and roles.kind == "a mapping" and not role_trees:
            read.fault(roles.where, "a team needs at least one role")
        planner = read.need(tree, entries, "planner", "a team")
        spec = PlannerSpec(kind=PlannerKind.TEMPLATE)
        if planner:
            spec = self._planner(planner, role_trees, label)
        team = Team(
            name=read.text(entries.get("team"), "team", name),
            description=read.text(entries.get("description"), "description"),
            model=read_model(read, entries.get("model"), self.vocabulary.choosing),
            roles=tuple(self._role(key, value) for key, value in role_trees.items()),
            planner=spec,
            limits=self._limits(entries.get("limits")),
            label=label,
        )
        self._check_verified(team, role_trees)
        self._check_model(team, tree)
        self._check_judges(team, role_trees)
        check_rescored(read, team, role_trees, self._writers)
        return team

    @property
    def _writers(self) -> frozenset[str]:
        return frozenset(name for name, info in self.vocabulary.skills.items() if info.asks)

    def _role(self, name: str, tree: Tree) -> Role:
        read, what = self.reader, f"role {name!r}"
        entries = read.mapping(tree, _ROLE_KEYS, what)
        skill_tree = read.need(tree, entries, "skill", what)
        skill = read.one_of(skill_tree, "skill", self.vocabulary.skills)
        info = self.vocabulary.skills.get(skill)
        return Role(
            name=name,
            skill=skill,
            description=read.text(entries.get("description"), "description"),
            verification=Verification(
                checks=read_checks(read, entries.get("verify"), self.vocabulary.checkers, skill),
                verdicts=read.whole(entries.get("verdicts"), "verdicts", (1, 7), 1),
                adaptive=self._adaptive(entries, what),
            ),
            needs_model=info is not None and info.needs_model,
            deadline=self._deadline(entries.get("deadline"), what),
            concurrency=read.whole(entries.get("concurrency"), "concurrency", (1, 64), 1),
        )

    def _deadline(self, tree: Tree | None, what: str) -> Deadline:
        if tree is None:
            return Deadline()
        read = self.reader
        entries = read.mapping(tree, ("soft", "hard"), f"the deadline of {what}")
        soft, hard = (
            read.seconds(entries.get(name), name, (1, 86_400), 0) for name in ("soft", "hard")
        )
        if hard and soft >= hard:
            read.fault(
                tree.where,
                f"the soft deadline of {what}, {soft}s, does not come before the hard one, {hard}s",
                "at the soft one others get the task, at the hard one the attempt has failed",
            )
        return Deadline(soft, hard)

    def _adaptive(self, entries: Mapping[str, Tree], what: str) -> bool:
        tree = entries.get("adaptive")
        adaptive = self.reader.yes_no(tree, "adaptive", default=False)
        if adaptive and tree is not None and "verify" not in entries:
            self.reader.fault(
                tree.where,
                f"{what} is `adaptive`, but has no `verify` by which a device could earn credit",
                "add `verify`, or leave `adaptive` out",
            )
        return adaptive

    def _check_verified(self, team: Team, trees: Mapping[str, Tree]) -> None:
        methods = (step for method in team.planner.methods for step in method.steps)
        steps = (*team.planner.steps, *methods)
        wide = {step.role for step in steps if step.label is not Label.DEVICE}
        named = {step.role for step in steps}
        for role in team.roles:
            how = role.verification
            if by_person(how) and (how.adaptive or how.verdicts > 1):
                self.reader.fault(
                    trees[role.name].entries["adaptive" if how.adaptive else "verdicts"].where,
                    f"role {role.name!r} asks its owner, who gives one verdict and no credit",
                    "leave `adaptive` and `verdicts` out",
                )
            if role.verification.adaptive and role.name in named - wide:
                self.reader.fault(
                    trees[role.name].entries["adaptive"].where,
                    f"role {role.name!r} is `adaptive`, but all its outputs stay on their device",
                    "leave `adaptive` out: nobody verifies what is labelled `device`",
                )
            if role.name in wide and not role.verification.checks:
                self.reader.fault(
                    trees[role.name].where,
                    f"role {role.name!r} has no `verify`, but its outputs leave their device",
                    "add `verify`, or label its steps `device`",
                )

    def _check_model(self, team: Team, tree: Tree) -> None:
        needing = [role.name for role in team.roles if role.needs_model]
        if team.planner.kind is not PlannerKind.TEMPLATE:
            needing.append("the planner")
        if needing and team.model is None and "model" not in tree.entries:
            self.reader.fault(
                tree.where,
                f"the team names no model, but {', '.join(needing)} needs one",
                "add `model: smollm2-135m-instruct`",
            )

    def _check_judges(self, team: Team, trees: Mapping[str, Tree]) -> None:
        """A free yes or no of a small model is near chance, so its card must show better."""
        verified = [tree.entries["verify"] for tree in trees.values() if "verify" in tree.entries]
        items = [item for verify in verified for item in self.reader.items(verify)]
        places = [item.keys["judge"] for item in items if "judge" in item.entries]
        shown = self.vocabulary.judging(team.model) if places and team.model else None
        if shown is not None and shown >= LEAST_JUDGE:
            return
        which = f"the card of {team.model.name}" if team.model else "the card of no model"
        told = "no held-out accuracy at that" if shown is None else f"{100 * shown:.1f} % at least"
        for where in places:
            self.reader.fault(
                where,
                f"`judge` asks a model for a free yes or no, and {which} shows {told};"
                f" {100 * LEAST_JUDGE:.0f} % are wanted",
                "use `choose`, which ranks the output among distractors, or `check`, `rescore`,"
                " `recompute`",
            )

    def _limits(self, tree: Tree | None) -> Limits:
        if tree is None:
            return Limits()
        read, usual = self.reader, Limits()
        entries = read.mapping(tree, _LIMIT_KEYS, "limits")
        return Limits(
            timeout_seconds=read.seconds(
                entries.get("timeout"), "timeout", (1, 7 * 86400), usual.timeout_seconds
            ),
            lease_seconds=read.seconds(
                entries.get("lease"), "lease", (2, 3600), usual.lease_seconds
            ),
            attempts=read.whole(entries.get("attempts"), "attempts", (1, 20), usual.attempts),
            claims=read.whole(entries.get("claims"), "claims", (1, 200), usual.claims),
            max_tasks=read.whole(
                entries.get("max_tasks"), "max_tasks", (1, 10_000), usual.max_tasks
            ),
            tokens=read.whole(entries.get("tokens"), "tokens", (1, 10**12), usual.tokens),
            replication=read.whole(
                entries.get("replication"), "replication", (1, 10**6), usual.replication
            ),
        )

    def _planner(self, tree: Tree, roles: Mapping[str, Tree], label: Label) -> PlannerSpec:
        entries = self.reader.mapping(tree, _PLANNER_KEYS, "planner")
        ways = [key for key in ("steps", "free", "methods") if key in entries]
        if len(ways) != 1:
            if tree.kind == "a mapping":
                self.reader.fault(tree.where, "planner needs one of `steps`, `methods` and `free`")
            return PlannerSpec(kind=PlannerKind.TEMPLATE)
        way = ways[0]
        if way != "steps" and "rounds" in entries:
            self.reader.fault(tree.keys["rounds"], f"'rounds' belongs to `steps`, not `{way}`")
        if way == "methods":
            return self._methods(tree, entries[way], roles, label)
        for key in ("root", "fallback", "lead", "forms"):
            if key in entries:
                self.reader.fault(tree.keys[key], f"{key!r} belongs to `methods`, not `{way}`")
        free = way == "free"
        if free and entries[way].kind != "a mapping":
            self.reader.fault(
                entries[way].where,
                "`free` must be a mapping of the steps that the model may take, found "
                + entries[way].kind,
                "as under `steps`: name: {role: …}",
            )
            return PlannerSpec(kind=PlannerKind.FREE)
        places = ("goal", "ask") if free else ("goal", "round")
        scope = Scope(roles=roles, kinds=(), places=places, label=label, rounds="rounds" in entries)
        work = read_work(self.reader, entries[way], None, scope)
        if not work.steps and entries[way].kind == "a mapping":
            self.reader.fault(entries[way].where, "planner needs at least one step")
        kind = PlannerKind.FREE if free else PlannerKind.TEMPLATE
        rounds = self.reader.whole(entries.get("rounds"), "rounds", (1, MOST_ROUNDS), 1)
        return PlannerSpec(kind=kind, steps=work.steps, rounds=rounds)

    def _methods(
        self, tree: Tree, methods: Tree, roles: Mapping[str, Tree], label: Label
    ) -> PlannerSpec:
        read = self.reader
        trees = read.named(methods, "method")
        kinds = {
            one.entries["achieves"].text for one in trees.values() if "achieves" in one.entries
        }
        found = tuple(
            self._method(name, one, Scope(roles=roles, kinds=kinds, places=("goal",), label=label))
            for name, one in trees.items()
        )
        entries = tree.entries
        root = read.one_of(read.need(tree, entries, "root", "planner"), "kind of goal", kinds)
        for_root = [method for method in found if method.achieves == root]
        fallback = read.one_of(
            entries.get("fallback"), f"method for {root!r}", [one.name for one in for_root]
        )
        forms = (
            tuple(self._form(one) for one in read.items(entries["forms"]))
            if "forms" in entries
            else ()
        )
        achieved = Counter(method.achieves for method in found)
        for method in found:
            self._check_examples(method, trees[method.name], achieved[method.achieves] > 1)
        if max(achieved.values(), default=0) > 1 and not forms:
            read.fault(tree.where, "planner needs `forms` to choose among its methods")
        return PlannerSpec(
            kind=PlannerKind.METHODS,
            root=root,
            methods=found,
            forms=forms,
            fallback=fallback,
            lead=read.whole(entries.get("lead"), "lead", (0, 100), 0),
        )

    def _method(self, name: str, tree: Tree, scope: Scope) -> Method:
        read, what = self.reader, f"method {name!r}"
        entries = read.mapping(tree, _METHOD_KEYS, what)
        slots = self._slots(entries.get("slots"))
        places = (*scope.places, *(slot.name for slot in slots))
        scope = Scope(roles=scope.roles, kinds=scope.kinds, places=places, label=scope.label)
        work = read_work(read, entries.get("steps"), entries.get("subgoals"), scope)
        if tree.kind == "a mapping" and not (work.steps or work.subgoals):
            read.fault(tree.where, f"{what} has neither steps nor subgoals")
        return Method(
            name=name,
            achieves=read.text(read.need(tree, entries, "achieves", what), "achieves"),
            summary=read.text(entries.get("summary"), "summary", name),
            examples=self._examples(entries.get("examples"), [slot.name for slot in slots]),
            slots=slots,
            of_questions=self._of_questions(entries.get("slots_are"), slots),
            steps=work.steps,
            subgoals=work.subgoals,
        )

    def _examples(self, tree: Tree | None, slots: list[str]) -> tuple[Example, ...]:
        read = self.reader
        found: list[Example] = []
        for item in read.items(tree) if tree else ():
            if item.kind == "text" and not slots:
                found.append(Example(goal=item.text))
                continue
            entries = read.mapping(item, ("goal", *slots), "an example")
            goal = read.text(read.need(item, entries, "goal", "an example"), "goal")
            spans = {name: read.text(entries[name], name) for name in slots if name in entries}
            for name, span in spans.items():
                if span not in goal:
                    read.fault(
                        entries[name].where,
                        f"{span!r} does not stand in the goal of its example",
                        "a slot is filled by copying; write it as the goal has it",
                    )
            found.append(Example(goal=goal, slots=spans))
        return tuple(found)

    def _of_questions(self, tree: Tree | None, slots: tuple[Slot, ...]) -> bool:
        told = self.reader.one_of(tree, "way to fill slots", (_QUESTIONS,))
        if tree is not None and told and len(slots) < 2:
            self.reader.fault(
                tree.where, "a goal's questions need two slots at least", "name one for each"
            )
        return told == _QUESTIONS

    def _check_examples(self, method: Method, tree: Tree, rivals: bool) -> None:
        if method.of_questions and not method.examples:
            return  # taken for its questions, never for its likeness
        if rivals and not method.examples:
            self.reader.fault(
                tree.where,
                f"method {method.name!r} has rivals for {method.achieves!r} and needs `examples`",
            )
        if method.slots and not method.examples:
            self.reader.fault(tree.where, f"the slots of {method.name!r} need `examples`")

    def _slots(self, tree: Tree | None) -> tuple[Slot, ...]:
        read = self.reader
        found: list[Slot] = []
        for name, value in (read.named(tree, "slot") if tree else {}).items():
            if value.kind == "text":
                found.append(Slot(name=name, question=value.text))
                continue
            entries = read.mapping(value, ("ask", "optional"), f"slot {name!r}")
            ask = read.need(value, entries, "ask", f"slot {name!r}")
            optional = read.yes_no(entries.get("optional"), "optional", default=False)
            found.append(Slot(name=name, question=read.text(ask, "ask"), optional=optional))
        return tuple(found)

    def _form(self, tree: Tree) -> MethodForm:
        read = self.reader
        entries = read.mapping(tree, _FORM_KEYS, "a form")
        line = read.need(tree, entries, "line", "a form")
        if line and line.kind == "text" and line.text.count("{goal}") != 1:
            read.fault(line.where, "the line of a form must hold {goal} once")
        return MethodForm(
            name=read.text(read.need(tree, entries, "name", "a form"), "name"),
            line=read.text(line, "line"),
            header=read.text(entries.get("header"), "header"),
        )
