"""Skills and checkers for questions about documents, by name.

Rule guarded here: the tables are closed. A team file names what stands here and nothing else, and
nothing is improvised: an answer is made of quotations, each of which another device can check.
"""

from collections.abc import Mapping
from types import MappingProxyType

from pockethive.actors.skill import Checker, Skill
from pockethive.actors.skills.checks import Citations, Fit, Quotation, Ranking
from pockethive.actors.skills.rank import Rank
from pockethive.actors.skills.research import Search
from pockethive.actors.skills.synthesize import Synthesize

_SKILLS: tuple[Skill, ...] = (Search(), Rank(), Synthesize())
_CHECKERS: tuple[Checker, ...] = (Quotation(), Fit(), Ranking(), Citations())

SKILLS: Mapping[str, Skill] = MappingProxyType({skill.name: skill for skill in _SKILLS})
CHECKERS: Mapping[str, Checker] = MappingProxyType({item.name: item for item in _CHECKERS})
