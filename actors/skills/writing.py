"""Skills that have the model write a text, so that another device can read it again.

Rule guarded here: what the model is asked is a function of the task and its inputs alone. Nobody
chooses the seed; control tokens of what comes from outside are broken by `chat`.
"""

from dataclasses import dataclass, field, replace
from typing import Protocol, TypeGuard

from pockethive.actors.skill import Product, Skill, Tools, Work, model_for
from pockethive.core.errors import BadEncoding, SkillFailure
from pockethive.core.ports import Model, Sampling
from pockethive.core.rescore import WrittenText, seed_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What a model is asked to write. The sampling's seed is the task's, whatever stands here."""

    user: str
    system: str = ""
    sampling: Sampling = field(default_factory=Sampling)


class Writer(Skill, Protocol):
    """A skill whose output the model writes; `run` is `return written(self, work, tools)`."""

    def asks(self, work: Work) -> Asking:
        """What the model is asked. Pure; raises SkillFailure where nothing can be asked."""


def is_writer(skill: Skill) -> TypeGuard[Writer]:
    """Whether what a skill makes can be read again (`verify: rescore`)."""
    return skill.needs_model and callable(getattr(skill, "asks", None))


def written(skill: Writer, work: Work, tools: Tools) -> Product:
    """What the model writes for `work`. Raises SkillFailure, ModelError."""
    model = model_for(skill.name, work, tools)
    prompt, sampling = prompted(skill, work, model)
    made = model.generate(prompt, sampling)
    try:
        text = WrittenText.of(made, model.model_class.id)
    except BadEncoding as error:
        raise SkillFailure(f"what the model wrote cannot be kept: {error}") from error
    return Product(
        value=text.value(),
        prompt_tokens=made.prompt_tokens,
        generated_tokens=made.generated_tokens,
    )


def prompted(skill: Writer, work: Work, model: Model) -> tuple[str, Sampling]:
    """The prompt and the sampling of a task, for whoever writes or reads it."""
    asked = skill.asks(work)
    sampling = replace(asked.sampling, seed=seed_of(work.task))
    return model.chat(asked.system, asked.user), sampling
