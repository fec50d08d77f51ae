"""The task sets that primitives are measured by, as package data.

Each is JSON lines, made by `bench/tasksets.py` before any prompt was tuned on them. `tune` is what
forms and calibrations may be set by; `held` shares no source with it and is what counts. Guards: a
set whose bytes are not those that were frozen measures nothing, so it is refused.
"""

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final, Literal

import orjson

from pockethive.core.errors import BadInput, ModelError

Split = Literal["tune", "spent", "held"]
Item = dict[str, Any]

FROZEN: Final = {
    "choose.tune": "4bebe0b067b521baa9611454a37201839deb62410e71bb621b2221aba586b193",
    "choose.spent": "7adb4dfc191f2cfb11d09fa7074c61941b1195efc7f51d7cee4875099cbc27eb",
    "choose.held": "140276bdcc404c90e97af8c30908998a2d315ed9c954f84dc045874fd13c5124",
    "label.tune": "075b0bdde91357470f73e8b75f998f8b4548b01ce8259f5584db843f78c79725",
    "label.held": "d95ee58f02e540d2815015c43a11e1fa20ac78751d8fcec4e576454c88a10328",
    "extract.tune": "7ceab5e85d2eefdd2038fa2ba9daca5f994321bf806dc946e9b7b1b23e960a66",
    "extract.spent": "bfb62c47a74697d9140df11864382db9cdf55bed7a38ba013bbaf1030a0aff16",
    "extract.held": "2c1c378ccb761eeb2f2f646f61e1f95938b90022af9465869daf11077e6a4676",
    "rank.tune": "8754740680ffa043fb5d8fcbefc862ee6c95abd1eb1b5f72b1e0160612224314",
    "rank.held": "2143bdf2151c2e94f5618b57596c0ff0827c85ff0aff5e2cf14cd04c1c3accf2",
    "fill.tune": "07853efa4bee1f01a0f39b679c3644ab0f880bbb82d11e698d7fd19259d7f974",
    "fill.spent": "0f49f55788da706540743db6fd17fd167208d8f0ce3856ca3cd496e2310f2164",
    "fill.held": "1d14a89776d3b654913a8840828c59ac096e97cd5c68ab1952e9e746bd34de07",
    "compress.tune": "449e5d07ac1db015f2a3751459534e95a6ac56d150b86d2f178c9ba089c3310f",
    "compress.spent": "f61a30c2fd6895daa19399848c2986e57c210b0d9ebd48ce1775e46e8a45cba3",
    "compress.held": "e01dd52c824f8b3b80de956d1abcff1facfe7d8c3b5df38c7634f33409fe4059",
}
"""SHA-256 of each set."""

PRIMITIVES: Final = ("choose", "label", "extract", "rank", "fill", "compress")


@dataclass(frozen=True, slots=True)
class TaskSet:
    """Items in their frozen order; every item has `kind` and `right`."""

    primitive: str
    split: Split
    items: tuple[Item, ...]
    sha256: str


def task_set(primitive: str, split: Split) -> TaskSet:
    """Read a set. Raises BadInput for an unknown primitive, ModelError when it was changed."""
    if primitive not in PRIMITIVES:
        raise BadInput(
            f"no task set is known for {primitive!r}", cure=f"one of {', '.join(PRIMITIVES)}"
        )
    name = f"{primitive}.{split}"
    path = files(__package__) / "tasksets" / f"{name}.jsonl"
    try:
        body = path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"the task set {name} is missing", where=str(path), cure="install pockethive again"
        ) from error
    return checked(primitive, split, body)


def checked(primitive: str, split: Split, body: bytes) -> TaskSet:
    """The items in `body`. Raises ModelError when they are not those that were frozen."""
    name, sha256 = f"{primitive}.{split}", hashlib.sha256(body).hexdigest()
    if sha256 != FROZEN[name]:
        raise ModelError(
            f"the task set {name} is not the one that was frozen", cure="install pockethive again"
        )
    return TaskSet(primitive, split, tuple(map(orjson.loads, body.splitlines())), sha256)
