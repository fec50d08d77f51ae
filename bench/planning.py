"""How often the methods planner draws the right shape, with the model a team would use.

    python -m bench.planning [--model NAME] [--goals tests/data/planning_goals.json] [--json OUT]

Prints a table and, with --json, everything raw. Greedy throughout, so
there is nothing to seed.
"""

import argparse
import json
import statistics
import sys
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.machine import machine
from pockethive.configs.home import default_home
from pockethive.configs.loader import load_team
from pockethive.core.ports import Model
from pockethive.core.spec import Team
from pockethive.core.task import DeviceId
from pockethive.inference import DEFAULT_MODEL, open_model
from pockethive.planners.context import PlanContext
from pockethive.planners.methods import warm
from pockethive.planners.planner import make_plan
from pockethive.vocabulary import vocabulary

GOALS = Path(__file__).parent.parent / "tests/data/planning_goals.json"
DEVICES = tuple(DeviceId(letter * 43) for letter in "abc")


def main() -> int:
    """Measure, print, and return 0 when at least three quarters are right."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--model", default=DEFAULT_MODEL)
    asked.add_argument("--goals", type=Path, default=GOALS)
    asked.add_argument("--home", type=Path, default=default_home())
    asked.add_argument("--threads", type=int, default=2)
    asked.add_argument("--json", type=Path)
    given = asked.parse_args()
    team = load_team("research", vocabulary())
    model = open_model(given.model, given.home, threads=given.threads)
    warm(team, model)
    goals = json.loads(given.goals.read_text(encoding="utf-8"))["goals"]
    rows = [measure(team, model, one["goal"], one["method"]) for one in goals]
    right = report(rows)
    if given.json:
        given.json.write_text(json.dumps({**about(model), "rows": rows}, indent=1), "utf-8")
    return 0 if right >= 0.75 * len(rows) else 1


def measure(team: Team, model: Model, goal: str, wanted: str) -> dict[str, Any]:
    """One goal: what was chosen, how surely, and how long it took."""
    begun = time.perf_counter()
    plan = make_plan(team, PlanContext(goal=goal, document_devices=DEVICES), model)
    seconds = time.perf_counter() - begun
    first = plan.trace[0]
    return {
        "goal": goal,
        "wanted": wanted,
        "right": first.chosen == wanted and not first.fallback,
        "seconds": round(seconds, 3),
        "prompt_tokens": plan.prompt_tokens,
        "tasks": [task.name for task in plan.graph.tasks],
        **asdict(first),
    }


def report(rows: list[dict[str, Any]]) -> int:
    """Print the table; returns how many are right."""
    wanted = Counter(row["wanted"] for row in rows)
    right = Counter(row["wanted"] for row in rows if row["right"])
    for method, number in wanted.items():
        print(f"{method:10} {right[method]:3} of {number}")
    for row in rows:
        if not row["right"]:
            how = "fallback" if row["fallback"] else f"margin {row['margin']:.1f}"
            print(f"  {row['wanted']} -> {row['chosen']} ({how}): {row['goal']}")
    total = sum(right.values())
    seconds = sorted(row["seconds"] for row in rows)
    print(f"right without fallback: {total} of {len(rows)} ({total / len(rows):.0%})")
    print(f"fallbacks: {sum(row['fallback'] for row in rows)}")
    print(f"seconds per plan: median {statistics.median(seconds):.2f}, most {seconds[-1]:.2f}")
    return total


def about(model: Model) -> dict[str, Any]:
    """What a figure is worth nothing without."""
    return {
        "machine": machine("openvino"),
        "model": asdict(model.model_class),
        "sampling": "greedy",
    }


if __name__ == "__main__":
    sys.exit(main())
