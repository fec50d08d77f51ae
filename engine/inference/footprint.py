"""What a model takes of memory, told before it takes it. Of the disk: `space.py`.

Guards: a device that has too little is told so, with the sum, before anything is loaded; keys and
values get no more than the weights leave.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from pockethive.core.errors import RefusedModel
from pockethive.inference.catalogue import ONNX, ONNX_FOUR
from pockethive.inference.pages import resident

if TYPE_CHECKING:
    from pockethive.inference.bundle import Bundle

PROGRAM: Final = 150 << 20
"""Bytes of everything but weights, keys and values: measured for the default model."""
LEAST_TOKENS: Final = 1024
"""A model that cannot keep so many in memory is not worth loading."""
ENCODER: Final = 90 << 20
"""Bytes that the default encoder takes, its graph and activations included."""
BOTH: Final = 550 << 20
"""Bytes of a process with the default model and the encoder, at most."""
_SHARE: Final = 4
_PACKED: Final = {ONNX: 1.12, ONNX_FOUR: 1.15}  # weights in blocks: their sums are kept, too
_MB: Final = 1 << 20
_CGROUP: Final = Path("/sys/fs/cgroup")


_ceiling: list[int] = []


def keep_below(most: int) -> None:
    """From now on models of this process take no more than leaves it below `most` bytes resident.

    Like the limit of a control group it is the process's, for all models that it loads. What a
    loaded model takes beyond the sum of its parts is not held against it.
    """
    _ceiling[:] = [most]


def free_memory() -> int | None:
    """Bytes that this process may still take; None where the system does not tell."""
    below = max(0, _ceiling[0] - resident()) if _ceiling else None
    return _least(_system_memory(Path("/proc/meminfo")), group_memory(_CGROUP), below)


def check_room_for_encoder(free: int | None, taken: int) -> None:
    """Raises RefusedModel where an encoder would take what a model needs, loaded or not yet.

    Of bytes that are free and those that this process has; `free` None: the system does not tell.
    """
    if free is not None and (free < ENCODER or free + taken < BOTH):
        raise RefusedModel(
            f"an encoder beside the model makes {BOTH / _MB:.0f} MB of this process, "
            f"{free / _MB:.0f} MB are free",
            cure="passages are found by their words; to find them by meaning, too, give it memory",
        )


def group_memory(folder: Path) -> int | None:
    """What the limit of a control group (version 2) leaves; None without a limit.

    File pages count against it, and are given up when memory is short.
    """
    try:
        limit = int((folder / "memory.max").read_text(encoding="ascii"))
        used = int((folder / "memory.current").read_text(encoding="ascii"))
        lines = (folder / "memory.stat").read_text(encoding="ascii").splitlines()
        pages = dict(line.split(maxsplit=1) for line in lines)
        return limit - used + int(pages["active_file"]) + int(pages["inactive_file"])
    except (OSError, ValueError, KeyError):  # no such group, or "max": no limit
        return None


def loaded_parts(bundle: "Bundle") -> dict[str, int]:
    """Bytes that a loaded model takes before it reads anything, by what they are for.

    Packed weights take about as many as their file.
    """
    size = bundle.card.files[bundle.weights.name].size
    packed = int(size * _PACKED.get(bundle.card.quantization, 1))
    return {"weights": packed, "the program": PROGRAM}


def check_memory(parts: dict[str, int], free: int | None, where: str) -> None:
    """Raises RefusedModel when the sum of `parts` (bytes, by what they are for) is not free."""
    if free is None or sum(parts.values()) <= free:
        return
    told = " + ".join(f"{-(-size // _MB)} MB for {name}" for name, size in parts.items())
    raise RefusedModel(
        f"too little memory: {told} = {-(-sum(parts.values()) // _MB)} MB, "
        f"and {free // _MB} MB are free",
        where=where,
        cure="make room, or choose a smaller model or `--quantization int4`",
    )


def has_room(weights: int, free: int | None) -> bool:
    """Whether a second packed copy of `weights` (bytes) is worth its memory: short passes are up to
    twice as fast with it. Where all of the model takes a quarter of what is free at most."""
    return free is not None and _SHARE * (PROGRAM + 2 * weights) <= free


def _system_memory(path: Path) -> int | None:
    if not path.exists():
        return None
    for line in path.read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _least(*known: int | None) -> int | None:
    return min((each for each in known if each is not None), default=None)
