"""YAML text as a tree of values that know where they stand.

Rule guarded here: nothing in a file is silently dropped or expanded. Duplicate keys, anchors,
aliases, tags and deep nesting are refused with their place; PyYAML alone would keep the last of two
keys and let a kilobyte of aliases grow into gigabytes.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import yaml

from pockethive.core.errors import ConfigError, Problem

MAX_BYTES = 256 * 1024
MAX_DEPTH = 24
_STANDARD = "tag:yaml.org,2002:"
_KINDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number with a fraction",
    "bool": "yes or no",
    "null": "nothing",
    "timestamp": "a date",
    "map": "a mapping",
    "seq": "a list",
}


@dataclass(frozen=True, slots=True)
class Tree:
    """One value of a file.

    `kind` is a word for people (`text`, `a list`, …). `text` is a scalar as it was written.
    `entries` are a mapping's values by key, `keys` where each key stands, `items` a list's values.
    """

    where: str
    kind: str
    text: str = ""
    entries: dict[str, "Tree"] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    items: tuple["Tree", ...] = ()


class _Refused(yaml.MarkedYAMLError):
    """Legal YAML that this product does not read. `note` is the cure."""


class _Loader(yaml.SafeLoader):
    """Composes nodes without aliases and not deeper than MAX_DEPTH."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]  # PyYAML has no types here
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise _Refused(
                problem="anchors and aliases are not read",
                problem_mark=event.start_mark,
                note="write the value out where it is needed",
            )
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _Refused(
                problem=f"nested deeper than {MAX_DEPTH}",
                problem_mark=event.start_mark,
                note="no setting is that deep; look for a bracket that is not closed",
            )
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def read_tree(data: bytes, name: str) -> Tree:
    """The tree of a YAML file; `name` is what places are called by.

    Raises:
        ConfigError: over MAX_BYTES, not UTF-8, not YAML, empty, not a mapping, or holding
            duplicate keys, keys that are no text, aliases or tags. Duplicates are listed all.
    """
    text = _decode(data, name)
    where_of = _places(name)
    try:
        node = _Loader(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        raise ConfigError([_syntax_problem(error, where_of, name)]) from error
    except yaml.reader.ReaderError as error:
        line, column = _line_and_column(text, int(error.position))
        raise ConfigError(
            [Problem(f"{name}:{line}:{column}", "a character that YAML does not allow")]
        ) from error
    if node is None or node.tag == f"{_STANDARD}null":
        raise ConfigError([Problem(f"{name}:1:1", "the file is empty")])
    problems: list[Problem] = []
    tree = _convert(node, where_of, problems)
    if problems:
        raise ConfigError(problems)
    if tree.kind != _KINDS["map"]:
        raise ConfigError(
            [Problem(tree.where, f"expected settings as `name: value`, found {tree.kind}")]
        )
    return tree


def _decode(data: bytes, name: str) -> str:
    if len(data) > MAX_BYTES:
        raise ConfigError(
            [Problem(f"{name}:1:1", f"{len(data)} bytes, at most {MAX_BYTES} are read")]
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, column = _line_and_column(data[: error.start].decode(), len(data))
        raise ConfigError(
            [Problem(f"{name}:{line}:{column}", "not UTF-8 text", "save the file as UTF-8")]
        ) from error


def _line_and_column(text: str, position: int) -> tuple[int, int]:
    before = text[:position]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


Places = Callable[[yaml.Mark | None], str]


def _places(name: str) -> Places:
    def where(mark: yaml.Mark | None) -> str:
        return f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else f"{name}:1:1"

    return where


def _syntax_problem(error: yaml.MarkedYAMLError, where_of: Places, name: str) -> Problem:
    where = where_of(error.problem_mark or error.context_mark)
    if isinstance(error, _Refused):
        return Problem(where, str(error.problem), str(error.note))
    told = "; ".join(str(part) for part in (error.context, error.problem) if part)
    return Problem(
        where, f"not readable as YAML: {told}", f"look at or just above {where}, in {name}"
    )


def _convert(node: yaml.Node, where_of: Places, problems: list[Problem]) -> Tree:
    where = where_of(node.start_mark)
    kind = _KINDS.get(node.tag.removeprefix(_STANDARD)) if node.tag else None
    shape = ""
    if isinstance(node, yaml.CollectionNode):
        shape = _KINDS["map"] if isinstance(node, yaml.MappingNode) else _KINDS["seq"]
    if kind is None or shape != (kind if kind in {_KINDS["map"], _KINDS["seq"]} else ""):
        problems.append(Problem(where, f"the tag {node.tag} is not read", "leave it out"))
        return Tree(where, shape or "text")
    if isinstance(node, yaml.SequenceNode):
        items = tuple(_convert(item, where_of, problems) for item in node.value)
        return Tree(where, kind, items=items)
    if isinstance(node, yaml.MappingNode):
        tree = Tree(where, kind)
        for key, value in node.value:
            _add_entry(tree, (key, value), where_of, problems)
        return tree
    return Tree(where, kind, text=str(node.value))


def _add_entry(
    tree: Tree, pair: tuple[yaml.Node, yaml.Node], where_of: Places, problems: list[Problem]
) -> None:
    key, value = pair
    where = where_of(key.start_mark)
    if not isinstance(key, yaml.ScalarNode) or key.tag not in {f"{_STANDARD}str"}:
        problems.append(Problem(where, "a name must be text", "put it in quotes"))
        return
    name = str(key.value)
    if name in tree.keys:
        problems.append(
            Problem(where, f"{name!r} is given twice, first at {tree.keys[name]}", "remove one")
        )
        return
    tree.keys[name] = where
    tree.entries[name] = _convert(value, where_of, problems)
