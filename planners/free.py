"""The free planner: the model writes a plan as JSON, out of the kinds of steps that a team allows.

For models whose card says that their plans are worth asking for; a small one repeats the goal or
loops (docs/architecture.md). Rule guarded here: the grammar admits only the team's kinds, and what
the grammar cannot say (who reads whom, one end, no cycle) is checked before anything is offered. A
plan that fails the check is asked for once more, then planning fails with the reason.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from pockethive.core.errors import GraphError, ModelError
from pockethive.core.graph import TaskGraph
from pockethive.core.ports import Model, Sampling
from pockethive.core.spec import Step, Team, Wait
from pockethive.planners.context import Plan, PlanContext
from pockethive.planners.expand import Expansion, Setting, check_size, expand_step

MAX_STEPS = 12
MAX_ASK = 200  # characters of what one step is asked
MAX_READ = 6  # steps that one step may read
TRIES = 2
_TOKENS = 1_200
_SYSTEM = (
    "You divide a goal into steps. Each step does one thing, says what it is asked, and names the "
    "numbers of the earlier steps it reads. The last step answers the goal."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """One step as the model wrote it; `after` are numbers of earlier steps, from 1."""

    do: str
    ask: str
    after: tuple[int, ...]


def plan(team: Team, context: PlanContext, model: Model) -> Plan:
    """The graph that `model` wrote for a goal. Call it where the model may be used.

    Raises:
        ModelError: the model's card does not allow free plans, or the model failed.
        GraphError: what it wrote is no plan, twice in a row, or has too many tasks.
        DocumentError: a step runs on every device with documents and there is none.
    """
    if not model.plans:
        raise ModelError(
            f"the card of {model.model_class.name} does not say that its free plans are good",
            cure="plan by `methods` or `steps`, or make the model with --plans once measured",
        )
    kinds = {step.name: step for step in team.planner.steps}
    prompt = model.chat(_SYSTEM, _request(team, context.goal))
    read = wrote = 0
    fault: GraphError | None = None
    for attempt in range(TRIES):
        sampling = Sampling(max_tokens=_TOKENS, temperature=0.7 * attempt, seed=attempt)
        made = model.constrain(prompt, schema(kinds), sampling)
        read, wrote = read + made.prompt_tokens, wrote + made.generated_tokens
        try:
            tasks = _tasks(parse(made.text, kinds), team, context)
        except GraphError as error:
            fault = error
            continue
        return Plan(graph=tasks, prompt_tokens=read, generated_tokens=wrote)
    assert fault is not None
    raise GraphError(
        f"the model wrote no usable plan in {TRIES} tries: {fault.what}",
        cure="say the goal in simpler words, or let the team plan by `methods`",
    ) from fault


def schema(kinds: Mapping[str, Step]) -> dict[str, object]:
    """The JSON schema of a plan: bounded lists of the team's kinds."""
    step = {
        "type": "object",
        "properties": {
            "do": {"enum": list(kinds)},
            "ask": {"type": "string", "maxLength": MAX_ASK},
            "after": {
                "type": "array",
                "items": {"type": "integer", "minimum": 1, "maximum": MAX_STEPS},
                "maxItems": MAX_READ,
            },
        },
        "required": ["do", "ask", "after"],
        "additionalProperties": False,
    }
    steps = {"type": "array", "items": step, "minItems": 1, "maxItems": MAX_STEPS}
    return {
        "type": "object",
        "properties": {"steps": steps},
        "required": ["steps"],
        "additionalProperties": False,
    }


def parse(text: str, kinds: Mapping[str, Step]) -> tuple[Written, ...]:
    """What the model wrote, checked.

    Raises:
        GraphError: no JSON of the schema's shape, a step that reads itself, a later one, or a kind
            that it cannot read, one that nobody reads, or an end of another kind than the team's.
    """
    steps = _shaped(text, kinds)
    ends = {name for name in kinds if all(name not in _readable(other) for other in kinds.values())}
    for number, step in enumerate(steps, start=1):
        _check_reads(number, steps, kinds[step.do])
    for number, step in enumerate(steps, start=1):
        is_read = any(number in later.after for later in steps)
        if is_read == (number == len(steps)) or (number == len(steps) and step.do not in ends):
            raise GraphError(
                f"step {number} ({step.do}) must be read by a later step, and the last one be "
                f"{' or '.join(sorted(ends))}"
            )
    return steps


def _shaped(text: str, kinds: Mapping[str, Step]) -> tuple[Written, ...]:
    try:
        value: Any = orjson.loads(text)
        steps = tuple(
            Written(do=item["do"], ask=item["ask"][:MAX_ASK], after=tuple(item["after"]))
            for item in value["steps"]
        )
        well = all(
            step.do in kinds and all(type(number) is int for number in step.after) for step in steps
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise GraphError("not a plan in JSON") from error
    if not well or not 0 < len(steps) <= MAX_STEPS:
        raise GraphError("a plan of unknown kinds, of no steps or of too many")
    return steps


def _readable(kind: Step) -> frozenset[str]:
    return frozenset(name for wait in kind.after for name in wait.steps)


def _check_reads(number: int, steps: Sequence[Written], kind: Step) -> None:
    step = steps[number - 1]
    if len(set(step.after)) != len(step.after) or any(not 0 < n < number for n in step.after):
        raise GraphError(f"step {number} ({step.do}) reads {list(step.after)}: not earlier steps")
    read = {steps[n - 1].do for n in step.after}
    if foreign := sorted(read - _readable(kind)):
        raise GraphError(f"step {number} ({step.do}) cannot read {foreign[0]}")
    for wait in kind.after:
        if not read & set(wait.steps):
            raise GraphError(f"step {number} ({step.do}) reads no {' or '.join(wait.steps)}")


def _tasks(written: Sequence[Written], team: Team, context: PlanContext) -> TaskGraph:
    """The steps, named by kind and number, fanned out and wired like a template's."""
    kinds = {step.name: step for step in team.planner.steps}
    names = [f"{step.do}{number}" for number, step in enumerate(written, start=1)]
    done = Expansion()
    for name, step in zip(names, written, strict=True):
        kind = kinds[step.do]
        waits = tuple(_wait(wait, step, written, names) for wait in kind.after)
        setting = Setting(
            team=team,
            devices=context.document_devices,
            places={"goal": context.goal, "ask": step.ask or context.goal},
        )
        expand_step(replace(kind, name=name, after=waits), setting, done)
    check_size(done.tasks, team)
    return TaskGraph(tuple(done.tasks))


def _wait(wait: Wait, step: Written, written: Sequence[Written], names: Sequence[str]) -> Wait:
    sources = tuple(names[n - 1] for n in step.after if written[n - 1].do in wait.steps)
    return replace(wait, steps=sources, count=min(wait.count, len(sources)))


def _request(team: Team, goal: str) -> str:
    kinds = []
    for step in team.planner.steps:
        reads = ", ".join(sorted(_readable(step))) or "nothing"
        kinds.append(f"- {step.name}: {team.role(step.role).description} It reads {reads}.")
    return "Kinds of steps:\n" + "\n".join(kinds) + f"\n\nGoal: {' '.join(goal.split())}"
