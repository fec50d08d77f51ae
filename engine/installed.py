"""Skills and checkers of this installation: the shipped ones, and those that packages bring.

    [project.entry-points."pockethive.skills"]
    sum = "acme_skills:Sum"

An entry point of the groups `pockethive.skills` and `pockethive.checkers` is a class without
arguments, or an instance; its name is what teams call it by. Guards: what is shipped is never
replaced; a package that cannot be used is left out with a line in the log, and stops nobody.
"""

import logging
from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Any, Final

from pockethive.actors.skill import Checker, Skill
from pockethive.actors.skills import CHECKERS, SKILLS, rereaders

_log = logging.getLogger(__name__)

SKILL_GROUP: Final = "pockethive.skills"
CHECKER_GROUP: Final = "pockethive.checkers"
MAX_NAMES: Final = 16  # of each kind, as a device advertises them


@cache
def skills() -> Mapping[str, Skill]:
    """Every skill by name. Loads the packages that bring some, once."""
    return _with_installed(SKILLS, SKILL_GROUP, "run")


@cache
def checkers() -> Mapping[str, Checker]:
    """Every checker by name, one for each skill that writes included. Loads packages, once.

    Those of packages' skills come last, and one that finds no room is left out with a line.
    """
    found = dict(_with_installed(CHECKERS, CHECKER_GROUP, "check"))
    for name, checker in rereaders(skills().values()).items():
        if name in CHECKERS:
            continue
        if name in found or len(found) >= MAX_NAMES:
            _log.warning("%s is left out: a name taken, or too many", name)
            continue
        found[name] = checker
    return MappingProxyType(found)


def _with_installed(shipped: Mapping[str, Any], group: str, method: str) -> Mapping[str, Any]:
    found = dict(shipped)
    for point in sorted(entry_points(group=group), key=lambda point: point.name):
        if point.name in found or len(found) >= MAX_NAMES:
            _log.warning("%s %s is left out: a name taken, or too many", group, point.value)
            continue
        try:
            made = point.load()
            made = made() if isinstance(made, type) else made
            fits = (
                made.name == point.name
                and isinstance(made.needs_model, bool)
                and callable(getattr(made, method))
            )
        except Exception as error:  # noqa: BLE001 - it is somebody else's code
            _log.warning("%s %s cannot be used: %r", group, point.value, error)
            continue
        if not fits:
            _log.warning("%s %s has another name or no `%s`", group, point.value, method)
            continue
        _log.info("%s: %s of %s", group, point.name, point.value)
        found[point.name] = made
    return MappingProxyType(found)
