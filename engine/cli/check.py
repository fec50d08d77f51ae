"""`pockethive check TEAM`: read a team file and say what it would do, or every fault it has."""

import argparse
from typing import TYPE_CHECKING

from pockethive.core.spec import QUICK

if TYPE_CHECKING:
    from pockethive.core.spec import ModelNeed


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "check", help="check a team file", description="Check a team file; nothing is started."
    )
    parser.add_argument("team", help="a YAML file, or a shipped team such as `research`")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the team in a few lines. Raises ConfigError."""
    from pockethive.configs.loader import load_team
    from pockethive.vocabulary import vocabulary

    team = load_team(args.team, vocabulary())
    print(f"{team.name}: {team.description}")
    for role in team.roles:
        checks = ", ".join(
            f"{check.policy.value} {check.checker}" for check in role.verification.checks
        )
        print(f"  {role.name}: {role.skill}; verified by {checks or 'nobody'}")
    planner = team.planner
    made_of = [step.name for step in planner.steps] or [method.name for method in planner.methods]
    print(f"  planner: {planner.kind.value} ({', '.join(made_of)})")
    print(f"  model: {_model(team.model)}")
    return 0


def _model(need: "ModelNeed | None") -> str:
    if need is None:
        return "none"
    return f"{need.name} {need.quantization}" + (f", {QUICK}" if need.arithmetic == QUICK else "")
