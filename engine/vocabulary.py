"""The names a team file may use, from the skills and checkers this installation has."""

from functools import partial
from pathlib import Path

from pockethive.actors.skills.writing import is_writer
from pockethive.configs.home import default_home
from pockethive.configs.team import SkillInfo, Vocabulary
from pockethive.core.errors import ModelError, UnknownModel
from pockethive.core.spec import ModelNeed, ModelWish
from pockethive.installed import checkers, skills


def vocabulary(home: Path | None = None) -> Vocabulary:
    """Skills and checkers by name; what the cards of the models of `home` show."""
    return Vocabulary(
        skills={
            name: SkillInfo(needs_model=skill.needs_model, asks=is_writer(skill))
            for name, skill in skills().items()
        },
        checkers=frozenset(checkers()),
        judging=partial(_judging, home or default_home()),
        choosing=partial(_choosing, home or default_home()),
    )


def _judging(home: Path, need: ModelNeed) -> float | None:
    """What the card of a model shows of it as a judge; None: nothing, or there is no card yet."""
    from pockethive.inference.bundle import read_card  # looked at only where a team wants it
    from pockethive.inference.shelf import find_bundle

    try:
        folder = find_bundle(need.name, need.quantization, home)
        return None if folder is None else read_card(folder).judge_accuracy
    except (ModelError, UnknownModel):
        return None


def _choosing(home: Path, wish: ModelWish) -> ModelNeed:
    """The model of `home` that fulfils a wish. Raises RefusedModel."""
    from pockethive.inference.choosing import candidates, choose
    from pockethive.inference.footprint import free_memory

    return choose(wish, candidates(home), free_memory())
