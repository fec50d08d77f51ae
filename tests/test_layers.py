"""The rooms' arrows: who may import whom. An import against them fails here, wherever it hides."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = {
    "core": ROOT / "engine" / "core",
    "inference": ROOT / "engine" / "inference",
    "trials": ROOT / "engine" / "trials",
    "dht": ROOT / "dht",
    "planners": ROOT / "planners",
    "configs": ROOT / "configs",
    "actors": ROOT / "actors",
}
MAY_IMPORT = {
    "core": {"core"},
    "configs": {"core", "configs"},
    "dht": {"core.errors", "core.canonical", "dht"},
    "planners": {"core", "planners"},
    "inference": {"core", "inference"},
    "trials": {"core", "trials"},
    "actors": {"core", "configs", "dht", "planners", "inference", "trials", "actors"},
}
PURE = {"orjson"}  # beyond the standard library, all that the core may use
IMPURE = {"asyncio", "socket", "threading", "time", "random", "secrets", "subprocess", "os", "ssl"}


def imported(source: str) -> Iterator[tuple[int, str]]:
    """Every absolute import, also inside functions and under TYPE_CHECKING."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level <= 1, f"line {node.lineno}: two dots are never used"
            if node.level == 0 and node.module:
                yield node.lineno, node.module
                yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def faults(room: str, source: str) -> list[str]:
    """What `source`, as a file of `room`, imports against the arrows."""
    found = []
    for line, name in imported(source):
        top, _, rest = name.partition(".")
        if top in {"engine", "dht", "actors", "planners", "configs"}:
            found.append(f"line {line}: {name} loads a room a second time; say pockethive.…")
        elif top == "pockethive":
            if rest and not any(_within(rest, allowed) for allowed in MAY_IMPORT[room]):
                found.append(f"line {line}: {room} may not import {name}")
        elif room == "core" and (top in IMPURE or top not in sys.stdlib_module_names | PURE):
            found.append(f"line {line}: the core is pure and may not import {name}")
        elif room == "trials" and top in IMPURE - {"random"}:
            found.append(f"line {line}: trials are pure but for seeded chance, not {name}")
    return found


def _within(name: str, allowed: str) -> bool:
    """Whether `name` is the allowed module, something in it, or a package on the way to it."""
    return name == allowed or name.startswith(f"{allowed}.") or allowed.startswith(f"{name}.")


def files() -> list[tuple[str, Path]]:
    return [(room, path) for room, folder in ROOMS.items() for path in folder.rglob("*.py")]


@pytest.mark.parametrize(
    ("room", "path"), files(), ids=lambda value: value if isinstance(value, str) else value.name
)
def test_a_room_imports_only_downwards(room: str, path: Path) -> None:
    assert faults(room, path.read_text()) == [], f"{path}"


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("core", "import time"),
        ("core", "def f():\n    from pockethive.dht.node import Node"),
        ("core", "import numpy"),
        ("dht", "from pockethive.core.task import Task"),
        (
            "dht",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pockethive.actors",
        ),
        ("planners", "from pockethive.inference.session import Session"),
        ("configs", "from pockethive.planners import template"),
        ("inference", "from pockethive.actors.skill import Skill"),
        ("actors", "from pockethive.device import Device"),
        ("actors", "import dht.node"),
        ("trials", "import time"),
        ("trials", "from pockethive.inference.session import Session"),
    ],
)
def test_an_import_against_the_arrows_is_found(room: str, source: str) -> None:
    assert faults(room, source)


def test_no_file_is_longer_than_four_hundred_lines() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in ROOT.rglob("*.py")
        if not {".venv", "build"} & set(path.relative_to(ROOT).parts)
        and (lines := path.read_text().count("\n")) > 400
    }
    assert long == {}
