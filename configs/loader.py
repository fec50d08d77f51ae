"""Reading team and settings files: from a path, a shipped name, or a text.

Rule guarded here: a file gives either a whole value or one ConfigError with every fault it has.
"""

import difflib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from pockethive.configs.reader import Reader
from pockethive.configs.team import TeamCompiler, Vocabulary
from pockethive.configs.yaml_tree import MAX_BYTES, read_tree
from pockethive.core.errors import ConfigError, Problem
from pockethive.core.spec import Team

_NOT_TEAMS = frozenset({"node"})


def shipped_teams() -> tuple[str, ...]:
    """Names of the teams that come with the package."""
    folder = resources.files("pockethive.configs")
    names = (Path(entry.name) for entry in folder.iterdir())
    return tuple(sorted(n.stem for n in names if n.suffix == ".yaml" and n.stem not in _NOT_TEAMS))


def load_team(source: Path | str, vocabulary: Vocabulary) -> Team:
    """The team in a file, or a shipped one by its bare name.

    A text without a suffix and without a slash is a shipped name unless such a file exists.

    Raises:
        ConfigError: every fault at `file:line:col`.
    """
    path = Path(source)
    if isinstance(source, str) and source == path.stem and source and not path.exists():
        return load_team_bytes(_shipped(source), f"{source}.yaml", vocabulary)
    return load_team_bytes(read_file(path), str(source), vocabulary)


def load_team_text(text: str, name: str, vocabulary: Vocabulary) -> Team:
    """The team in `text`; `name` is what its places are called by."""
    try:
        data = text.encode()
    except UnicodeEncodeError as error:
        raise ConfigError([Problem(f"{name}:1:1", "holds half of a surrogate pair")]) from error
    return load_team_bytes(data, name, vocabulary)


def load_team_bytes(data: bytes, name: str, vocabulary: Vocabulary) -> Team:
    """The team in a file's bytes."""
    tree = read_tree(data, name)
    reader = Reader()
    team = TeamCompiler(reader, vocabulary).compile(tree, Path(name).stem)
    if reader.problems:
        raise ConfigError(in_file_order(reader.problems))
    return team


def read_file(path: Path) -> bytes:
    """At most one byte more than is read from a settings file, so that size can be judged.

    Raises:
        ConfigError: missing, a folder, or not allowed.
    """
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise ConfigError([Problem(str(path), "there is no such file", _nearby(path))]) from error
    except (OSError, ValueError) as error:
        told = getattr(error, "strerror", None) or str(error)
        raise ConfigError([Problem(str(path), f"cannot be read: {told}")]) from error


def _shipped(name: str) -> bytes:
    names = shipped_teams()
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"shipped teams: {', '.join(names)}"
        raise ConfigError([Problem(name, "no file and no shipped team of this name", hint)])
    return resources.files("pockethive.configs").joinpath(f"{name}.yaml").read_bytes()


def _nearby(path: Path) -> str:
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return f"the folder {path.parent} does not exist"
    near = difflib.get_close_matches(path.name, names, n=1)
    return f"did you mean {path.parent / near[0]}?" if near else "check the path"


def in_file_order(problems: Sequence[Problem]) -> list[Problem]:
    """Problems of one file from its first line to its last."""

    def place(problem: Problem) -> tuple[int, int]:
        _, line, column = problem.where.rsplit(":", 2)
        return int(line), int(column)

    return sorted(problems, key=place)
