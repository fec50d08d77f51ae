"""How a swarm was started, as bytes beside the journal of its runs: enough to start it so again.

Guards: what is read is typed and bounded like everything that is read; paths are absolute.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pockethive.configs.loader import load_team
from pockethive.core.canonical import encode
from pockethive.core.errors import BadEncoding, BadInput
from pockethive.core.fields import MAX_TIME, VERSION, Fields
from pockethive.core.spec import Limits, PlannerKind, PlannerSpec, Team
from pockethive.vocabulary import vocabulary

TAKEN_OVER: Final = "<taken over>"
"""The team of a run that another device had planned: nobody here plans anything."""
MAX_RECIPE: Final = 1 << 20
_MAX_PATH: Final = 4_096
_MAX_PATHS: Final = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """`team`: a file or a shipped name; empty for one that only the program knows."""

    team: str
    documents: tuple[Path, ...]
    devices: int
    join: tuple[str, ...]
    hive: str | None
    threads: int
    mdns: bool
    limits: Limits

    def encode(self) -> bytes:
        """Canonical bytes."""
        limits, usual = self.limits, Limits()
        bounds = {"tokens": limits.tokens, "replication": limits.replication}
        if limits.claims != usual.claims:
            bounds["claims"] = limits.claims
        return encode(
            {
                "v": VERSION,
                "team": self.team,
                "documents": [str(path) for path in self.documents],
                "devices": self.devices,
                "join": list(self.join),
                "hive": self.hive,
                "threads": self.threads,
                "mdns": self.mdns,
                "timeout": limits.timeout_seconds,
                "lease": limits.lease_seconds,
                "attempts": limits.attempts,
                "max_tasks": limits.max_tasks,
                **{name: most for name, most in bounds.items() if most},
            }
        )

    @classmethod
    def decode(cls, data: bytes) -> "Recipe":
        """The recipe behind `encode`. Raises BadEncoding."""
        fields = Fields.read(data, MAX_RECIPE, "recipe")
        hive = fields.take("hive")
        if hive is not None and not isinstance(hive, str):
            raise BadEncoding("recipe: hive is no name")
        recipe = cls(
            team=fields.text("team", _MAX_PATH),
            documents=tuple(map(Path, fields.texts("documents", _MAX_PATHS, _MAX_PATH))),
            devices=fields.whole("devices"),
            join=fields.texts("join", _MAX_PATHS, _MAX_PATH),
            hive=hive,
            threads=fields.whole("threads"),
            mdns=fields.flag("mdns"),
            limits=Limits(
                timeout_seconds=fields.whole("timeout", 0, MAX_TIME),
                lease_seconds=fields.whole("lease", 1),
                attempts=fields.whole("attempts", 1),
                max_tasks=fields.whole("max_tasks", 1),
                claims=fields.maybe("claims", MAX_TIME) or Limits().claims,
                tokens=fields.maybe("tokens", MAX_TIME),
                replication=fields.maybe("replication", MAX_TIME),
            ),
        )
        fields.done()
        return recipe


def team_again(how: Recipe, home: Path) -> Team:
    """The team that a run was begun with. Raises BadInput: only its program knows. ConfigError."""
    if how.team == TAKEN_OVER:
        return planned_team(how.limits)
    if not how.team:
        raise BadInput("the run was begun by a program with a team of its own")
    return replace(load_team(how.team, vocabulary(home)), limits=how.limits)


def planned_team(limits: Limits) -> Team:
    """A team for a run that was planned elsewhere: only its bounds count."""
    planner = PlannerSpec(kind=PlannerKind.TEMPLATE)
    return Team(
        name=TAKEN_OVER, description="", model=None, roles=(), planner=planner, limits=limits
    )
