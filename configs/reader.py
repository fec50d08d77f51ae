"""Reading a tree with types, collecting every fault in plain words.

Rule guarded here: a fault never stops the reading. Each method returns a usable stand-in after
noting its problem, so that one look at a file shows all that is wrong with it.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pockethive.configs.yaml_tree import Tree
from pockethive.core.canonical import MAX_DEPTH
from pockethive.core.errors import Problem

NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_DURATION = re.compile(r"(\d{1,7})(s|m|h)")
_SECONDS = {"s": 1, "m": 60, "h": 3600}
_WHOLE = re.compile(r"-?\d{1,15}")
_YES = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}


class Reader:
    """Typed access to trees; `problems` grows as faults are met."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def fault(self, where: str, what: str, cure: str = "") -> None:
        """Note a problem."""
        self.problems.append(Problem(where, what, cure))

    def mapping(self, tree: Tree, known: Iterable[str], what: str) -> Mapping[str, Tree]:
        """The entries of a mapping whose keys must be among `known`; others are faults."""
        names = tuple(known)
        for key in self.entries(tree, what):
            if key not in names:
                self.unknown(tree.keys[key], f"{what} has no setting {key!r}", key, names)
        return {key: value for key, value in tree.entries.items() if key in names}

    def entries(self, tree: Tree, what: str) -> Mapping[str, Tree]:
        """The entries of a mapping with free keys."""
        if tree.kind != "a mapping":
            self.fault(tree.where, f"{what} must be a mapping of `name: value`, found {tree.kind}")
        return tree.entries

    def named(self, tree: Tree, what: str) -> Mapping[str, Tree]:
        """The entries of a mapping whose keys name things of a team."""
        for key in self.entries(tree, f"{what}s"):
            if not NAME.fullmatch(key):
                self.fault(
                    tree.keys[key],
                    f"{key!r} is not a name for a {what}",
                    "begin with a lower-case letter; then letters, digits, - and _, at most 32",
                )
        return tree.entries

    def need(self, tree: Tree, entries: Mapping[str, Tree], key: str, what: str) -> Tree | None:
        """The entry `key`, which must be there."""
        if key not in entries and tree.kind == "a mapping":
            self.fault(tree.where, f"{what} needs {key!r}")
        return entries.get(key)

    def unknown(self, where: str, what: str, given: str, known: Iterable[str]) -> None:
        """Note a name that is not among `known`, with the nearest one."""
        names = sorted(known)
        near = difflib.get_close_matches(given, names, n=1)
        cure = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names) or 'none'}"
        self.fault(where, what, cure)

    def text(self, tree: Tree | None, what: str, default: str = "") -> str:
        """A text."""
        if tree is None:
            return default
        if tree.kind != "text":
            cure = "put it in quotes" if tree.text else ""
            self.fault(tree.where, f"{what} must be text, found {tree.kind}", cure)
            return default
        return tree.text

    def one_of(self, tree: Tree | None, what: str, known: Iterable[str], default: str = "") -> str:
        """A text that must be one of `known`."""
        names = tuple(known)
        given = self.text(tree, what, default)
        if tree is not None and tree.kind == "text" and given not in names:
            self.unknown(tree.where, f"{what} {given!r} is not known", given, names)
            return default
        return given

    def texts(self, tree: Tree | None, what: str) -> tuple[str, ...]:
        """A list of texts; a single text stands for a list of one."""
        if tree is None:
            return ()
        return tuple(self.text(item, what) for item in self.items(tree))

    def items(self, tree: Tree) -> tuple[Tree, ...]:
        """The items of a list; anything else stands for a list of one."""
        return tree.items if tree.kind == "a list" else (tree,)

    def whole(self, tree: Tree | None, what: str, bounds: tuple[int, int], default: int) -> int:
        """A whole number within `bounds`, both included."""
        if tree is None:
            return default
        low, high = bounds
        if tree.kind != "a whole number" or not _WHOLE.fullmatch(tree.text):
            self.fault(tree.where, f"{what} must be a whole number, found {_found(tree)}")
            return default
        if not low <= int(tree.text) <= high:
            self.fault(tree.where, f"{what} is {tree.text}, it must be from {low} to {high}")
            return default
        return int(tree.text)

    def yes_no(self, tree: Tree | None, what: str, *, default: bool) -> bool:
        """A yes or no."""
        if tree is None:
            return default
        if tree.kind != "yes or no":
            self.fault(tree.where, f"{what} must be yes or no, found {_found(tree)}")
            return default
        return _YES[tree.text.lower()]

    def seconds(self, tree: Tree | None, what: str, bounds: tuple[int, int], default: int) -> int:
        """A duration such as `20s` or `2m`, in seconds, within `bounds`."""
        if tree is None:
            return default
        match = _DURATION.fullmatch(tree.text) if tree.kind == "text" else None
        if match is None:
            self.fault(
                tree.where,
                f"{what} must be a duration, found {_found(tree)}",
                "write 20s, 2m or 1h",
            )
            return default
        found = int(match[1]) * _SECONDS[match[2]]
        if not bounds[0] <= found <= bounds[1]:
            self.fault(
                tree.where, f"{what} is {tree.text}, it must be from {bounds[0]}s to {bounds[1]}s"
            )
            return default
        return found

    def value(self, tree: Tree, what: str, depth: int = 0) -> Any:
        """A value of signed records: text, whole number, yes/no, nothing, list or mapping.

        What stands inside it is called by its way there, as `params.limits.0`.
        """
        if depth > MAX_DEPTH - 4:  # a spec blob wraps the value a few levels
            self.fault(tree.where, f"{what} is nested too deep")
            return None
        if tree.kind == "a mapping":
            for key in tree.entries:
                if not key.isascii():
                    self.fault(tree.keys[key], f"{what} has the name {key!r}", "use ASCII letters")
            return {
                key: self.value(item, f"{what}.{key}", depth + 1)
                for key, item in tree.entries.items()
            }
        if tree.kind == "a list":
            return [
                self.value(item, f"{what}.{number}", depth + 1)
                for number, item in enumerate(tree.items)
            ]
        if tree.kind == "a whole number":
            return self.whole(tree, what, (-(2**53) + 1, 2**53 - 1), 0)
        if tree.kind == "yes or no":
            return self.yes_no(tree, what, default=False)
        return None if tree.kind == "nothing" else self.text(tree, what)


def _found(tree: Tree) -> str:
    return repr(tree.text) if tree.text else tree.kind
