"""A role's `verify`: the checks that an output must pass, and what stands alone."""

from collections.abc import Collection

from pockethive.configs.reader import Reader
from pockethive.configs.yaml_tree import Tree
from pockethive.core.ballot import RECOMPUTE
from pockethive.core.rescore import RESCORE, checker_of
from pockethive.core.ruling import HUMAN
from pockethive.core.task import Check, Policy

_NAMELESS = {
    RECOMPUTE: "write `verify: recompute`, where answers must be the same; or `rescore: …`, where a"
    " model may differ a little",
    HUMAN: "write `verify: human`: the run's owner is asked",
}
"""Policies that name no checker, and what to write instead."""


def read_checks(
    read: Reader, tree: Tree | None, checkers: Collection[str], skill: str
) -> tuple[Check, ...]:
    """The checks of a role, without repetition. `rescore` alone reads again what `skill` wrote."""
    if tree is None or tree.kind == "nothing":
        return ()
    found: list[Check] = []
    for item in read.items(tree):
        named = [name for name in _NAMELESS if name in item.entries]
        for name in named:
            read.fault(item.keys[name], f"`{name}` names no checker", _NAMELESS[name])
        if item.kind == "text" and item.text == RESCORE:
            found.append(Check(Policy.RESCORE, checker_of(skill)))
        elif item.kind == "text" and item.text in _NAMELESS:
            found.append(Check(Policy(item.text), item.text))
        elif not named:
            named_by = [name for name in checkers if not name.startswith(checker_of(""))]
            found.extend(_named_checks(read, item, named_by))
    checks = tuple(dict.fromkeys(found))
    alone = [check.checker for check in checks if check.policy.value in _NAMELESS]
    if alone and len(checks) > 1:
        read.fault(tree.where, f"`{alone[0]}` goes with no other check", "leave the others out")
    return checks


def _named_checks(read: Reader, item: Tree, checkers: Collection[str]) -> list[Check]:
    policies = [policy.value for policy in Policy if policy.value not in _NAMELESS]
    return [
        Check(Policy(policy), read.one_of(named, "checker", checkers))
        for policy, value in read.mapping(item, policies, "verify").items()
        for named in read.items(value)
    ]
