"""What making or fetching a model takes of the disk, against what is free.

Guards: no disk is filled by a job that could be known not to fit; both sums are told.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pockethive.core.errors import RefusedModel

TOOLS: Final = "the environment that makes models"
WEIGHTS: Final = "its weights"
UNPACKED: Final = "unpacking them"
WORK: Final = "export and bundle"
TOOL_BYTES: Final = 2_600_000_000
"""The environment, with what pip keeps while it installs."""
_FLOAT: Final = 4  # bytes of a weight while it is worked on
_SPARE: Final = 100_000_000  # stays free for whoever else writes


def making(parameters: int, *, gguf: bool) -> Mapping[str, int]:
    """Bytes that export and quantization take of the disk, by what for. 0 parameters: unknown."""
    wanted = {WORK: (_FLOAT + 2) * parameters}  # the graph before quantization, and the bundle
    return wanted | ({UNPACKED: _FLOAT * parameters} if gguf else {})


def check_space(folder: Path, wanted: Mapping[str, int], what: str) -> None:
    """Raises RefusedModel: not so many bytes are free on the disk of `folder`."""
    place = folder
    while not place.exists():
        place = place.parent
    free, total = shutil.disk_usage(place).free, sum(wanted.values())
    if total + _SPARE <= free:
        return
    parts = ", ".join(f"{said} {_shown(count)}" for said, count in wanted.items() if count)
    raise RefusedModel(
        f"{what} takes about {_shown(total)} of disk ({parts}), and {_shown(free)} are free",
        where=str(place),
        cure="free some, or use a home on another disk: --home DIR",
    )


def _shown(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1_000_000_000 else f"{count / 1e6:.0f} MB"
