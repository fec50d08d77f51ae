"""What a team file describes, compiled: roles, a planner with its steps or methods, and limits.

Everything here is frozen and already checked for shape; `pockethive.configs` makes it from YAML.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from pockethive.core.labels import Label
from pockethive.core.task import NO_DEADLINE, Deadline, EdgeKind, Verification

BEFORE: Final = "before"
"""In a template that is done in rounds: the last steps of the round before."""


class Fan(Enum):
    """Over what a step is repeated. One task per member, named `step-1`, `step-2`, …"""

    DEVICES = "devices"  # devices that hold documents; each task is placed on its device


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A kind of agent: what it does (`skill`) and how its outputs are verified."""

    name: str
    skill: str
    description: str
    verification: Verification
    needs_model: bool
    deadline: Deadline = NO_DEADLINE
    concurrency: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """An input edge over steps. A fanned-out step stands for all its tasks, a sub-goal for its end.

    `count` is ignored by `all`; `seconds` is used by `arrived_by` alone. `paired`: the n-th task of
    a fanned-out step waits for the n-th task of each step named, not for all of them.
    """

    kind: EdgeKind
    steps: tuple[str, ...]
    count: int = 1
    seconds: int = 0
    paired: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a template or of a method. Text in `params` may hold `{goal}` and slot names."""

    name: str
    role: str
    after: tuple[Wait, ...] = ()
    each: Fan | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    label: Label = Label.HIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A hole of a method, filled by copying a span of the goal; `question` asks for it in a word.

    An optional slot that found nothing stands for the whole goal.
    """

    name: str
    question: str
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A goal that a method fits, with the spans of it that fill the method's slots."""

    goal: str
    slots: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One way to achieve a kind of goal (`achieves`): sub-goals and steps, with slots.

    `summary` is the option text the model ranks; `examples` are the worked shots it learns from,
    both to rank methods and to fill slots. Methods of one kind are ranked best when their examples
    speak of the same subjects: then only the way of asking tells them apart.
    A method is applicable when every slot that is not optional could be filled. `of_questions`: it
    is taken wherever the goal holds as many questions as it has slots, each in a slot of its own.
    """

    name: str
    achieves: str
    summary: str
    examples: tuple[Example, ...] = ()
    slots: tuple[Slot, ...] = ()
    of_questions: bool = False
    steps: tuple[Step, ...] = ()
    subgoals: tuple["Subgoal", ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Subgoal:
    """A compound step: another goal of kind `achieves`, with its own text."""

    name: str
    achieves: str
    goal: str  # a template over the method's slots
    after: tuple[Wait, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodForm:
    """How a method's examples are shown to the model: `header`, then `line` for each, with {goal}.

    The method is liked for how likely it makes the asked goal as the next line.
    """

    name: str
    line: str
    header: str = ""


class PlannerKind(Enum):
    """How a goal becomes a graph."""

    TEMPLATE = "template"
    METHODS = "methods"
    FREE = "free"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannerSpec:
    """`steps` for a template, and as kinds of steps for free plans, where `{ask}` is what the model
    writes; `root` (a kind of goal), `methods` and prompt forms for methods."""

    kind: PlannerKind
    steps: tuple[Step, ...] = ()
    root: str = ""
    methods: tuple[Method, ...] = ()
    forms: tuple[MethodForm, ...] = ()
    fallback: str = ""  # the method taken when none is applicable; empty: planning fails
    lead: int = 0  # natural-log units by which another method must lead the fallback
    rounds: int = 1  # how often the steps of a template are done, each round after the one before

    @property
    def every_step(self) -> tuple[Step, ...]:
        """The steps of the template and of all methods."""
        return (*self.steps, *(step for method in self.methods for step in method.steps))


EXACT: Final = "exact"
QUICK: Final = "quick"
ARITHMETICS: Final = (EXACT, QUICK)
"""In float32, alike on every device; or what the processor does best, alike on its own kind."""
ONE_ARITHMETIC: Final = ("int8onnx", "int4onnx")
NO_CHOICE: Final = "ONNX Runtime has one arithmetic: it rounds activations in any case"
NO_CHOICE_CURE: Final = "leave `arithmetic: quick` out, or take the quantization int8 or int4"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelNeed:
    """The model a team wants: a catalogue name, hub id or local folder, and how it is run.

    `arithmetic`: one of `ARITHMETICS`.
    """

    name: str
    quantization: str = "int8"
    arithmetic: str = EXACT


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelWish:
    """What a team needs of a model, where any that has it will do.

    `at_least` and `at_most` count parameters (0: no bound); `fits`: into the memory that is free;
    `speed`: tokens a second that it was measured to write here; `licences`: only these.
    """

    at_least: int = 0
    at_most: int = 0
    fits: bool = False
    speed: int = 0
    licences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of one run. Seconds are wall time."""

    timeout_seconds: int = 300
    lease_seconds: int = 15
    attempts: int = 3  # outputs rejected or leases lost before a task is closed as failed
    claims: int = 10  # leases had of a task, whatever became of them, before it is closed as failed
    max_tasks: int = 200
    tokens: int = 0  # that its outputs may cost in all; 0: no bound
    replication: int = 0  # executions, votes and judgements of all tasks; 0: no bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """One team file. `name` is for people; roles are found by name."""

    name: str
    description: str
    model: ModelNeed | None
    roles: tuple[Role, ...]
    planner: PlannerSpec
    limits: Limits = field(default_factory=Limits)
    label: Label = Label.HIVE

    def role(self, name: str) -> Role:
        """The role called `name`. Raises KeyError; the loader has checked all names."""
        for role in self.roles:
            if role.name == name:
                return role
        raise KeyError(name)
