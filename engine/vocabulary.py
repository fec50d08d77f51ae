"""The names a team file may use, from the skills and checkers this installation has."""

from pockethive.configs.team import SkillInfo, Vocabulary
from pockethive.installed import checkers, skills


def vocabulary() -> Vocabulary:
    """Skills and checkers by name."""
    return Vocabulary(
        skills={name: SkillInfo(needs_model=skill.needs_model) for name, skill in skills().items()},
        checkers=frozenset(checkers()),
    )
