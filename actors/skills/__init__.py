"""Skills and checkers for questions about documents, by name.

Rule guarded here: the tables are closed. A team file names what stands here and nothing else, and
nothing is improvised: an answer is made of quotations, each of which another device can check, or
it is a text that another device can read again (`verify: rescore`).
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from pockethive.actors.skill import Checker, Skill
from pockethive.actors.skills.checks import Citations, Fit, Quotation, Ranking
from pockethive.actors.skills.gathering import Gather, Gathered
from pockethive.actors.skills.rank import Rank
from pockethive.actors.skills.reckoning import Reckon, Reckoned
from pockethive.actors.skills.rescore import Rescore
from pockethive.actors.skills.research import Search
from pockethive.actors.skills.summarize import Summarize
from pockethive.actors.skills.synthesize import Synthesize
from pockethive.actors.skills.voting import Ballots, Cast, Count, Counted
from pockethive.actors.skills.writing import is_writer

_SKILLS: tuple[Skill, ...] = (
    *(Search(), Rank(), Synthesize(), Summarize()),
    *(Cast(), Count(), Gather(), Reckon()),
)
_CHECKERS: tuple[Checker, ...] = (
    *(Quotation(), Fit(), Ranking(), Citations()),
    *(Ballots(), Counted(), Gathered(), Reckoned()),
)


def rereaders(skills: Iterable[Skill]) -> dict[str, Checker]:
    """A checker for each skill that says what it asks the model, by name."""
    found = (Rescore(skill) for skill in skills if is_writer(skill))
    return {checker.name: checker for checker in found}


SKILLS: Mapping[str, Skill] = MappingProxyType({skill.name: skill for skill in _SKILLS})
CHECKERS: Mapping[str, Checker] = MappingProxyType(
    {item.name: item for item in _CHECKERS} | rereaders(_SKILLS)
)
