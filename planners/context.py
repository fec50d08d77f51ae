"""What a planner is told about the run, and what it answers."""

from dataclasses import dataclass, field

from pockethive.core.errors import BadInput
from pockethive.core.graph import TaskGraph
from pockethive.core.task import DeviceId

MAX_GOAL = 4000  # characters; every task of a run carries the goal in its spec


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanContext:
    """The goal and the devices that hold documents, in a stable order.

    Raises:
        BadInput: the goal is empty, too long or no text.
    """

    goal: str
    document_devices: tuple[DeviceId, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.goal, str):
            raise BadInput(f"a goal is text, not {type(self.goal).__name__}", cure="ask in words")
        if not self.goal.strip():
            raise BadInput("the goal is empty", cure="say what you want")
        if len(self.goal) > MAX_GOAL:
            raise BadInput(
                f"the goal has {len(self.goal)} characters, at most {MAX_GOAL} are read",
                cure="put long texts into documents",
            )
        try:
            self.goal.encode()
        except UnicodeEncodeError as error:
            raise BadInput(
                f"the goal is not UTF-8 text (at character {error.start + 1})",
                cure="write it in UTF-8",
            ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One choice of a method, as the trace keeps it.

    `options` are the methods from the best to the worst, `scores` theirs. `passed_over` were better
    but could not fill their slots. `fallback`: no method was applicable. `margin` is the distance
    in natural-log units between the two best options, infinite where there was no choice.
    """

    goal: str
    kind: str
    options: tuple[str, ...]
    scores: tuple[float, ...]
    chosen: str
    margin: float
    slots: tuple[tuple[str, str], ...] = ()
    passed_over: tuple[str, ...] = ()
    fallback: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A checked graph, how it came about, and what the model read and wrote for it."""

    graph: TaskGraph
    trace: tuple[Decision, ...] = ()
    prompt_tokens: int = 0
    generated_tokens: int = field(default=0)
