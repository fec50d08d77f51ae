"""How a swarm was started, as bytes beside the journal of its runs: enough to start it so again.

Guards: what is read is typed and bounded like everything that is read; paths are absolute.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pockethive.core.canonical import encode
from pockethive.core.errors import BadEncoding
from pockethive.core.fields import MAX_TIME, VERSION, Fields
from pockethive.core.spec import Limits

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
        limits = self.limits
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
            ),
        )
        fields.done()
        return recipe
